"""Why a destination sends nothing, since when, and how long it did so in all.

Time paused does not count against `retry_for` and `hold_for`: an event must not die because a
person switched its destination off, or because the tool refused our key for a day.
"""

from __future__ import annotations

from turnout.clock import Clock

__all__ = ["Pause"]

FIRST_PROBE = 60.0
LAST_PROBE = 900.0


class Pause:
    """Disabled by the config, or refused by the tool (then it is probed, ever less often)."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: float | None = None
        self._until: float | None = None
        self._wait = FIRST_PROBE
        self._disabled = False
        self.reason = ""

    def disabled(self, disabled: bool) -> None:
        """The config says whether it is enabled."""
        self._disabled = disabled
        self._count()

    def refused(self, reason: str) -> None:
        """The tool refuses us: send nothing until the next probe."""
        self.reason = reason
        self._until = self._clock.now().timestamp() + self._wait
        self._wait = min(LAST_PROBE, self._wait * 2)
        self._count()

    def answered(self) -> None:
        """The tool took an event: no pause any more."""
        if self._until is not None or self.reason:
            self.resume()

    def resume(self) -> None:
        """A person (or a new config) says to go on."""
        self._until = None
        self._wait = FIRST_PROBE
        self.reason = ""
        self._count()

    def until(self) -> float | None:
        """Unix seconds of the next probe; None where nothing holds it back."""
        if self._until is not None and self._clock.now().timestamp() >= self._until:
            self._until = None
            self._count()
        return self._until

    def _count(self) -> None:
        paused = self._disabled or self._until is not None
        now = self._clock.monotonic()
        if paused and self._since is None:
            self._since = now
        elif not paused and self._since is not None:
            self._seconds += now - self._since
            self._since = None

    def total(self) -> float:
        """Seconds paused so far, all pauses summed."""
        return self._seconds + (self._clock.monotonic() - self._since if self._since is not None else 0.0)
