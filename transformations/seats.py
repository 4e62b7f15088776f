"""Who may run now: seats for batches, a spare one behind slow ones, a bench for suspects."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["PATIENCE", "Seats"]

PATIENCE = 0.05
"""Seconds a batch waits behind busy seats before the spare one is opened."""


class Seats:
    """`workers` seats, one spare, and one bench that scripts under suspicion share."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError("a pool needs a worker")
        self._workers = workers
        self._running = 0
        self._benched = False
        self._queue: deque[tuple[asyncio.Future[None], float]] = deque()
        self._bench: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Batches that have no seat yet."""
        return len(self._queue) + len(self._bench)

    @asynccontextmanager
    async def take(self, *, suspect: bool) -> AsyncIterator[None]:
        """Hold a seat (the bench, for a suspect); first come, first served."""
        await (self._wait_bench() if suspect else self._wait_seat())
        try:
            yield
        finally:
            if suspect:
                self._benched = False
            else:
                self._running -= 1
            self._grant()

    @asynccontextmanager
    async def away(self, *, suspect: bool) -> AsyncIterator[None]:
        """Leave the seat to others while its batch waits for the world, then take one again."""
        if suspect:
            yield  # suspects keep their bench: they may not have several runs at once
            return
        self._running -= 1
        self._grant()
        try:
            yield
        finally:
            await self._wait_seat()

    async def _wait_seat(self) -> None:
        if self._running < self._workers and not self._queue:
            self._running += 1
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._queue.append((future, time.monotonic()))
        timer = loop.call_later(PATIENCE, self._grant)
        try:
            await future
        except BaseException:
            if future.done() and not future.cancelled():
                self._running -= 1
                self._grant()
            raise
        finally:
            timer.cancel()

    async def _wait_bench(self) -> None:
        if not self._benched and not self._bench:
            self._benched = True
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._bench.append(future)
        try:
            await future
        except BaseException:
            if future.done() and not future.cancelled():
                self._benched = False
                self._grant()
            raise

    def _grant(self) -> None:
        while self._queue:
            future, since = self._queue[0]
            if future.done():
                self._queue.popleft()
                continue
            patient = time.monotonic() - since < PATIENCE * 0.9
            if self._running >= self._workers + (0 if patient else 1):
                break
            self._queue.popleft()
            self._running += 1
            future.set_result(None)
        while self._bench and not self._benched:
            waiting = self._bench.popleft()
            if not waiting.done():
                self._benched = True
                waiting.set_result(None)
