"""Format of the sequence's sidecar, as pure functions over bytes; docs/formats.md describes it.

A file is a header and one block per record. The header says how far each partition of the log was
sequenced before the file; a block says the partition, position and end of its record, the number of its
first event, and for each event what was decided. Version 1 knew one partition, 0, and no positions in
the header. Integers are little-endian.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from turnout.errors import FormatError

__all__ = [
    "DUPLICATE", "ENTRY", "MARK", "MARKS", "REFUSED", "VERSION", "Block", "Header", "behind_damage", "pack",
    "pack_header", "unpack", "unpack_header",
]

REFUSED = 1
DUPLICATE = 2
MAGIC = b"TOSEQ\x01"
VERSION = 2

_HEADER = struct.Struct("<6sHQ")  # magic version first
_COUNT = struct.Struct("<I")
_PLACE = struct.Struct("<IQ")  # partition position
_CRC = struct.Struct("<I")
_BLOCK_1 = struct.Struct("<4sIIQQQ")  # mark count crc first position end
_BLOCK = struct.Struct("<4sIIIQQQ")  # mark count crc partition first position end
_START = struct.Struct("<4sII")
_PLACED = struct.Struct("<IQQQ")
_MARK_1 = b"\xabSQ1"
MARK = b"\xabSQ2"
MARKS = (MARK, _MARK_1)
"""What a block begins with, newest version first."""
_COVERED = _START.size  # what the crc of a block covers begins here
ENTRY = struct.Struct("<B16sQII")
"""Per event: flags, 128-bit hash of its id, 64-bit hash of its order key, offset and length in the body."""


@dataclass(frozen=True, slots=True)
class Block:
    """One record's decisions. `entries` is `count` packed `ENTRY`s."""

    first: int
    position: int
    end: int
    count: int
    entries: bytes
    partition: int = 0

    def flags(self, index: int) -> int:
        """Flags of the event at `index`."""
        return self.entries[index * ENTRY.size]

    def __iter__(self) -> Iterator[tuple[int, bytes, int, int, int]]:
        return ENTRY.iter_unpack(self.entries)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself: its version, the number of its first event, its own size, and the
    positions behind what was sequenced before it (none in version 1)."""

    version: int
    first: int
    size: int
    positions: Mapping[int, int]


def pack_header(first: int, positions: Mapping[int, int]) -> bytes:
    """The header of a new file."""
    packed = _HEADER.pack(MAGIC, VERSION, first) + _COUNT.pack(len(positions))
    packed += b"".join(_PLACE.pack(*place) for place in sorted(positions.items()))
    return packed + _CRC.pack(zlib.crc32(packed))


def unpack_header(data: bytes, name: str) -> Header | None:
    """The header at the start of a file; None where it is torn or damaged.

    Raises `FormatError`, naming the file, where a newer Turnout wrote it.
    """
    if len(data) < _HEADER.size:
        return None
    magic, version, first = _HEADER.unpack_from(data)
    if magic != MAGIC:
        return None
    if version > VERSION:
        raise FormatError(
            f"{name} was written by a newer Turnout (version {version}; this one knows {VERSION})"
        )
    if version == 1:
        return Header(1, first, _HEADER.size, {})
    if len(data) < _HEADER.size + _COUNT.size:
        return None
    (count,) = _COUNT.unpack_from(data, _HEADER.size)
    end = _HEADER.size + _COUNT.size + count * _PLACE.size
    if len(data) < end + _CRC.size or _CRC.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        return None
    places = _PLACE.iter_unpack(data[_HEADER.size + _COUNT.size : end])
    return Header(version, first, end + _CRC.size, dict(places))


def pack(block: Block) -> bytes:
    """A block as it stands on disk."""
    place = _PLACED.pack(block.partition, block.first, block.position, block.end)
    crc = zlib.crc32(block.entries, zlib.crc32(place))
    return _START.pack(MARK, block.count, crc) + place + block.entries


def unpack(data: bytes | mmap.mmap, start: int) -> tuple[Block, int] | None:
    """The block at `start` and where it ends, or None where it is not whole or damaged."""
    mark = data[start : start + 4]
    shape = _BLOCK if mark == MARK else _BLOCK_1
    begin = start + shape.size
    if begin > len(data) or mark not in MARKS:
        return None
    if shape is _BLOCK:
        _, count, crc, partition, first, position, end = _BLOCK.unpack_from(data, start)
    else:
        _, count, crc, first, position, end = _BLOCK_1.unpack_from(data, start)
        partition = 0
    stop = begin + count * ENTRY.size
    if stop > len(data):
        return None
    entries = data[begin:stop]
    if zlib.crc32(entries, zlib.crc32(data[start + _COVERED : begin])) != crc:
        return None
    return Block(first, position, end, count, entries, partition), stop


def behind_damage(data: bytes, start: int) -> int:
    """Where the first whole block behind `start` begins; the end of `data` where there is none."""
    at = start
    while (at := data.find(MARK, at + 1)) >= 0:
        if unpack(data, at) is not None:
            return at
    return len(data)
