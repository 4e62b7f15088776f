"""Runs of transformations that several destinations ask for, each made once.

Whoever asks for an event of a run that is under way, or was over a moment ago, gets what that made of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dataplane.pipeline.numbered import Sequenced
from transformations.base import Script

__all__ = ["BYTES", "EVENTS", "Runs"]

T = TypeVar("T")

BYTES, EVENTS = 8 << 20, 10_000
"""Most bytes of outputs that are kept, and most events; a single run may be larger."""


@dataclass(slots=True, eq=False)
class _Run(Generic[T]):
    """One run of a chain over some events, and the table of its chain. `chain` is held so that its key stays its."""

    chain: tuple[Script, ...]
    numbers: tuple[int, ...]
    task: asyncio.Future[Sequence[T]]
    table: dict[int, _Run[T]]
    size: int = 0


class Runs(Generic[T]):
    """What chains made of events, by their numbers; `size` says how many bytes one event's outputs have.

    What is here was made by the scripts as they are now, for as long as somebody calls `forget` whenever that may
    have changed: then runs under way end for those who asked before, and everyone after asks for another.
    """

    def __init__(self, size: Callable[[T], int], *, most_bytes: int = BYTES, most_events: int = EVENTS) -> None:
        self._size = size
        self._most_bytes, self._most_events = most_bytes, most_events
        self._tables: dict[Hashable, dict[int, _Run[T]]] = {}
        self._running: set[_Run[T]] = set()
        self._done: deque[_Run[T]] = deque()
        self._bytes = self._events = 0

    def __bool__(self) -> bool:
        """Whether there is a run that somebody may ask for."""
        return bool(self._done or self._running)

    async def outputs(
        self, chain: tuple[Script, ...], events: Sequence[Sequenced],
        make: Callable[[Sequence[Sequenced]], Awaitable[Sequence[T]]], *, told: Hashable = (), keep: bool = True,
    ) -> Sequence[T]:
        """What a chain makes of each event; `make` runs it over those that are in no run. `told` is what the
        scripts are told beside the events. What is made now is there for others where one is to `keep` it.

        Raises what a run raised to everyone who waits for it.
        """
        if not keep and not self:
            return await make(events)
        key = (tuple(map(id, chain)), told)
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = {}
        new = [event for event in events if event.number not in table]
        found: dict[int, T] = {}
        runs = dict.fromkeys([run for event in events if (run := table.get(event.number)) is not None])
        if new and keep:
            runs[self._begin(chain, table, new, make)] = None
        elif new:
            found.update(zip([event.number for event in new], await make(new), strict=True))
        for one in runs:
            found.update(zip(one.numbers, await asyncio.shield(one.task), strict=True))
        return [found[event.number] for event in events]

    def _begin(
        self, chain: tuple[Script, ...], table: dict[int, _Run[T]], events: Sequence[Sequenced],
        make: Callable[[Sequence[Sequenced]], Awaitable[Sequence[T]]],
    ) -> _Run[T]:
        task = asyncio.ensure_future(make(events))
        run = _Run(chain, tuple([event.number for event in events]), task, table)
        table.update(dict.fromkeys(run.numbers, run))
        self._running.add(run)
        task.add_done_callback(lambda _: self._ended(run))
        return run

    def _ended(self, run: _Run[T]) -> None:
        self._running.discard(run)
        if run.task.cancelled() or run.task.exception() is not None:  # whoever asked has been told
            self._drop(run)
            return
        if run.table.get(run.numbers[0]) is not run:  # forgotten meanwhile
            return
        run.size = sum([self._size(one) for one in run.task.result()])
        self._done.append(run)
        self._bytes += run.size
        self._events += len(run.numbers)
        while len(self._done) > 1 and (self._bytes > self._most_bytes or self._events > self._most_events):
            old = self._done.popleft()
            self._bytes -= old.size
            self._events -= len(old.numbers)
            self._drop(old)

    def _drop(self, run: _Run[T]) -> None:
        for number in run.numbers:
            if run.table.get(number) is run:
                del run.table[number]

    def forget(self) -> None:
        """Nothing of what was made, or is being made, is for anyone who asks from now on."""
        for table in self._tables.values():
            table.clear()
        self._tables.clear()
        self._done.clear()
        self._bytes = self._events = 0

    def close(self) -> None:
        """End what runs, and forget everything."""
        for run in list(self._running):
            run.task.cancel()
        self.forget()
