"""What *sequence* decided, on disk: which numbers a record's events have, and which are duplicates.

`data/sequence/{first number, 20 digits}.seq`, in the format of blocks.py. A torn tail is cut at opening;
the events are sequenced again. Damage before whole blocks is a hole, passed over until it is filled (holes.py). A file
of an older version is read and never added to.
"""

from __future__ import annotations

import bisect
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dataplane.log.segments import sync_folder
from dataplane.pipeline.blocks import (
    MARK,
    VERSION,
    Block,
    Header,
    behind_damage,
    pack,
    pack_header,
    unpack,
    unpack_header,
)

__all__ = ["Hole", "Sidecar"]

SEGMENT = 8 << 20
_CHUNK = 1 << 20
_MARK_EVERY = 8 << 10
_PLACE_EVERY = 64 << 10


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a file the block that begins with event `number` is, and where all partitions stand there."""

    number: int
    offset: int
    positions: dict[int, int]


@dataclass(frozen=True, slots=True)
class Hole:
    """What is damaged between whole blocks: `count` numbers from `first` on, in the last file bytes `start` to `stop`.

    `before` is where each partition stood there, `behind` where its next record begins that has numbers. Of others
    that is not known where it is `open`, else they have none there.
    """

    start: int
    stop: int
    first: int
    count: int
    before: dict[int, int]
    behind: dict[int, int]
    open: bool = True


class Sidecar:
    """Appends blocks, and finds them again by event number.

    Where there is no file yet, numbers begin at `first` and the partitions stand at `positions`; `new` says so.
    """

    def __init__(self, folder: Path, first: int = 1, positions: Mapping[int, int] | None = None) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._start(folder, first)
        self._file = -1
        self._lock = threading.Lock()  # `sync` runs in the state's thread, rotation in the loop's
        self._size = 0
        self.new = False
        self._recover(dict(positions or {}))

    def _start(self, folder: Path, first: int = 1) -> None:
        """What reading needs; no file was looked at yet."""
        self._folder = folder
        self._firsts = sorted(int(p.stem) for p in folder.glob("*.seq"))
        self.next_number = first
        self.positions: dict[int, int] = {}
        """Per partition the position behind the last record that has numbers."""
        self._headers: dict[int, Header] = {}
        self._index: dict[int, list[tuple[int, int]]] = {}
        self._places: dict[int, list[_Place]] = {}
        self.holes: list[Hole] = []
        """Damage that was found at the opening, in order."""

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:020d}.seq"

    def _begin(self, first: int) -> None:
        """Begin a file whose first event is `first`."""
        path = self._path(first)
        header = pack_header(first, self.positions)
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(opened, header)
            sync_folder(self._folder)
            self._use(opened)
        except BaseException:
            os.close(opened)
            path.unlink()
            raise
        self._firsts.append(first)
        self._headers[first] = Header(VERSION, first, len(header), dict(self.positions))

    def _use(self, opened: int) -> None:
        with self._lock:
            if self._file >= 0:
                os.fdatasync(self._file)
                os.close(self._file)
            self._file = opened
        self._size = os.lseek(opened, 0, os.SEEK_END)

    def _recover(self, positions: dict[int, int]) -> None:
        """Open the last file, cut its torn tail, and learn where to go on; begin one where none is whole."""
        while self._firsts and self._header(self._firsts[-1]) is None:
            self._path(self._firsts.pop()).unlink()
        if not self._firsts:
            self.new, self.positions = True, positions
            self._begin(self.next_number)
            return
        first = self._firsts[-1]
        good, number = self._verify(first)
        if not number and len(self._firsts) > 1:  # an empty file of version 1 knows no positions
            _, number = self._verify(self._firsts[-2])
        self.next_number = number or 1
        os.truncate(self._path(first), good)
        if self._headers[first].version == VERSION:
            self._use(os.open(self._path(first), os.O_RDWR))
            return
        if self.next_number == first:
            self._firsts.pop()
        self._begin(self.next_number)

    def _header(self, first: int) -> Header | None:
        """The header of a file, read once; None where it is torn."""
        if first not in self._headers:
            path = self._path(first)
            with path.open("rb") as file:
                found = unpack_header(file.read(_CHUNK), path.name)
            if found is None:
                return None
            self._headers[first] = found
        return self._headers[first]

    def _verify(self, first: int) -> tuple[int, int]:
        """Length of the readable part of a file and the number behind it, 0 where it does not say;
        `positions` is brought to its end."""
        header = self._known(first)
        self.positions.update(header.positions)
        end, number = header.size, header.first if header.version > 1 else 0
        holes: list[Hole] = []
        for block, start, stop in self._walk(first, header.size):
            if start > end and number:
                holes.append(Hole(end, start, number, block.first - number, dict(self.positions), {}))
            for hole in holes:
                hole.behind.setdefault(block.partition, block.position)
            end, number = stop, block.first + block.count
            self.positions[block.partition] = block.end
        self.holes = holes
        return end, number

    def _known(self, first: int) -> Header:
        """The header of a file; where it is damaged since, what can be said without it."""
        found = self._header(first)
        if found is None:
            data = self._path(first).read_bytes()
            at = data.find(MARK)
            found = self._headers[first] = Header(VERSION, first, at if at >= 0 else len(data), {})
        return found

    def missing(self, number: int) -> list[Hole]:
        """The numbers that no whole block of a file has, of the one in which event `number` is or was: they are
        damaged since, or it is gone. Reads the file from its beginning."""
        at = max(0, bisect.bisect_right(self._firsts, number) - 1)
        header = self._known(self._firsts[at])
        following = self._known(self._firsts[at + 1]) if at + 1 < len(self._firsts) else None
        ends, next_number = dict(header.positions), header.first
        behind = dict(following.positions) if following is not None else {}
        found: list[Hole] = []
        for block, _, _ in self._walk(self._firsts[at], header.size):
            if block.first > next_number:
                count = block.first - next_number
                found.append(Hole(0, 0, next_number, count, dict(ends), {}, open=not behind))
            for hole in found:
                hole.behind.setdefault(block.partition, block.position)
            ends[block.partition], next_number = block.end, block.first + block.count
        if (count := (self.next_number if following is None else following.first) - next_number) > 0:
            found.append(Hole(0, 0, next_number, count, dict(ends), {}, open=not behind))
        for hole in found:
            for partition, position in behind.items():
                hole.behind.setdefault(partition, position)
        return found

    def hole(self, number: int) -> Hole:
        """The hole that event `number` is in."""
        return next(hole for hole in self.missing(number) if number < hole.first + hole.count)

    def append(self, blocks: list[Block]) -> None:
        """Write blocks; they are durable after `sync`."""
        if self._size >= SEGMENT:
            self._begin(blocks[0].first)
        data = b"".join(map(pack, blocks))
        written = 0
        while written < len(data):
            written += os.pwrite(self._file, memoryview(data)[written:], self._size + written)
        self._stand(self._firsts[-1], blocks[0].first, self._size, self.positions)
        self._size += len(data)
        for block in blocks:
            self.positions[block.partition] = block.end
        self.next_number = blocks[-1].first + blocks[-1].count

    def fill(self, hole: Hole, blocks: list[Block]) -> bool:
        """Write the blocks that were damaged again; False where they are not those that were there."""
        packed = b"".join(map(pack, blocks))
        if len(packed) != hole.stop - hole.start:
            return False
        os.pwrite(self._file, packed, hole.start)
        self.sync()
        for block in blocks:
            self.positions[block.partition] = max(block.end, self.positions.get(block.partition, 0))
        return True

    def sync(self) -> None:
        """Make what was appended durable; may be called from another thread."""
        with self._lock:
            if self._file >= 0:
                os.fdatasync(self._file)

    def blocks(self, number: int) -> Iterator[Block]:
        """Blocks from the one that holds event `number` on."""
        at = max(0, bisect.bisect_right(self._firsts, number) - 1)
        for first in list(self._firsts[at:]):
            for block, start, _ in self._walk(first, self._nearest(first, number)):
                self._note(first, block.first, start)
                if block.first + block.count > number:
                    yield block

    def _walk(self, first: int, offset: int) -> Iterator[tuple[Block, int, int]]:
        """Blocks of a file from the one at `offset` on, where each starts, and where it ends."""
        with self._path(first).open("rb") as file:
            file.seek(offset)
            data, want = b"", 2 * _MARK_EVERY  # a look-up of one event needs no more
            more = True
            while more:
                chunk = file.read(want)
                data, want, more = data + chunk, _CHUNK, bool(chunk)
                start = 0
                while (found := unpack(data, start)) is not None or not more:
                    if found is None:  # the file ends here, or in what is damaged
                        start = behind_damage(data, start)
                        if start == len(data):
                            return
                        continue
                    block, stop = found
                    yield block, offset + start, offset + stop
                    start = stop
                offset += start
                data = data[start:]

    def _note(self, first: int, number: int, offset: int) -> None:
        """Remember every few kilobytes where a number is, so that a look-up reads little."""
        marks = self._index.setdefault(first, [])
        if not marks or offset - marks[-1][1] >= _MARK_EVERY:
            marks.append((number, offset))

    def _nearest(self, first: int, number: int) -> int:
        marks = self._index.get(first)
        at = bisect.bisect_right(marks, (number, 1 << 62)) - 1 if marks else -1
        return marks[at][1] if marks and at >= 0 else self._known(first).size

    @property
    def first(self) -> int:
        """The lowest number it knows."""
        return self._firsts[0]

    def positions_of(self, number: int) -> dict[int, int]:
        """Per partition a position before which no record holds event `number` or a later one.

        Exact for the partition of event `number`'s own record.
        """
        if number >= self.next_number:
            return dict(self.positions)
        if len(self.positions) == 1:
            for block in islice(self.blocks(number), 1):
                if self.first <= number < block.first:
                    return self.hole(number).before
                return {block.partition: block.position}
        first = self._firsts[max(0, bisect.bisect_right(self._firsts, number) - 1)]
        place = self._place_before(first, number)
        ends, at = dict(place.positions), place.number
        for block, start, _ in self._walk(first, place.offset):
            if block.first > number:
                return ends
            if block.first > at:
                ends.update(self.hole(at).behind)
            at = block.first + block.count
            if block.first + block.count > number:
                return {**ends, block.partition: block.position}
            self._stand(first, block.first, start, ends)
            ends[block.partition] = block.end
        return ends

    def number_at(self, positions: Mapping[int, int]) -> int:
        """The highest number before which every record stands before `positions`, in each partition.

        It is the first event of its record. Found by halving: a dozen look-ups.
        """
        low, high = self.first, self.next_number
        while low < high:
            middle = (low + high + 1) // 2
            before = self.positions_of(middle)
            if all(position <= positions.get(number, position) for number, position in before.items()):
                low = middle
            else:
                high = middle - 1
        block = next(self.blocks(low), None)
        if block is None:
            return low
        return block.first if block.first <= low else self.hole(low).first

    def _stand(self, first: int, number: int, offset: int, positions: Mapping[int, int]) -> None:
        """Remember now and then where all partitions stand before a number."""
        if len(positions) <= 1:
            return  # one partition: every block says it
        places = self._places.setdefault(first, [])
        if not places or offset - places[-1].offset >= _PLACE_EVERY:
            places.append(_Place(number, offset, dict(positions)))

    def _place_before(self, first: int, number: int) -> _Place:
        places = self._places.get(first, [])
        at = bisect.bisect_right(places, number, key=lambda place: place.number) - 1
        header = self._known(first)
        return places[at] if at >= 0 else _Place(first, header.size, dict(header.positions))

    def trim(self, floors: Mapping[int, int], number: int) -> None:
        """Delete files whose records the log has let go of (before `floors`, by partition) and whose
        events are all before `number`."""
        while len(self._firsts) > 1 and self._firsts[1] <= number:
            before = self.positions_of(self._firsts[1])
            if any(position > floors.get(partition, position) for partition, position in before.items()):
                return
            first = self._firsts.pop(0)
            self._lose(first)
            self._path(first).unlink(missing_ok=True)

    def _lose(self, first: int) -> None:
        """Forget what was learned of a file."""
        self._index.pop(first, None)
        self._places.pop(first, None)
        self._headers.pop(first, None)

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._file)
        self._file = -1
