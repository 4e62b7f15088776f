"""The machine's clock: the only place where the data plane's parts get real time from."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from turnout.clock import Clock

__all__ = ["SteadyClock", "SystemClock"]


class SystemClock:
    """A `turnout.clock.Clock` that reads the machine's."""

    __slots__ = ()

    def now(self) -> datetime:
        """Wall clock, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()


class SteadyClock:
    """A clock that nobody sets: the wall clock as it was at first, moved on by the monotonic one.

    What is to be tried in a minute is tried in a minute, and is no day older, though someone sets the
    machine's clock meanwhile.
    """

    __slots__ = ("_began", "_clock", "_moment")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moment = clock.now()
        self._began = clock.monotonic()

    def now(self) -> datetime:
        """The wall clock of the start plus the seconds since."""
        return self._moment + timedelta(seconds=self._clock.monotonic() - self._began)

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return self._clock.monotonic()
