"""What *sequence* decided, on disk: which numbers a record's events have, and which are duplicates.

`data/sequence/{first number, 20 digits}.seq`. A file is a header and one block per record:
`magic, count, crc, first number, position in the log, end of the record` and per event flags (1),
128-bit hash of its id (16), hash of its order key (8), offset (4) and length (4) in the body.
A torn tail is cut at opening; the events are sequenced again and get the same numbers.
"""

from __future__ import annotations

import bisect
import mmap
import os
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from turnout.errors import FormatError

__all__ = ["DUPLICATE", "ENTRY", "MARKS", "REFUSED", "Block", "Sidecar", "unpack"]

REFUSED = 1
DUPLICATE = 2
MAGIC = b"TOSEQ\x01"
VERSION = 1
_HEADER = struct.Struct("<6sHQ")
_BLOCK = struct.Struct("<4sIIQQQ")
_MARK = b"\xabSQ1"
MARKS = (_MARK,)
"""What a block begins with."""
ENTRY = struct.Struct("<B16sQII")
SEGMENT = 8 << 20
_CHUNK = 1 << 20
_MARK_EVERY = 8 << 10


@dataclass(frozen=True, slots=True)
class Block:
    """One record's decisions. `entries` is `count` packed `ENTRY`s."""

    first: int
    position: int
    end: int
    count: int
    entries: bytes

    def flags(self, index: int) -> int:
        """Flags of the event at `index`."""
        return self.entries[index * ENTRY.size]

    def __iter__(self) -> Iterator[tuple[int, bytes, int, int, int]]:
        return ENTRY.iter_unpack(self.entries)


def pack(block: Block) -> bytes:
    """A block as it stands on disk."""
    crc = zlib.crc32(block.entries, zlib.crc32(struct.pack("<QQQ", block.first, block.position, block.end)))
    return _BLOCK.pack(_MARK, block.count, crc, block.first, block.position, block.end) + block.entries


class Sidecar:
    """Appends blocks, and finds them again by event number."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._firsts = sorted(int(p.stem) for p in folder.glob("*.seq"))
        self._file = -1
        self._lock = threading.Lock()  # `sync` runs in the state's thread, rotation in the loop's
        self._size = 0
        self.next_number = 1
        self.next_position = 0
        self._index: dict[int, list[tuple[int, int]]] = {}
        if self._firsts:
            self._recover()
        else:
            self._open(1, fresh=True)

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:020d}.seq"

    def _open(self, first: int, *, fresh: bool) -> None:
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if fresh else 0)
        opened = os.open(self._path(first), flags, 0o600)
        with self._lock:
            if self._file >= 0:
                os.fdatasync(self._file)
                os.close(self._file)
            self._file = opened
        if fresh:
            os.write(self._file, _HEADER.pack(MAGIC, VERSION, first))
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._firsts.append(first)
        self._size = os.lseek(self._file, 0, os.SEEK_END)

    def _recover(self) -> None:
        """Open the last file, cut its torn tail, and learn where to go on."""
        while self._firsts:
            first = self._firsts[-1]
            good, last = self._verify(first)
            if good or len(self._firsts) == 1:
                break
            self._path(first).unlink()
            self._firsts.pop()
        first = self._firsts[-1]
        if not good:
            self._path(first).unlink()
            self._firsts = []
            self._open(1, fresh=True)
            return
        os.truncate(self._path(first), good)
        self._open(first, fresh=False)
        if last is None and len(self._firsts) > 1:
            last = self._last(self._firsts[-2])
        if last is not None:
            self.next_number, self.next_position = last.first + last.count, last.end

    def _last(self, number: int) -> Block | None:
        found = deque(self.blocks(number), maxlen=1)
        return found[0] if found else None

    def _verify(self, first: int) -> tuple[int, Block | None]:
        """Length of the readable part of a file (0 where even its header is torn) and its last block."""
        end = 0
        data = self._path(first).read_bytes()
        if len(data) < _HEADER.size:
            return 0, None
        magic, version, _ = _HEADER.unpack_from(data)
        if magic != MAGIC:
            return 0, None
        if version > VERSION:
            raise FormatError(f"{self._path(first).name} was written by a newer Turnout")
        end = _HEADER.size
        last: Block | None = None
        while (found := unpack(data, end)) is not None:
            last, end = found
        return end, last

    def append(self, blocks: list[Block]) -> None:
        """Write blocks; they are durable after `sync`."""
        if self._size >= SEGMENT:
            self._open(blocks[0].first, fresh=True)
        data = b"".join(map(pack, blocks))
        written = 0
        while written < len(data):
            written += os.pwrite(self._file, memoryview(data)[written:], self._size + written)
        self._size += len(data)
        last = blocks[-1]
        self.next_number, self.next_position = last.first + last.count, last.end

    def sync(self) -> None:
        """Make what was appended durable; may be called from another thread."""
        with self._lock:
            if self._file >= 0:
                os.fdatasync(self._file)

    def blocks(self, number: int) -> Iterator[Block]:
        """Blocks from the one that holds event `number` on."""
        at = max(0, bisect.bisect_right(self._firsts, number) - 1)
        for first in list(self._firsts[at:]):
            offset = self._nearest(first, number)
            with self._path(first).open("rb") as file:
                file.seek(offset)
                data, want = b"", 2 * _MARK_EVERY  # a look-up of one event needs no more
                while chunk := file.read(want):
                    data, want = data + chunk, _CHUNK
                    start = 0
                    while (found := unpack(data, start)) is not None:
                        block, stop = found
                        self._note(first, block.first, offset + start)
                        start = stop
                        if block.first + block.count > number:
                            yield block
                    offset += start
                    data = data[start:]

    def _note(self, first: int, number: int, offset: int) -> None:
        """Remember every few kilobytes where a number is, so that a look-up reads little."""
        marks = self._index.setdefault(first, [])
        if not marks or offset - marks[-1][1] >= _MARK_EVERY:
            marks.append((number, offset))

    def _nearest(self, first: int, number: int) -> int:
        marks = self._index.get(first)
        if not marks:
            return _HEADER.size
        at = bisect.bisect_right(marks, (number, 1 << 62)) - 1
        return marks[at][1] if at >= 0 else _HEADER.size

    @property
    def first(self) -> int:
        """The lowest number it knows."""
        return self._firsts[0]

    def position_of(self, number: int) -> int:
        """Position in the log of the record that holds event `number`, or of the next record."""
        if number >= self.next_number:
            return self.next_position
        return next((block.position for block in self.blocks(number)), self.next_position)

    def number_at(self, position: int) -> int:
        """The first event of the record at `position` in the log, or of the next record behind it."""
        later = bisect.bisect_right(self._firsts, position, key=self._begins) if self._firsts else 0
        start = self._firsts[max(0, later - 1)]
        return next((b.first for b in self.blocks(start) if b.position >= position), self.next_number)

    def _begins(self, first: int) -> int:
        """Position of the first record of a file; one without records begins behind all others."""
        block = next(self.blocks(first), None)
        return self.next_position if block is None else block.position

    def trim(self, position: int, number: int) -> None:
        """Delete files whose records the log has let go of (before `position`) and whose events are
        all before `number`."""
        while len(self._firsts) > 1 and self._firsts[1] <= number:
            second = next(self.blocks(self._firsts[1]), None)
            if second is None or second.position > position:
                return
            first = self._firsts.pop(0)
            self._index.pop(first, None)
            self._path(first).unlink(missing_ok=True)

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._file)
        self._file = -1


def unpack(data: bytes | mmap.mmap, start: int) -> tuple[Block, int] | None:
    """The block at `start` and where it ends, or None where it is not whole or damaged."""
    if start + _BLOCK.size > len(data):
        return None
    mark, count, crc, first, position, end = _BLOCK.unpack_from(data, start)
    stop = start + _BLOCK.size + count * ENTRY.size
    if mark != _MARK or stop > len(data):
        return None
    entries = data[start + _BLOCK.size : stop]
    if zlib.crc32(entries, zlib.crc32(data[start + 12 : start + _BLOCK.size])) != crc:
        return None
    return Block(first, position, end, count, entries), stop
