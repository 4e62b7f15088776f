"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["START", "FakeClock"]

START = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
"""The moment of every fixture and contract test."""


class FakeClock:
    """A `turnout.clock.Clock` whose two times move together, by hand."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._monotonic = 1_000.0

    def now(self) -> datetime:
        """Wall clock, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both forwards."""
        if seconds < 0:
            raise ValueError("time does not run backwards; set_wall() moves the wall clock alone")
        self._monotonic += seconds
        self._now += timedelta(seconds=seconds)

    def set_wall(self, moment: datetime) -> None:
        """Set the wall clock alone, as an administrator or NTP does; it may go backwards."""
        self._now = moment
