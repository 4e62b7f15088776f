"""A destination that refuses us: why, since when, and when it is asked again.

A pause by a person or the config is no business of this file: then nothing is sent and nothing probed.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Literal, NamedTuple

from turnout.clock import Clock

__all__ = ["Active", "Kind", "Passed", "Refusal", "Refused"]

FIRST_PROBE = 60.0
LAST_PROBE = 900.0

Kind = Literal["credentials", "forbidden", "rejects", "fault"]
"""401 · 403 for several users · practically every event of many users is dead · a fault of our own."""


class Refused(NamedTuple):
    """What is stored of a refusal: `since` in Unix seconds."""

    kind: str
    reason: str
    since: float


Passed = tuple[str, str, float, float]
"""A refusal that is passed on: kind, reason, since; seconds between its last probes."""


def unsettled(destination: str, error: Exception, now: float) -> Refused:
    """What pauses a destination of which an event could not be settled; nothing probes it."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    fault = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
    replay = destination.partition("replay:")[2]
    again = f"turnout replay resume {replay}" if replay else f"turnout resume destination {destination}"
    said = f"a fault of Turnout's own ({fault}; see its log). {again} tries again"
    return Refused("fault", said, now)


class Refusal:
    """Whether the tool refuses us. Then one event at a time probes it, ever less often; after a fault of ours, none."""

    def __init__(self, stored: Refused | None, clock: Clock) -> None:
        self._clock = clock
        self.now = stored
        self.probing = False
        self._wait = FIRST_PROBE
        self._until = clock.monotonic()  # one that is stored is probed at once: the restart may be the cure

    def refuse(self, kind: Kind, reason: str) -> bool:
        """The tool refuses us: send nothing until the next probe; True where that is news."""
        if self.now is None:
            self.now = Refused(kind, reason, self._clock.now().timestamp())
            self._wait = FIRST_PROBE
            self._until = self._clock.monotonic() + self._wait
            return True
        if self.probing:  # else it was under way before, and tells nothing new
            self.again()
        return False

    def again(self) -> None:
        """A probe did not help: wait longer for the next."""
        self.probing = False
        self._wait = min(LAST_PROBE, self._wait * 2)
        self._until = self._clock.monotonic() + self._wait

    def over(self) -> None:
        """The tool took an event, or a person says to go on."""
        self.now = None
        self.probing = False

    def passed(self) -> Passed | None:
        """What another process goes on with where this one has nothing to probe with."""
        return None if self.now is None else (*self.now, self._wait)

    def take(self, passed: Passed) -> None:
        """Probe in place of another process: at once, and then as seldom as that one did."""
        kind, reason, since, self._wait = passed
        self.now, self._until = Refused(kind, reason, since), self._clock.monotonic()

    def wait(self) -> float:
        """Seconds until the next probe may leave; 0 where one may leave now, or nothing is refused."""
        if self.now is None:
            return 0.0
        if self.now.kind == "fault":
            return LAST_PROBE  # and then it is asked again, until a person says to go on
        left = max(0.0, self._until - self._clock.monotonic())
        return max(left, 1.0) if self.probing else left

    def next_probe(self) -> float | None:
        """Unix seconds of the next probe; None where there is none."""
        return None if self.now is None or self.now.kind == "fault" else self._clock.now().timestamp() + self.wait()


class Active:
    """Seconds in which a destination could be delivered to, over all its life.

    `retry_for` and `hold_for` are measured by it: an event must not die, or leave its user's order,
    because a person paused its destination, the tool was down or refused our key, or Turnout itself
    did not run. It also does not notice when the machine's clock is set.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: float | None = clock.monotonic()

    def run(self, running: bool) -> None:
        """Whether it counts from now on."""
        if running and self._since is None:
            self._since = self._clock.monotonic()
        elif not running and self._since is not None:
            self._seconds = self.total()
            self._since = None

    def total(self) -> float:
        """Seconds so far."""
        return self._seconds + (self._clock.monotonic() - self._since if self._since is not None else 0.0)
