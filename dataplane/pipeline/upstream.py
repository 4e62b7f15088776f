"""Transformations of a source: run once per event, before it is routed, for all destinations.

What they make of an event stands in its place: each output is routed and transformed on as an event of
its own, and all outputs together are what a destination gets of the event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dataplane.pipeline import head as heads
from dataplane.pipeline.sequence import Sequenced
from dataplane.pipeline.transform import SCRIPT, Part, run_patiently
from transformations.base import Runner, Script
from turnout.errors import Refused
from turnout.verdict import Verdict, dead

__all__ = ["Chains", "Sourced", "Upstream", "sourced", "verdict_of"]

Chains = Mapping[str, tuple[Script, ...]]
"""The transformations of each source that has some."""
KEPT = 8 << 20
"""Bytes of outputs that are kept for destinations which read the same events a moment later."""


class Sourced(Sequenced):
    """An output of a source's transformations, or (with a `verdict`) what became of the event instead.

    Number, order key, messageId and source stay those of the event; type and integrations are its own.
    """

    __slots__ = ("verdict",)

    def __init__(self, event: Sequenced, part: Part) -> None:
        self.number, self.key, self.received, self.secret = event.number, event.key, event.received, event.secret
        self.source, self.broken, self.entry, self.made = event.source, "", None, []
        self.head = event.head
        self.raw = part.raw or event.raw
        self._enriched = self.raw
        self._message_id = event.message_id
        self.verdict = part.verdict
        if part.verdict is None:
            try:
                self.head = heads.read(part.raw)
            except Refused as error:
                self.verdict = dead(f"{SCRIPT}output: {error.message}")

    @property
    def kind(self) -> str:
        """Its type in lower case; a script may have changed it."""
        return (self.head.type or "").lower()


def verdict_of(event: Sequenced) -> Verdict | None:
    """What its source's transformations decided for every destination; None where they did not, or it has none."""
    return event.verdict if isinstance(event, Sourced) else None


async def sourced(
    runner: Runner, events: Sequence[Sequenced], chain: Sequence[Script]
) -> list[list[Sequenced]]:
    """The outputs of each event, at least one: what was dropped or failed has its verdict."""
    made = await run_patiently(runner, chain, events, {})
    return [[Sourced(event, part) for part in parts] for event, parts in zip(events, made, strict=True)]


@dataclass(slots=True, eq=False)
class _Run:
    """One run of a chain over some events, for whoever asks for one of them."""

    chain: tuple[Script, ...]
    numbers: tuple[int, ...]
    task: asyncio.Task[list[list[Sequenced]]]
    size: int = 0


class Upstream:
    """Runs the chains of sources, and keeps what they made for the others that ask for it.

    Destinations at the same place share a run, however it ends. `close` when nobody asks any more.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._of: dict[int, _Run] = {}
        self._done: deque[_Run] = deque()
        self._held = 0

    async def outputs(self, events: Sequence[Sequenced], chains: Chains) -> Sequence[Sequenced]:
        """The events with those of these sources replaced by their outputs; the same list where there are none."""
        mine: dict[str, list[Sequenced]] = {}
        for event in events:
            if event.source in chains and not event.broken:
                mine.setdefault(event.source, []).append(event)
        if not mine:
            return events
        found: dict[int, list[Sequenced]] = {}
        for run in {run: None for source, rows in mine.items() for run in self._runs(rows, chains[source])}:
            made = await asyncio.shield(run.task)
            found.update(zip(run.numbers, made, strict=True))
        return [one for event in events for one in found.get(event.number, (event,))]

    def _runs(self, events: Sequence[Sequenced], chain: tuple[Script, ...]) -> list[_Run]:
        """Runs under way or over that have these events, and one more for those that are in none."""
        known = [run for event in events if (run := self._of.get(event.number)) and run.chain is chain]
        new = [e for e in events if (run := self._of.get(e.number)) is None or run.chain is not chain]
        if new:
            task = asyncio.get_running_loop().create_task(sourced(self._runner, new, chain))
            run = _Run(chain, tuple(event.number for event in new), task)
            self._of.update(dict.fromkeys(run.numbers, run))
            task.add_done_callback(lambda _: self._ended(run))
            known.append(run)
        return known

    def _ended(self, run: _Run) -> None:
        if run.task.cancelled() or run.task.exception() is not None:  # whoever asked has been told
            self._forget(run)
            return
        run.size = sum(len(one.raw) for row in run.task.result() for one in row)
        self._done.append(run)
        self._held += run.size
        while self._held > KEPT and len(self._done) > 1:
            old = self._done.popleft()
            self._held -= old.size
            self._forget(old)

    def _forget(self, run: _Run) -> None:
        for number in run.numbers:
            if self._of.get(number) is run:
                del self._of[number]

    def close(self) -> None:
        """End what runs, and forget everything."""
        for run in list(self._of.values()):
            run.task.cancel()
        self._of.clear()
        self._done.clear()
        self._held = 0
