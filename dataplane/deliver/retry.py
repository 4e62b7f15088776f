"""When to try again, as data."""

from __future__ import annotations

from random import Random

from turnout.durations import write_span
from turnout.verdict import Verdict

__all__ = ["LONGEST", "OBEYED", "asked", "delay", "obeyed", "told"]

FIRST = 1.0
LONGEST = 300.0
OBEYED = 3600.0
"""Most seconds that a `Retry-After` holds anything back, where `delivery.retry_after` says nothing else."""


def delay(attempts: int, after: float | None, rng: Random, most: float = OBEYED) -> float:
    """Seconds until the next attempt: exponential with full jitter; `Retry-After`, up to `most`, is a lower bound.

    `attempts` counts those already made. Full jitter: a uniform share of `min(300, 2^attempts)`,
    so that events that failed together do not come back together.
    """
    backoff = rng.uniform(0.1, min(LONGEST, FIRST * 2 ** min(attempts, 16)))
    return max(backoff, obeyed(after, most) + rng.uniform(0, 1)) if after is not None else backoff


def obeyed(after: float, most: float) -> float:
    """How many of the seconds that a tool asks for it is given."""
    return min(after, most)


def told(verdict: Verdict, most: float) -> str:
    """The reason of what is tried again, with what the tool asked for where that is more than it is given."""
    if verdict.after is None or verdict.after <= most:
        return verdict.reason
    given = f"it asks for {write_span(verdict.after)}, and is given {write_span(most)} (delivery.retry_after)"
    return f"{verdict.reason}: {given}"


def asked(verdict: Verdict, most: float) -> str:
    """Why nothing is sent while a tool has what it asks for: `told`, with that time in any case."""
    if verdict.after is None or verdict.after > most:
        return told(verdict, most)
    return f"{verdict.reason}: it asks for {write_span(verdict.after)}"
