"""Where a replay reads from: a destination's archive as far as the log has let go, then the log."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from dataplane.deliver.archive import Archives
from dataplane.pipeline.numbered import Numbered, Sequenced

__all__ = ["Stored"]


class Stored:
    """Events by number. `only` leaves the log out; without a `destination` there is no archive."""

    def __init__(self, sequencer: Numbered, archive: Archives, destination: str, *, only: bool) -> None:
        self._sequencer = sequencer
        self._archive = archive
        self._destination = destination
        self._former = ""
        self._only = only
        self._boundary: int | None = None
        self._reading: Iterator[Sequenced] | None = None
        self._next = -1

    def rename(self, destination: str) -> None:
        """Its destination has another id now, and what it has archived has it as soon as that is written."""
        self._former, self._destination = self._destination, destination

    def _name(self) -> str:
        """Under which id the archive is found."""
        if self._former and self._archive.segments(self._destination):
            self._former = ""
        return self._former or self._destination

    def first(self, millis: int) -> int | None:
        """The lowest archived number that the log no longer has (with `only`: at all) and that may have
        been received at or after `millis`; None where there is none."""
        if not self._destination:
            return None
        found = [
            segment.first
            for segment in self._archive.segments(self._name())
            if segment.newest >= millis and segment.first < self.boundary
        ]
        return min(found, default=None)

    @property
    def boundary(self) -> int:
        """Numbers below it are read from the archive."""
        if self._boundary is None:
            if self._only:
                self._boundary = self._sequencer.next_number
            elif self._destination and self._archive.segments(self._name()):
                self._boundary = self._sequencer.oldest()
            else:
                self._boundary = 0
        return self._boundary

    def load(self, number: int, most: int) -> tuple[list[Sequenced], int]:
        """Up to about `most` events from `number` on, and the number to go on with."""
        if number >= self.boundary:
            return self._sequencer.load(number, most)
        if self._reading is None or self._next != number:
            self._reading = self._archive.events(self._name(), number, self.boundary - 1)
        found = list(islice(self._reading, most))
        self._next = found[-1].number + 1 if len(found) == most else self.boundary
        return found, self._next
