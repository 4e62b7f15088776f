"""From sequenced events to entries in lanes: route, transform once per chain, route each copy again."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Any, Protocol

from dataplane.deliver.courier import Courier
from dataplane.deliver.failure import UNREADABLE
from dataplane.deliver.lanes import Entry, Lanes, Part
from dataplane.deliver.plan import Plan
from dataplane.metrics.log import logger
from dataplane.pipeline import head as heads
from dataplane.pipeline import transform
from dataplane.pipeline.route import SEND, Filtered, Route, Send, route
from dataplane.pipeline.sequence import Sequenced
from transformations.base import Runner, Script
from turnout import codec
from turnout.errors import Refused, Transient
from turnout.verdict import dead, filtered

__all__ = ["decided", "dispatch", "entries", "entries_of", "entry_of", "groups", "routed"]

log = logger()


class Addressee(Protocol):
    """What events can be made ready for: a courier, or (in `turnout plan`) something that sends nothing."""

    plan: Plan
    routes: dict[tuple[bytes, str, str], Route]
    lanes: Lanes

    @property
    def watched(self) -> bool:
        """Whether somebody sees its verdicts as they are reached."""
        ...


ROUTES = 4_096
LONGEST = 1_024
"""Bytes of an integrations object and a type whose decision is remembered."""


def _decoded(integrations: bytes) -> Any:
    try:
        return codec.loads(integrations)
    except Refused:
        return None  # not an object: filtered with that reason


_integrations = functools.lru_cache(maxsize=4_096)(_decoded)


def routed(courier: Addressee, integrations: bytes, kind: str, source: str) -> Route:
    """The decision for one event at one destination; decisions repeat, so they are remembered.

    Not those of long texts: anyone may send them, ever different, and memory is bounded.
    """
    gate = courier.plan.gate
    if gate is None:
        return SEND
    if len(integrations) + len(kind) > LONGEST:
        decoded = _decoded(integrations) if integrations else None
        return route(decoded, kind, source, gate, present=bool(integrations))
    known = courier.routes
    key = (integrations, kind, source)
    found = known.get(key)
    if found is None:
        if len(known) >= ROUTES:
            known.clear()
        decoded = _integrations(integrations) if integrations else None
        found = known[key] = route(decoded, kind, source, gate, present=bool(integrations))
    return found


def groups(couriers: Sequence[Courier]) -> list[list[Courier]]:
    """Couriers that share a chain of transformations, so that it runs once for all of them."""
    found: dict[tuple[tuple[str, str], ...], list[Courier]] = {}
    for courier in couriers:
        found.setdefault(tuple((s.name, s.version) for s in courier.plan.chain), []).append(courier)
    return list(found.values())


def _extra(couriers: Sequence[Addressee]) -> dict[str, Any]:
    """Metadata of the destination, where a run is for one only."""
    if len(couriers) != 1:
        return {}
    plan: Plan = couriers[0].plan
    names = plan.adapter.names
    ident = plan.gate.id if plan.gate is not None else plan.id
    return {"destinationId": ident, "destinationType": plan.adapter.slug,
            "destinationName": names[0] if names else ident}  # fmt: skip


async def dispatch(
    runner: Runner, events: Sequence[Sequenced], couriers: Sequence[Courier], chain: Sequence[Script]
) -> None:
    """Offer a batch to couriers that had this chain when they were put together, in number order."""
    for courier, row in zip(couriers, await entries(runner, events, couriers, chain), strict=True):
        for entry in row:
            courier.offer(entry)


async def entries(
    runner: Runner, events: Sequence[Sequenced], couriers: Sequence[Addressee], chain: Sequence[Script]
) -> list[list[Entry]]:
    """A batch made ready for couriers of one chain, in number order; what a courier had is left out.

    The chain is given: a reload may give one of them another meanwhile, which is not the others'. That one
    forgets what is made here.
    """
    decisions = [_decide(courier, events) for courier in couriers]
    outputs: dict[int, list[transform.Part]] = {}
    if chain:
        wanted = [
            event
            for i, event in enumerate(events)
            if any(isinstance(row[i], Send) for row in decisions)
        ]
        if wanted:
            made = await _run(runner, wanted, couriers, chain)
            outputs = {event.number: parts for event, parts in zip(wanted, made, strict=True)}
    return [
        [
            Entry(
                event.number, event.key, event.source, event.received_at,
                _parts(courier, event, decision, outputs.get(event.number)),
            )
            for event, decision in zip(events, row, strict=True)
            if decision is not None
        ]
        for courier, row in zip(couriers, decisions, strict=True)
    ]


async def _run(
    runner: Runner, events: Sequence[Sequenced], couriers: Sequence[Addressee], chain: Sequence[Script]
) -> list[list[transform.Part]]:
    """Run the chain; while no worker answers, wait: nothing passes untransformed."""
    while True:
        try:
            return await transform.run_chain(runner, chain, events, _extra(couriers))
        except Transient as error:
            log.warning("transform.unavailable", error=str(error))
            await asyncio.sleep(1.0)


def _decide(courier: Addressee, events: Sequence[Sequenced]) -> list[Route | None]:
    """One decision per event; None where the event had its verdict before a restart."""
    wanted = courier.lanes.wanted
    return [
        routed(courier, bytes(event.head.integrations), event.kind, event.source)
        if wanted(event.number, event.key)
        else None
        for event in events
    ]


def _parts(
    courier: Addressee, event: Sequenced, decision: Route, outputs: list[transform.Part] | None
) -> list[Part]:
    if event.broken:
        return [(event.raw, {}, dead(f"{UNREADABLE}{event.broken}"))]
    if isinstance(decision, Filtered):
        return [(_seen(courier, event.raw), {}, filtered(decision.reason))]
    if outputs is None:
        return [(event.enriched, decision.options, None)]
    return [_again(courier, event, part) for part in outputs]


def _seen(courier: Addressee, raw: bytes) -> bytes:
    """What is kept of an event that is filtered: nothing, unless somebody watches."""
    return raw if courier.watched else b""


def _again(courier: Addressee, event: Sequenced, part: transform.Part) -> Part:
    """Route an output of a transformation: a script may change its integrations and type."""
    if part.verdict is not None:
        return (part.raw or _seen(courier, event.raw), {}, part.verdict)
    try:
        head = heads.read(part.raw)
    except Refused as error:
        return (part.raw, {}, dead(f"{transform.SCRIPT}output: {error.message}"))
    decision = routed(courier, bytes(head.integrations), (head.type or "").lower(), event.source)
    if isinstance(decision, Filtered):
        return (_seen(courier, part.raw), {}, filtered(decision.reason))
    return (part.raw, decision.options, None)


def decided(event: Sequenced, courier: Courier) -> Entry | None:
    """The entry of an event that has its verdict before any script or request: filtered, or broken."""
    decision = routed(courier, bytes(event.head.integrations), event.kind, event.source)
    if not event.broken and isinstance(decision, Send):
        return None
    return Entry(
        event.number, event.key, event.source, event.received_at, _parts(courier, event, decision, None)
    )


async def entry_of(runner: Runner, event: Sequenced, courier: Addressee) -> Entry:
    """One event made ready for one destination, by the config in force now."""
    return (await entries_of(runner, [event], courier))[0]


async def entries_of(runner: Runner, events: Sequence[Sequenced], courier: Addressee) -> list[Entry]:
    """Events made ready for one destination, by the config in force now."""
    decisions = [routed(courier, bytes(e.head.integrations), e.kind, e.source) for e in events]
    outputs: list[list[transform.Part] | None] = [None] * len(events)
    if chain := courier.plan.chain:
        sent = [i for i, d in enumerate(decisions) if isinstance(d, Send) and not events[i].broken]
        if sent:
            for i, made in zip(sent, await _run(runner, [events[i] for i in sent], [courier], chain), strict=True):
                outputs[i] = made
    return [
        Entry(e.number, e.key, e.source, e.received_at, _parts(courier, e, decision, made))
        for e, decision, made in zip(events, decisions, outputs, strict=True)
    ]
