"""Stops a script that kills its workers, and says when it is tried again.

Pure; times are seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

__all__ = ["Breaker"]

ROW = 5
"""So many kills in a row, with nothing finished between: it is broken for everything."""
MANY = 20
"""So many kills within `WINDOW`, whatever it finished between."""
WINDOW = 60.0
FIRST = 5.0
LAST = 300.0


@dataclass(slots=True)
class Breaker:
    """Closed, until a script was killed too often; then open, but for one event at a time that probes it.

    The waits between probes that fail double up to five minutes. One that opens again begins anew: a script that
    some events kill is stopped for seconds, however many of them somebody sends.
    """

    since: float | None = None
    until: float = 0.0
    probing: bool = False
    probes: int = 0
    reason: str = ""
    _row: int = 0
    _kills: deque[float] = field(default_factory=lambda: deque(maxlen=MANY))
    _wait: float = FIRST

    @property
    def open(self) -> bool:
        """Whether the script runs for nothing but probes."""
        return self.since is not None

    def due(self, now: float) -> bool:
        """Whether the next probe may start."""
        return self.open and not self.probing and now >= self.until

    def left(self, now: float) -> float:
        """Seconds until the next probe may start."""
        return max(0.0, self.until - now)

    def killed(self, kind: str, now: float) -> bool:
        """A worker had to be killed, or died, of a run that is no probe; True where that opens it."""
        if self.open:
            return False
        self._row += 1
        self._kills.append(now)
        many = len(self._kills) == MANY and now - self._kills[0] <= WINDOW
        if self._row < ROW and not many:
            return False
        how = f"{MANY} times within a minute" if many and self._row < ROW else f"{self._row} times in a row"
        self.reason = f"its worker was killed {how}, the last time for {kind}"
        self._wait = FIRST
        self.since, self.until = now, now + self._wait
        self.probes = 0
        return True

    def finished(self) -> None:
        """A run ended with results."""
        self._row = 0

    def probe(self) -> int:
        """Start a probe; which one it is since the breaker opened, from 0."""
        self.probing = True
        self.probes += 1
        return self.probes - 1

    def probed(self, now: float, *, well: bool | None) -> None:
        """A probe ended: `well`, by a kill, or (None) by neither, and another one may start."""
        self.probing = False
        if well:
            self.since = None
            self._row = 0
            self._kills.clear()
        elif well is False:
            self._wait = min(LAST, 2 * self._wait)
            self.until = now + self._wait
