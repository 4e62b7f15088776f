"""Damage in the middle of the sidecar: what the damaged block said is decided again, with the same numbers.

In the last file at a start, where the block is written in its place; in an older one, and in what is damaged while it
runs, whenever it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dataplane.log.base import Record
from dataplane.log.partitions import Partitions
from dataplane.metrics.log import logger
from dataplane.pipeline.blocks import Block
from dataplane.pipeline.sidecar import Hole, Sidecar

__all__ = ["Decide", "Gaps", "mend"]

log = logger()

Decide = Callable[[int, Record, int], Block]
"""A record's block from its partition, itself and its first number."""
KEPT = 8
"""Holes of which the blocks are kept once they were decided again."""


def mend(sidecar: Sidecar, partitions: Partitions, decide: Decide) -> None:
    """Fill the holes of a sidecar's last file.

    What the log has let go of stays as it is: it was done with by everyone. Where the record cannot be told,
    everything behind is sequenced again.
    """
    for hole in sidecar.holes:
        records, gone = _fitting(hole, partitions)
        filled = len(records) == 1 and sidecar.fill(hole, decide(*records[0], hole.first))
        log.error("sequence.hole", first=hole.first, events=hole.count, filled=filled)
        if not filled and (records or not gone):
            sidecar.cut(hole)
            return


def _fitting(hole: Hole, partitions: Partitions) -> tuple[list[tuple[int, Record]], bool]:
    """The records that may have had the numbers of a hole, with their partitions: one, where the damage is of one
    block; and whether the log may have let go of it."""
    found, gone = [], False
    for partition in partitions.numbers:
        position = hole.before.get(partition, 0)
        gone = gone or position < partitions.floors[partition]
        record = next(iter(partitions.read(partition, position, 1)), None)
        if record is None or (record.position, record.count) != (position, hole.count):
            continue
        if hole.behind.get(partition, record.end) == record.end:
            found.append((partition, record))
    return found, gone


class Gaps:
    """What a sidecar lost, for those who read it."""

    def __init__(self, sidecar: Sidecar, partitions: Partitions, decide: Decide) -> None:
        self._sidecar = sidecar
        self._partitions = partitions
        self._decide = decide
        self._known: list[tuple[Hole, list[Block]]] = []

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
            hole, blocks = self._hole(number)
            yield from (block for block in blocks if block.first + block.count > number)
            number = max(number + 1, hole.first + hole.count)  # each file has holes of its own

    def _hole(self, number: int) -> tuple[Hole, list[Block]]:
        """The hole that event `number` is in, and what its blocks said."""
        for one in self._known:
            if one[0].first <= number < one[0].first + one[0].count:
                return one
        hole = self._sidecar.hole(number)
        one = (hole, self._again(hole))
        self._known = [*self._known[1 - KEPT :], one]
        return one

    def _again(self, hole: Hole) -> list[Block]:
        """What a hole's blocks said; none where that cannot be told, which is said unless the log let go of it all."""
        blocks: list[Block] = []
        first, records = hole.first, _whole(hole, self._partitions)
        for partition, record in records:
            blocks.append(self._decide(partition, record, first))
            first += record.count
        floors = self._partitions.floors
        if any(end > floors.get(part, 0) for part, end in hole.behind.items()):
            log.error("sequence.hole", first=hole.first, events=hole.count, filled=bool(blocks))
        return blocks


def _whole(hole: Hole, partitions: Partitions) -> list[tuple[int, Record]]:
    """The records that had the numbers of a hole, in order, with their partition.

    None unless all are there, and of one partition: how several took turns nobody can tell.
    """
    spans = [(part, hole.before.get(part, 0), end) for part, end in hole.behind.items()]
    spans = [(part, start, end) for part, start, end in spans if start < end]
    if len(spans) != 1:
        return []
    ((partition, position, end),) = spans
    found: list[Record] = []
    while position < end:
        read = [record for record in partitions.read(partition, position) if record.position < end]
        if not read:
            return []
        found += read
        position = read[-1].end
    whole = sum(record.count for record in found) == hole.count
    return [(partition, record) for record in found] if whole else []
