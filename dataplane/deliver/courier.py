"""One destination at work: takes events out of its lanes, sends them, settles the verdicts.

All of it runs on the event loop; what must be durable goes into the ledger. One courier never waits for another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from dataplane.clock import SteadyClock
from dataplane.deliver.attempt import attempt
from dataplane.deliver.chains import Chains
from dataplane.deliver.condition import Condition
from dataplane.deliver.entry import Batch, Entry, Part, lane_of
from dataplane.deliver.exchange import Sent
from dataplane.deliver.holds import Held
from dataplane.deliver.jobs import Job, Jobs
from dataplane.deliver.lanes import Lanes
from dataplane.deliver.ledger import Ledger
from dataplane.deliver.pausing import Passed
from dataplane.deliver.plan import Plan
from dataplane.deliver.retries import Materialize, Retries
from dataplane.deliver.settle import Settler
from dataplane.deliver.state import DestinationRow, ExceptionRow
from dataplane.metrics.log import logger
from dataplane.pipeline.route import Route
from turnout.clock import Clock
from turnout.errors import Stopped
from turnout.event import Event

__all__ = ["ROOM_BYTES", "Courier", "Plan"]

log = logger()

ROOM, ROOM_BYTES = 2_000, 8 << 20  # queued at most, or a whole batch where that is more
SHORTEST = 0.2
"""Seconds until a script that is stopped is asked for again, at least: its probe may be under way."""


class Courier:
    """See the module. `offer` events in number order, then `pump`."""

    def __init__(
        self,
        plan: Plan,
        row: DestinationRow,
        rows: Sequence[ExceptionRow],
        *,
        ledger: Ledger,
        clock: Clock,
        materialize: Materialize,
    ) -> None:
        self.plan = plan
        # Not row.position: what was read up to there but had no verdict is read again.
        self.lanes = Lanes(min(row.cursors), row.cursors)
        self.ledger = ledger
        # What is due and how old it is must not change when someone sets the machine's clock.
        self._steady = SteadyClock(clock)
        self.condition = Condition(plan.id, row.active, row.refused, clock)
        self._settler = Settler(
            plan.id,
            plan.delivery,
            chains=Chains(rows, ordered=plan.delivery.order == "user", of=plan.of),
            ledger=ledger,
            active=self.condition.active,
            clock=self._steady,
        )
        self._retries = Retries(self, self._settler, materialize, self._steady)
        self.jobs = Jobs(self, self._settler, self._steady)
        self.statuses: Counter[int] = Counter()
        self.seconds = 0.0
        self.closed = False
        self.given_up = False  # removed: what still happens to its events counts nowhere
        self.reading = False
        self.moving = False  # its oldest events are being moved to the archive: start nothing
        self.rests_until = 0.0
        self.pins: Callable[[], bool] = lambda: True
        """Whether the log must keep what it has not read."""
        self.routes: dict[tuple[bytes, str, str], Route] = {}
        self.clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._probed_aside = False  # the last probe was an event put aside: the next is another one
        self.filled = 0.0
        self._rng = Random(plan.id)  # noqa: S311 -- jitter
        self._timer: asyncio.TimerHandle | None = None
        self._settler.secrets = plan.adapter.settings.secrets()
        self._settler.origin = plan.origin
        self._settler.replay = plan.replay
        self.held: Held | None = None
        self.stopped: Stopped | None = None  # one of its scripts, which was killed too often: it reads nothing
        self.stale = False  # what is queued was made by scripts that are not in force: read it again
        self.outdated = 0  # how often that came to be so of whatever its scripts had made, or were making

    # ---- what comes in

    @property
    def chains(self) -> Chains:
        """Its events that are put aside."""
        return self._settler.chains

    @property
    def watched(self) -> bool:
        """Whether somebody sees its verdicts as they are reached."""
        return self.ledger.watch is not None

    @property
    def room(self) -> bool:
        """Whether the queue takes more."""
        delivery = self.plan.delivery
        return self.lanes.count < max(ROOM, delivery.batch) and self.lanes.bytes < max(ROOM_BYTES, delivery.batch_bytes)

    @property
    def busy(self) -> bool:
        """Whether anything that it was offered has no verdict yet."""
        return bool(self.lanes.count or self.lanes.flying or len(self.chains) or self._tasks)

    def offer(self, entry: Entry) -> None:
        """Queue an event at this destination, or settle it at once where it is decided."""
        if self.given_up:
            return
        if not self.lanes.count:
            self.filled = asyncio.get_running_loop().time()
        if self.lanes.offer(entry):
            self._settler.decided(entry)

    def offer_all(self, batch: Batch) -> None:
        """Queue or settle many events."""
        if not self.given_up:
            self.filled = self.filled if self.lanes.count else asyncio.get_running_loop().time()
            for entry in self.lanes.offer_all(batch):
                self._settler.decided(entry)

    def passed(self, numbers: Mapping[str, Sequence[int]]) -> None:
        """Events, by reason, that are not for it and whose lanes are idle."""
        if not self.given_up:
            self._settler.passed(numbers)

    def decided(self, entry: Entry) -> None:
        """Settle an event that has all its verdicts and was never offered."""
        self._settler.decided(entry)

    def lowest(self) -> int:
        """The first event that it still needs from the log."""
        waiting, cursor = self.chains.lowest(), self.lanes.lowest()
        return cursor if waiting is None else min(cursor, waiting)

    def advance(self, position: int) -> None:
        """Everything before event `position` was offered."""
        self.lanes.position = position
        if not self.given_up:
            self.ledger.dirty.add(self.plan.id)

    def configure(self, plan: Plan) -> None:
        """Swap to a new plan between two requests."""
        if plan.delivery.order != self.plan.delivery.order:
            rows = sorted(self.chains.rows(), key=lambda r: (r.number, r.child))
            ordered = plan.delivery.order == "user"
            self._settler.chains = Chains(rows, ordered=ordered, flying=self.chains.flying, of=plan.of)
        changed = plan.fingerprint != self.plan.fingerprint
        if plan.origin.scripts != self.plan.origin.scripts:
            self._outdated()
            self.go_on()
        self.plan = plan
        self._settler.id = self.condition.id = plan.id
        self._settler.delivery = plan.delivery
        self._settler.secrets = plan.adapter.settings.secrets()
        self._settler.origin = plan.origin
        self._settler.replay = plan.replay
        self.routes.clear()
        if changed:
            self.condition.changed()
            self.hasten()

    def hold(self, held: Held | None, passed: Passed | None = None) -> None:
        """Send nothing and read nothing while `held`; None lets it go on, and then it may have to probe (`passed`)."""
        if self.held is not None and self.held.script and not (held is not None and held.script):
            self._outdated()  # the script was paused to be mended
        waited, self.held = self.held is not None and self.held.elsewhere, held
        if waited and held is None:  # for another process, which probed the tool and goes on, or has nothing to
            self.resume(passed, told=False)
        self.pump()

    def wait_for(self, stopped: Stopped, now: float) -> None:
        """A script does not run: read nothing until it is probed; `now` is the loop's time."""
        self.stopped = stopped
        self.rests_until = now + max(SHORTEST, stopped.left)

    def go_on(self) -> None:
        """Its scripts run again, or may: another version, a probe that went well, a person who says so."""
        if self.stopped is not None:
            self.stopped, self.rests_until = None, 0.0

    def resume(self, passed: Passed | None = None, *, told: bool = True) -> None:
        """A person says to go on: forget that the tool refused us or was down. See `Condition.changed`, `hasten`."""
        self.condition.changed(passed)
        self.hasten(told=told)
        self.ledger.dirty.add(self.plan.id)
        self.pump()

    def hasten(self, *, told: bool = False) -> None:
        """Try soon what was put aside; with `told` also what the tool wants to be asked later."""
        now = self._steady.now().timestamp()
        self.chains.hasten(now, self._rng, told=told)
        self.jobs.hasten(now)

    def _outdated(self) -> None:
        """What is queued was made by scripts that are not in force any more."""
        self.stale = True
        self.outdated += 1

    def _renew(self) -> bool:
        """Forget what is queued, so that it is read again; False while a batch is being offered."""
        if self.reading:
            return False
        self.lanes.rewind()
        self.stale = False
        return True

    # ---- what goes out

    def pump(self) -> None:
        """Send all that may be sent now, and set a timer for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        condition = self.condition
        resting = self.closed or self.moving or self.ledger.stuck or self.held is not None
        condition.rest(resting)
        if resting or (self.stale and not self._renew()):
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        wait = condition.wait()
        wake = [now + wait] if wait > 0 else []
        while not wake and len(self._tasks) < self.plan.delivery.concurrency:
            started, later = self._start(loop, now)
            if not started:
                wake = later
                break
            wait = condition.wait()
            if wait > 0:
                wake = [now + wait]
        if wake:
            self._timer = loop.call_at(max(min(wake), now + 0.001), self.pump)

    def _start(self, loop: asyncio.AbstractEventLoop, now: float) -> tuple[bool, list[float]]:
        """Start one request where there is one; else the times at which to look again."""
        delivery = self.plan.delivery
        wall = self._steady.now().timestamp()
        probe = self.condition.down  # then one event at a time, and not always the one that failed before
        limit = 1 if probe else delivery.batch
        if (job := self.jobs.due(wall)) is not None:
            self._spawn(loop, self.jobs.resume(job))
            return True, []
        other = probe and self._probed_aside and self.lanes.ready
        if not other and (self._retries.flying < max(1, delivery.concurrency // 2) or not self.lanes.ready):
            rows = self._retries.due(wall, limit)
            if rows:
                self._probed_aside = True
                self._spawn(loop, self._retries.send(rows))
                return True, []
        passes = None if probe or not len(self.chains) else self._settler.pass_by(wall)
        times = (passes, self.chains.next_at(), self.jobs.next_at())
        later = [now + max(0.0, due - wall) for due in times if due is not None]
        if self.lanes.ready:
            linger = self.filled + delivery.linger.total_seconds()
            fills = 1 < limit > self.lanes.count and self.lanes.bytes < delivery.batch_bytes and self.room
            if fills and now < linger:
                later.append(linger)
                return False, later
            blocked = self.chains.blocked if len(self.chains) else None
            send, settled = self.lanes.take(limit, delivery.batch_bytes, blocked)
            self.filled, self._probed_aside = now, False
            for entry in settled:
                self._settler.unsent(entry)
            if send:
                self._spawn(loop, self._deliver(send))
                return True, later
            if settled:
                return True, later
        return False, later

    def _spawn(self, loop: asyncio.AbstractEventLoop, work: Any) -> None:
        self.condition.leaves(self.plan.delivery.rate)
        task = loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.failure("deliver.fault", error, destination=self.plan.id)
        if not self.closed:
            self.pump()

    async def exchange(
        self, plan: Plan, events: Sequence[Event], keys: Sequence[int] | None, number: int = 1, job: Job | None = None
    ) -> list[Sent]:
        """See `attempt`."""
        return await attempt(self, plan, events, number, job, keys=keys)

    # ---- events from the lanes

    async def _deliver(self, entries: list[Entry]) -> None:
        plan = self.plan
        job = self.jobs.begin(lambda: self._adopt(entries)) if plan.adapter.resumable else None
        try:
            sent = await self.exchange(plan, plan.outgoing(entries), plan.keys(entries), job=job)
        except BaseException:
            self.condition.fault()
            if job is not None and job.kept:
                self.jobs.rest(job)
            else:
                self.lanes.put_back(entries)
            raise
        try:
            if job is not None and job.kept:
                self.jobs.ended(job, sent)
            elif not self.given_up:
                if self._settler.delivered(entries, sent):  # as nearly always
                    self.lanes.settle(entries)
                else:
                    self._sort_out(entries, sent)
                self.ledger.dirty.add(self.plan.id)
        except Exception as error:
            self.ledger.unsettled(self.plan.id, error)
            raise

    def _adopt(self, entries: list[Entry]) -> list[tuple[ExceptionRow, Entry]]:
        """Events of an exchange that is to be gone on with leave the lanes."""
        adopted = [one for entry in entries for one in self._settler.adopt(entry)]
        self.lanes.settle(entries)
        self.pump()
        return adopted

    def _sort_out(self, entries: list[Entry], sent: Sequence[Sent]) -> None:
        """Settle events, each with its share of what was sent; what goes back goes back."""
        shares: list[tuple[Entry, Sequence[Sent]]] = []
        at = 0
        for entry in entries:
            share = sum(1 for part in entry.parts if part[2] is None)
            shares.append((entry, sent[at : at + share]))
            at += share
        # A lane goes back whole or not at all: its cursor must not stand before what has its verdict.
        through = {lane_of(entry.key) for entry, rows in shares if not self._goes_back(rows)}
        back: list[Entry] = []
        for entry, rows in shares:
            if lane_of(entry.key) in through:
                self._settler.settle(entry, rows)
            else:
                back.append(entry)
        self.lanes.put_back(back)
        self.lanes.settle([entry for entry in entries if entry not in back] if back else entries)

    def _goes_back(self, rows: Sequence[Sent]) -> bool:
        """A destination that is down or refuses us keeps its events in the lanes, not as rows."""
        return self.condition.down and bool(rows) and all(not one.verdict.final for one in rows)

    # ---- the rest

    def revive(self, entry: Entry, mine: Sequence[tuple[int, Part]], parts: int, *, adopted: bool) -> None:
        """Try a dead letter again, see `Settler.revive`; `pump` when the last of them is here."""
        self._settler.revive(entry, mine, parts, adopted=adopted)

    def snapshot(self) -> DestinationRow:
        """What is stored of it beside its exceptions and counts."""
        condition = self.condition
        return DestinationRow(
            self.plan.id, self.lanes.position, self.lanes.cursors(), condition.active(), condition.refusal.now
        )

    @property
    def sending(self) -> bool:
        """Whether a request is in flight."""
        return bool(self._tasks)

    async def landed(self) -> None:
        """Wait for the requests that are in flight now."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def stop(self, deadline: float) -> None:
        """Start nothing new; wait for what is in flight until the deadline (loop time), then cut it."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, deadline - loop.time()))
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        await self.plan.sender.close()
        if self.plan.client is not None:
            await self.plan.client.close()
