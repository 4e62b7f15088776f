"""`turnout backup` and `turnout restore`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from dataplane.app import backup as copying
from dataplane.app import restore as filling
from dataplane.app.bundle import Report
from dataplane.cli.client import Client, find_socket
from dataplane.cli.ended import undoing
from dataplane.cli.output import json_line, say
from dataplane.config import connection

__all__ = ["backup", "restore"]


def backup(config: Path, socket: Path | None, target: Path, *, as_json: bool) -> None:
    """Copy the data folder; the running pipeline is asked one question in between."""
    data = connection(config).data

    def settled() -> None:
        Client(find_socket(config, socket)).post("/books")

    with undoing(), _progress("copying", as_json) as step:
        made = copying.backup(data, target, settled=settled, step=step)
    _told(made, as_json, f"{made.file}: {_size(made.size)}, holds {data}")


def restore(config: Path, source: Path, data: Path | None, *, as_json: bool) -> None:
    """Fill a data folder."""
    folder = data if data is not None else connection(config).data
    with undoing(), _progress("restoring", as_json) as step:
        found = filling.restore(source, folder, step=step)
    _told(found, as_json, f"{folder} is as it was at {found.made} (turnout {found.turnout})")


def _told(found: Report, as_json: bool, sentence: str) -> None:
    if as_json:
        json_line(asdict(found))
    else:
        say(f"{sentence}: {found.files} files, {_size(found.bytes)}")


def _size(count: int) -> str:
    for unit, length in (("GB", 1e9), ("MB", 1e6)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


@contextmanager
def _progress(word: str, as_json: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error in a terminal, else nothing."""
    if as_json or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(word, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
