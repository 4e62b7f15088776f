"""What is to be sequenced next: the log's partitions as one row of records."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from dataplane.log.base import Record
from dataplane.log.partitions import Partitions
from dataplane.metrics.log import logger
from dataplane.pipeline.merge import ALL, Moment, merge

__all__ = ["Intake"]

log = logger()


class Intake:
    """`next` gives the same records until `done` says that they have their numbers.

    `positions`, by partition, say where to go on: the sidecar's, kept up by whoever sequences.
    """

    def __init__(
        self,
        partitions: Partitions,
        positions: Mapping[int, int],
        *,
        max_bytes: int,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._partitions = partitions
        self._positions = positions
        self._max_bytes = max_bytes
        self._now = now
        self._visible: dict[int, list[Record]] = {number: [] for number in partitions.numbers}
        self._taken: list[tuple[int, Record]] = []

    def next(self) -> list[tuple[int, Record]]:
        """Records with their partitions, in order; [] at the head of all."""
        if len(self._visible) == 1:  # nothing to merge: the log's order is the order
            (number,) = self._visible
            records = self._partitions.read(number, self._positions.get(number, 0), self._max_bytes)
            return [(number, record) for record in records]
        if not self._taken:
            self._taken = self._merge()
        return self._taken

    def done(self) -> None:
        """What `next` gave was sequenced."""
        for number, count in Counter(number for number, _ in self._taken).items():
            del self._visible[number][:count]
        self._taken = []

    def _merge(self) -> list[tuple[int, Record]]:
        for _ in range(2):
            taken = self._round((self._partitions.run, self._now()))
            if taken or not any(self._visible.values()):
                return taken
            # All was stamped after the cut, so before now: the second cut is behind it.
        log.error("sequence.stamps", reason="records are stamped later than now", run=self._partitions.run)
        return self._round(ALL)

    def _round(self, cut: Moment) -> list[tuple[int, Record]]:
        """One merge. The cut was made before; what is visible is looked at here."""
        whole = set()
        for number, records in self._visible.items():
            if not records:
                position = self._positions.get(number, 0)
                records.extend(self._partitions.read(number, position, self._max_bytes))
                if not records:
                    whole.add(number)
        return merge(self._visible, whole, cut, self._max_bytes)
