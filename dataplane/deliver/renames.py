"""Which destination a name meant at a time: those of `was:` are remembered for as long as the state file is."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Rename", "Renames", "fact", "read"]

_MARK = "was "


class Rename(NamedTuple):
    """A destination `old` was called `new` from `at` on, in Unix seconds."""

    old: str
    new: str
    at: float


UNDERWAY = 60.0
"""Seconds after a rename in which something may still happen under the old name."""


@dataclass(frozen=True, slots=True)
class Renames:
    """Every rename there was, and the names that are in the config now."""

    rows: tuple[Rename, ...] = ()
    current: Collection[str] = ()

    def now(self, name: str, at: float) -> str:
        """What the destination is called now that had a name at `at`.

        A name that the config still has may be another's now: then only a later rename counts. What was under way
        when it was renamed has its old name a little longer.
        """
        if not self.rows:
            return name
        for _ in self.rows:  # each at most once: a name may have gone to and fro
            if (found := self._next(name, at)) is None:
                break
            name, at = found.new, max(at, found.at)
        return name

    def _next(self, name: str, at: float) -> Rename | None:
        late = 0.0 if name in self.current else UNDERWAY
        own = (row for row in self.rows if row.old == name and row.at + late > at)
        return min(own, key=lambda row: row.at, default=None)

    def names(self, destination: str) -> frozenset[str]:
        """Every name that may mean a destination."""
        found = {destination}
        while more := {row.old for row in self.rows if row.new in found} - found:
            found |= more
        return frozenset(found)


def fact(old: str, new: str) -> str:
    """The name under which the state file keeps when a destination was renamed, in Unix milliseconds."""
    return f"{_MARK}{new} {old}"


def read(facts: Iterable[tuple[str, int]], current: Collection[str] = ()) -> Renames:
    """From the state file's facts, of which most are others."""
    rows: list[Rename] = []
    for name, millis in facts:
        words = name.removeprefix(_MARK).split(" ")
        if name.startswith(_MARK) and len(words) == 2:
            rows.append(Rename(words[1], words[0], millis / 1000))
    return Renames(tuple(rows), current)
