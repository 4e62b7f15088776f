"""When to try again, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

__all__ = ["Breaker", "delay"]

FIRST = 1.0
LONGEST = 300.0


def delay(attempts: int, after: float | None, rng: Random) -> float:
    """Seconds until the next attempt: exponential with full jitter; `Retry-After` is a lower bound.

    `attempts` counts those already made. Full jitter: a uniform share of `min(300, 2^attempts)`,
    so that events that failed together do not come back together.
    """
    backoff = rng.uniform(0.1, min(LONGEST, FIRST * 2 ** min(attempts, 16)))
    return max(backoff, after + rng.uniform(0, 1)) if after is not None else backoff


@dataclass(slots=True)
class Breaker:
    """Stops sending to a destination that answers nothing, and probes it with one request at a time.

    Closed until `threshold` requests in a row failed; then open for a growing while; then half
    open: one request may pass, and its success closes the breaker. Times are monotonic seconds.
    """

    threshold: int = 5
    rng: Random = field(default_factory=lambda: Random(0))  # noqa: S311 -- jitter, no secret
    failures: int = 0
    until: float = 0.0
    probing: bool = False

    @property
    def open(self) -> bool:
        """True while the destination counts as down."""
        return self.failures >= self.threshold

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

    def succeeded(self) -> None:
        """The destination answered."""
        self.failures = 0
        self.probing = False

    def failed(self, now: float) -> None:
        """A request failed as a whole."""
        self.failures += 1
        self.probing = False
        if self.open:
            wait = min(60.0, 2.0 ** (self.failures - self.threshold))
            self.until = now + self.rng.uniform(wait / 2, wait)
