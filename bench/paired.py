"""Two things measured in turn, so that a noisy machine disturbs both alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

__all__ = ["Paired", "interleaved", "paired"]


@dataclass(frozen=True, slots=True)
class Paired:
    """Costs of A and B per slice, and the median of the paired ratios A / B."""

    a: tuple[float, ...]
    b: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median of a[i] / b[i]: the figure to quote."""
        return median(x / y for x, y in zip(self.a, self.b, strict=True))

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest of the paired ratios."""
        ratios = [x / y for x, y in zip(self.a, self.b, strict=True)]
        return min(ratios), max(ratios)

    @property
    def note(self) -> str:
        """How sure: slices and spread, for a row's note."""
        low, high = self.spread
        return f"{len(self.a)} paired slices, {low:.2f} to {high:.2f}"


def interleaved(slices: dict[str, Callable[[], float]], rounds: int = 6) -> dict[str, list[float]]:
    """Run every slice once per round; returns the values in round order.

    The first round warms up and is thrown away. Every second round runs backwards, so that none
    always follows the same neighbour.
    """
    found: dict[str, list[float]] = {name: [] for name in slices}
    names = list(slices)
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            value = slices[name]()
            if number:
                found[name].append(value)
    return found


def paired(a: Callable[[], float], b: Callable[[], float], rounds: int = 6) -> Paired:
    """A B B A A B …: each call returns one slice's cost (per event, per request: the caller's choice)."""
    found = interleaved({"a": a, "b": b}, rounds)
    return Paired(tuple(found["a"]), tuple(found["b"]))
