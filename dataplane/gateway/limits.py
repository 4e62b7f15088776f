"""Bounds that are counted over time, in memory."""

from __future__ import annotations

__all__ = ["Bucket", "Quota"]


class Bucket:
    """Events per second of one source. A request is taken while the bucket is not empty and may
    overdraw it, so that a batch larger than a second's worth is not turned away for ever."""

    __slots__ = ("_last", "_level", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._level = max(rate, 1.0)
        self._last = now

    def wait(self, now: float) -> float:
        """Seconds until an event may come; 0 where one may come now."""
        burst = max(self.rate, 1.0)
        self._level = min(burst, self._level + (now - self._last) * self.rate)
        self._last = now
        return 0.0 if self._level > 0 else max(-self._level, 1e-3) / self.rate

    def take(self, count: int) -> None:
        """Count events that were taken."""
        self._level -= count


class Quota:
    """Bytes per day; days are those of UTC."""

    __slots__ = ("_day", "_used")

    def __init__(self) -> None:
        self._day = -1
        self._used = 0

    def take(self, size: int, limit: int, millis: int) -> bool:
        """True, and counted, where `size` more bytes fit into the day of `millis` (Unix time)."""
        day = millis // 86_400_000
        if day != self._day:
            self._day, self._used = day, 0
        if self._used + size > limit:
            return False
        self._used += size
        return True
