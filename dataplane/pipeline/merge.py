"""The order of records of several partitions: one pure function.

What must hold: if request B arrived after A's 200 was sent, A is sequenced before B, whichever
partitions they went to. Each record carries a stamp of the machine's one monotonic clock, taken before
its write. Every round of merging looks at that clock first (the *cut*), then at what is visible in each
partition, and takes what was stamped before the cut, least stamp first.

Why that is enough. Let B be taken in a round with cut T, so B's stamp < T. A was published before its
200, and its 200 was sent before B arrived and was stamped: A was visible at a time before B's stamp, so
before T, and the round, which looked after T, has seen A (or an earlier one took it). A's stamp was
taken before A's write, so before A's 200, so before B's stamp: in order of stamps A comes first.

Nothing is waited for: a partition whose writer is idle, slow in a sync, or dead holds up no other. What
it publishes later is stamped later, or was acknowledged to no one when the round looked, and promises
nothing about order. Between runs (epochs.py) clocks do not compare: all of an earlier run comes first.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Mapping, Sequence

from dataplane.log.base import Record
from dataplane.log.epochs import run_of

__all__ = ["ALL", "Moment", "merge", "moment_of"]

Moment = tuple[int, float]
"""Run, and nanoseconds of the monotonic clock within it."""
ALL: Moment = (1 << 64, 0.0)
"""Later than every record."""


def moment_of(record: Record) -> Moment:
    """When a record was stamped."""
    return run_of(record.epoch), record.stamp


def merge(
    visible: Mapping[int, Sequence[Record]], whole: Container[int], cut: Moment, max_bytes: int
) -> list[tuple[int, Record]]:
    """Records in the order in which they get their numbers, each with its partition.

    `visible` has the next records of every partition, looked at after `cut`; where nothing is visible
    beyond them, the partition is in `whole`. It ends before the cut, after `max_bytes` (the last record
    may go beyond), or where more of a partition must be looked at first.
    """
    heap: list[tuple[Moment, int, int]] = []
    for partition, records in visible.items():
        if records:
            heap.append((moment_of(records[0]), partition, 0))
        elif partition not in whole:
            return []
    heapq.heapify(heap)
    taken: list[tuple[int, Record]] = []
    while heap and max_bytes > 0:
        moment, partition, index = heap[0]
        if moment >= cut:
            break
        records = visible[partition]
        record = records[index]
        taken.append((partition, record))
        max_bytes -= record.end - record.position
        index += 1
        if index < len(records):
            # A partition's own order stands, whatever its stamps say.
            heapq.heapreplace(heap, (moment_of(records[index]), partition, index))
        elif partition in whole:
            heapq.heappop(heap)
        else:
            break
    return taken
