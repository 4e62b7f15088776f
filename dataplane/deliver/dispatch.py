"""From sequenced events to entries in lanes: the source's transformations, route, those of the destination
once per chain, route each copy again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dataplane.deliver import untouched
from dataplane.deliver.courier import Courier
from dataplane.deliver.failure import UNREADABLE
from dataplane.deliver.gates import Addressee, Name, routed
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


NOWHERE: Name = (b"", "", "")
"""Of what has its verdict already and is not routed."""


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
    decisions = _decisions(couriers, events)
    made = await _transformed(runner, events, plan, decisions)
    rows = _rows(couriers, events, decisions, made)
    return [_joined(row) for row in rows] if chains else rows


async def _transformed(
    runner: Runner, events: Sequence[Sequenced], plan: Plan, decisions: Sequence[Sequence[Route | None]]
) -> Sequence[list[transform.Part] | None]:
    """What the chain of a plan makes of each event that one of the decisions sends; None for the others."""
    outputs: list[list[transform.Part] | None] = [None] * len(events)
    if not plan.chain:
        return outputs
    going = [False] * len(events)
    for row in decisions:
        going = [known or type(one) is Send for known, one in zip(going, row, strict=True)]
    sent = [
        i for i, event in enumerate(events) if going[i] and not event.broken and verdict_of(event) is None
    ]
    if sent:
        made = await transform.run_patiently(runner, plan.chain, [events[i] for i in sent], plan.told)
        for i, parts in zip(sent, made, strict=True):
            outputs[i] = parts
    return outputs


class _Output(NamedTuple):
    """One output of a chain, and by what it is routed again; read once for all destinations."""

    part: transform.Part
    name: Name


def _rows(
    couriers: Sequence[Addressee], events: Sequence[Sequenced], decisions: Sequence[Sequence[Route | None]],
    made: Sequence[Sequence[transform.Part] | None],
) -> list[list[Entry]]:
    """The entries of each courier. Those of an event that several get alike are one and the same, decoded once."""
    outputs = [
        None if parts is None else [_output(event, part) for part in parts]
        for event, parts in zip(events, made, strict=True)
    ]
    names = {outs[0].name for outs in outputs if outs is not None and len(outs) == 1 and outs[0].part.verdict is None}
    common: list[Entry | None] = [None] * len(events)
    rows: list[list[Entry]] = []
    for courier, row in zip(couriers, decisions, strict=True):
        plain = {name for name in names if _is_plain(routed(courier, *name))}
        found: list[Entry] = []
        for i, (event, decision, outs) in enumerate(zip(events, row, outputs, strict=True)):
            if decision is None:
                continue
            if (
                outs is not None and type(decision) is Send
                and len(outs) == 1 and outs[0].part.verdict is None and outs[0].name in plain
            ):  # nearly always: the same as below
                entry = common[i] = common[i] or _shared(courier, event, outs[0])
                found.append(entry)
            else:
                found.append(_alike(_entry(courier, event, decision, outs), event, courier, common, i))
        rows.append(found)
    return rows


def _shared(courier: Addressee, event: Sequenced, output: _Output) -> Entry:
    """The entry of an event's only output for every destination that it is for as it is."""
    raw, (_, kind, source) = output.part.raw, output.name
    entry = Entry(event.number, event.key, source, event.received_at, [(raw, {}, None)])
    if not isinstance(event, Sourced):  # those are kept elsewhere, and by their bytes
        trusted = source in courier.plan.trusted
        entry.event = Event(raw, key=event.key, number=event.number, source=source, trusted=trusted, kind=kind)
        event.made.append(entry)
    return entry


def _is_plain(route: Route) -> bool:
    return type(route) is Send and not route.options


def _output(event: Sequenced, part: transform.Part) -> _Output:
    """A script may change an event's integrations and type, which decide where it goes."""
    if part.verdict is not None:
        return _Output(part, NOWHERE)
    try:
        head = heads.read(part.raw)
    except Refused as error:
        return _Output(transform.Part(part.raw, dead(f"{transform.SCRIPT}output: {error.message}")), NOWHERE)
    return _Output(part, (bytes(head.integrations), (head.type or "").lower(), event.source))


def _entry(
    courier: Addressee, event: Sequenced, decision: Route, outputs: Sequence[_Output] | None
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


def _decisions(couriers: Sequence[Addressee], events: Sequence[Sequenced]) -> list[list[Route | None]]:
    """For each courier one decision per event; None where the event had its verdict before a restart."""
    if not events:
        return [[] for _ in couriers]
    index, names = untouched.named(events)
    found: list[list[Route | None]] = []
    for courier in couriers:
        routes = [routed(courier, *name) for name in names]
        if courier.lanes.fresh(events[0].number):
            found.append([routes[i] for i in index])
        else:
            wanted = courier.lanes.wanted
            found.append([
                routes[i] if wanted(event.number, event.key) else None
                for i, event in zip(index, events, strict=True)
            ])
    return found


def _parts(
    courier: Addressee, event: Sequenced, decision: Route, outputs: Sequence[_Output] | None
) -> list[Part]:
    if event.broken:
        return [(event.raw, {}, dead(f"{UNREADABLE}{event.broken}"))]
    if (verdict := verdict_of(event)) is not None:
        return [(event.raw if verdict.outcome is Outcome.DEAD else _seen(courier, event.raw), {}, verdict)]
    if isinstance(decision, Filtered):
        return [(_seen(courier, event.raw), {}, filtered(decision.reason))]
    if outputs is None:
        return [(event.enriched, decision.options, None)]
    return [_again(courier, event, *output) for output in outputs]


def _seen(courier: Addressee, raw: bytes) -> bytes:
    """What is kept of an event that is filtered: nothing, unless somebody watches."""
    return raw if courier.watched else b""


def _again(courier: Addressee, event: Sequenced, part: transform.Part, name: Name) -> Part:
    """Route an output of a transformation."""
    if part.verdict is not None:
        return (part.raw or _seen(courier, event.raw), {}, part.verdict)
    decision = routed(courier, *name)
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
    outputs = [
        None if parts is None else [_output(event, part) for part in parts]
        for event, parts in zip(events, made, strict=True)
    ]
    rows = [_entry(courier, *row) for row in zip(events, decisions, outputs, strict=True)]
    return _joined(rows) if chains else rows
