"""The file `head`: what the writer publishes, mapped into the memory of every reader.

Eight aligned bytes per figure, each stored and loaded whole, so that readers in other processes see
the durable position without a system call. It is never synced: after a power failure recovery
publishes anew.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Final

from turnout.errors import FormatError

__all__ = ["Head", "published"]

_MAGIC: Final = int.from_bytes(b"TRNHEAD1", "little")
_PREFIX: Final = int.from_bytes(b"TRNHEAD", "little")
_SIZE = 4096
_SPOT = 0
_POSITION, _EPOCH, _HEARTBEAT, _FLOOR, _OPEN, _DAMAGED, _STORED = 1, 2, 3, 4, 5, 6, 7
_WANTED = 32  # on a cache line of its own: readers write it
_ALL_ONES = (1 << 64) - 1


class Head:
    """The mapped file. Only the owner of the partition writes, `wanted` aside."""

    __slots__ = ("_map", "_words")

    def __init__(self, folder: Path) -> None:
        """Map `folder/head`, made with zeros where it is missing (reader and writer start in any order)."""
        path = folder / "head"
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            file = _make(path)
        try:
            if os.fstat(file).st_size < _SIZE:
                # Whole pages on disk from the start: a hole could not be filled when the disk is full.
                os.pwrite(file, bytes(_SIZE), 0)
                os.fsync(file)
            self._map = mmap.mmap(file, _SIZE)
        finally:
            os.close(file)
        self._words = memoryview(self._map).cast("Q")
        if self._words[_SPOT] != _MAGIC:
            self._adopt()

    def _adopt(self) -> None:
        spot = self._words[_SPOT]
        if spot & (_ALL_ONES >> 8) == _PREFIX and spot >> 56 > _MAGIC >> 56:
            self.close()
            raise FormatError("the log's head was written by a newer Turnout; start that version")
        for index in range(_SIZE // 8):
            self._words[index] = 0
        self._words[_SPOT] = _MAGIC

    @property
    def position(self) -> int:
        """Position behind the last durable record."""
        return self._words[_POSITION]

    @position.setter
    def position(self, value: int) -> None:
        self._words[_POSITION] = value

    @property
    def epoch(self) -> int:
        """Epoch of the last start."""
        return self._words[_EPOCH]

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._words[_EPOCH] = value

    @property
    def heartbeat(self) -> int:
        """Monotonic nanoseconds: every record of this epoch stamped earlier is published."""
        return self._words[_HEARTBEAT]

    @heartbeat.setter
    def heartbeat(self, value: int) -> None:
        self._words[_HEARTBEAT] = value

    @property
    def floor(self) -> int:
        """Position of the oldest record that is still there."""
        return self._words[_FLOOR]

    @floor.setter
    def floor(self, value: int) -> None:
        self._words[_FLOOR] = value

    @property
    def is_open(self) -> bool:
        """Whether a writer says that it takes records; a killed one cannot take it back."""
        return self._words[_OPEN] == 1

    @is_open.setter
    def is_open(self, value: bool) -> None:
        self._words[_OPEN] = int(value)

    @property
    def damaged(self) -> int:
        """Number of damaged ranges found so far, by whomever."""
        return self._words[_DAMAGED]

    @damaged.setter
    def damaged(self, value: int) -> None:
        self._words[_DAMAGED] = value

    @property
    def stored(self) -> int:
        """Size of all segments, for those that share the room."""
        return self._words[_STORED]

    @stored.setter
    def stored(self, value: int) -> None:
        self._words[_STORED] = value

    @property
    def wanted(self) -> bool:
        """Whether a reader waits; set by readers, taken back by the writer before it wakes them."""
        return self._words[_WANTED] != 0

    @wanted.setter
    def wanted(self, value: bool) -> None:
        self._words[_WANTED] = int(value)

    def close(self) -> None:
        """Unmap."""
        self._words.release()
        self._map.close()


def published(folder: Path) -> int:
    """What the file in `folder` says is durable, without mapping or making it; 0 where it says nothing."""
    try:
        file = os.open(folder / "head", os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        spot = os.pread(file, 16, 8 * _SPOT)
    finally:
        os.close(file)
    return int.from_bytes(spot[8:16], "little") if spot[:7] == b"TRNHEAD" else 0


def _make(path: Path) -> int:
    fresh = path.with_name(f".head.{os.getpid()}.{os.urandom(4).hex()}")
    file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.pwrite(file, _MAGIC.to_bytes(8, "little").ljust(_SIZE, b"\0"), 0)
        os.fsync(file)
        try:
            os.link(fresh, path)  # fails where another was faster: one file for all
        except FileExistsError:
            os.close(file)
            file = os.open(path, os.O_RDWR)
    finally:
        fresh.unlink()
    return file
