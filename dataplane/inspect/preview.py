"""What a destination would be sent for an event, by the code that runs in production, sending nothing.

The event takes the real way: the protocol's parser, sequence over a log of one record, enrichment,
routing, the transformations in their sandbox, routing again, the adapter. Answers are taken as 200.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dataplane.config import Config
from dataplane.deliver.plans import delivery_of, gate_of
from dataplane.deliver.rehearsal import rehearse, stopped
from dataplane.log.base import Record
from dataplane.pipeline import head as heads
from dataplane.pipeline.head import EventHead
from dataplane.pipeline.route import Filtered, Gate, Route, Send, route
from dataplane.pipeline.scripts import read_scripts
from dataplane.pipeline.sequence import Sequenced, Sequencer
from dataplane.pipeline.transform import Part, run_chain
from dataplane.protocols import PROTOCOLS
from dataplane.protocols.record import encode, marks
from destinations import registry
from transformations.base import Runner, Script
from turnout import codec
from turnout import protocol as protocols
from turnout.clock import Clock
from turnout.destination import Context, Destination
from turnout.errors import Fixable, Refused
from turnout.event import Event
from turnout.protocol import Envelope, Limits
from turnout.verdict import dead, filtered

__all__ = ["Previewer", "sequence"]

_BATCH = protocols.Route("/v1/batch")


class _OneRecord:
    """A log of one record, so that an event is sequenced as in production."""

    floor = released = 0

    def __init__(self, record: Record) -> None:
        self._record = record
        self.head = record.end

    def read(self, position: int, max_bytes: int = 1 << 20) -> Sequence[Record]:
        """The record, from its position."""
        return [self._record] if position <= self._record.position else []

    async def wait(self, position: int, timeout: float) -> bool:
        """Nothing more ever comes."""
        return position < self.head

    def release(self, position: int) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Previewer:
    """One destination of a config, ready to say what it would be sent; made by `of`."""

    adapter: Destination[Any]
    gate: Gate
    chain: tuple[Script, ...]
    at: Context
    source: str
    trusted: bool
    runner: Runner
    clock: Clock

    @classmethod
    async def of(
        cls, config: Config, destination: str, source: str, runner: Runner, clock: Clock
    ) -> Previewer:
        """Build the adapter and compile its scripts; `source` "" takes the first it is connected to.

        Raises `Fixable` for an unknown destination or source, or a script that does not compile.
        """
        found = config.destinations.get(destination)
        if found is None:
            known = ", ".join(config.destinations) or "none"
            raise Fixable(f"no destination is called {destination} (there are: {known})")
        source = source or next(iter(found.sources or config.sources), "")
        if source not in config.sources:
            known = ", ".join(config.sources) or "none"
            raise Fixable(f"no source is called {source} (there are: {known})")
        adapter = registry.build(found.type, found.settings)
        scripts = read_scripts(config)
        chain = tuple(scripts[name] for name in found.transformations)
        for script in chain:
            await runner.check(script)
        return cls(
            adapter, gate_of(destination, adapter, found), chain,
            Context(clock.now(), delivery_of(adapter, found)),
            source, config.sources[source].trusted, runner, clock,
        )

    async def show(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """`{"message_id", "parts": [{"verdict", "reason", "requests": […], "records": […]}]}`.

        A part's verdict is `send`, or why nothing is sent: `refused`, `filtered`, `dead`. Requests are
        shown with secrets masked, and as a curl line.
        """
        try:
            sequenced = sequence([codec.dumps(event)], self.source, self.at.now, trusted=self.trusted)[0]
        except Refused as error:
            return {"message_id": None, "parts": [stopped("refused", error.message)]}
        decision = self._route(sequenced.head, sequenced.kind)
        parts: Sequence[Part]
        if sequenced.broken:
            parts = [Part(sequenced.raw, dead(sequenced.broken))]
        elif isinstance(decision, Filtered):
            parts = [Part(b"", filtered(decision.reason))]
        elif self.chain:
            parts = (await run_chain(self.runner, self.chain, [sequenced], self._extra()))[0]
        else:
            parts = [Part(sequenced.enriched)]
        shown = [self._part(part, child, sequenced, decision) for child, part in enumerate(parts)]
        return {"message_id": sequenced.message_id, "parts": shown}

    def _extra(self) -> dict[str, str]:
        """Metadata about the destination, as the engine gives it to a run for one destination."""
        names = self.adapter.names
        return {
            "destinationId": self.gate.id, "destinationType": self.adapter.slug,
            "destinationName": names[0] if names else self.gate.id,
        }

    def _route(self, head: EventHead, kind: str) -> Route:
        raw = bytes(head.integrations)
        try:
            integrations = codec.loads(raw) if raw else None
        except Refused:
            integrations = None  # no object: filtered with that reason
        return route(integrations, kind, self.source, self.gate, present=bool(raw))

    def _part(self, part: Part, child: int, sequenced: Sequenced, first: Route) -> dict[str, Any]:
        """One output of the transformations: routed again, then given to the adapter."""
        if part.verdict is not None:
            return stopped(part.verdict.outcome, part.verdict.reason)
        decision = first
        if self.chain:
            try:
                head = heads.read(part.raw)
            except Refused as error:
                return stopped("dead", error.message)
            decision = self._route(head, (head.type or "").lower())
        if not isinstance(decision, Send):
            return stopped("filtered", decision.reason)
        event = Event(part.raw, key=sequenced.key, child=child, source=self.source, options=decision.options)
        return {"rule": decision.rule, **rehearse(self.adapter, event, self.at)}


def sequence(raws: Sequence[bytes], source: str, now: datetime, *, trusted: bool) -> list[Sequenced]:
    """Events as sequence gives them out; raises `Refused` where the gateway would not take one."""
    rudder = PROTOCOLS["rudder"]
    body = b'{"batch":[' + b",".join(raws) + b"]}"
    parsed = rudder.parse(body, _BATCH, Limits())
    if parsed.refused:
        raise Refused(*next(iter(parsed.refused.values())))
    received = int(now.timestamp() * 1000)
    envelope = Envelope(source, rudder.name, "", received, "", parsed.sent_at, parsed.slow, {}, trusted)
    record = Record(0, 1, 1, 0, encode(envelope), marks(parsed.keys), body)
    with tempfile.TemporaryDirectory(prefix="turnout-preview-") as folder:
        sequencer = Sequencer(_OneRecord(record), Path(folder), dedup=False, window=0.0, max_ids=1000)
        try:
            return sequencer.next()
        finally:
            sequencer.close()
