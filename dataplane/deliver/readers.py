"""Readers of the sequence: a front for all destinations that are up to date, and one for each behind.

The *front* serves every destination that has caught up, and runs shared transformations once. A
destination that falls behind (slow, full, new with history, or whose script is slow) reads for itself
and joins the front again at the head, so that none waits for another.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from dataplane.deliver import dispatch
from dataplane.deliver.courier import ROOM_BYTES, Courier, Plan
from dataplane.deliver.entry import Entry
from dataplane.deliver.ledger import Ledger
from dataplane.deliver.recent import Recent
from dataplane.metrics.log import logger
from dataplane.pipeline.numbered import Numbered
from dataplane.pipeline.runs import Runs
from dataplane.pipeline.upstream import Upstream
from transformations.base import Runner
from turnout.errors import Stopped

__all__ = ["Readers"]

log = logger()

BATCH = 500
STUCK = 0.1
"""Seconds between looks whether the books can be written again."""
PATIENCE = 0.25
"""Seconds the front waits for a chain of transformations before it goes on without its destinations."""


class Readers:
    """`front` runs for ever; `send` starts a reader for each destination that is behind."""

    def __init__(
        self,
        sequencer: Numbered,
        runner: Runner,
        *,
        couriers: Mapping[str, Courier],
        ledger: Ledger,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._sequencer = sequencer
        self._runner = runner
        self._couriers = couriers
        self._ledger = ledger
        self._spawn = spawn
        self._upstream = Upstream(runner)
        self._recent = Recent(sequencer.mine)
        self._kept: dispatch.Kept = Runs(operator.attrgetter("size"))
        self.draining = False

    def close(self) -> None:
        """End runs that nobody waits for any more."""
        self._upstream.close()
        self._kept.close()

    def forget(self) -> None:
        """Scripts may make something else now than a moment ago: they run again for whoever reads from now on."""
        self._upstream.forget()
        self._kept.forget()

    async def front(self) -> None:
        """Sequence what arrives and serve every destination that is up to date."""
        sequencer = self._sequencer
        while True:
            start = sequencer.next_number
            if self._ledger.stuck:  # what cannot be written down is not begun
                await asyncio.sleep(STUCK)
                continue
            try:
                events = sequencer.next()
            except OSError as error:  # disk full: said, and tried again; the log keeps the events
                log.error("sequence.stuck", error=type(error).__name__, reason=error.strerror)
                await asyncio.sleep(1.0)
                continue
            upto = sequencer.next_number
            if upto == start:
                self.send()
                await sequencer.wait(1.0)
                continue
            members = [
                c
                for c in self._couriers.values()
                if c.lanes.position == start and c.held is None and not (c.reading or c.moving or c.stale) and c.room
            ]
            if self._kept and len(members) == len(self._couriers):
                self._kept.forget()  # everyone has read it
            first = start
            for at in range(0, len(events), BATCH):
                batch = events[at : at + BATCH]
                last = upto if at + BATCH >= len(events) else batch[-1].number + 1
                self._recent.add(first, last, batch)
                first = last
            await self._serve(events, members, upto)
            self.send()
            await asyncio.sleep(0)

    async def _serve(self, events: Sequence[Any], members: Sequence[Courier], upto: int) -> None:
        """Run each chain once; those that take too long go on alone, and their destinations with them."""
        slow: list[asyncio.Task[None]] = []
        for group in dispatch.groups(members):
            for courier in group:
                courier.reading = True
            plan = group[0].plan
            work = self._hand_over(events, group, plan, upto)
            if plan.chain or dispatch.chains_of(plan, events):
                slow.append(self._spawn(work))
            else:
                await work
        if slow:
            await asyncio.wait(slow, timeout=PATIENCE)

    async def _hand_over(
        self, events: Sequence[Any], group: Sequence[Courier], plan: Plan, upto: int
    ) -> None:
        try:
            for at in range(0, len(events), BATCH):
                batch = events[at : at + BATCH]
                keep = self._awaited(group, batch[-1].number)
                whole = await dispatch.dispatch(
                    self._runner, batch, group, plan, upstream=self._upstream, kept=self._kept, keep=keep
                )
                if not whole or (at + BATCH < len(events) and _swollen(group, plan)):
                    upto = 0
                    break
            for courier in group:
                courier.go_on()
                if not dispatch.overtaken(courier):
                    courier.advance(upto or courier.lanes.position)  # and reads the rest by itself
                courier.pump()
        except Stopped as stopped:
            self._wait(group, stopped)
        except BaseException:
            self._rest(group)
            raise
        finally:
            for courier in group:
                courier.reading = False

    def _awaited(self, group: Sequence[Courier], last: int) -> bool:
        """Whether another destination with the chain of these reads the same events, up to number `last`, at the same
        time or a moment later."""
        scripts, first = group[0].plan.origin.scripts, self._recent.first
        if not scripts or first is None:
            return False
        return any(
            courier.plan.origin.scripts == scripts and courier not in group and courier.held is None
            and first <= courier.lanes.position <= last
            for courier in self._couriers.values()
        )

    def _wait(self, couriers: Sequence[Courier], stopped: Stopped) -> None:
        """A script does not run: they stay where they are, and try again when it is probed; at once where another one
        is in force by now."""
        self.forget()
        now = asyncio.get_running_loop().time()
        for courier in couriers:
            if not dispatch.overtaken(courier):
                courier.wait_for(stopped, now)

    def _rest(self, couriers: Sequence[Courier]) -> None:
        """After a fault they read again a second later, from where they stand."""
        until = asyncio.get_running_loop().time() + 1.0
        for courier in couriers:
            courier.rests_until = until

    def send(self) -> None:
        """Every destination that is behind reads for itself."""
        if self.draining:
            return
        now = asyncio.get_running_loop().time()
        for courier in self._couriers.values():
            if courier.reading or courier.moving or courier.held is not None or now < courier.rests_until:
                continue
            if courier.stale:
                courier.pump()
            if not courier.room:
                continue
            if courier.lanes.position < self._sequencer.next_number:
                courier.reading = True
                self._spawn(self._catch_up(courier))

    async def _catch_up(self, courier: Courier) -> None:
        """Read for one destination until it is at the head, or its queue is full."""
        try:
            while courier.lanes.position < self._sequencer.next_number and courier.room:
                if courier.closed or courier.moving or courier.held is not None or self._ledger.stuck:
                    return
                events, upto = self._recent.read(courier.lanes.position, BATCH)
                whole = True
                if events:
                    whole = await dispatch.dispatch(
                        self._runner, events, [courier], courier.plan, upstream=self._upstream, kept=self._kept,
                        keep=self._awaited([courier], events[-1].number),
                    )
                courier.go_on()
                if dispatch.overtaken(courier):
                    return
                courier.advance(upto if whole else courier.lanes.position)
                courier.pump()
                await asyncio.sleep(0)
        except Stopped as stopped:
            self._wait([courier], stopped)
        except BaseException:
            self._rest([courier])
            raise
        finally:
            courier.reading = False

    async def materialize(self, courier: Courier, number: int) -> Entry | None:
        """An event that waited behind another of its user: its turn has come."""
        events, _ = self._sequencer.load(number, 1)
        event = next((e for e in events if e.number == number), None)
        return None if event is None else await dispatch.entry_of(self._runner, event, courier, self._upstream)


def _swollen(couriers: Sequence[Courier], plan: Plan) -> bool:
    """Whether scripts have made so much of some events that the next ones have to wait."""
    scripted = plan.chain or plan.upstream
    return bool(scripted) and any(courier.lanes.bytes >= ROOM_BYTES for courier in couriers)
