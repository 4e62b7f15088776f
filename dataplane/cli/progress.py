"""How far a long command has come: a line or a bar on a terminal's standard error, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["Bar", "Progress"]

EVERY = 0.2


class Progress:
    """`with Progress("exported", total) as progress: progress.at(n)`; `total` 0 where it is not known."""

    def __init__(self, word: str, total: int = 0) -> None:
        self._word = word
        self._total = total
        self._next = 0.0
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def at(self, done: int, note: str = "") -> None:
        """Show that `done` are done; `note` says what it waits for."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + EVERY
        of = f" of {self._total:,}" if self._total else ""
        sys.stderr.write(f"\r\x1b[K{self._word} {done:,}{of}{f' ({note})' if note else ''}")
        sys.stderr.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and self._next:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class Bar:
    """`with Bar(name) as shown: shown(done, total, note)`; `total` None while nobody knows it.

    With `transient` nothing of it stays.
    """

    def __init__(self, name: str, *, quiet: bool = False, transient: bool = False) -> None:
        self._name = name
        self._transient = transient
        self.shown = not quiet and sys.stderr.isatty()
        self._bar: Any = None

    def __enter__(self) -> Callable[[int, int | None, str], None]:
        if self.shown:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
                TextColumn("{task.fields[note]}", markup=False), console=Console(stderr=True),
                transient=self._transient,
            )  # fmt: skip
            self._task = self._bar.add_task(self._name, total=None, note="")
            self._bar.start()
        return self._show

    def _show(self, done: int, total: int | None, note: str) -> None:
        if self._bar is not None:
            if total == 0:  # there was nothing to do, which is all of it
                done = total = 1
            self._bar.update(self._task, completed=done, total=total, note=note)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
