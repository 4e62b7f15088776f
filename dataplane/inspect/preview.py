"""What a destination would be sent for an event, by the code that runs in production, sending nothing.

The event takes the real way: the protocol's parser, sequence over a log of one record, enrichment, the
source's transformations in their sandbox, routing, those of the destination, routing again, the adapter.
Answers are taken as 200.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dataplane.config import Config
from dataplane.deliver.plans import delivery_of, gate_of, told
from dataplane.deliver.rehearsal import stopped
from dataplane.inspect.walk import Means, walk
from dataplane.log.base import Record
from dataplane.log.partitions import Partitions
from dataplane.pipeline.numbered import Sequenced
from dataplane.pipeline.scripts import read_scripts
from dataplane.pipeline.sequence import Sequencer
from dataplane.protocols import PROTOCOLS
from dataplane.protocols.record import encode, marks
from destinations import registry
from transformations.base import Runner
from turnout import codec
from turnout import protocol as protocols
from turnout.clock import Clock
from turnout.destination import Context
from turnout.errors import Fixable, Refused
from turnout.protocol import Envelope, Limits
from turnout.spelling import unknown

__all__ = ["Previewer", "sequence"]

_BATCH = protocols.Route("/v1/batch")


class _OneRecord:
    """A log of one record, so that an event is sequenced as in production."""

    floor = released = let_go = 0

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

    means: Means
    source: str
    runner: Runner

    @classmethod
    async def of(
        cls, config: Config, destination: str, source: str, runner: Runner, clock: Clock
    ) -> Previewer:
        """Build the adapter and compile its scripts; `source` "" takes the first it is connected to.

        Raises `Fixable` for an unknown destination or source, or a script that does not compile.
        """
        found = config.destinations.get(destination)
        if found is None:
            raise Fixable(unknown("destination", destination, config.destinations))
        source = source or next(iter(found.sources or config.sources), "")
        if source not in config.sources:
            raise Fixable(unknown("source", source, config.sources))
        adapter = registry.build(found.type, found.settings)
        scripts = read_scripts(config)
        chain = tuple(scripts[name] for name in found.transformations)
        upstream = tuple(scripts[name] for name in config.sources[source].transformations)
        for script in {script.name: script for script in (*upstream, *chain)}.values():
            await runner.check(script)
        chains = {name: one.transformations for name, one in config.destinations.items()}
        at = Context(clock.now(), delivery_of(adapter, found))
        trusted = config.sources[source].trusted
        gate = gate_of(destination, adapter, found)
        means = Means(gate, chain, adapter, at, trusted, upstream, told(destination, adapter, chains))
        return cls(means, source, runner)

    async def show(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """`{"message_id", "parts": [{"verdict", "reason", "requests": […], "records": […]}]}`.

        A part's verdict is `send`, or why nothing is sent: `refused`, `filtered`, `dead`. Requests are
        shown with secrets masked, and as a curl line.
        """
        try:
            now, trusted = self.means.at.now, self.means.trusted
            sequenced = sequence([codec.dumps(event)], self.source, now, trusted=trusted)[0]
        except Refused as error:
            return {"message_id": None, "parts": [stopped("refused", error.message)]}
        walked = await walk(self.means, self.runner, sequenced)
        return {"message_id": sequenced.message_id, "parts": walked["parts"]}


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
        one = Partitions({0: _OneRecord(record)})
        sequencer = Sequencer(one, Path(folder), dedup=False, window=0.0, max_ids=1000)
        try:
            return sequencer.next()
        finally:
            sequencer.close()
