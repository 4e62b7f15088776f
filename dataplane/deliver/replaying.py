"""One replay at work: reads the log behind everyone else and feeds a courier of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dataplane.deliver import dispatch
from dataplane.deliver.courier import Courier
from dataplane.deliver.entry import Entry
from dataplane.deliver.replay import Selection, marked
from dataplane.deliver.replay_state import ReplayRow
from dataplane.deliver.stored import Stored
from dataplane.pipeline.numbered import Numbered, Sequenced
from turnout import clock
from turnout.errors import Stopped

if TYPE_CHECKING:
    from dataplane.deliver.ledger import Ledger
    from transformations.base import Runner

__all__ = ["Replaying", "number_at", "slices"]

SLICE = 200
"""Events read at once, about; then everyone else has the loop for twice as long as that took."""
QUEUE = 500
"""Most events that wait in its lanes, so that a replay holds little memory."""
LOOK = 0.05
"""Seconds between looks whether it may go on."""
SLACK = 60_000
"""Milliseconds by which requests may stand out of the order of their times in the log."""


class Replaying:
    """Runs until its courier has a verdict for every event, or `courier.closed`."""

    def __init__(
        self,
        row: ReplayRow,
        courier: Courier,
        *,
        sequencer: Numbered,
        runner: Runner,
        ledger: Ledger,
        select: Callable[[], Awaitable[Selection]],
        stored: Stored,
        rate: float,
    ) -> None:
        self.row = row
        self.courier = courier
        self.rate = rate
        self._sequencer = sequencer
        self._runner = runner
        self._ledger = ledger
        self._select = select
        self.stored = stored
        self._at = clock.iso(clock.from_millis(int(row.at * 1000)))
        self._floors: dict[int, int] = {}

    async def run(self) -> bool:
        """True when everything has its verdict; False where the courier was closed before."""
        courier = self.courier
        selection = await self._select()
        while not courier.closed:
            if courier.lanes.position >= self.row.end:
                if not courier.busy:
                    return True
                await asyncio.sleep(LOOK)
            elif self._ledger.stuck or courier.held is not None or courier.lanes.count >= QUEUE:
                await asyncio.sleep(LOOK)
            else:
                try:
                    took = await self._slice(selection)
                except Stopped as stopped:
                    if self._over:
                        courier.pump()  # so that the script in force makes it anew
                    else:
                        await self._stopped(stopped)
                else:
                    courier.go_on()
                    await asyncio.sleep(2 * took)
        return False

    async def _stopped(self, stopped: Stopped) -> None:
        """A script does not run: wait until it is probed, or somebody says to go on."""
        courier, loop = self.courier, asyncio.get_running_loop()
        courier.wait_for(stopped, loop.time())
        while courier.stopped is stopped and not courier.closed and loop.time() < courier.rests_until:  # noqa: ASYNC110 -- set from several places
            await asyncio.sleep(LOOK)

    async def _slice(self, selection: Selection) -> float:
        """Read some events and hand over those that are chosen; how many seconds the reading took."""
        courier, loop = self.courier, asyncio.get_running_loop()
        started = loop.time()
        courier.reading = True  # so that nobody moves its place meanwhile
        try:
            self._pass_released()
            events, upto = self.stored.load(courier.lanes.position, SLICE)
            chosen = [e for e in events if e.number < self.row.end and selection.takes(e)]
            took = loop.time() - started
            await self._feed(chosen)
            if not self._over:
                courier.advance(min(upto, self.row.end))
        finally:
            courier.reading = False
        courier.pump()
        return took

    async def _feed(self, events: Sequence[Sequenced]) -> None:
        """Hand events over no faster than the rate, a tenth of a second's worth at a time."""
        share = max(1, int(self.rate / 10))
        for start in range(0, len(events), share):
            group = events[start : start + share]
            for event in group:
                event.enriched = marked(event.enriched, self.row.id, self._at)
            while group:
                some, made = await dispatch.portion(self._runner, group, [self.courier], self.courier.plan)
                group = group[len(some) :]
                if self._over:
                    return
                for entry in made[0]:
                    self.courier.offer(self._marked(entry))
                self.courier.advance(some[-1].number + 1)  # what lies between was not chosen
                self.courier.pump()
                await asyncio.sleep(len(made[0]) / self.rate)
                while not self.courier.room and not self._over:  # noqa: ASYNC110 -- requests make some
                    await asyncio.sleep(LOOK)

    @property
    def _over(self) -> bool:
        """Whether what is being made for it is not wanted any more."""
        return self.courier.closed or dispatch.overtaken(self.courier)

    def _marked(self, entry: Entry) -> Entry:
        """The mark again, where a script has made an event without it."""
        parts = [
            (raw if verdict is not None else marked(raw, self.row.id, self._at), options, verdict)
            for raw, options, verdict in entry.parts
        ]
        return Entry(entry.number, entry.key, entry.source, entry.at, parts)

    async def materialize(self, courier: Courier, number: int) -> Entry | None:
        """An event that waited behind another of its user: its turn has come."""
        events, _ = self.stored.load(number, 1)
        event = next((e for e in events if e.number == number), None)
        if event is None:
            return None
        event.enriched = marked(event.enriched, self.row.id, self._at)
        return self._marked(await dispatch.entry_of(self._runner, event, courier))

    def _pass_released(self) -> None:
        """Go on behind what the log has let go of, and count it as missed."""
        floors = self._sequencer.floors
        position = self.courier.lanes.position
        if floors == self._floors or position < self.stored.boundary:
            return
        self._floors = floors
        oldest = min(self._sequencer.oldest(), self.row.end)
        if oldest > position:
            self.row = replace(self.row, missed=self.row.missed + oldest - position)
            self.row.put(self._ledger.changes)
            self.courier.advance(oldest)


async def number_at(sequencer: Numbered, millis: int) -> int:
    """A number before which every stored event was received before `millis` (Unix milliseconds).

    Found by halving: a dozen or two looks into the log, each between other work of the loop.
    """
    low, high = sequencer.oldest(), sequencer.next_number
    while low < high:
        middle = (low + high) // 2
        events, _ = sequencer.load(middle, 1)
        await asyncio.sleep(0)
        if events and events[0].received_at >= millis - SLACK:
            high = middle
        elif events:
            low = min(events[0].number + 1, high)
        else:  # nothing unique from there on
            high = middle
    return low


async def slices(
    stored: Stored, selection: Selection, first: int, end: int, seconds: float
) -> tuple[list[Sequenced], int]:
    """Chosen events of some slices, and the number to go on with: at most `seconds` of reading."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    found: list[Sequenced] = []
    while first < end and loop.time() < until and len(found) < 50_000:
        started = loop.time()
        events, first = stored.load(first, SLICE)
        found += [e for e in events if e.number < end and selection.takes(e)]
        await asyncio.sleep(2 * (loop.time() - started))
    return found, min(first, end)
