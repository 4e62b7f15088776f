"""Events on their way to a destination: what each came to, and the batches that they are offered in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dataplane.pipeline.share import LANES
from turnout.event import Event
from turnout.verdict import Verdict

__all__ = ["NO_OPTIONS", "Batch", "Entry", "Part", "lane_of"]

_MASK = LANES - 1

Part = tuple[bytes, Mapping[str, Any], Verdict | None]
"""One output of an event: its JSON, the options of its integrations object, or its verdict already."""
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def lane_of(key: int) -> int:
    """The lane of an order key's hash."""
    return key & _MASK


class Entry:
    """One event with all its outputs. `at` is when it was received, in ms; 0 where nobody knows.

    What no script touched and no destination has options for is one entry for all of them, so nobody changes
    an entry. `event` is then the event itself, decoded once for all while it is there.
    """

    __slots__ = ("__weakref__", "at", "decided", "event", "key", "lane", "number", "parts", "plain", "size", "source")

    def __init__(self, number: int, key: int, source: str, at: int, parts: Sequence[Part]) -> None:
        self.event: Event | None = None
        self.number = number
        self.key = key
        self.lane = key & _MASK
        self.source = source
        self.at = at
        self.parts = parts
        if len(parts) == 1:  # nearly all: three times faster than the general form
            raw, _, verdict = parts[0]
            self.size = len(raw)
            plain = self.plain = verdict is None  # one output, to be sent
            self.decided = not plain
            return
        self.plain = False
        self.size = sum(len(raw) for raw, _, _ in parts)
        self.decided = all(verdict is not None for _, _, verdict in parts)


class Batch:
    """Events in number order, the last there are before number `upto`.

    What every destination would find out about them anew is found out once: whether each is one output to be sent
    (`plain`), and then the first of each lane and those behind it; their bytes, and those of the largest.
    """

    __slots__ = ("behind", "entries", "heads", "largest", "plain", "size", "upto")

    def __init__(self, entries: Sequence[Entry], upto: int) -> None:
        self.entries = entries
        self.upto = upto
        sizes = [entry.size for entry in entries]
        self.size = sum(sizes)
        self.largest = max(sizes, default=0)
        self.plain = False not in [entry.plain for entry in entries]
        self.heads: dict[int, Entry] = {}
        self.behind: dict[int, list[Entry]] = {}
        if self.plain:
            heads, behind = self.heads, self.behind
            for entry in entries:
                lane = entry.lane
                if lane not in heads:
                    heads[lane] = entry
                elif lane in behind:
                    behind[lane].append(entry)
                else:
                    behind[lane] = [entry]
