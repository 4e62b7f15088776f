"""The journal's bytes: a header, then blocks of origins, attempts and filtered events.

A block is what one tenth of a second brought. Its head says which event numbers stand in it, so that
a look-up passes over the rest; a block that is not whole (a kill, a full disk) ends the segment.
"""

from __future__ import annotations

import json
import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

__all__ = [
    "ATTEMPTS", "CHILDREN", "FILTERED", "ORIGINS", "RECORD", "VERSION", "Attempt", "Block",
    "Filtering", "Origin", "attempts", "blocks", "filterings", "foreign", "header", "origins",
    "pack_block", "pack_filtering", "pack_origins",
]  # fmt: skip

VERSION = 1
_HEADER = struct.Struct("<6sHQ")
_MAGIC = b"TOJRNL"
_BLOCK = struct.Struct("<4sIIIQQ")  # mark, kind, bytes, crc, lowest and highest event number
_MARK = b"\xabJN1"
ORIGINS, ATTEMPTS, FILTERED = 1, 2, 3
RECORD = struct.Struct("<IIHHBBxxIQ")
"""events, origin, status, attempt, flags, bytes of the error, microseconds, Unix milliseconds; then the
event numbers (8 bytes each), with CHILDREN their places among the outputs (2 each), and the error."""
CHILDREN = 1
RECORDS = 2
_FILTERING = struct.Struct("<IHHIQ")  # origin, child, bytes of the reason, runs, Unix milliseconds
_serials = count(1)


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """By what an event was handled: destination, config and scripts (name, version), whose hashes are
    names in data/history. `serial` is its number within the segments of one process.

    A script of a source is called `<source>/<name>`.
    """

    destination: str
    config: str
    scripts: tuple[tuple[str, str], ...]
    serial: int

    @classmethod
    def of(cls, destination: str, config: str, scripts: Sequence[tuple[str, str]]) -> Origin:
        """A new one."""
        return cls(destination, config, tuple(scripts), next(_serials))


    def passed(self, source: str) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
        """The scripts that an event of a source passed: those of the source, and those of the destination."""
        of = [(*name.rpartition("/")[::2], version) for name, version in self.scripts]
        return (
            tuple((name, version) for owner, name, version in of if owner == source and owner),
            tuple((name, version) for owner, name, version in of if not owner),
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One event in one request. `at` is Unix seconds when it left, `events` how many it carried.

    `status` is 0 where no answer came, and where the tool is not HTTP.
    """

    origin: Origin
    child: int
    at: float
    seconds: float
    status: int
    attempt: int
    events: int
    error: str


@dataclass(frozen=True, slots=True)
class Filtering:
    """One output of an event that ended without a request; `at` is Unix seconds."""

    origin: Origin
    child: int
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Block:
    """A block's kind, and where its content stands in the segment."""

    kind: int
    start: int
    stop: int
    low: int
    high: int


def pack_block(kind: int, content: bytes, low: int, high: int) -> bytes:
    """A block as it is written; `low` and `high` are the event numbers in it."""
    return _BLOCK.pack(_MARK, kind, len(content), zlib.crc32(content), low, high) + content


def pack_origins(told: Sequence[Origin]) -> bytes:
    """The content of a block of origins."""
    return json.dumps([[o.serial, o.destination, o.config, o.scripts] for o in told]).encode()


def pack_filtering(origin: Origin, child: int, at: int, reason: str, runs: array[int]) -> bytes:
    """One row of a block of filtered events; `runs` are pairs of first and behind-last number."""
    text = reason.encode("utf-8", "replace")[:1024]
    return _FILTERING.pack(origin.serial, child, len(text), len(runs) // 2, at) + runs.tobytes() + text


def header(sequence: int) -> bytes:
    """The first bytes of a segment, whose event numbers are those of this sequence (0: of any)."""
    return _HEADER.pack(_MAGIC, VERSION, sequence)


def foreign(data: bytes, sequence: int) -> bool:
    """Whether a segment that begins with `data` speaks of the events of another sequence."""
    if len(data) < _HEADER.size:
        return False
    magic, version, of = _HEADER.unpack_from(data)
    return magic == _MAGIC and version == VERSION and of not in (0, sequence)


def blocks(data: bytes) -> Iterator[Block]:
    """The whole blocks of a segment, whose contents are not checked; nothing where it is none of ours."""
    if len(data) < _HEADER.size:
        return
    magic, version, _ = _HEADER.unpack_from(data)
    if magic != _MAGIC or version > VERSION:
        return
    at = _HEADER.size
    while at + _BLOCK.size <= len(data):
        mark, kind, size, _, low, high = _BLOCK.unpack_from(data, at)
        start = at + _BLOCK.size
        if mark != _MARK or start + size > len(data):
            return
        yield Block(kind, start, start + size, low, high)
        at = start + size


def _checked(data: bytes, block: Block) -> bytes:
    """A block's content; b"" where its bytes are damaged."""
    content = data[block.start : block.stop]
    crc = _BLOCK.unpack_from(data, block.start - _BLOCK.size)[3]
    return content if zlib.crc32(content) == crc else b""


def origins(data: bytes, block: Block) -> dict[int, Origin]:
    """A block of origins, by serial."""
    told = json.loads(_checked(data, block) or b"[]")
    return {
        serial: Origin(destination, config, tuple((name, version) for name, version in scripts), serial)
        for serial, destination, config, scripts in told
    }


def attempts(data: bytes, block: Block) -> Iterator[tuple[int, array[int], Sequence[int], tuple[int, ...], str]]:
    """Rows of a block of attempts: origin, event numbers, children (or ()), the record's fields, error."""
    content = _checked(data, block)
    at = 0
    while at < len(content):
        fields = RECORD.unpack_from(content, at)
        number, origin, flags, length = fields[0], fields[1], fields[4], fields[5]
        at += RECORD.size
        numbers = array("Q", content[at : at + 8 * number])
        at += 8 * number
        children: Sequence[int] = ()
        if flags & CHILDREN:
            children = array("H", content[at : at + 2 * number])
            at += 2 * number
        yield origin, numbers, children, fields, content[at : at + length].decode("utf-8", "replace")
        at += length


def filterings(data: bytes, block: Block) -> Iterator[tuple[int, int, float, str, array[int]]]:
    """Rows of a block of filtered events: origin, child, Unix seconds, reason, runs."""
    content = _checked(data, block)
    at = 0
    while at < len(content):
        origin, child, length, runs, millis = _FILTERING.unpack_from(content, at)
        at += _FILTERING.size
        pairs = array("Q", content[at : at + 16 * runs])
        at += 16 * runs
        yield origin, child, millis / 1000, content[at : at + length].decode("utf-8", "replace"), pairs
        at += length
