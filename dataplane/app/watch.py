"""`run --watch`: applies the configuration when its files change.

Files are looked at, not subscribed to: it works on every file system, and a second is soon enough for
a person who just saved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from dataplane.config.files import named

__all__ = ["Look", "Settled", "Watch", "look"]

EVERY = 0.5
"""Seconds between two looks; a change counts when the second one finds nothing more."""

Look = Mapping[Path, tuple[int, int, int] | None]
"""What a look at files sees: time of change in nanoseconds, size, inode; None for one that is not there."""


def look(files: Iterable[Path]) -> Look:
    """How these files are now. An editor that saves by renaming changes the inode."""
    return {file: _seen(file) for file in files}


def _seen(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Settled:
    """Says once of every change that it is over: two looks in a row saw the same new state."""

    def __init__(self, first: Look) -> None:
        self._known = self._last = first

    def feed(self, now: Look) -> bool:
        """True where what changed since the last True has stopped changing."""
        before, self._last = self._last, now
        if now != before or now == self._known:
            return False
        self._known = now
        return True


class Watch:
    """Watches a file and those it names from its making on: make it before the file is read for use, so that
    a change while Turnout starts is one too."""

    def __init__(self, config: Path) -> None:
        self._files = _Files(config.absolute())
        self._settled = Settled(self._files.look())

    async def run(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Call `changed` after every change, for ever."""
        while True:
            await asyncio.sleep(EVERY)
            if self._settled.feed(await asyncio.to_thread(self._files.look)):
                await changed()


class _Files:
    """The config's files; it is parsed for their names again when one of them changed: a folder of
    libraries does so when a file comes or goes."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._seen: Look | None = None

    def look(self) -> Look:
        if self._seen is None or look(self._seen) != self._seen:
            # Itself before the names that are read from it: what changes meanwhile is seen next time.
            own = look((self._config,))
            self._seen = {**look(named(self._config)), **own}
        return self._seen
