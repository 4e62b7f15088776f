"""Bounds that are counted over time, in memory."""

from __future__ import annotations

from pathlib import Path

from dataplane.pipeline.cells import cell_in

__all__ = ["Bucket", "Quota", "Rates"]

_CELL = 8


class Bucket:
    """Events per second of one source. A request is taken while the bucket is not empty and may
    overdraw it, so that a batch larger than a second's worth is not turned away for ever.

    `cell` is one float64: when, on the monotonic clock, the bucket will be full again. Processes that
    share it share the rate. It is read and written without a lock: two requests at the same instant in
    two processes may be counted as one, which is far below what a rate is about, and nobody ever waits.
    """

    __slots__ = ("_cell", "_last", "rate")

    def __init__(self, rate: float, now: float, cell: memoryview[float] | None = None) -> None:
        self.rate = rate
        self._cell = memoryview(bytearray(_CELL)).cast("d") if cell is None else cell
        self._last = now

    def wait(self, now: float) -> float:
        """Seconds until an event may come; 0 where one may come now."""
        self._last = now
        level = max(self.rate, 1.0) - max(0.0, self._cell[0] - now) * self.rate
        return 0.0 if level > 0 else max(-level, 1e-3) / self.rate

    def take(self, count: int) -> None:
        """Count events that were taken."""
        self._cell[0] = max(self._cell[0], self._last) + count / self.rate


class Rates:
    """The cells of buckets: in `folder`, mapped by every ingest process, or of this process alone."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def cell(self, source: str) -> memoryview[float] | None:
        """The cell of a source; raises OSError."""
        if self._folder is None:
            return None
        return cell_in(self._folder, source)


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
