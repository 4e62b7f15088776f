"""Damage in the middle of the sidecar: what the damaged blocks said is decided again, with the same numbers.

In the last file at a start, where the blocks are written in their place; in an older one, and in what is damaged
while it runs, whenever it is read. The log says which records are meant; which numbers they had, say the message ids
that are remembered, else their stamps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from dataplane.log.partitions import Partitions
from dataplane.metrics.log import logger
from dataplane.pipeline.blocks import DUPLICATE, ENTRY, REFUSED, Block
from dataplane.pipeline.merge import Moment
from dataplane.pipeline.sidecar import Hole, Sidecar

__all__ = ["Gaps", "Recalled", "Span", "mend"]

log = logger()

KEPT = 8
"""Files of which the missing blocks are kept once they were decided again."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is known of a record whose block is gone: `rows` as in a block, but for duplicates of other records, and
    per event the number at which its id is remembered, 0 where it is not.

    `name` gives the id hash of an event that came without an id, from its number; its row has 16 zero bytes.
    """

    partition: int
    position: int
    end: int
    moment: Moment
    rows: Sequence[tuple[int, bytes, int, int, int]]
    known: Sequence[int]
    name: Callable[[int], bytes]

    @property
    def count(self) -> int:
        """How many numbers it had."""
        return len(self.rows)

    def first(self, hole: Hole) -> int:
        """The number that its first event had in a hole, 0 where no id says it.

        The id of a unique event is remembered at its own number, that of a duplicate at a lower one.
        """
        end = hole.first + hole.count
        return max((n - index for index, n in enumerate(self.known) if hole.first <= n < end), default=0)

    def block(self, first: int) -> Block:
        """Its block, where its first number was `first`."""
        entries: list[bytes] = []
        for number, (row, known) in enumerate(zip(self.rows, self.known, strict=True), first):
            flags, identity, *place = row
            if not flags and 0 < known < number:
                flags = DUPLICATE
            if not flags & REFUSED and not any(identity):
                identity = self.name(number)
            entries.append(ENTRY.pack(flags, identity, *place))
        return Block(first, self.position, self.end, self.count, b"".join(entries), self.partition)


Span = tuple[int, int, int]
"""A partition, and from which position of it to before which."""
Recall = Callable[[Sequence[Span], int], list[Recalled]]
"""What is known of the records of spans that are there, of each about so many events, in the order in which they were
taken."""
END = 1 << 64
"""Behind every position."""


def mend(sidecar: Sidecar, partitions: Partitions, recall: Recall) -> None:
    """Fill the holes of a sidecar's last file, those that are told to the last number.

    The others stay: what the log has let go of was done with by everyone, and what is behind keeps its numbers.
    """
    ends: dict[int, int] = {}
    for hole in sidecar.holes:
        blocks = _blocks(hole, ends, partitions, recall)
        filled = sum(block.count for block in blocks) == hole.count and sidecar.fill(hole, blocks)
        log.error("sequence.hole", first=hole.first, events=hole.count, filled=filled)


class Gaps:
    """What a sidecar lost, for those who read it."""

    def __init__(self, sidecar: Sidecar, partitions: Partitions, recall: Recall) -> None:
        self._sidecar = sidecar
        self._partitions = partitions
        self._recall = recall
        self._known: list[list[tuple[Hole, list[Block]]]] = []

    def blocks(self, number: int) -> Iterator[Block]:
        """As the sidecar's, from the one that holds event `number` on, without gaps."""
        sidecar = self._sidecar
        number = max(number, sidecar.first)
        return self.filled(sidecar.blocks(number), number, sidecar.next_number)

    def filled(self, blocks: Iterable[Block], number: int, end: int) -> Iterator[Block]:
        """These blocks, which should hold all events from `number` to before `end`, and those that are missing."""
        for block in blocks:
            if block.first > number:
                yield from self._missing(number, block.first)
            number = block.first + block.count
            yield block
        yield from self._missing(number, end)

    def _missing(self, number: int, end: int) -> Iterator[Block]:
        """The blocks from the one of event `number` on, to before event `end`."""
        while number < end:
            behind, blocks = self._hole(number)
            yield from (block for block in blocks if block.first + block.count > number)
            number = behind  # each file has holes of its own

    def _hole(self, number: int) -> tuple[int, list[Block]]:
        """The number behind the hole that event `number` is in, and what the hole's blocks said."""
        for find in (lambda: chain.from_iterable(self._known), lambda: self._file(number)):
            for hole, blocks in find():
                if hole.first <= number < hole.first + hole.count:
                    return hole.first + hole.count, blocks
        return number + 1, []

    def _file(self, number: int) -> list[tuple[Hole, list[Block]]]:
        """The holes of a file, each after those before it. What cannot be told is said, unless the log let go of it
        all."""
        found: list[tuple[Hole, list[Block]]] = []
        floors, ends = self._partitions.floors, dict[int, int]()
        for hole in self._sidecar.missing(number):
            blocks = _blocks(hole, ends, self._partitions, self._recall)
            found.append((hole, blocks))
            beyond = END if hole.open else 0
            if any(hole.behind.get(part, beyond) > floor for part, floor in floors.items()):
                filled = sum(block.count for block in blocks) == hole.count
                log.error("sequence.hole", first=hole.first, events=hole.count, filled=filled)
        self._known = [*self._known[1 - KEPT :], found]
        return found


def _blocks(hole: Hole, ends: dict[int, int], partitions: Partitions, recall: Recall) -> list[Block]:
    """The blocks of a hole, as far as they can be told, in the order of their numbers.

    `ends` is where partitions stand behind the holes before it, and behind this one then.
    """
    beyond = END if hole.open else 0
    spans = [
        (part, max(hole.before.get(part, 0), ends.get(part, 0)), hole.behind.get(part, beyond))
        for part in partitions.numbers
    ]  # fmt: skip
    found = recall([span for span in spans if span[1] < span[2]], hole.count)
    placed, rest = _placed(hole, found)
    if rest:
        placed = _tiled(hole, placed, rest) or placed
    for _, one in placed:
        ends[one.partition] = max(one.end, ends.get(one.partition, 0))
    return [one.block(first) for first, one in placed]


Placed = list[tuple[int, Recalled]]
"""Records by the number of their first event, ascending."""


def _placed(hole: Hole, found: Iterable[Recalled]) -> tuple[Placed, list[Recalled]]:
    """Records where their ids say that they stood, and those of which no id says it."""
    placed: Placed = []
    rest: list[Recalled] = []
    for one in found:  # a repetition speaks for the place of what it repeats, which came before it
        first = one.first(hole)
        at = bisect_right(placed, first, key=lambda place: place[0])
        low = placed[at - 1][0] + placed[at - 1][1].count if at else hole.first
        high = placed[at][0] if at < len(placed) else hole.first + hole.count
        if low <= first and first + one.count <= high:
            placed.insert(at, (first, one))
        else:
            rest.append(one)
    return placed, rest


def _tiled(hole: Hole, placed: Placed, rest: Sequence[Recalled]) -> Placed:
    """The rest in order into what the others leave free; nothing where that is not filled by it to the last number."""
    left, number = list(reversed(rest)), hole.first
    tiled: Placed = []
    for first, one in [*placed, (hole.first + hole.count, None)]:
        while left and number < first:
            tiled.append((number, left.pop()))
            number += tiled[-1][1].count
        if number != first:
            return []
        if one is not None:
            tiled.append((first, one))
            number = first + one.count
    return tiled  # what is left is of later numbers
