"""How much room the log has, how fast it fills, and what a destination may hold of it. Pure.

The log deletes what every destination is done with as soon as room is short, so it is full only when
the events still to be delivered reach its capacity: that is what is measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dataplane.config.model import Backlog

__all__ = ["ALARM", "RELIEF", "Room", "Standing", "capacity", "full_in", "keeps", "standing"]

ALARM = 0.8
"""Share of the log's capacity from which people are warned."""
RELIEF = 0.9
"""A full backlog is brought down to this share of its bound, so that it is not at it again at once."""
MOST = 0.8
"""Share of the log's capacity that no single destination may hold, whatever its `max_bytes`."""
SPAN = 30.0
"""Seconds of samples without which no rate is told."""


@dataclass(frozen=True, slots=True)
class Room:
    """The log as a buffer, in bytes: held by undelivered events, and at most. `full_in` in seconds,
    None where it does not fill."""

    held: int
    capacity: int
    full_in: float | None

    @property
    def share(self) -> float:
        """Held of capacity, 0 to 1 and above."""
        return self.held / self.capacity if self.capacity > 0 else float(self.held > 0)


@dataclass(frozen=True, slots=True)
class Standing:
    """A destination's backlog: bytes of the log it holds back, age in seconds of its oldest event, and
    the larger of both as a share of its bound."""

    bytes: int = 0
    age: float = 0.0
    share: float = 0.0


def capacity(max_bytes: int, min_free: int, stored: int, free: int) -> int:
    """The most bytes the log can have: `stored` now, `free` on its disk, bounds as in `log:`."""
    return max(0, min(max_bytes, stored + free - min_free))


def full_in(samples: Sequence[tuple[float, int]], most: int) -> float | None:
    """Seconds until the log is full, from `(time, bytes held)` samples; None where it does not fill.

    The rate is the least-squares slope over all samples, so that one burst does not sound an alarm.
    """
    if not samples:
        return None
    left = most - samples[-1][1]
    if left <= 0:
        return 0.0
    if samples[-1][0] - samples[0][0] < SPAN:
        return None
    count = len(samples)
    middle = sum(at for at, _ in samples) / count
    mean = sum(size for _, size in samples) / count
    spread = sum((at - middle) ** 2 for at, _ in samples)
    slope = sum((at - middle) * (size - mean) for at, size in samples) / spread
    return left / slope if slope > 0 else None


def keeps(bound: Backlog, most: int) -> int:
    """Bytes of the log that a destination may hold back, of a capacity of `most`."""
    wanted = bound.max_bytes if bound.max_bytes is not None else most // 2
    return max(1, min(wanted, int(most * MOST)))


def standing(bound: Backlog, most: int, size: int, age: float) -> Standing:
    """How a backlog of `size` bytes whose oldest event is `age` seconds old stands to its bound."""
    share = max(size / keeps(bound, most), age / bound.max_age.total_seconds())
    return Standing(size, age, share)
