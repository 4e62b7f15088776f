"""The writing side of one partition on disk, without an event loop: owned by the writer's thread.

It knows the active segment, how much room there is, and what was published.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dataplane.log.commit import NO_ROOM, Broken, NoRoom, put
from dataplane.log.epochs import first_epoch
from dataplane.log.format import BLOCK, Parts, encode
from dataplane.log.head import Head
from dataplane.log.quarantine import Quarantine
from dataplane.log.recovery import recover
from dataplane.log.retention import Inventory, released
from dataplane.log.segments import Sync, create
from dataplane.log.spare import SMALLEST, Spare
from dataplane.log.wake import Bell
from dataplane.metrics.log import logger

__all__ = ["GROUP", "Limits", "Partition"]

CHECK = 1.0
"""Seconds between looks at free space and retention."""
CHECK_SHORT = 0.1
"""The same while room is short or a write was refused, so that space that comes free is used soon."""
GROUP = 8 << 20
"""Bytes after which a commit takes no more records."""
BUSY = 1 << 20
"""Bytes a segment takes before a spare file is made for the next: a log that idles has none."""
ROTATE_AFTER = 60.0
"""Seconds: a segment older than this and than the retention is closed, so that it can be deleted."""

_NEVER = 1 << 62

_say = logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one partition, in bytes and (`retention`) seconds. `max_bytes` is for it and those in the
    folders `beside` it together, `writers` of which take records; `run` is the run that writes (epochs.py).
    """

    segment_bytes: int
    max_bytes: int
    min_free_bytes: int
    retention: float
    queue_bytes: int = 64 << 20
    beside: tuple[Path, ...] = ()
    writers: int = 1
    run: int = 0


class Partition:
    """One folder, recovered and open for writing. `full` and `closed` are reasons, "" while it is not."""

    def __init__(self, folder: Path, limits: Limits, sync: Sync) -> None:
        """Recover and begin a new segment; raises `FormatError` or OSError."""
        self._folder = folder
        self._limits = limits
        self._sync = sync
        # Retention works in whole segments, so a small log needs small ones.
        self._segment_bytes = min(limits.segment_bytes, max(limits.max_bytes // (8 * limits.writers), 4096))
        self._head = Head(folder)
        self._others = [Head(one) for one in limits.beside]
        self._quarantine = Quarantine(folder, self._head)
        found = recover(folder, self._head, self._quarantine, sync)
        self._inventory = Inventory(folder, self._head, found.held)
        self._epoch = first_epoch(limits.run, found.epoch)
        self._file = -1
        self._seed = 0
        self._filled = 0
        self._prepare_at = 0
        self._spare = Spare(folder, sync)
        self.end = found.end
        self.full = self.closed = ""
        self.pressed = False
        self.room = 0
        self.appended = self.syncs = self.floor = self.damaged = 0
        self.sync_seconds = 0.0
        self._begin()
        self._bell = Bell(folder)
        self._head.epoch = self._epoch
        self._head.damaged = self._quarantine.count
        self.check(time.monotonic())
        self._publish()
        self._head.is_open = True

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return self._inventory.bytes

    def _begin(self) -> None:
        """Begin a new segment at the end, in the spare file where one is ready; raises OSError."""
        spare = self._spare.take() if self._spare.size else None
        file, header = create(self._folder, self.end, self._epoch, self._sync, spare)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._seed = file, header.seed
        self._filled = spare[2] if spare else 0
        self._prepare_at = max(BUSY, self._filled // 2)
        self._inventory.begin(self.end, header.created)

    def _rotate(self) -> None:
        try:
            self._cut_zeros()
            self._begin()
        except OSError as error:
            if error.errno in NO_ROOM:
                raise NoRoom(error.strerror or str(error)) from error
            raise Broken(f"a new segment could not be made: {error.strerror}") from error
        self.room -= BLOCK

    def _cut_zeros(self) -> None:
        """Give back what the active segment has beyond its records.

        Before anything is published behind it: a reader takes a file's size for the end of its records.
        """
        if self._filled > self._inventory.active.size:
            os.ftruncate(self._file, self._inventory.active.size)
        self._filled = 0

    def _prepare(self) -> None:
        """Have the next segment's file made, where there is plenty of room."""
        size = min(self._segment_bytes, max(SMALLEST, 2 * self._filled))
        if size >= SMALLEST and self.room > 4 * size:
            self._spare.want(size)
        self._prepare_at = _NEVER

    def store(self, items: Sequence[tuple[object, Parts, int]], first: int) -> int:
        """Make `items[first:stop]` durable in one commit, publish them, and return `stop`.

        An item is (anything, the record's parts, its size). Raises `NoRoom`, with
        nothing stored, and `Broken`.
        """
        used = self._inventory.active.size
        space = min(GROUP, self._segment_bytes - used)
        full = items[first][2] > space and space < GROUP
        if used > BLOCK and (full or (self._spare.size and used + items[first][2] > self._filled)):
            self._rotate()
            space = min(GROUP, self._segment_bytes - BLOCK)
        stamp = time.monotonic_ns()
        position, seed, size, stop = self.end, self._seed, 0, first
        buffers: list[bytes] = []
        for _, parts, length in items[first:] if first else items:
            if size + length > space and size:
                break
            buffers += encode(seed, position + size, stamp, parts)
            size += length
            stop += 1
        start = position - self._inventory.active.base
        begun = time.perf_counter()
        try:
            put(self._file, start, size, buffers, self._sync)
        except NoRoom:
            self._filled = 0  # cut off with what was taken back
            raise
        self.sync_seconds += time.perf_counter() - begun
        self.syncs += 1
        self.appended += stop - first
        self.end = position + size
        self.room -= size
        self._inventory.grow(size)
        self._publish()
        if used + size > self._prepare_at:
            self._prepare()
        return stop

    def fits(self, size: int, most: int) -> bool:
        """Whether `size` bytes are one quick commit: at most `most`, and without a new segment."""
        used = self._inventory.active.size
        if self._spare.size and used + size > self._filled:
            return False
        return size <= most and used + size <= min(self._segment_bytes, self._prepare_at) and not self.closed

    def _publish(self) -> None:
        head = self._head
        head.position = self.end
        head.stored = self._inventory.bytes
        head.heartbeat = time.monotonic_ns()  # later records get later stamps: this thread gives them

    def beat(self) -> None:
        """Tell the merge of partitions that nothing older than now is still to come."""
        self._head.heartbeat = time.monotonic_ns()

    def wake(self) -> None:
        """Wake the readers that said they wait."""
        if self._head.wanted:
            self._head.wanted = False
            try:
                self._bell.ring()
            except OSError as error:  # never the writer's trouble: readers look by themselves, only later
                _say.warning("log.wake_failed", log=str(self._folder), error=str(error))

    def refused(self, reason: str) -> None:
        """A write found no room: nothing is taken until the next check."""
        self.room, self.full, self.pressed = 0, reason, True
        _say.warning("log.full", log=str(self._folder), reason=reason)

    def close_for_good(self, reason: str) -> None:
        """Take nothing any more."""
        self.closed = reason
        self._head.is_open = False
        _say.error("log.closed", log=str(self._folder), reason=reason)

    def check(self, now: float) -> float:
        """Delete what is due, look at the room there is; returns when to look again.

        Never raises for the disk: what cannot be looked at or deleted is said, and tried again.
        """
        try:
            self._retain()
            self._head.stored = self._inventory.bytes
            was, self.full = self.full, self._measure()
            if self.full and not was:
                _say.warning("log.full", log=str(self._folder), reason=self.full)
        except (OSError, NoRoom) as error:
            _say.warning("log.check_failed", log=str(self._folder), error=str(error))
        except Broken as error:
            self.close_for_good(str(error))
        self.floor, self.damaged = self._head.floor, self._head.damaged
        short = self.room < self._segment_bytes or self.pressed
        self.pressed = False
        if self.room < 2 * self._segment_bytes:
            self._spare.drop()
        return now + (CHECK_SHORT if short else CHECK)

    def _measure(self) -> str:
        """Set `room`; returns why there is none."""
        free = os.statvfs(self._folder)
        zeros = max(0, self._filled - self._inventory.active.size)  # taken from the disk already
        above = free.f_bavail * free.f_frsize + zeros - self._limits.min_free_bytes
        below = self._limits.max_bytes - self._inventory.bytes - sum(head.stored for head in self._others)
        # The others grow too until they look again: each takes its share of what is left.
        self.room = min(above, below) // self._limits.writers
        if self.room > 0:
            return ""
        if below <= 0:
            return f"the log has reached max_bytes ({self._limits.max_bytes}), events still to be delivered"
        return f"less than min_free_bytes ({self._limits.min_free_bytes}) is free on the disk"

    def _retain(self) -> None:
        free_before = released(self._folder)
        self._measure()
        active = self._inventory.active
        age = time.time() - active.created / 1e9
        due = self.pressed or self.room <= 0 or age > max(self._limits.retention, ROTATE_AFTER)
        if due and active.size > BLOCK and free_before >= self.end and not self.closed:
            self._rotate()  # only a closed segment can be deleted
        self._inventory.delete(free_before, self._limits.retention, max(0, self._segment_bytes - self.room))

    def close(self) -> None:
        """Let go of all files; what was stored stays published."""
        self._head.is_open = False
        self._head.wanted = True
        self.wake()
        self._bell.close()
        for head in (self._head, *self._others):
            head.close()
        self._spare.drop()
        with suppress(OSError):  # the next start cuts them, where this fails
            self._cut_zeros()
        os.close(self._file)
