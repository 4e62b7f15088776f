"""From sequenced events to entries in lanes: the source's transformations, route, those of the destination
once per chain, route each copy again."""

from __future__ import annotations

from collections.abc import Sequence

from dataplane.deliver import untouched
from dataplane.deliver.courier import Courier
from dataplane.deliver.failure import UNREADABLE
from dataplane.deliver.gates import Addressee, routed
from dataplane.deliver.lanes import Entry, Part
from dataplane.deliver.plan import Plan
from dataplane.pipeline import head as heads
from dataplane.pipeline import transform
from dataplane.pipeline.route import Filtered, Route, Send
from dataplane.pipeline.sequence import Sequenced
from dataplane.pipeline.upstream import Chains, Sourced, Upstream, verdict_of
from transformations.base import Runner
from turnout.errors import Refused
from turnout.event import Event
from turnout.verdict import Outcome, dead, filtered

__all__ = ["chains_of", "decided", "dispatch", "entries", "entries_of", "entry_of", "groups", "routed"]


def groups(couriers: Sequence[Courier]) -> list[list[Courier]]:
    """Couriers that share a chain of transformations, so that it runs once for all of them.

    And those of the sources they are connected to, so that none waits for the script of a source that is not its.
    """
    found: dict[tuple[tuple[str, str], ...], list[Courier]] = {}
    for courier in couriers:
        found.setdefault(courier.plan.origin.scripts, []).append(courier)
    return list(found.values())


async def dispatch(
    runner: Runner, events: Sequence[Sequenced], couriers: Sequence[Courier], plan: Plan, upstream: Upstream
) -> None:
    """Offer a batch to couriers that had the scripts of this plan when they were put together, in number order."""
    if not plan.chain and not chains_of(plan, events):
        untouched.hand_over(events, couriers)
        return
    for courier, row in zip(couriers, await entries(runner, events, couriers, plan, upstream), strict=True):
        courier.offer_all(row, events[-1].number + 1)


def chains_of(plan: Plan, events: Sequence[Sequenced]) -> Chains:
    """The chains of the sources of these events."""
    found = plan.upstream
    if not found:
        return found
    sources = {event.source for event in events}
    return {name: chain for name, chain in found.items() if name in sources}


async def entries(
    runner: Runner, events: Sequence[Sequenced], couriers: Sequence[Addressee], plan: Plan,
    upstream: Upstream | None = None,
) -> list[list[Entry]]:
    """A batch made ready for couriers of one group, in number order; what a courier had is left out.

    The scripts are those of `plan`: a reload may give one of them others meanwhile, which are not the others'. That
    one forgets what is made here. `upstream` shares the runs of sources' transformations with other calls.
    """
    if chains := chains_of(plan, events):
        wanted = [e for e in events if any(c.lanes.wanted(e.number, e.key) for c in couriers)]
        events = await (upstream or Upstream(runner)).outputs(wanted, chains)
    decisions = [_decide(courier, events) for courier in couriers]
    made = await _transformed(runner, events, plan, decisions)
    common: list[Entry | None] = [None] * len(events)
    rows = [
        [
            _alike(_entry(courier, event, decision, outputs), event, courier, common, i)
            for i, (event, decision, outputs) in enumerate(zip(events, row, made, strict=True))
            if decision is not None
        ]
        for courier, row in zip(couriers, decisions, strict=True)
    ]
    return [_joined(row) for row in rows] if chains else rows


async def _transformed(
    runner: Runner, events: Sequence[Sequenced], plan: Plan, decisions: Sequence[Sequence[Route | None]]
) -> Sequence[list[transform.Part] | None]:
    """What the chain of a plan makes of each event that one of the decisions sends; None for the others."""
    outputs: list[list[transform.Part] | None] = [None] * len(events)
    if not plan.chain:
        return outputs
    sent = [
        i
        for i, event in enumerate(events)
        if not event.broken and verdict_of(event) is None and any(isinstance(row[i], Send) for row in decisions)
    ]
    if sent:
        made = await transform.run_patiently(runner, plan.chain, [events[i] for i in sent], plan.told)
        for i, parts in zip(sent, made, strict=True):
            outputs[i] = parts
    return outputs


def _entry(
    courier: Addressee, event: Sequenced, decision: Route, outputs: list[transform.Part] | None
) -> Entry:
    parts = _parts(courier, event, decision, outputs)
    return Entry(event.number, event.key, event.source, event.received_at, parts)


def _alike(
    entry: Entry, event: Sequenced, courier: Addressee, common: list[Entry | None], i: int
) -> Entry:
    """The same entry for all destinations that get the same of event `i`, and that decode it once."""
    raw, options, _ = entry.parts[0]
    if not entry.plain or options:
        return entry
    known = common[i]
    if known is not None and known.parts[0][0] is raw:
        return known
    common[i] = entry
    if not isinstance(event, Sourced):  # those are kept elsewhere, and by their bytes
        trusted = entry.source in courier.plan.trusted
        entry.event = Event(raw, key=entry.key, number=entry.number, source=entry.source, trusted=trusted)
        event.made.append(entry)
    return entry


def _joined(rows: Sequence[Entry]) -> list[Entry]:
    """Outputs of a source's transformations as one entry per event."""
    found: list[Entry] = []
    for entry in rows:
        if not found or found[-1].number != entry.number:
            found.append(entry)
        else:
            last = found[-1]
            found[-1] = Entry(last.number, last.key, last.source, last.at, [*last.parts, *entry.parts])
    return found


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
    if (verdict := verdict_of(event)) is not None:
        return [(event.raw if verdict.outcome is Outcome.DEAD else _seen(courier, event.raw), {}, verdict)]
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
    if event.source in courier.plan.upstream and not event.broken:
        return None
    decision = routed(courier, bytes(event.head.integrations), event.kind, event.source)
    if not event.broken and isinstance(decision, Send):
        return None
    return _entry(courier, event, decision, None)


async def entry_of(
    runner: Runner, event: Sequenced, courier: Addressee, upstream: Upstream | None = None
) -> Entry:
    """One event made ready for one destination, by the config in force now."""
    return (await entries_of(runner, [event], courier, upstream))[0]


async def entries_of(
    runner: Runner, events: Sequence[Sequenced], courier: Addressee, upstream: Upstream | None = None
) -> list[Entry]:
    """Events made ready for one destination, by the config in force now; also what it had before."""
    plan = courier.plan
    if chains := chains_of(plan, events):
        events = await (upstream or Upstream(runner)).outputs(events, chains)
    decisions = [routed(courier, bytes(e.head.integrations), e.kind, e.source) for e in events]
    made = await _transformed(runner, events, plan, [decisions])
    rows = [_entry(courier, *row) for row in zip(events, decisions, made, strict=True)]
    return _joined(rows) if chains else rows
