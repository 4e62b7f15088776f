"""What config.yaml says of a destination, made ready to be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataplane.config.model import Backlog
from dataplane.deliver.entry import Entry
from dataplane.deliver.exchange import Client, Sender
from dataplane.deliver.journal import Origin
from dataplane.pipeline.route import Gate
from dataplane.pipeline.upstream import Chains
from transformations.base import Script
from turnout.destination import Delivery, Destination
from turnout.event import Event

__all__ = ["Plan", "Replayed"]


BOUND = Backlog()


@dataclass(frozen=True, slots=True)
class Replayed:
    """What sets a replay apart: its id, the destination of its dead letters, the salt of its keys."""

    id: int
    target: str
    salt: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What config.yaml says of a destination, made ready: swapped whole at a reload.

    Without a `gate` nothing is filtered (a replay into a file). `replay` is set in the plan of a replay.
    `upstream` are the transformations of sources it takes events from; `told` is what those of its own
    are told of the destination: nothing, where another one has the same chain and shares its runs.
    """

    id: str
    adapter: Destination[Any]
    delivery: Delivery
    gate: Gate | None
    chain: tuple[Script, ...]
    enabled: bool
    trusted: frozenset[str]
    sender: Sender
    client: Client | None
    fingerprint: str
    origin: Origin
    replay: Replayed | None = None
    backlog: Backlog = BOUND
    was: str | None = None
    upstream: Chains = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    of: int = 1
    """How many processes deliver to it, each the events of its own lanes."""

    @property
    def scripts(self) -> tuple[Script, ...]:
        """Every script that its events may pass, each once."""
        found = {script.name: script for chain in (*self.upstream.values(), self.chain) for script in chain}
        return tuple(found.values())

    def outgoing(self, entries: Sequence[Entry]) -> list[Event]:
        """What is still to be sent of some entries. Events that destinations share are the same objects."""
        if self.delivery.order != "user":
            return [event for entry in entries for event in self.events(entry)]
        trusted = self.trusted
        if not trusted:
            shared = [entry.event for entry in entries]
            if None not in shared and True not in [event.trusted for event in shared if event is not None]:
                return shared  # type: ignore[return-value]  # none of them is None
        found: list[Event] = []
        for entry in entries:
            event = entry.event
            if event is not None and event.trusted is (entry.source in trusted):
                found.append(event)
            else:
                found.extend(self.events(entry))
        return found

    def keys(self, entries: Sequence[Entry]) -> list[int] | None:
        """Whose the events of `outgoing` are; None where they say so themselves: without order they have no key."""
        if self.delivery.order == "user":
            return None
        return [entry.key for entry in entries for _, _, verdict in entry.parts if verdict is None]

    def events(self, entry: Entry) -> list[Event]:
        """An entry's outputs that are still to be sent."""
        ordered = self.delivery.order == "user"
        return [
            Event(
                raw,
                key=entry.key if ordered else 0,
                number=entry.number,
                child=child,
                source=entry.source,
                options=options,
                trusted=entry.source in self.trusted,
            )
            for child, (raw, options, verdict) in enumerate(entry.parts)
            if verdict is None
        ]
