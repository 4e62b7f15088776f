"""What may be deleted: how far each consumer has let go, and which segments that frees.

`released/{consumer}` holds eight bytes of position and four of its crc-32, little-endian. It is not
synced: after a power failure an older, and so safe, value may stand there, and a torn one counts as 0.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from dataplane.log.format import BLOCK, crc32
from dataplane.log.head import Head
from dataplane.log.segments import make_folder, segment_path, sync_folder

__all__ = ["Held", "Inventory", "Release", "released"]

_ENTRY = struct.Struct("<QI")
_POSITION = struct.Struct("<Q")


class Release:
    """One consumer's word on what it no longer needs; the last word counts."""

    def __init__(self, folder: Path, consumer: str) -> None:
        make_folder(folder / "released")
        self._file = os.open(folder / "released" / consumer, os.O_RDWR | os.O_CREAT, 0o600)
        self.position = _position(os.pread(self._file, _ENTRY.size, 0))

    def set(self, position: int) -> None:
        """Let go of everything before `position`."""
        if position != self.position:
            packed = _POSITION.pack(position)
            os.pwrite(self._file, packed + crc32(packed).to_bytes(4, "little"), 0)
            self.position = position

    def close(self) -> None:
        """Let go of the file; the word stands."""
        os.close(self._file)


def _position(entry: bytes) -> int:
    if len(entry) != _ENTRY.size or crc32(entry[:8]) != _ENTRY.unpack(entry)[1]:
        return 0
    position: int = _ENTRY.unpack(entry)[0]
    return position


def released(folder: Path) -> int:
    """The position before which no consumer needs anything; 0 where none has said so."""
    directory = folder / "released"
    if not directory.is_dir():
        return 0
    return min((_position(path.read_bytes()) for path in directory.iterdir()), default=0)


@dataclass(slots=True)
class Held:
    """One segment on disk: its whole size in bytes, and when it was begun (Unix nanoseconds)."""

    base: int
    size: int
    created: int


class Inventory:
    """The segments of a partition, oldest first; the last is the one being written."""

    def __init__(self, folder: Path, head: Head, held: list[Held]) -> None:
        self._folder = folder
        self._head = head
        self._held = held
        self.bytes = sum(one.size for one in held)

    @property
    def active(self) -> Held:
        """The segment being written."""
        return self._held[-1]

    def begin(self, base: int, created: int) -> None:
        """A new active segment; one of the same base held no record and is replaced."""
        if self._held and self._held[-1].base == base:
            self.bytes -= self._held.pop().size
        self._held.append(Held(base, BLOCK, created))
        self.bytes += BLOCK
        self._head.floor = self._held[0].base

    def grow(self, size: int) -> None:
        """The active segment has `size` bytes more."""
        self._held[-1].size += size
        self.bytes += size

    def delete(self, free_before: int, retention: float, wanted: int) -> int:
        """Delete what is due; returns how many bytes that freed.

        Only segments wholly below `free_before` go: those closed `retention` seconds ago, and from the
        oldest on as many as it takes to free `wanted` bytes. Raises OSError.
        """
        oldest_kept = time.time_ns() - int(retention * 1e9)
        gone: list[Held] = []
        freed = 0
        for one, following in zip(self._held, self._held[1:], strict=False):
            if following.base > free_before or (following.created > oldest_kept and freed >= wanted):
                break
            gone.append(one)
            freed += one.size
        if not gone:
            return 0
        # Readers are told first, so that none looks for a file that its floor promises.
        self._head.floor = self._held[len(gone)].base
        for one in gone:
            segment_path(self._folder, one.base).unlink(missing_ok=True)
            self._held.pop(0)
            self.bytes -= one.size
        sync_folder(self._folder)
        return freed
