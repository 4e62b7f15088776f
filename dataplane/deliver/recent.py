"""Events that were read a moment ago, for those that read the same after.

A destination whose queue is full for a moment, and several that are behind together, find them here instead of
reading, splitting and enriching them again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dataplane.pipeline.numbered import Sequenced

__all__ = ["Recent"]

BYTES = 4 << 20
"""Most bytes of events, as received; their decoded form takes several times as much."""


class _Batch(NamedTuple):
    first: int
    upto: int
    events: Sequence[Sequenced]
    size: int


class Recent:
    """The last batches that were read, oldest first; `load` reads what is not among them."""

    def __init__(self, load: Callable[[int, int], tuple[Sequence[Sequenced], int]], most: int = BYTES) -> None:
        self._load = load
        self._most = most
        self._batches: deque[_Batch] = deque()
        self._bytes = 0

    def add(self, first: int, upto: int, events: Sequence[Sequenced]) -> None:
        """Keep a batch: all events from number `first` on, before `upto`."""
        batch = _Batch(first, upto, events, sum([len(event.raw) for event in events]))
        if not batch.size:  # damage took them all: what is kept is bounded by their bytes, and these have none
            return
        self._batches.append(batch)
        self._bytes += batch.size
        while self._bytes > self._most:
            self._forget(self._batches.popleft())

    def _forget(self, batch: _Batch) -> None:
        """Whoever still has entries of it decodes them again: else a slow destination would hold the memory."""
        self._bytes -= batch.size
        for event in batch.events:
            if event.entry is not None:
                event.entry.event = None
            for made in event.made:
                if (entry := made()) is not None:
                    entry.event = None

    @property
    def first(self) -> int | None:
        """The number from which on events are here; None where none are."""
        return self._batches[0].first if self._batches else None

    def read(self, number: int, most: int) -> tuple[Sequence[Sequenced], int]:
        """Events from `number` on and the number to go on with, as `Sequencer.load`."""
        for batch in self._batches:
            if batch.first <= number < batch.upto:
                if number == batch.first:
                    return batch.events, batch.upto
                at = bisect_left(batch.events, number, key=lambda event: event.number)
                return batch.events[at:], batch.upto
        events, upto = self._load(number, most)
        if events:  # where none are, another look costs little, and what is kept is bounded by their bytes
            self.add(number, upto, events)
        return events, upto
