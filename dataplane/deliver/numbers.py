"""A set of event numbers of one stretch of the log, a bit each."""

from __future__ import annotations

from turnout.errors import Fixable

__all__ = ["Numbers"]

WIDEST = 256_000_000
"""Most numbers of a stretch: 32 MB."""


class Numbers:
    """Numbers from `first` on and before `end`; others are passed over. Raises `Fixable` where it is too wide."""

    def __init__(self, first: int, end: int) -> None:
        if end - first > WIDEST:
            raise Fixable(f"more than {WIDEST:,} events lie between: narrow it down with from and to")
        self._first = first
        self._end = end
        self._bits = bytearray((max(0, end - first) + 7) // 8)

    def add(self, number: int) -> None:
        """Put one in."""
        if self._first <= number < self._end:
            at = number - self._first
            self._bits[at >> 3] |= 1 << (at & 7)

    def add_run(self, first: int, behind: int) -> None:
        """Put in all from `first` to before `behind`."""
        first, behind = max(first, self._first), min(behind, self._end)
        while first < behind and (first - self._first) & 7:
            self.add(first)
            first += 1
        whole = (behind - first) // 8
        if whole > 0:
            at = (first - self._first) >> 3
            self._bits[at : at + whole] = b"\xff" * whole
            first += 8 * whole
        for number in range(first, behind):
            self.add(number)

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int) or not self._first <= number < self._end:
            return False
        at = number - self._first
        return bool(self._bits[at >> 3] >> (at & 7) & 1)
