"""Events that left a full backlog undelivered: compressed, as they were received, for replay to read.

`data/archive/{segment, 8 digits}.arc`, each of one destination: a header, then blocks of about
256 kB of events, deflated. The index (whose segment it is, from which event to which) is in the
state file, written in the transaction that moves the cursors, so an event is archived once or not
at all; a segment without an index row is what a kill left behind, and is deleted at the next start.
Where the state file itself was lost, the index is made again from the segments.
"""

from __future__ import annotations

import heapq
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import msgspec
from isal import isal_zlib

from dataplane.deliver.state import Changes
from dataplane.log.segments import sync_folder
from dataplane.metrics.log import logger
from dataplane.pipeline.numbered import Sequenced
from turnout.errors import FormatError
from turnout.protocol import Envelope

__all__ = ["Archive", "Archives", "Restore", "Segment", "Shelf"]

log = logger()

MAGIC = b"TOARCH\x01\x00"
_PREFIX = MAGIC[:6]
_BLOCK = struct.Struct("<IIQQ")  # bytes, crc-32 of them, first and last event number
_NAME = struct.Struct("<H")  # bytes of the destination's id behind it
BLOCK = 256 << 10
LEVEL = 2
"""Of isal's deflate: as small as zlib's fastest, several times its speed."""

Restore = Callable[[int, int, bytes, bytes], Sequenced]
"""Number, order key, event and envelope to the event as the sequencer gives it."""


class Rows(Protocol):
    """What answers queries of a state file."""

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query; it can only read."""
        ...


class Segment(NamedTuple):
    """One file of the archive: its events' numbers, how many, bytes on disk, and when they were
    received (Unix milliseconds)."""

    id: int
    destination: str
    first: int
    last: int
    events: int
    bytes: int
    oldest: int
    newest: int


class _Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    number: int
    key: int
    envelope: bytes
    raw: bytes


_encode = msgspec.msgpack.Encoder().encode
_rows = msgspec.msgpack.Decoder(list[_Row]).decode
_envelope = msgspec.msgpack.Decoder(Envelope).decode
_COLUMNS = "id, destination, first, last, events, bytes, oldest, newest"


class Archive:
    """`write` in any thread, then `keep` its segment in the changes that move the cursors.

    `events` reads a destination's again, in the order of their numbers.
    """

    _state: Rows

    def __init__(self, folder: Path, state: Rows, restore: Restore, *, lost: Changes | None = None) -> None:
        """Open it. `lost` is given where the state file was lost: it takes the index that is made again."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._state = state
        self._restore = restore
        if lost is not None:
            self._last = self._adopt(lost)
            return
        self._last = max((segment.id for segment in self.segments()), default=0)
        self._sweep()

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:08d}.arc"

    def _sweep(self) -> None:
        """Delete what has no index row: a kill came between file and transaction, or after an expiry."""
        known = {segment.id for segment in self.segments()}
        for path in self._folder.glob("*.arc*"):
            if path.suffix != ".arc" or not path.stem.isdigit() or int(path.stem) not in known:
                path.unlink()

    def _adopt(self, changes: Changes) -> int:
        """Enter every segment into the index anew; the highest id. What cannot be read is left alone."""
        last = 0
        for path in sorted(self._folder.glob("*.arc")):
            if not path.stem.isdigit():
                continue
            last = max(last, int(path.stem))
            try:
                destination, rows = _whole(path)
            except (FormatError, OSError) as error:
                log.error("archive.damaged", segment=path.name, reason=str(error))
                continue
            if rows:
                times = [row[1] for row in rows]
                self.keep(
                    Segment(
                        int(path.stem), destination, rows[0][0], rows[-1][0], len(rows), path.stat().st_size,
                        min(times), max(times),
                    ),
                    changes,
                )  # fmt: skip
        log.warning("archive.adopted", last=last)
        return last

    # ---- writing

    def write(self, destination: str, events: Sequence[Sequenced]) -> Segment:
        """Store events, in the order of their numbers, synced; they count once `keep` is committed.

        Raises OSError, with nothing left behind.
        """
        self._last += 1
        path = self._path(self._last)
        new = path.with_suffix(".arc.new")
        header = MAGIC + _NAME.pack(len(destination.encode())) + destination.encode()
        size = len(header)
        try:
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(file, "wb") as out:
                out.write(header)
                for block in _blocks(events):
                    out.write(block)
                    size += len(block)
                out.flush()
                os.fsync(out.fileno())
            new.rename(path)
            sync_folder(self._folder)
        except OSError:
            new.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise
        times = [event.received_at for event in events]
        return Segment(
            self._last, destination, events[0].number, events[-1].number, len(events), size,
            min(times), max(times),
        )  # fmt: skip

    def keep(self, segment: Segment, changes: Changes) -> None:
        """Enter a written segment into the index, together with whatever else `changes` holds."""
        changes.statements.append(
            (f"INSERT INTO archive ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", tuple(segment))  # noqa: S608 -- ours
        )

    def drop(self, segment: Segment) -> None:
        """Delete the file of a segment that was never kept, or is no longer in the index."""
        self._path(segment.id).unlink(missing_ok=True)

    def forget(self, segment: Segment, changes: Changes) -> None:
        """Take a segment out of the index; `drop` it once that is committed."""
        changes.statements.append(("DELETE FROM archive WHERE id=?", (segment.id,)))

    # ---- reading

    def segments(self, destination: str | None = None) -> list[Segment]:
        """What is archived, oldest first; of one destination or of all, removed ones included."""
        rows = self._state.rows(
            f"SELECT {_COLUMNS} FROM archive WHERE (?1 IS NULL OR destination=?1) ORDER BY first, id",  # noqa: S608 -- ours
            destination,
        )
        return [Segment(*row) for row in rows]

    def events(
        self, destination: str, from_number: int = 1, to_number: int | None = None
    ) -> Iterator[Sequenced]:
        """A destination's archived events by number, from the first to the last asked for, both included.

        They are as `Sequencer.load` gives them: neither transformed nor routed. Damaged blocks are
        said and passed over; a segment that is deleted meanwhile ends there. Raises `FormatError` for a
        segment of a newer Turnout.
        """
        wanted = deque(
            segment
            for segment in self.segments(destination)
            if segment.last >= from_number and (to_number is None or segment.first <= to_number)
        )
        for row in self._in_order(wanted, from_number, to_number):
            if row.number >= from_number and (to_number is None or row.number <= to_number):
                yield self._restore(row.number, row.key, row.raw, row.envelope)

    def _in_order(self, wanted: deque[Segment], first: int, last: int | None) -> Iterator[_Row]:
        """Rows by number. What several processes archived of the same time overlaps, where one of them was given up
        and its segments went to another: those are read beside each other."""
        reading: list[tuple[int, int, _Row, Iterator[_Row]]] = []
        while wanted or reading:
            while wanted and (not reading or wanted[0].first <= reading[0][0]):
                segment = wanted.popleft()
                rows = self._read(segment, first, last)
                if (row := next(rows, None)) is not None:
                    heapq.heappush(reading, (row.number, segment.id, row, rows))
            if reading:
                _, ident, row, rows = reading[0]
                yield row
                if (row := next(rows, None)) is not None:
                    heapq.heapreplace(reading, (row.number, ident, row, rows))
                else:
                    heapq.heappop(reading)

    def _read(self, segment: Segment, first: int, last: int | None) -> Iterator[_Row]:
        path = self._path(segment.id)
        try:
            yield from _rows_of(path, first, last)
        except FileNotFoundError:
            log.error("archive.gone", segment=path.name, destination=segment.destination, events=segment.events)


class Shelf(Archive):
    """The archive of another process: only to be read."""

    def __init__(self, folder: Path, state: Rows, restore: Restore) -> None:
        self._folder = folder
        self._state = state
        self._restore = restore


class Archives:
    """What all processes have archived, as one."""

    def __init__(self, parts: Sequence[Archive]) -> None:
        self._parts = parts

    def segments(self, destination: str) -> list[Segment]:
        """What is archived of a destination; ids are those of each process."""
        return [segment for part in self._parts for segment in part.segments(destination)]

    def events(self, destination: str, from_number: int, to_number: int) -> Iterator[Sequenced]:
        """A destination's archived events by number, from the first to the last asked for, both included."""
        parts = [part.events(destination, from_number, to_number) for part in self._parts]
        return parts[0] if len(parts) == 1 else heapq.merge(*parts, key=lambda event: event.number)


def _rows_of(path: Path, first: int, last: int | None) -> Iterator[_Row]:
    """Rows of the blocks that may hold events from `first` to `last`; damage is said and passed over."""
    with path.open("rb") as file:
        if _name(path, file) is None:
            return
        while head := file.read(_BLOCK.size):
            if len(head) < _BLOCK.size:
                log.error("archive.damaged", segment=path.name)
                return
            size, crc, lowest, highest = _BLOCK.unpack(head)
            if highest < first:
                file.seek(size, os.SEEK_CUR)
                continue
            if last is not None and lowest > last:
                return
            packed = file.read(size)
            if zlib.crc32(packed, zlib.crc32(head[8:])) != crc:
                log.error("archive.damaged", segment=path.name, first=lowest, last=highest)
                continue
            yield from _rows(isal_zlib.decompress(packed))


def _name(path: Path, file: BinaryIO) -> str | None:
    """The destination a segment was written for; None where its header is damaged, which is said.

    Raises `FormatError` for a newer version.
    """
    magic = file.read(len(MAGIC))
    if magic == MAGIC and len(size := file.read(_NAME.size)) == _NAME.size:
        return file.read(_NAME.unpack(size)[0]).decode("utf-8", "replace")
    if magic != MAGIC and magic[: len(_PREFIX)] == _PREFIX:
        raise FormatError(f"{path.name} was written by a newer Turnout")
    log.error("archive.damaged", segment=path.name)
    return None


def _whole(path: Path) -> tuple[str, list[tuple[int, int]]]:
    """A segment's destination, and number and time of each of its events."""
    with path.open("rb") as file:
        name = _name(path, file)
    if name is None:
        raise FormatError("its header is damaged")
    return name, [(row.number, _envelope(row.envelope).received_at) for row in _rows_of(path, 0, None)]


def _blocks(events: Sequence[Sequenced]) -> Iterator[bytes]:
    rows: list[_Row] = []
    size = 0
    envelope: object = None
    packed = b""
    for event in events:
        if event.envelope is not envelope:  # one for all events of a request
            envelope = event.envelope
            # The refused ones of its request are not among the archived.
            packed = _encode(msgspec.structs.replace(event.envelope, refused={}))
        rows.append(_Row(event.number, event.key, packed, event.raw))
        size += len(event.raw) + len(packed)
        if size >= BLOCK:
            yield _block(rows)
            rows, size = [], 0
    if rows:
        yield _block(rows)


def _block(rows: list[_Row]) -> bytes:
    packed = isal_zlib.compress(_encode(rows), LEVEL)
    span = struct.pack("<QQ", rows[0].number, rows[-1].number)
    return _BLOCK.pack(len(packed), zlib.crc32(packed, zlib.crc32(span)), rows[0].number, rows[-1].number) + packed
