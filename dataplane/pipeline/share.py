"""What one of several pipeline processes has of everything: lanes, and a part of what is bounded for all together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["LANES", "WHOLE", "Share", "name_of"]

LANES = 256
"""Lanes of every destination; the lane of an event is its order key's hash modulo this."""


def name_of(process: int) -> str:
    """The name of a pipeline process's role: `pipeline`, `pipeline-1` …"""
    return f"pipeline-{process}" if process else "pipeline"


@dataclass(frozen=True, slots=True)
class Share:
    """Process number `process` of `of`: the first one sequences, all carry the events of their own lanes."""

    process: int = 0
    of: int = 1

    @property
    def first(self) -> int:
        """Its first lane."""
        return LANES * self.process // self.of

    @property
    def end(self) -> int:
        """The lane behind its last one."""
        return LANES * (self.process + 1) // self.of

    @property
    def alone(self) -> bool:
        """Whether it has everything."""
        return self.of == 1

    @property
    def follows(self) -> bool:
        """Whether another process sequences for it."""
        return self.process > 0

    @property
    def name(self) -> str:
        """Its role's name, and under which it says what the log may let go of."""
        return name_of(self.process)

    def has(self, key: int) -> bool:
        """Whether the lane of an order key's hash is its own."""
        return self.first <= key & (LANES - 1) < self.end

    def part(self, whole: int) -> int:
        """Its part of a bound that holds for all processes together; at least one."""
        return max(1, whole * (self.process + 1) // self.of - whole * self.process // self.of)

    def home(self, data: Path) -> Path:
        """The folder of what it alone writes: state file, letters, archive, journal, history."""
        return data / self.name if self.process else data

    def others(self) -> list[Share]:
        """The other processes."""
        return [Share(process, self.of) for process in range(self.of) if process != self.process]


WHOLE = Share()
"""The one process there is where the config names no number."""
