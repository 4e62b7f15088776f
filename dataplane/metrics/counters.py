"""Counters of processes that die and come back: a sum over several must not fall.

A scraper takes any fall for a new beginning, and what is left for so many new events. So what a process counted in its
earlier lives is added to what it counts now; what it stores itself goes on, and only stands still until it is
back where it was: a kill takes its last moment of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from dataplane.metrics.declarations import Sample, by_name

__all__ = ["Counters"]

_Series = tuple[str, tuple[str, ...]]


class Counters:
    """The counters of all processes, by their names."""

    def __init__(self) -> None:
        self._lives: dict[str, _Lives] = {}

    def of(self, process: str, life: int, given: Iterable[Sample]) -> list[Sample]:
        """What is exported of what a process gave in its `life`, a number that is another one after each restart."""
        return self._lives.setdefault(process, _Lives()).exported(life, given)

    def last(self, process: str) -> list[Sample]:
        """Counters as they were exported last: of a process that does not answer."""
        lives = self._lives.get(process)
        return [] if lives is None else [(*series, number) for series, number in lives.last.items()]


class _Lives:
    def __init__(self) -> None:
        self.last: dict[_Series, float] = {}
        self._life = 0
        self._earlier: dict[_Series, float] = {}
        self._reached: dict[_Series, float] = {}

    def exported(self, life: int, given: Iterable[Sample]) -> list[Sample]:
        if life != self._life:
            self._life = life
            self._reached = {series: number for series, number in self.last.items() if by_name[series[0]].stored}
            self._earlier = {series: n for series, n in self.last.items() if series not in self._reached}
        found: list[Sample] = []
        counted: dict[_Series, float] = {}
        for name, labels, number in given:
            metric = by_name.get(name)
            if metric is None or metric.kind != "counter":
                found.append((name, labels, number))
            else:
                counted[name, labels] = counted.get((name, labels), 0.0) + number
        stood = {series: self._standing(series, number) for series, number in counted.items()}
        self.last = {**self._earlier, **stood}
        return found + [(*series, number) for series, number in self.last.items()]

    def _standing(self, series: _Series, number: float) -> float:
        if not by_name[series[0]].stored:
            return self._earlier.get(series, 0.0) + number
        reached = self._reached.get(series)
        if reached is None or number >= reached:
            self._reached.pop(series, None)
            return number
        return reached
