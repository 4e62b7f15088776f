"""Two breakers of a destination: one for a tool whose requests all fail, one for a tool that rejects all.

Pure; times are seconds of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

__all__ = ["Breaker", "Rejects"]

WINDOW = 32
MOST = 29
"""So many of the last `WINDOW` requests failed: a trickle of successes does not make a tool healthy."""
TRIAL = 8
TRUST = 10
LONGEST = 60.0


@dataclass(slots=True)
class Breaker:
    """Stops sending to a destination whose requests fail, and probes it with one request at a time.

    Closed until `threshold` requests in a row, or nine of ten of the last 32, failed as a whole; then
    open for a growing while; then half open: one request may pass, and its success closes the
    breaker *on trial*: until `TRIAL` more succeeded, a single failure opens it again.
    """

    threshold: int = 5
    rng: Random = field(default_factory=lambda: Random(0))  # noqa: S311 -- jitter, no secret
    open: bool = False
    until: float = 0.0
    probing: bool = False
    opened: float = 0.0
    _failures: int = 0
    _probes: int = 0
    _trial: int = 0
    _seen: int = 0
    _history: int = 0  # a bit per request, 1 where it failed

    def allows(self, now: float) -> bool:
        """Whether a request may leave now."""
        return not self.open or (now >= self.until and not self.probing)

    def sent(self) -> None:
        """A request leaves; while open it is the probe."""
        if self.open:
            self.probing = True

    def unsent(self) -> None:
        """What was to be the probe asked nothing: another request may be it."""
        self.probing = False

    def reset(self) -> None:
        """As new: what it was about may have changed."""
        self.open = self.probing = False
        self._failures = self._probes = self._trial = self._seen = self._history = 0

    def succeeded(self) -> None:
        """The destination answered."""
        self._failures = self._probes = 0
        if self.open:
            self.open = self.probing = False
            self._trial = TRIAL
            self._seen = self._history = 0
            return
        self._trial = max(0, self._trial - 1)
        self._note(0)

    def failed(self, now: float, left: float) -> None:
        """A request that left at `left` failed as a whole."""
        if self.open:
            if left < self.opened:
                return  # it was under way when the breaker opened, and tells nothing new
            self.probing = False
            self._probes += 1
        else:
            self._failures += 1
            self._note(1)
            often = self._seen >= WINDOW and self._history.bit_count() >= MOST
            if not (self._trial or often or self._failures >= self.threshold):
                return
            self.open, self.opened = True, now
            self._trial = 0
        wait = min(LONGEST, 2.0**self._probes)
        self.until = now + self.rng.uniform(wait / 2, wait)

    def _note(self, bit: int) -> None:
        self._seen += 1
        self._history = (self._history << 1 | bit) & ((1 << WINDOW) - 1)


@dataclass(slots=True)
class Rejects:
    """Notices a tool that rejects practically everything, before it has buried a whole backlog.

    Trips when `events` were dead, of at least `users` order keys, and not more than one in a hundred
    was delivered between. The next time a tenth of that is enough, until ten events were delivered.
    """

    events: int = 1_000
    users: int = 20
    _dead: int = 0
    _delivered: int = 0
    _keys: set[int] = field(default_factory=set)
    _suspect: int = 0  # deliveries until it is trusted again

    @property
    def _needed(self) -> int:
        return max(1, self.events // 10) if self._suspect else self.events

    def delivered(self, events: int) -> None:
        """Events were taken."""
        if not (self._dead or self._suspect):
            return
        self._suspect = max(0, self._suspect - events)
        self._delivered += events
        if self._delivered * 100 > max(self._dead, self._needed):
            self._clear()

    def dead(self, key: int) -> bool:
        """An event was rejected; True where that was one too many."""
        self._dead += 1
        if len(self._keys) < self.users:
            self._keys.add(key)
        if self._dead < self._needed or len(self._keys) < min(self.users, self._needed):
            return False
        self._clear()
        self._suspect = TRUST
        return True

    def _clear(self) -> None:
        self._dead = self._delivered = 0
        self._keys.clear()
