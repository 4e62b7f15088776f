"""Keeps every destination's backlog within its bound, so that none fills the log for the others.

Past the bound the oldest undelivered events move to the archive (or the gateway is asked to take none).
The archive's own bound, and how full the log is, are looked at in the same round.
"""

from __future__ import annotations

import asyncio
import bisect
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dataplane.config.model import Config
from dataplane.deliver import dispatch
from dataplane.deliver.archive import Archive, Segment
from dataplane.deliver.courier import Courier
from dataplane.deliver.entry import Entry
from dataplane.deliver.lanes import LANES
from dataplane.deliver.ledger import Ledger
from dataplane.deliver.room import ALARM, RELIEF, Room, Standing, capacity, full_in, keeps, standing
from dataplane.deliver.state import ExceptionRow
from dataplane.metrics.log import logger
from dataplane.pipeline.numbered import Numbered, Sequenced
from turnout.clock import Clock

__all__ = ["Backlogs"]

log = logger()

EVERY = 5.0
SAMPLES = 120
"""Of the log's size, one a round: ten minutes."""
PATIENCE = 15.0
"""Seconds that a round waits for one destination to stand still."""
LOAD = 200
STEP_BYTES = 16 << 20
STEP_EVENTS = 20_000
"""Bounds of one segment; what is moved at once is in memory."""


@dataclass(slots=True)
class _Step:
    """What one step takes out of a backlog: everything before event `upto`, and these references."""

    upto: int
    events: list[Sequenced] = field(default_factory=list)
    decided: list[Entry] = field(default_factory=list)
    rows: list[ExceptionRow] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        return self.size >= STEP_BYTES or len(self.events) + len(self.decided) >= STEP_EVENTS


@dataclass(frozen=True, slots=True)
class _Limit:
    """Events with more than `size` bytes of the log from them on, or received before `at` (Unix
    milliseconds), must go."""

    size: int
    at: float


class Backlogs:
    """`keep` runs for ever; `look` is one round. `commit` writes the books."""

    def __init__(
        self,
        data: Path,
        sequencer: Numbered,
        *,
        archive: Archive,
        couriers: Mapping[str, Courier],
        ledger: Ledger,
        clock: Clock,
        commit: Callable[[], Awaitable[None]],
    ) -> None:
        self._data = data
        self._sequencer = sequencer
        self._archive = archive
        self._couriers = couriers
        self._ledger = ledger
        self._clock = clock
        self._commit = commit
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)
        self._oldest: dict[int, float] = {}
        self._alarmed = False
        self._turn = asyncio.Lock()
        self.config: Config
        self.room = Room(0, 0, None)
        self.standings: dict[str, Standing] = {}
        self.stopping: dict[str, str] = {}
        """Destinations that want no more events taken, and why."""

    async def keep(self) -> None:
        """Look at every backlog, and at the archive, every few seconds, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """One round. What the disk refuses is said and tried again in the next."""
        async with self._turn:
            await self._round()

    async def _round(self) -> None:
        try:
            self._measure()
            for courier in list(self._couriers.values()):
                await self._look_at(courier)
            for known in (self.standings, self.stopping):
                for ident in known.keys() - self._couriers.keys():
                    del known[ident]
            await self._expire()
        except OSError as error:
            log.error("backlog.failed", error=type(error).__name__, reason=error.strerror)

    # ---- how it stands

    def _measure(self) -> None:
        bounds = self.config.log
        disk = os.statvfs(self._data)
        sequencer = self._sequencer
        used = sequencer.held(1)
        most = capacity(bounds.max_bytes, bounds.min_free_bytes, used, disk.f_bavail * disk.f_frsize)
        lowest = [courier.lowest() for courier in self._couriers.values()]
        number = min([sequencer.next_number, *lowest])
        held = sequencer.held(number)
        self._samples.append((self._clock.monotonic(), held))
        self.room = Room(held, most, full_in(self._samples, most))
        if (self.room.share >= ALARM) != self._alarmed:
            self._alarmed = not self._alarmed
            say = log.warning if self._alarmed else log.info
            say("log.filling" if self._alarmed else "log.relieved", held=held, capacity=most,
                seconds_to_full=self.room.full_in)  # fmt: skip

    def _standing(self, courier: Courier) -> Standing:
        number = courier.lowest()
        if number >= self._sequencer.next_number:
            return Standing()
        size = self._sequencer.held(number)
        age = max(0.0, self._clock.now().timestamp() - self._received(number))
        return standing(courier.plan.backlog, self.room.capacity, size, age)

    def _received(self, number: int) -> float:
        """When event `number`, or the next unique one of any lane, was received; Unix seconds."""
        found = self._oldest.get(number)
        if found is None:
            if len(self._oldest) > len(self._couriers) * 4:
                self._oldest.clear()
            events, _ = self._sequencer.load(number, 1)
            now = self._clock.now().timestamp()
            found = self._oldest[number] = events[0].received_at / 1000 if events else now
        return found

    # ---- what is done about it

    async def _look_at(self, courier: Courier) -> None:
        ident = courier.plan.id
        now = self.standings[ident] = self._standing(courier)
        if courier.plan.backlog.when_full == "stop_intake":
            self._stop_intake(ident, now)
            return
        self.stopping.pop(ident, None)
        if now.share < 1 or self._ledger.stuck:
            return
        moved = 0
        while not (self._ledger.stuck or courier.closed):
            count, more = await self._move(courier)
            moved += count
            if not more:
                break
        await self._commit()
        ident = courier.plan.id
        self.standings[ident] = self._standing(courier)
        log.warning("backlog.archived", destination=ident, events=moved, share=round(now.share, 3))

    def _stop_intake(self, ident: str, now: Standing) -> None:
        if now.share >= 1 and ident not in self.stopping:
            self.stopping[ident] = f"the backlog of {ident} has reached its bound"
            log.warning("backlog.stops_intake", destination=ident, bytes=now.bytes, age=round(now.age))
        elif now.share < RELIEF and ident in self.stopping:
            del self.stopping[ident]
            log.info("backlog.resumes_intake", destination=ident)

    async def _move(self, courier: Courier) -> tuple[int, bool]:
        """Move one segment of the oldest events; how many, and whether there may be more.

        The courier stands still meanwhile: what is in flight lands first, so that nothing that is
        being sent is archived too.
        """
        courier.moving = True
        try:
            async with asyncio.timeout(PATIENCE):
                while courier.reading:  # noqa: ASYNC110 -- readers set it from several places; it is soon over
                    await asyncio.sleep(0.01)
                await courier.landed()
        except TimeoutError:  # its script or its client hangs: the others must not wait for it
            courier.moving = False
            courier.pump()
            log.warning("backlog.busy", destination=courier.plan.id)
            return 0, False
        courier.reading = True
        try:
            courier.lanes.rewind()
            step = await self._collect(courier)
            segment: Segment | None = None
            if step.events and not courier.closed:
                ident = courier.plan.id
                segment = await asyncio.to_thread(self._archive.write, ident, step.events)
            if courier.closed:  # removed meanwhile
                if segment is not None:
                    self._archive.drop(segment)
                return 0, False
            self._take_out(courier, step, segment)
            return len(step.events), step.full
        finally:
            courier.reading = courier.moving = False
            courier.pump()

    def _limit(self, courier: Courier) -> _Limit:
        bound = courier.plan.backlog
        size = keeps(bound, self.room.capacity) * RELIEF
        age = bound.max_age.total_seconds() * RELIEF
        return _Limit(int(size), (self._clock.now().timestamp() - age) * 1000)

    async def _collect(self, courier: Courier) -> _Step:
        """Events and references of the oldest part of a backlog, in the order of their numbers."""
        sequencer, limit = self._sequencer, self._limit(courier)
        cursors = courier.lanes.cursors()
        first = min(cursors)
        rows = {row.number: row for row in courier.chains.rows() if row.kind == "waiting"}
        waiting = sorted(rows)
        step = _Step(courier.lowest())
        while step.upto < sequencer.next_number and not step.full:
            if step.upto < first:  # only references are wanted here, and they may lie far apart
                at = bisect.bisect_left(waiting, step.upto)
                step.upto = min(first, waiting[at] if at < len(waiting) else first)
            behind = sequencer.held(step.upto) > limit.size
            events, upto = sequencer.mine(step.upto, 1 if step.upto < first else LOAD)
            for event in events:
                if not behind and event.received_at >= limit.at:
                    step.upto = event.number
                    return step
                row = rows.get(event.number)
                if row is None and event.number < cursors[event.key % LANES]:
                    continue
                if row is not None:
                    step.rows.append(row)
                if (entry := dispatch.decided(event, courier)) is not None:
                    step.decided.append(entry)
                else:
                    step.events.append(event)
                    step.size += len(event.raw)
            step.upto = upto
            await asyncio.sleep(0)
        return step

    def _take_out(self, courier: Courier, step: _Step, segment: Segment | None) -> None:
        """All at once, so that one transaction has the index, the cursors, the references and the counts."""
        ledger, ident = self._ledger, courier.plan.id
        for row in step.rows:
            courier.chains.remove(row)
            ledger.changes.drop(row)
        for entry in step.decided:
            courier.decided(entry)
        if segment is not None:
            self._archive.keep(segment._replace(destination=ident), ledger.changes)
            ledger.add(ident, "archived", segment.events)
        courier.lanes.skip(min(step.upto, self._sequencer.next_number))
        ledger.dirty.add(ident)

    async def _expire(self) -> None:
        """Delete what is beyond the archive's own bound, oldest first."""
        bound = self.config.archive
        segments = self._archive.segments()
        total = sum(segment.bytes for segment in segments)
        most = self._sequencer.share.part(bound.max_bytes)
        oldest = (self._clock.now().timestamp() - bound.max_age.total_seconds()) * 1000
        gone: list[Segment] = []
        for segment in segments:
            if total <= most and segment.newest >= oldest:
                continue
            gone.append(segment)
            total -= segment.bytes
        if not gone or self._ledger.stuck:
            return
        for segment in gone:
            self._archive.forget(segment, self._ledger.changes)
            if segment.destination in self._couriers:
                self._ledger.add(segment.destination, "expired", segment.events)
                self._ledger.dirty.add(segment.destination)
            log.warning("archive.expired", destination=segment.destination, events=segment.events,
                        first=segment.first, last=segment.last)  # fmt: skip
        await self._commit()
        if not (self._ledger.stuck or self._ledger.writing):
            for segment in gone:
                self._archive.drop(segment)
