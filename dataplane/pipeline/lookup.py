"""Finds events in the sidecar's files by number or by the hash of their id, beside the writer.

For people who ask (`turnout explain`), in a thread of its own. Reads a few pages for a number; for an id
that the tables no longer know it searches the files' bytes, newest first, a slice at a time, so that the
event loop gets its turn in between.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataplane.log.base import Record
from dataplane.pipeline.blocks import ENTRY, MARKS, Block, unpack
from dataplane.pipeline.numbered import Numbered, Sequenced, split
from dataplane.protocols.record import decode
from turnout.errors import Refused
from turnout.protocol import Envelope

__all__ = ["Stored", "block_of", "scan", "stored"]

SLICE = 1 << 18
_DIGEST = 16
_TRIES = 64


def block_of(folder: Path, number: int) -> Block | None:
    """The block that holds event `number`; None where no file has it (any more)."""
    for first, path in reversed(_files(folder)):
        if first <= number:
            try:
                with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    return _bisect(data, number)
            except (FileNotFoundError, ValueError):  # trimmed a moment ago, or empty
                return None
    return None


@dataclass(frozen=True, slots=True)
class Stored:
    """One event where it lies in the log: as received (`raw`), and as it is given out (`event`).

    `place` is its place among the `count` events of its request, `flags` what was decided.
    """

    record: Record
    envelope: Envelope
    raw: bytes
    place: int
    flags: int
    event: Sequenced


def stored(sequencer: Numbered, block: Block, number: int) -> Stored | None:
    """An event of a block, also a duplicate or refused one; None where the log has let its record go."""
    records = sequencer.partitions.read(block.partition, block.position, 1)
    if not records or records[0].position != block.position:
        return None
    record = records[0]
    envelope = decode(record.envelope)
    place = number - block.first
    flags, _, key, offset, length = ENTRY.unpack_from(block.entries, place * ENTRY.size)
    raw = record.body[offset : offset + length]
    if not length:
        raw = _unit(envelope, record.body, place)
    return Stored(record, envelope, raw, place, flags, sequencer.restore(number, key, raw, record.envelope))


def _unit(envelope: Envelope, body: bytes, place: int) -> bytes:
    """An event that has no place of its own in the body: it was refused, or read the slow way."""
    try:
        return split(envelope, body)[place].raw
    except (Refused, IndexError):  # wholly refused requests are kept as they came, often as no JSON at all
        return body


def scan(
    folder: Path, digests: Sequence[bytes], *, lowest: int = 1, stop: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, int]]:
    """Numbers and flags of the events whose id hash is one of `digests`, newest first.

    Ends at the file that holds event `lowest`, or as soon as `stop()` is true.
    """
    window = bytearray(SLICE + _DIGEST - 1)
    for first, path in reversed(_files(folder)):
        found: set[tuple[int, int]] = set()
        try:
            with path.open("rb", buffering=0) as file:
                for place in _places(file.fileno(), window, digests):
                    if stop():
                        return
                    if place >= 0:
                        found.update(_event_at(path.read_bytes(), place))
        except FileNotFoundError:  # trimmed a moment ago
            return
        yield from sorted(found, reverse=True)
        if first <= lowest:
            return


def _places(file: int, window: bytearray, digests: Sequence[bytes]) -> Iterator[int]:
    """Where a digest stands in a file, and -1 after each slice that was read.

    Read, not mapped: a page that must come from the disk is then waited for without the interpreter's lock.
    """
    start = 0
    while (size := os.preadv(file, [window], start)) > 0:
        for digest in digests:
            at = window.find(digest, 0, size)
            while at >= 0:
                yield start + at
                at = window.find(digest, at + 1, size)
        yield -1
        start += len(window) - _DIGEST + 1


def _files(folder: Path) -> list[tuple[int, Path]]:
    return sorted((int(path.stem), path) for path in folder.glob("*.seq"))


def _bisect(data: mmap.mmap, number: int) -> Block | None:
    low, high = 0, len(data)
    while low < high:
        middle = (low + high) // 2
        found = _next(data, middle, high)
        if found is None:
            high = middle
            continue
        start, block = found
        if block.first <= number < block.first + block.count:
            return block
        if block.first > number:
            high = middle
        else:
            low = start + 1
    return None


def _next(data: mmap.mmap, start: int, end: int) -> tuple[int, Block] | None:
    """The first whole block that begins in a range, and where."""
    at = start
    while (at := _first_mark(data, at, end)) >= 0:
        if (found := unpack(data, at)) is not None:
            return at, found[0]
        at += 1
    return None


def _first_mark(data: mmap.mmap, start: int, end: int) -> int:
    found = [at for mark in MARKS if (at := data.find(mark, start, min(len(data), end + len(mark) - 1))) >= 0]
    return min(found, default=-1)


def _event_at(data: bytes, place: int) -> Iterator[tuple[int, int]]:
    """The event whose id hash stands at `place`, if it is one: its block begins at a mark before it."""
    end = place
    for _ in range(_TRIES):
        start = max(data.rfind(mark, 0, end) for mark in MARKS)
        if start < 0:
            return
        found = unpack(data, start)
        if found is not None:
            block, stop = found
            entries = stop - len(block.entries)
            index, rest = divmod(place - 1 - entries, ENTRY.size)
            if not rest and 0 <= index < block.count:
                yield block.first + index, block.flags(index)
            return
        end = start
