"""A log in memory, for tests only: both protocols, nothing durable."""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import Awaitable, Sequence

from dataplane.log.base import Health, Record
from dataplane.log.format import HEAD
from turnout.errors import LogClosed, LogFull

__all__ = ["MemoryLog"]


class MemoryLog:
    """Writer and reader in one object, in one event loop. `max_bytes` bounds what it holds."""

    def __init__(self, max_bytes: int = 1 << 30) -> None:
        self.records: list[Record] = []
        self.released = 0
        self._positions: list[int] = []
        self._max_bytes = max_bytes
        self._bytes = 0
        self._head = 0
        self._appended = 0
        self._open = True
        self._waiting: set[asyncio.Future[None]] = set()

    def append(self, envelope: bytes, marks: bytes, body: bytes) -> Awaitable[int]:
        """Store a record; raises `LogFull` and `LogClosed` at once."""
        size = HEAD + len(envelope) + len(marks) + len(body)
        if not self._open:
            raise LogClosed("the log is closed")
        if self._bytes + size > self._max_bytes:
            raise LogFull("the log has reached max_bytes")
        position = self._head
        self._head += size
        self._bytes += size
        self._appended += 1
        self._positions.append(position)
        self.records.append(Record(position, self._head, 1, time.monotonic_ns(), envelope, marks, body))
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        stored.set_result(position)
        return stored

    def health(self) -> Health:
        """Current state."""
        reason = "" if self._open else "the log is closed"
        count = self._appended
        return Health(self._open, False, reason, self._head, self.floor, self._bytes, count, count, 0.0)

    @property
    def head(self) -> int:
        """Position behind the last record."""
        return self._head

    @property
    def floor(self) -> int:
        """Position of the oldest record that is still there."""
        return self._positions[0] if self._positions else self._head

    def read(self, position: int, max_bytes: int = 1 << 20) -> Sequence[Record]:
        """Records from the first at or behind `position` on."""
        first = last = bisect.bisect_left(self._positions, position)
        used = 0
        for record in self.records[first:]:
            used += record.end - record.position
            if used > max_bytes and last > first:
                break
            last += 1
        return self.records[first:last]

    async def wait(self, position: int, timeout: float) -> bool:
        """Return True as soon as the head is beyond `position`, False after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        position = max(position, self.floor)
        while self._head <= position and (remaining := deadline - loop.time()) > 0:
            woken: asyncio.Future[None] = loop.create_future()
            self._waiting.add(woken)
            await asyncio.wait([woken], timeout=remaining)
            self._waiting.discard(woken)
        return self._head > position

    @property
    def let_go(self) -> int:
        """There is one consumer."""
        return self.released

    def release(self, position: int) -> None:
        """Forget the records before `position`."""
        self.released = position
        count = bisect.bisect_left(self._positions, position)
        self._bytes -= sum(r.end - r.position for r in self.records[:count])
        del self.records[:count], self._positions[:count]

    async def close(self) -> None:
        """Take nothing more."""
        self._open = False
