"""When the next request may leave a destination that has a `rate`; of one process, or of several that share it."""

from __future__ import annotations

from pathlib import Path

from dataplane.pipeline.cells import cell_in
from dataplane.pipeline.share import Share

__all__ = ["Pace", "Paces"]


class Pace:
    """Slots of time, on the monotonic clock, one per request.

    `cell` is one float64, when the next slot begins; processes that share it share the rate. It is read and written
    without a lock, as those of sources are: two requests at the same instant may be counted as one.
    """

    __slots__ = ("_cell",)

    def __init__(self, cell: memoryview[float] | list[float] | None = None) -> None:
        self._cell = [0.0] if cell is None else cell

    @property
    def at(self) -> float:
        """When the next request may leave."""
        return self._cell[0]

    def take(self, now: float, rate: float) -> None:
        """A request leaves, at `rate` requests per second."""
        self._cell[0] = max(now, self._cell[0]) + 1 / rate


class Paces:
    """The paces of destinations, in `data/rates/`: files that no source can be called like."""

    def __init__(self, data: Path, share: Share) -> None:
        self._folder = data / "rates"
        self._share = share
        self._known: dict[str, Pace] = {}

    def of(self, destination: str) -> Pace | None:
        """The one that all processes share; None where there is one process. Raises OSError."""
        if self._share.alone:
            return None
        found = self._known.get(destination)
        if found is None:
            found = self._known[destination] = Pace(cell_in(self._folder, f"destination:{destination}"))
        return found
