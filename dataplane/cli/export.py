"""`turnout dead export` and `turnout refused export`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dataplane.cli.client import Client
from dataplane.cli.ended import undoing
from dataplane.cli.output import json_line, warn
from dataplane.cli.progress import Progress
from turnout import codec
from turnout.errors import Fixable

__all__ = ["export"]

PAGE = 200


def export(client: Client, kind: str, wanted: dict[str, Any], output: str, *, as_json: bool) -> None:
    """Page through the API and write as it comes; a file is there whole or not at all."""
    total = client.get(f"/{kind}/summary", **wanted)["total"]
    done = damaged = 0
    cursor: str | None = ""
    with _opened(output) as file, Progress("exported", total) as progress:
        while cursor is not None:
            page = client.get(f"/{kind}/export", limit=PAGE, cursor=cursor, **wanted)
            for letter in page[kind]:
                file.write(codec.dumps(letter) + b"\n")
                damaged += "damaged" in letter
            done += len(page[kind])
            progress.at(done)
            cursor = page["cursor"]
    if damaged:
        warn(f"{damaged} could not be read; their lines say why (`damaged`)")
    if output != "-":
        if as_json:
            json_line({"exported": done, "damaged": damaged, "file": output})
        else:
            warn(f"{done} written to {output}")


@contextmanager
def _opened(output: str) -> Iterator[IO[bytes]]:
    """Standard output, or a file that gets its name when it is complete."""
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    if path.is_dir():
        raise Fixable(f"{output or '.'}: is a folder; name a file, or - for standard output")
    part = path.with_name(f"{path.name}.part")
    try:
        file = os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    except OSError as error:
        raise Fixable(f"{output}: cannot be written: {error.strerror}") from None
    try:
        with undoing(), file:
            yield file
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
