"""Damage in the middle of the sidecar: what the damaged block said is decided again, with the same numbers."""

from __future__ import annotations

from collections.abc import Callable

from dataplane.log.base import Record
from dataplane.log.partitions import Partitions
from dataplane.metrics.log import logger
from dataplane.pipeline.blocks import Block
from dataplane.pipeline.sidecar import Hole, Sidecar

__all__ = ["mend"]

log = logger()


def mend(sidecar: Sidecar, partitions: Partitions, decide: Callable[[int, Record, int], Block]) -> None:
    """Fill the holes of a sidecar; `decide` gives a record's block from its partition, itself and its first number.

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
