"""`turnout init`."""

from __future__ import annotations

from pathlib import Path

from dataplane.cli.output import json_line, say
from turnout.errors import Fixable

__all__ = ["init"]


def init(folder: Path, *, force: bool, as_json: bool) -> None:
    """Write the starter files; all of them, or none where one exists already."""
    from dataplane.config.starter import starter_files

    files = {folder / name: content for name, content in starter_files().items()}
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise Fixable(f"exists already: {', '.join(there)} (--force overwrites)")
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if as_json:
        json_line({"written": [str(path) for path in files]})
        return
    for path in files:
        say(f"wrote {path}")
    where = "" if folder == Path() else f"cd {folder} && "
    say(f"next: {where}turnout run --demo")
