"""The pipeline process's engine: reads the log, hands events to couriers, writes down what happened.

A *front* reader serves every destination that has caught up, and runs shared transformations once.
A destination that falls behind (slow, full, new with history, or whose script is slow) reads for
itself and joins the front again at the head, so that none waits for another.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

from dataplane.config.model import Config
from dataplane.deliver import desk, dispatch, plans, reload
from dataplane.deliver.courier import Courier, Plan
from dataplane.deliver.lanes import Entry
from dataplane.deliver.ledger import Ledger
from dataplane.deliver.state import DestinationRow
from dataplane.log.base import LogReader
from dataplane.metrics.log import logger
from dataplane.pipeline.sequence import Sequencer
from transformations.base import Runner
from turnout.clock import Clock
from turnout.errors import Unavailable

__all__ = ["Engine"]

log = logger()
Sample = tuple[str, list[str], float]

BATCH = 500
COMMIT_EVERY = 0.1
RELEASE_EVERY = 5.0
CHECKPOINT_EVERY = 300.0
PATIENCE = 0.25
"""Seconds the front waits for a chain of transformations before it goes on without its destinations."""


class Engine:
    """`start`, then `prepare`/`commit` for reloads, `drain` at the end. One per pipeline process."""

    def __init__(
        self,
        *,
        data: Path,
        reader: LogReader,
        runner: Runner,
        clock: Clock,
        on_fault: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._on_fault = on_fault or _die
        self._data = data
        self._reader = reader
        self._runner = runner
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._prepared: dict[str, Plan] | None = None
        self._config: Config | None = None
        self._draining = False
        self._counted: Counter[tuple[str, str]] = Counter()
        self.couriers: dict[str, Courier] = {}

    async def start(self, config: Config) -> None:
        """Open the state, take up where the last process stopped, and begin to read.

        Raises `Fixable` where the config cannot be used (a script that does not compile, a removed
        destination with a backlog).
        """
        dedup = config.dedup
        self.ledger = Ledger(self._data, self._clock)
        self.sequencer = Sequencer(
            self._reader,
            self._data / "sequence",
            dedup=dedup.enabled,
            window=dedup.window.total_seconds(),
            max_ids=dedup.max_ids,
        )
        self._recount()
        await self.prepare(config)
        await self.commit()
        for work in (self._front(), self._keep_books(), self._release()):
            self._spawn(work).add_done_callback(self._stopped)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.failure("engine.fault", error)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """A loop of the engine never ends by itself: a fault ends the process, which is restarted."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fault(error)

    def _recount(self) -> None:
        """Source counts up to what the sidecar knows; the last tenth of a second may be missing."""
        state = self.ledger.state
        for (scope, ident, what), n in state.counts().items():
            if scope == "source":
                self._counted[ident, what] = n
        counted = state.counted()
        if counted + 1 < self.sequencer.next_number:
            self._counted.update(self.sequencer.recount(counted + 1))

    # ---- config

    async def prepare(self, config: Config) -> None:
        """Make everything of a new config ready; raises `Fixable`, and changes nothing that runs."""
        reload.check_removed(config, self.couriers, self.ledger, self.sequencer.next_number)
        self._prepared = await plans.build(config, self._runner)
        self._config = config

    async def commit(self) -> None:
        """Swap to what was prepared, between two requests, and store where new destinations begin."""
        self._swap()
        await self._commit()

    def _swap(self) -> None:
        if self._prepared is None or self._config is None:
            raise Unavailable("no config is prepared")
        prepared, self._prepared = self._prepared, None
        gone = reload.rename_and_remove(self._config, prepared, self.couriers, self.ledger)
        stored = self.ledger.state.destinations()
        for plan in prepared.values():
            courier = self.couriers.get(plan.id)
            if courier is None:
                self.couriers[plan.id] = self._courier(plan, self._config, stored)
            else:
                old = courier.plan
                courier.configure(plan)
                self._spawn(reload.retire(old, courier))
        for courier in gone:
            self._spawn(self._end(courier))
        for courier in self.couriers.values():
            courier.pump()

    async def _end(self, courier: Courier) -> None:
        """Let a removed destination's requests land, and forget what they still wrote."""
        await courier.stop(asyncio.get_running_loop().time() + 30)
        if courier.plan.id not in self.couriers:
            reload.forget(courier.plan.id, self.ledger)

    def abort(self) -> None:
        """Forget what was prepared."""
        prepared, self._prepared = self._prepared, None
        for plan in (prepared or {}).values():
            self._spawn(reload.retire(plan))

    def _courier(self, plan: Plan, config: Config, stored: dict[str, DestinationRow]) -> Courier:
        item = config.destinations[plan.id]
        row = stored.get(plan.id) or (stored.get(item.was) if item.was else None)
        if row is None:
            number = self.sequencer.next_number if item.start == "now" else 1
            row = reload.fresh_row(plan.id, number)
        rows = list(self.ledger.state.exceptions(row.id))
        for one in rows:
            one.destination = plan.id
        self.ledger.dirty.add(plan.id)
        return Courier(
            plan, row, rows, ledger=self.ledger, clock=self._clock, materialize=self._materialize
        )

    # ---- reading

    async def _front(self) -> None:
        """Sequence what arrives and serve every destination that is up to date."""
        sequencer = self.sequencer
        while True:
            start = sequencer.next_number
            if self.ledger.stuck:  # what cannot be written down is not begun
                await asyncio.sleep(COMMIT_EVERY)
                continue
            try:
                events = sequencer.next()
            except OSError as error:  # disk full: said, and tried again; the log keeps the events
                log.error("sequence.stuck", error=type(error).__name__, reason=error.strerror)
                await asyncio.sleep(1.0)
                continue
            upto = sequencer.next_number
            if upto == start:
                self._send_readers()
                await self._reader.wait(sequencer.position, 1.0)
                continue
            members = [
                c
                for c in self.couriers.values()
                if not c.reading and c.lanes.position == start and c.room and c.plan.enabled
            ]
            await self._serve(events, members, upto)
            self._send_readers()
            await asyncio.sleep(0)

    async def _serve(self, events: Sequence[Any], members: Sequence[Courier], upto: int) -> None:
        """Run each chain once; those that take too long go on alone, and their destinations with them."""
        slow: list[asyncio.Task[None]] = []
        for group in dispatch.groups(members):
            for courier in group:
                courier.reading = True
            work = self._hand_over(events, group, upto)
            if group[0].plan.chain:
                slow.append(self._spawn(work))
            else:
                await work
        if slow:
            await asyncio.wait(slow, timeout=PATIENCE)

    async def _hand_over(self, events: Sequence[Any], group: Sequence[Courier], upto: int) -> None:
        try:
            for at in range(0, len(events), BATCH):
                await dispatch.dispatch(self._runner, events[at : at + BATCH], group)
            for courier in group:
                courier.advance(upto)
                courier.pump()
        except BaseException:
            self._rest(group)
            raise
        finally:
            for courier in group:
                courier.reading = False

    def _rest(self, couriers: Sequence[Courier]) -> None:
        """After a fault they read again a second later, from where they stand."""
        until = asyncio.get_running_loop().time() + 1.0
        for courier in couriers:
            courier.rests_until = until

    def _send_readers(self) -> None:
        """Every destination that is behind reads for itself."""
        if self._draining:
            return
        now = asyncio.get_running_loop().time()
        for courier in self.couriers.values():
            if courier.reading or not courier.plan.enabled or not courier.room or now < courier.rests_until:
                continue
            if courier.lanes.position < self.sequencer.next_number:
                courier.reading = True
                self._spawn(self._catch_up(courier))

    async def _catch_up(self, courier: Courier) -> None:
        """Read for one destination until it is at the head, or its queue is full."""
        try:
            while courier.lanes.position < self.sequencer.next_number and courier.room:
                if courier.closed or not courier.plan.enabled or self.ledger.stuck:
                    return
                events, upto = self.sequencer.load(courier.lanes.position, BATCH)
                if events:
                    await dispatch.dispatch(self._runner, events, [courier])
                courier.advance(upto)
                courier.pump()
                await asyncio.sleep(0)
        except BaseException:
            self._rest([courier])
            raise
        finally:
            courier.reading = False

    async def _materialize(self, courier: Courier, number: int) -> Entry | None:
        """An event that waited behind another of its user: its turn has come."""
        events, _ = self.sequencer.load(number, 1)
        event = next((e for e in events if e.number == number), None)
        return None if event is None else await dispatch.entry_of(self._runner, event, courier)

    # ---- writing down

    async def _keep_books(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY)
            was_stuck = self.ledger.stuck
            await self._commit()
            self._send_readers()
            if was_stuck and not self.ledger.stuck:
                for courier in self.couriers.values():
                    courier.pump()

    async def _commit(self) -> None:
        sequencer = self.sequencer
        if sequencer.counts or sequencer.refused:
            self._counted.update(sequencer.counts)
            changed = {source for source, _ in sequencer.counts}
            changes = self.ledger.changes
            changes.counts.extend(
                ("source", source, what, n)
                for (source, what), n in self._counted.items()
                if source in changed
            )
            changes.counted = sequencer.next_number - 1
            changes.refused, sequencer.refused = [tuple(r) for r in sequencer.refused], []
            sequencer.counts.clear()
        if self.ledger.due:
            await self.ledger.commit(self._rows, sequencer.sidecar.sync)

    def _rows(self, idents: Iterable[str]) -> list[DestinationRow]:
        return [self.couriers[i].snapshot() for i in idents if i in self.couriers]

    async def _release(self) -> None:
        """Tell the log what no one needs any more, and keep the message ids safe."""
        loop = asyncio.get_running_loop()
        checkpoint = loop.time() + CHECKPOINT_EVERY
        while True:
            await asyncio.sleep(RELEASE_EVERY)
            number = self.lowest()
            await self._commit()
            if self.ledger.stuck or self.ledger.writing:
                continue  # the log is released only up to what is written down
            try:
                position = self.sequencer.sidecar.position_of(number)
                self._reader.release(position)
                self.sequencer.sidecar.trim(self._reader.floor, min(number, self.sequencer.ids.checkpoint()))
                if loop.time() >= checkpoint:
                    checkpoint = loop.time() + CHECKPOINT_EVERY
                    known = self.sequencer.next_number - 1
                    await asyncio.to_thread(self.sequencer.ids.save, known)
            except OSError as error:  # disk full: said, and tried again
                log.error("release.failed", error=type(error).__name__, reason=error.strerror)

    def lowest(self) -> int:
        """The first event that some destination still needs from the log."""
        numbers = [self.sequencer.next_number]
        for courier in self.couriers.values():
            numbers.append(min(courier.snapshot().cursors))
            if (waiting := courier.chains.lowest()) is not None:
                numbers.append(waiting)
        return min(numbers)

    async def drain(self, deadline: float) -> None:
        """Stop reading, finish what is in flight within `deadline` seconds, store everything."""
        self._draining = True
        loop = asyncio.get_running_loop()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        until = loop.time() + deadline
        await asyncio.gather(*(c.stop(until) for c in self.couriers.values()))
        self.ledger.dirty.update(self.couriers)
        await self._commit()
        self.sequencer.close()
        self.ledger.close()

    # ---- asking

    def stats(self) -> list[Sample]:
        """Samples for /metrics; see dataplane/metrics/declarations.py."""
        return desk.stats(self)

    def status(self) -> dict[str, Any]:
        """For `turnout status` and health."""
        return desk.status(self)

    def source_counts(self) -> Counter[tuple[str, str]]:
        """Unique, duplicate and refused events per source, since the beginning."""
        return self._counted + self.sequencer.counts

    async def call(self, verb: str, args: dict[str, Any]) -> Any:
        """dead.list, dead.show, dead.retry, refused.list; raises `Fixable` on a wrong argument."""
        return await desk.call(self, verb, args)

    @property
    def clock(self) -> Clock:
        """The clock it was given."""
        return self._clock

    @property
    def reader(self) -> LogReader:
        """The log it reads."""
        return self._reader


def _die(error: BaseException) -> None:
    """End the process at once: everything durable is in its files, and the app starts it again."""
    log.critical("engine.died", error=type(error).__name__)
    os._exit(70)
