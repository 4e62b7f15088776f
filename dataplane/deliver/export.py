"""A file as the target of a replay: one event a line, as a destination would have been handed it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from turnout import Context, Delivery, Destination, Event, Record, Settings, Verdict, codec, delivered, retry
from turnout.errors import Fixable

__all__ = ["Export", "Lines", "reserve", "vacant"]

_TAIL = 1 << 20


class Export(Destination[Settings]):
    """Every event as one compact line of JSON."""

    slug: ClassVar = "export"
    names: ClassVar = ()
    delivery = Delivery(
        batch=250, batch_bytes=5_000_000, linger=timedelta(milliseconds=20), concurrency=1
    )
    records: ClassVar = True

    def request(self, event: Event, at: Context) -> Record:
        """Written anew, so that what the server has put behind the client's fields stands there once."""
        return Record("", None, codec.dumps(event.message))


def reserve(path: Path) -> None:
    """Make the file, 0600; raises `Fixable` where it is there already or cannot be made."""
    if not path.is_absolute():
        raise Fixable(f"{path}: give an absolute path")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise Fixable(f"{path} exists already: name a new file") from None
    except OSError as error:
        raise Fixable(f"{path} cannot be made: {error.strerror}") from None


def vacant(path: Path) -> None:
    """Raise `Fixable` where `reserve` would, as far as that can be said without making the file."""
    if path.exists():
        raise Fixable(f"{path} exists already: name a new file")
    if not path.parent.is_dir():
        raise Fixable(f"{path} cannot be made: {path.parent} is no folder")


class Lines:
    """Appends lines and syncs them, in a thread. A line that a killed process left unfinished is cut."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._lock = threading.Lock()

    async def write(self, records: Sequence[Record]) -> Sequence[Verdict]:
        """All of them, or (disk full, no permission, file gone) none and try again."""
        return await asyncio.to_thread(self._write, records)

    async def close(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._close)

    def _write(self, records: Sequence[Record]) -> list[Verdict]:
        with self._lock:  # a cancelled caller leaves its thread writing, and the next one waits
            start = -1
            try:
                start = self._open()
                data = b"".join(record.body + b"\n" for record in records)
                written = 0
                while written < len(data):
                    written += os.pwrite(self._fd, memoryview(data)[written:], start + written)
                os.fdatasync(self._fd)
            except OSError as error:
                self._undo(start)
                return [retry(f"file: {error.strerror or type(error).__name__}")] * len(records)
        return [delivered()] * len(records)

    def _open(self) -> int:
        """Open where it is not; the size at which the next line begins."""
        if self._fd < 0:
            # Never made here: a file that someone took away must not come back with half of the events.
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._mend()
        return os.fstat(self._fd).st_size

    def _mend(self) -> None:
        size = os.fstat(self._fd).st_size
        while size:
            start = max(0, size - _TAIL)
            tail = os.pread(self._fd, size - start, start)
            if tail.endswith(b"\n"):
                break
            size = start + tail.rfind(b"\n") + 1
        os.ftruncate(self._fd, size)

    def _undo(self, start: int) -> None:
        """Cut off what was written of a group that failed, so that the next attempt writes it once."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):  # the failure that led here is reported; opening mends the tail
            if start >= 0:
                os.ftruncate(self._fd, start)
        os.close(self._fd)
        self._fd = -1

    def _close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
