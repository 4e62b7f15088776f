"""One destination at work: takes events out of its lanes, sends them, settles the verdicts.

Everything here runs on the event loop; what must be durable goes into `Changes`, which the engine
commits. One courier never waits for another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from dataplane.deliver import exchange
from dataplane.deliver.chains import Chains
from dataplane.deliver.condition import Condition
from dataplane.deliver.exchange import Sent
from dataplane.deliver.failure import LOST
from dataplane.deliver.lanes import Entry, Lanes, Part, lane_of
from dataplane.deliver.ledger import Ledger
from dataplane.deliver.plan import Plan
from dataplane.deliver.settle import Settler
from dataplane.deliver.state import DestinationRow, ExceptionRow
from dataplane.metrics.log import logger
from dataplane.pipeline.route import Route
from turnout.clock import Clock
from turnout.destination import Context
from turnout.event import Event
from turnout.request import Request, Response
from turnout.verdict import dead

__all__ = ["Courier", "Plan"]

log = logger()

ROOM = 2_000
ROOM_BYTES = 8 << 20

Materialize = Callable[["Courier", int], Awaitable[Entry | None]]


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
        self.condition = Condition(plan.id, row.paused, clock)
        self.pause = self.condition.pause
        self._settler = Settler(
            plan.id,
            plan.delivery,
            chains=Chains(rows, ordered=plan.delivery.order == "user"),
            ledger=ledger,
            pause=self.pause,
            clock=clock,
        )
        self.statuses: Counter[int] = Counter()
        self.seconds = 0.0
        self.closed = False
        self.reading = False
        self.rests_until = 0.0
        self.pins: Callable[[], bool] = lambda: True
        """Whether the log must keep what it has not read."""
        self.routes: dict[tuple[bytes, str, str], Route] = {}
        self._clock = clock
        self._materialize = materialize
        self._tasks: set[asyncio.Task[None]] = set()
        self._retrying = 0
        self._filled = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._settler.secrets = plan.adapter.settings.secrets()
        self._settler.origin = plan.origin
        self._settler.replay = plan.replay
        self.pause.disabled(not plan.enabled)

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
        return self.lanes.count < ROOM and self.lanes.bytes < ROOM_BYTES

    @property
    def busy(self) -> bool:
        """Whether anything that it was offered has no verdict yet."""
        return bool(self.lanes.count or self.lanes.flying or len(self.chains) or self._tasks)

    def offer(self, entry: Entry) -> None:
        """Queue an event at this destination, or settle it at once where it is decided."""
        if not self.lanes.count:
            self._filled = asyncio.get_running_loop().time()
        if self.lanes.offer(entry):
            self._settler.decided(entry)

    def advance(self, position: int) -> None:
        """Everything before event `position` was offered."""
        self.lanes.position = position
        self.ledger.dirty.add(self.plan.id)

    def configure(self, plan: Plan) -> None:
        """Swap to a new plan between two requests."""
        if plan.delivery.order != self.plan.delivery.order:
            rows = sorted(self.chains.rows(), key=lambda r: (r.number, r.child))
            self._settler.chains = Chains(
                rows, ordered=plan.delivery.order == "user", flying=self.chains.flying
            )
        changed = plan.fingerprint != self.plan.fingerprint
        self.plan = plan
        self._settler.id = self.condition.id = plan.id
        self._settler.delivery = plan.delivery
        self._settler.secrets = plan.adapter.settings.secrets()
        self._settler.origin = plan.origin
        self._settler.replay = plan.replay
        self.routes.clear()
        self.pause.disabled(not plan.enabled)
        if changed:
            self.condition.changed()

    # ---- what goes out

    def pump(self) -> None:
        """Send all that may be sent now, and set a timer for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.closed or self.ledger.stuck or not self.plan.enabled:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        wake = [at for at in (self.condition.gate(now),) if at is not None]
        while not wake and len(self._tasks) < self.plan.delivery.concurrency:
            started, later = self._start(loop, now)
            if not started:
                wake = later
                break
            gate = self.condition.gate(now)
            if gate is not None:
                wake = [gate]
        if wake:
            self._timer = loop.call_at(max(min(wake), now + 0.001), self.pump)

    def _start(self, loop: asyncio.AbstractEventLoop, now: float) -> tuple[bool, list[float]]:
        """Start one request where there is one; else the times at which to look again."""
        delivery = self.plan.delivery
        wall = self._clock.now().timestamp()
        half = max(1, delivery.concurrency // 2)
        if self._retrying < half or not self.lanes.ready:
            rows = self.chains.due(wall, delivery.batch)
            if rows:
                self._retrying += 1
                self._spawn(loop, now, self._retry(rows))
                return True, []
        later: list[float] = []
        if (due := self.chains.next_at()) is not None:
            later.append(now + max(0.0, due - wall))
        if self.lanes.ready:
            linger = self._filled + delivery.linger.total_seconds()
            if delivery.batch > 1 and self.lanes.count < delivery.batch and now < linger:
                later.append(linger)
                return False, later
            send, settled = self.lanes.take(delivery.batch, delivery.batch_bytes, self.chains.blocked)
            self._filled = now
            for entry in settled:
                self._settler.unsent(entry)
            if send:
                self._spawn(loop, now, self._deliver(send))
                return True, later
            if settled:
                return True, later
        return False, later

    def _spawn(self, loop: asyncio.AbstractEventLoop, now: float, work: Any) -> None:
        self.condition.leaves(now, self.plan.delivery.rate)
        task = loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.failure("deliver.fault", error, destination=self.plan.id)
        if not self.closed:
            self.pump()

    async def _exchange(self, plan: Plan, events: Sequence[Event], attempt: int = 1) -> list[Sent]:
        at = Context(self._clock.now(), plan.delivery, plan.replay.salt if plan.replay else "")
        timeout = plan.delivery.timeout.total_seconds()
        loop = asyncio.get_running_loop()

        journal = self.ledger.journal

        async def send(request: Request, carried: Sequence[Event]) -> Response:
            started = loop.time()
            response = await plan.sender.send(request, timeout)
            seconds = loop.time() - started
            self.seconds += seconds
            self.statuses[response.status] += 1
            journal.sent(plan.origin, carried, request.events, at=started, seconds=seconds,
                         status=response.status, error=response.error, attempt=attempt)  # fmt: skip
            return response

        begun = loop.time()
        sent = await exchange.run(plan.adapter, events, at, send, plan.client)
        if plan.client is not None:
            said = [one.verdict for one in sent]
            journal.written(plan.origin, events, said, at=begun, seconds=loop.time() - begun, attempt=attempt)
        self.condition.judge(sent, [event.key for event in events], loop.time())
        return sent

    # ---- events from the lanes

    async def _deliver(self, entries: list[Entry]) -> None:
        plan = self.plan
        events: list[Event] = []
        for entry in entries:
            events.extend(self._events(plan, entry))
        try:
            sent = await self._exchange(plan, events)
        except BaseException:
            self.condition.breaker.unsent()
            self.lanes.put_back(entries)
            raise
        shares: list[tuple[Entry, list[Sent]]] = []
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
        if back:
            kept = [entry for entry in entries if entry not in back]
            self.lanes.put_back(back)
            self.lanes.settle(kept)
        else:
            self.lanes.settle(entries)
        self.ledger.dirty.add(self.plan.id)

    def _events(self, plan: Plan, entry: Entry) -> list[Event]:
        ordered = plan.delivery.order == "user"
        return [
            Event(
                raw,
                key=entry.key if ordered else 0,
                number=entry.number,
                child=child,
                source=entry.source,
                options=options,
                trusted=entry.source in plan.trusted,
            )
            for child, (raw, options, verdict) in enumerate(entry.parts)
            if verdict is None
        ]

    def _goes_back(self, rows: Sequence[Sent]) -> bool:
        """A destination that is down or refuses us keeps its events in the lanes, not as rows."""
        return self.condition.down and bool(rows) and all(not one.verdict.final for one in rows)

    # ---- events put aside

    async def _retry(self, rows: list[ExceptionRow]) -> None:
        plan = self.plan
        try:
            entries = [await self._load(row) for row in rows]
            batch = [(row, entry) for row, entry in zip(rows, entries, strict=True) if entry is not None]
            events: list[Event] = []
            for row, entry in batch:
                made = self._events(plan, entry)
                for event in made:
                    event.child = max(row.child, event.child)
                events.extend(made)
            sent: list[Sent] = []
            if events:
                sent = await self._exchange(plan, events, 1 + max(row.attempts for row, _ in batch))
            else:
                self.condition.breaker.unsent()
            at = 0
            for row, entry in batch:
                share = sum(1 for part in entry.parts if part[2] is None)
                self._settler.retried(row, entry, sent[at : at + share])
                at += share
        except BaseException:
            self.condition.breaker.unsent()
            later = self._clock.now().timestamp() + 5.0
            for row in rows:
                row.next_at = later
                self.chains.again(row)
            raise
        finally:
            self._retrying -= 1
        self.lanes.unstall()
        self.ledger.dirty.add(self.plan.id)

    async def _load(self, row: ExceptionRow) -> Entry | None:
        """What a row is to be sent as; a reference is transformed now, when its turn has come."""
        if row.kind == "waiting":
            entry = await self._materialize(self, row.number)
            if entry is not None:
                return entry
            reason = f"{LOST}the log has not kept the event"
        else:
            found = self.ledger.payload(row)
            if found is not None:
                raw, options = found
                return Entry(row.number, row.key, row.source, 0, [(raw, options, None)])
            reason = f"{LOST}the payload of the retry is gone"
        lost = Entry(row.number, row.key, row.source, 0, [(b"", {}, dead(reason))])
        self._settler.final(lost, max(row.child, 0), b"", {}, Sent(dead(reason)), attempts=row.attempts)
        self.chains.remove(row)
        self.ledger.changes.drop(row)
        return None

    # ---- the rest

    def revive(self, entry: Entry, mine: Sequence[tuple[int, Part]], parts: int, *, adopted: bool) -> None:
        """Try a dead letter again, see `Settler.revive`; `pump` when the last of them is here."""
        self._settler.revive(entry, mine, parts, adopted=adopted)

    def snapshot(self) -> DestinationRow:
        """What is stored of it beside its exceptions and counts."""
        return DestinationRow(self.plan.id, self.lanes.position, self.lanes.cursors(), self.pause.total())

    def status(self) -> dict[str, Any]:
        """For `turnout status`: what it does, what waits and why."""
        state, reason = "running", ""
        if not self.plan.enabled:
            state, reason = "disabled", "enabled: false in the config"
        elif self.pause.until() is not None:
            state, reason = "paused", self.pause.reason
        elif self.condition.breaker.open:
            state, reason = "down", "answers nothing; probed with one request at a time"
        elif len(self._tasks) == 0 and self.ledger.stuck:
            state, reason = "stalled", "its state cannot be written"
        return {
            "type": self.plan.adapter.slug,
            "state": state,
            "reason": reason,
            "queued": self.lanes.count,
            "in_flight": self.lanes.flying,
            "retrying": len(self.chains) - self.chains.waiting,
            "waiting": self.chains.waiting,
            "next_retry_at": self.chains.next_at(),
            "oldest_queued_at": self.lanes.oldest,
        }

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
