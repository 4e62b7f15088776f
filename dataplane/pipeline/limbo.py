"""Message ids of events that were numbered by a process that died before the numbers were written down.

A message id is remembered beside its number before the sidecar has the event's block. With one partition
the next process numbers the same records alike. With several a record may have become visible meanwhile
that comes before them, and the numbers differ: an id that is remembered at a lower number then looks like
that of an earlier event, which it is not. Those numbers are in *limbo*, and what is remembered at them
counts only when this process put it there.

`data/sequence/reserved`: a number (8 bytes, little-endian) and its crc-32; no number at or beyond it was
ever given out. It is synced before one is, once in `STEP` numbers.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from dataplane.pipeline.ids import MessageIds

__all__ = ["Limbo"]

STEP = 1 << 17
"""Numbers that are reserved at a time; bounds what is kept in memory after a crash, too."""


class Limbo:
    """Stands before the message ids of a sequence of several partitions."""

    def __init__(self, folder: Path, ids: MessageIds, next_number: int) -> None:
        self._path = folder / "reserved"
        self._ids = ids
        self._own: set[bytes] = set()
        self._first = next_number
        self._reserved = self._end = max(next_number, self._read(next_number))

    def _read(self, next_number: int) -> int:
        """The first number that was certainly never given out."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return next_number  # there was one partition until now
        number = int.from_bytes(data[:8], "little")
        torn = len(data) != 12 or zlib.crc32(data[:8]) != int.from_bytes(data[8:], "little")
        return next_number + 2 * STEP if torn else number

    def reserve(self, number: int) -> None:
        """Numbers below `number` are about to be given out; raises OSError where that cannot be noted."""
        if number > self._reserved:
            self._write(number + STEP)

    def _write(self, number: int) -> None:
        packed = number.to_bytes(8, "little")
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(file, packed + zlib.crc32(packed).to_bytes(4, "little"), 0)
            os.fsync(file)
        finally:
            os.close(file)
        self._reserved = number

    def seen(self, digest: bytes, number: int, now: float) -> int:
        """As `MessageIds.seen`, without what stands in limbo."""
        found = self._ids.seen(digest, number, now)
        if self._first <= found < self._end and digest not in self._own:
            self._ids.correct(digest, number)
            found = -1
        if found < 0 and number < self._end:
            self._own.add(digest)
        return found

    def close(self, next_number: int) -> None:
        """Every number below `next_number` is written down: nothing is in limbo."""
        self._write(next_number)
