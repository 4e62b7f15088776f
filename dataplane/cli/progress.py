"""How far a long command has come: one line on a terminal's standard error, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

__all__ = ["Progress"]

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
