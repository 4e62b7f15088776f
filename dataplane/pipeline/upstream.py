"""Transformations of a source: run once per event, before it is routed, for all destinations.

What they make of an event stands in its place: each output is routed and transformed on as an event of
its own, and all outputs together are what a destination gets of the event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from dataplane.pipeline import head as heads
from dataplane.pipeline.numbered import Sequenced
from dataplane.pipeline.runs import Runs
from dataplane.pipeline.transform import SCRIPT, Part, run_patiently
from transformations.base import HELD, Outputs, Runner, Script
from turnout.errors import Overfull, Refused
from turnout.verdict import Verdict, dead

__all__ = ["Chains", "Sourced", "Upstream", "sourced", "verdict_of"]

Chains = Mapping[str, tuple[Script, ...]]
"""The transformations of each source that has some."""


class Sourced(Sequenced):
    """An output of a source's transformations, or (with a `verdict`) what became of the event instead.

    Number, order key, messageId and source stay those of the event; type and integrations are its own.
    """

    __slots__ = ("verdict",)

    def __init__(self, event: Sequenced, part: Part) -> None:
        self.number, self.key, self.received, self.secret = event.number, event.key, event.received, event.secret
        self.source, self.broken, self.entry, self.made = event.source, "", None, ()
        self.head = event.head
        self.raw = part.raw or event.raw
        self._enriched = self.raw
        self.message_id = event.message_id
        self.verdict = part.verdict
        if part.verdict is None:
            try:
                self.head = heads.read(part.raw)
            except Refused as error:
                self.verdict = dead(f"{SCRIPT}output: {error.message}")
        self.kind = (self.head.type or "").lower()  # a script may have changed it


def verdict_of(event: Sequenced) -> Verdict | None:
    """What its source's transformations decided for every destination; None where they did not, or it has none."""
    return event.verdict if isinstance(event, Sourced) else None


async def sourced(
    runner: Runner, events: Sequence[Sequenced], chain: Sequence[Script]
) -> list[list[Sequenced]]:
    """The outputs of each event, at least one: what was dropped or failed has its verdict."""
    made = await run_patiently(runner, chain, events, {})
    return [
        [Sourced(event, part) for part in ([Part(came.events[0])] if isinstance(came, Outputs) else came)]
        for event, came in zip(events, made, strict=True)
    ]


class Upstream:
    """Runs the chains of sources, and keeps what they made for the others that ask for it.

    Destinations at the same place share a run, however it ends. `close` when nobody asks any more.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._runs: Runs[list[Sequenced]] = Runs(lambda rows: sum(len(one.raw) for one in rows))
        self.forget, self.close = self._runs.forget, self._runs.close

    async def outputs(self, events: Sequence[Sequenced], chains: Chains) -> Sequence[Sequenced]:
        """The events with those of these sources replaced by their outputs; the same list where there are none.

        Raises `Overfull` where one chain, or those of several sources together, make too much of several events.
        """
        mine: dict[str, list[Sequenced]] = {}
        for event in events:
            if event.source in chains and not event.broken:
                mine.setdefault(event.source, []).append(event)
        if not mine:
            return events
        found: dict[int, list[Sequenced]] = {}
        asked = [
            self._runs.outputs(chains[source], rows, partial(sourced, self._runner, chain=chains[source]))
            for source, rows in mine.items()
        ]
        for rows, made in zip(mine.values(), await asyncio.gather(*asked), strict=True):
            found.update(zip([event.number for event in rows], made, strict=True))
        if len(mine) > 1:  # each chain alone has seen to it
            size = sum([len(one.raw) for made in found.values() for one in made])
            if size > HELD:
                raise Overfull(
                    f"what {', '.join(sorted(mine))} make of {len(found)} events is more than {HELD:,} bytes",
                    most=HELD, share=HELD / size,
                )  # fmt: skip
        return [one for event in events for one in found.get(event.number, (event,))]
