"""When to try again, as data."""

from __future__ import annotations

from random import Random

__all__ = ["LONGEST", "delay"]

FIRST = 1.0
LONGEST = 300.0


def delay(attempts: int, after: float | None, rng: Random) -> float:
    """Seconds until the next attempt: exponential with full jitter; `Retry-After` is a lower bound.

    `attempts` counts those already made. Full jitter: a uniform share of `min(300, 2^attempts)`,
    so that events that failed together do not come back together.
    """
    backoff = rng.uniform(0.1, min(LONGEST, FIRST * 2 ** min(attempts, 16)))
    return max(backoff, after + rng.uniform(0, 1)) if after is not None else backoff
