"""The writer of a partition: group commit, in the event loop while the disk is quick, else in a thread.

What is appended in one turn of the loop is one group. On a disk whose syncs take a fraction of a
millisecond the loop itself stamps, writes, syncs, publishes and answers: to hand a group to a thread and
back takes longer than its sync (decision 14). On a slower disk the loop only queues, and
everything that is appended while a sync is in flight goes out with the next one. The thread also does what
takes long: a new segment, large groups, retention.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dataplane.log.base import Health
from dataplane.log.commit import NoRoom
from dataplane.log.format import HEAD, MAX_RECORD, Parts
from dataplane.log.handoff import Handoff
from dataplane.log.partition import Limits, Partition
from dataplane.log.segments import Sync
from turnout.errors import LogClosed, LogFull, Refused, TurnoutError

__all__ = ["LocalWriter"]

HEARTBEAT = 0.1
"""Seconds between heartbeats of an idle log."""
QUICK = 0.0006
"""Seconds a sync takes at most, on average, for the loop to wait for it: about two hand-overs to the thread."""
WEIGHT = 8
"""Syncs that the average is about; one of 5 ms is enough to send the next group to the thread."""
INLINE = 1 << 20
"""Bytes of a group that the loop writes itself at most."""
Item = tuple[asyncio.Future[int], Parts, int]


class LocalWriter:
    """The `LogWriter` of a folder, locked by `lock`, a file descriptor that it takes over.

    Everything but `health` belongs to one event loop: that of the first append.
    """

    def __init__(self, folder: Path, limits: Limits, sync: Sync, lock: int) -> None:
        """Recover the folder and start the thread; raises `FormatError` or OSError."""
        self._partition = Partition(folder, limits, sync)
        self._lock = lock
        self._most = limits.queue_bytes
        self._queue: Handoff[Item] = Handoff()
        self._turn: list[Item] = []
        self._mine = threading.Lock()
        """Held by whoever uses the partition: the thread, or the loop for the length of one commit."""
        self._sync_time = 1.0  # unknown: the thread does the first ones
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queued = 0
        self._closing = False
        self._bound_queue()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def append(self, envelope: bytes, marks: bytes, body: bytes) -> asyncio.Future[int]:
        """Queue a record; the future gives its position once it is durable.

        Raises `LogFull` and `LogClosed`, here or through the future, and `Refused` for a record that
        no segment could hold (64 MiB). Nothing is copied: the bytes must not change afterwards.
        """
        size = HEAD + len(envelope) + len(marks) + len(body)
        queued = self._queued + size
        if queued > self._limit:
            raise self._refusal(size)
        self._queued = queued
        loop = self._loop or self._bind()
        future: asyncio.Future[int] = loop.create_future()
        if not self._turn:
            loop.call_soon(self._end_turn)
        self._turn.append((future, (envelope, marks, body), size))
        return future

    def _end_turn(self) -> None:
        """What came in this turn of the loop goes to the disk, or to the thread."""
        items, self._turn = self._turn, []
        if not items:
            return
        if self._sync_time < QUICK and self._mine.acquire(blocking=False):
            try:
                if not len(self._queue) and self._partition.fits(sum(size for _, _, size in items), INLINE):
                    self._here(items)
                    return
            finally:
                self._mine.release()
        self._queue.extend(items)

    def _here(self, items: list[Item]) -> None:
        try:
            self._commit(items, self._call)
        except Exception as error:  # noqa: BLE001 - as in the thread
            self._partition.close_for_good(str(error) or repr(error))
        self._bound_queue()
        if self._partition.closed:
            self._failed(items, LogClosed(self._partition.closed))

    def _bind(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        return self._loop

    def _refusal(self, size: int) -> TurnoutError:
        if self._closing or self._partition.closed:
            return LogClosed(self._partition.closed or "the log is closed")
        if size > MAX_RECORD:
            return Refused("record_too_large", f"a record may have {MAX_RECORD} bytes at most")
        if self._queued + size > self._most:
            return LogFull("more is waiting for the disk than the log takes")
        self._partition.pressed = True
        return LogFull(self._partition.full or "the log is as good as full")

    def health(self) -> Health:
        """Current state, without waiting."""
        now = self._partition
        return Health(
            open=not (now.closed or self._closing),
            full=bool(now.full),
            reason=now.closed or now.full or ("the log is closed" if self._closing else ""),
            head=now.end,
            floor=now.floor,
            bytes=now.size,
            appended=now.appended,
            syncs=now.syncs,
            sync_seconds=now.sync_seconds,
            damaged=now.damaged,
        )

    async def close(self) -> None:
        """Store what is queued, stop, and leave the folder to another writer. Twice is harmless."""
        if not self._closing:
            self._limit = -1
            self._end_turn()
            self._closing = True  # nothing is queued from here on
            self._queue.ring()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    # What follows runs in the thread; `_stored` and `_failed` in the loop again.

    def _run(self) -> None:
        due = 0.0
        going = True
        while going:
            going = not self._closing  # nothing is queued after it was set: this round takes the last
            self._queue.wait(HEARTBEAT if going else 0)
            with self._mine:  # before the queue is emptied: the loop sees that something is on its way
                items = self._queue.take()
                try:
                    if items:
                        self._commit(items, self._answer)
                    else:
                        self._partition.beat()
                    if (now := time.monotonic()) >= due:
                        due = self._partition.check(now)
                except Exception as error:  # noqa: BLE001 - whatever it was, no client may be left waiting
                    self._partition.close_for_good(str(error) or repr(error))
                self._bound_queue()
                if items and self._partition.closed:
                    self._answer(self._failed, items, LogClosed(self._partition.closed))
        self._partition.close()
        os.close(self._lock)

    def _bound_queue(self) -> None:
        open_still = not (self._partition.closed or self._closing)
        self._limit = min(self._most, self._partition.room) if open_still else -1

    def _commit(self, items: list[Item], answer: Callable[..., None]) -> None:
        partition = self._partition
        first = 0
        while first < len(items) and not partition.closed:
            position, before = partition.end, partition.sync_seconds
            try:
                stop = partition.store(items, first)
            except NoRoom as error:
                partition.refused(str(error))
                answer(self._failed, items[first:], LogFull(str(error)))
                return
            self._sync_time += (partition.sync_seconds - before - self._sync_time) / WEIGHT
            self._bound_queue()  # before the answer, which makes clients send more
            answer(self._stored, items[first:stop] if first or stop < len(items) else items, position)
            partition.wake()
            first = stop

    @staticmethod
    def _call(answer: Callable[..., None], items: list[Item], told: object) -> None:
        answer(items, told)

    def _answer(self, answer: Callable[..., None], items: list[Item], told: object) -> None:
        assert self._loop is not None  # bound by the append that queued these
        try:
            self._loop.call_soon_threadsafe(answer, items, told)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            # The loop is closed: nobody waits any more. What was stored is stored.

    def _stored(self, items: Sequence[Item], position: int) -> None:
        for future, _, size in items:
            self._queued -= size
            if not future.done():
                future.set_result(position)
            position += size

    def _failed(self, items: Sequence[Item], error: TurnoutError) -> None:
        for future, _, size in items:
            self._queued -= size
            if not future.done():  # gone where its client hung up, stored where it was before the failure
                future.set_exception(error)
