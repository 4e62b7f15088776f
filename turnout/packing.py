"""Requests that leave together: chunks filled up to limits, in sending order."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from turnout.request import Json, Request

__all__ = ["Chunk", "Packing", "carrying", "size_of", "whole"]


@dataclass(slots=True)
class Chunk:
    """Requests that leave together; `size` is what their merged body has, about, `weight` what they count for."""

    parts: list[tuple[int, Request]]
    merged: bool
    size: int = 1
    weight: int = 0


class Packing:
    """Fills chunks up to the limits; a chunk never overtakes an earlier one of the same user."""

    def __init__(self, most: int, room: int) -> None:
        self.limit, self.room = most, room
        self.chunks: list[Chunk] = []
        self._open: dict[Hashable, int] = {}
        self._last: dict[int, int] = {}

    def add(self, i: int, key: int, parts: Sequence[tuple[Request, Hashable | None, int, int, int]]) -> None:
        """Place the parts of event `i`, in order: request, group, size, limit and weight; `key` 0 follows no one."""
        floor = self._last.get(key, 0) if key else 0
        for request, group, size, limit, weight in parts:
            place = self._open.get(group, -1) if group is not None else -1
            chunk = self.chunks[place] if place >= 0 else None
            most = min(limit, self.limit)
            full = chunk is not None and (chunk.weight + weight > most or chunk.size + size + 1 > self.room)
            if chunk is None or place < floor or full:
                place, chunk = len(self.chunks), Chunk([], group is not None)
                self.chunks.append(chunk)
                if group is not None:
                    self._open[group] = place
            chunk.parts.append((i, request))
            chunk.size += size + 1
            chunk.weight += weight
            floor = place
        if key:
            self._last[key] = floor


def carrying(r: Request, events: tuple[int, ...]) -> Request:
    """`dataclasses.replace` in a third of its time: this is done for every request there is."""
    return Request(r.method, r.url, r.body, r.headers, r.params, r.secret, events)


@lru_cache(maxsize=1024)
def whole(count: int) -> tuple[int, ...]:
    """The indices of all of so many events."""
    return tuple(range(count))


def size_of(request: Request) -> int:
    """Bytes of a request's body."""
    body = request.body
    if type(body) is Json:  # nearly always
        return len(body.data)
    return 0 if body is None else len(body.encode()[0])
