"""From sequenced events to entries in lanes: the source's transformations, route, those of the destination
once per chain, route each copy again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from weakref import ref

import msgspec

from dataplane.deliver import untouched
from dataplane.deliver.courier import Courier
from dataplane.deliver.entry import NO_OPTIONS, Batch, Entry, Part
from dataplane.deliver.gates import Addressee, Name, routed
from dataplane.deliver.plan import Plan
from dataplane.pipeline import head as heads
from dataplane.pipeline import transform
from dataplane.pipeline.numbered import Sequenced
from dataplane.pipeline.route import Filtered, Route, Send
from dataplane.pipeline.runs import Runs
from dataplane.pipeline.upstream import Chains, Sourced, Upstream, verdict_of
from transformations.base import Outputs, Runner
from turnout.errors import Overfull, Refused
from turnout.event import Event
from turnout.verdict import Outcome, dead, filtered

__all__ = [
    "Kept", "Made", "chains_of", "decided", "dispatch", "entries", "entries_of", "entry_of", "fewer", "groups",
    "overtaken", "portion", "routed",
]


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
    runner: Runner, events: Sequence[Sequenced], couriers: Sequence[Courier], plan: Plan, *,
    upstream: Upstream, kept: Kept | None = None, keep: bool = True,
) -> bool:
    """Offer a batch to couriers that had the scripts of this plan when they were put together, in number order.

    Those that were overtaken since are offered nothing, and must not advance: what the scripts said counts no more.
    False where scripts made so much of it that it was not offered whole: who has no room goes on when it has.
    """
    couriers = [courier for courier in couriers if not overtaken(courier)]
    if not plan.chain and not chains_of(plan, events):
        untouched.hand_over(events, couriers)
        return True
    rest = events
    while rest:
        some, rows = await portion(runner, rest, couriers, plan, upstream=upstream, kept=kept, keep=keep)
        rest = rest[len(some) :]
        batch: Batch | None = None
        for courier, row in zip(couriers, rows, strict=True):
            if not overtaken(courier):
                if batch is None or batch.entries is not row:
                    batch = Batch(row, some[-1].number + 1)
                courier.offer_all(batch)
        if rest and not all(courier.room for courier in couriers):
            return False
    return True


async def portion(
    runner: Runner, events: Sequence[Sequenced], couriers: Sequence[Addressee], plan: Plan, *,
    upstream: Upstream | None = None, kept: Kept | None = None, keep: bool = True,
) -> tuple[Sequence[Sequenced], list[list[Entry]]]:
    """The first of a batch made ready as `entries` does: all, or as many as scripts do not make too much of at once."""
    while True:
        try:
            return events, await entries(runner, events, couriers, plan, upstream=upstream, kept=kept, keep=keep)
        except Overfull as over:
            if len(events) == 1:
                raise
            events = events[: fewer(len(events), over)]


def fewer(count: int, over: Overfull) -> int:
    """How many events to try instead of `count`, of which scripts made too much; at least one."""
    return max(1, min(count // 2, int(count * over.share)))


def overtaken(courier: Courier) -> bool:
    """Whether what scripts are making for a destination is not wanted any more: they are paused, or others by now.

    Once it is so it stays so for as long as somebody reads for it.
    """
    return courier.stale or (courier.held is not None and courier.held.script)


def chains_of(plan: Plan, events: Sequence[Sequenced]) -> Chains:
    """The chains of the sources of these events."""
    found = plan.upstream
    if not found:
        return found
    sources = {event.source for event in events}
    return {name: chain for name, chain in found.items() if name in sources}


async def entries(
    runner: Runner, events: Sequence[Sequenced], couriers: Sequence[Addressee], plan: Plan, *,
    upstream: Upstream | None = None, kept: Kept | None = None, keep: bool = True,
) -> list[list[Entry]]:
    """A batch made ready for couriers of one group, in number order; what a courier had is left out.

    The scripts are those of `plan`: a reload may give one of them others meanwhile, which are not the others'. That
    one forgets what is made here. `upstream` shares the runs of sources' transformations with other calls, and
    `kept` those of the destinations'; `keep` says whether there may be others that want what is made here. Raises
    `Overfull` where scripts make too much of several events.
    """
    if chains := chains_of(plan, events):
        wanted = [e for e in events if any(c.lanes.wanted(e.number, e.key) for c in couriers)]
        events, kept = await (upstream or Upstream(runner)).outputs(wanted, chains), None
    decisions = _decisions(couriers, events)
    made = await _transformed(runner, events, plan, decisions, kept, keep=keep)
    rows = _rows(couriers, events, decisions, made)
    return [_joined(row) for row in rows] if chains else rows


async def _transformed(
    runner: Runner, events: Sequence[Sequenced], plan: Plan, decisions: Sequence[Sequence[Route | None]],
    kept: Kept | None = None, *, keep: bool = False,
) -> Sequence[Made | None]:
    """What the chain of a plan makes of each event that one of the decisions sends; None for the others."""
    if not plan.chain:
        return [None] * len(events)
    going: Sequence[Sequenced] = events
    if not any(_sends(row) for row in decisions):  # not as nearly always
        going = [event for event, *row in zip(events, *decisions, strict=True) if Send in map(type, row)]
    sent = [event for event in going if not event.broken and verdict_of(event) is None]
    if not sent:
        return [None] * len(events)
    make = partial(_run, runner, plan)
    if kept is None:
        made: Sequence[Made] = await make(sent)
    else:
        made = await kept.outputs(plan.chain, sent, make, told=tuple(plan.told.items()), keep=keep)
    if len(made) == len(events):  # as nearly always
        return made
    came = {id(event): one for event, one in zip(sent, made, strict=True)}
    return [came.get(id(event)) for event in events]


async def _run(runner: Runner, plan: Plan, events: Sequence[Sequenced]) -> list[Made]:
    came = await transform.run_patiently(runner, plan.chain, events, plan.told)
    return [_made(event, one) for event, one in zip(events, came, strict=True)]


class Made(msgspec.Struct, gc=False):
    """What a chain made of one event, read once for all destinations.

    Mostly that is one output (`raw`) to be sent, which is routed by `name`; its `entry` is for every destination
    that it is for as it is, and `sound` says whether the script says so of it (see `Outputs`). Else its outputs are
    in `outputs`, each with what it is routed by.
    """

    raw: bytes
    name: Name
    sound: bool = False
    outputs: Sequence[tuple[transform.Part, Name]] = ()
    entry: Entry | None = None

    @property
    def size(self) -> int:
        """Bytes of all that was made."""
        return len(self.raw) + sum([len(part.raw) for part, _ in self.outputs])


Kept = Runs[Made]


def _made(event: Sequenced, came: transform.Came) -> Made:
    """A script may change an event's integrations and type, which decide where it goes."""
    if isinstance(came, Outputs):
        (raw,) = came.events
        if raw == event.enriched:  # as scripts leave most events that they only look at
            return Made(raw, (bytes(event.head.integrations), event.kind, event.source), came.sound)
        name = _name(event, raw)
        if not isinstance(name, transform.Part):
            return Made(raw, name, came.sound)
        came = [name]
    outputs: list[tuple[transform.Part, Name]] = []
    for part in came:
        name = NOWHERE if part.verdict is not None else _name(event, part.raw)
        outputs.append((name, NOWHERE) if isinstance(name, transform.Part) else (part, name))
    return Made(b"", NOWHERE, outputs=outputs)


def _name(event: Sequenced, raw: bytes) -> Name | transform.Part:
    """What an output is routed by, or that it is dead."""
    try:
        head = heads.output(raw)
    except Refused as error:
        return transform.Part(raw, dead(f"{transform.SCRIPT}output: {error.message}"))
    return (bytes(head.integrations), (head.type or "").lower(), event.source)


def _rows(
    couriers: Sequence[Addressee], events: Sequence[Sequenced], decisions: Sequence[Sequence[Route | None]],
    made: Sequence[Made | None],
) -> list[list[Entry]]:
    """The entries of each courier. Those of an event that several get alike are one and the same, decoded once."""
    single = [one for one in made if one is not None and not one.outputs]
    names, whole = {one.name for one in single}, len(single) == len(events) > 0
    common: list[Entry | None] = [None] * len(events)
    everything: list[Entry] = []
    rows: list[list[Entry]] = []
    for courier, row in zip(couriers, decisions, strict=True):
        plain = {name for name in names if _is_plain(routed(courier, *name))}
        if whole and plain == names and _sends(row):  # nearly always
            everything = everything or [
                one.entry or _shared(courier, event, one) for event, one in zip(events, single, strict=True)
            ]
            rows.append(everything)
            continue
        found: list[Entry] = []
        for i, (event, decision, one) in enumerate(zip(events, row, made, strict=True)):
            if decision is None:
                continue
            if one is not None and type(decision) is Send and not one.outputs and one.name in plain:  # as below
                found.append(one.entry or _shared(courier, event, one))
            else:
                found.append(_alike(_entry(courier, event, decision, one), event, courier, common, i))
        rows.append(found)
    return rows


def _shared(courier: Addressee, event: Sequenced, made: Made) -> Entry:
    """The entry of an event's only output for every destination that it is for as it is."""
    raw, (_, kind, source) = made.raw, made.name
    entry = made.entry = Entry(event.number, event.key, source, event.received_at, ((raw, NO_OPTIONS, None),))
    if not isinstance(event, Sourced):  # those are kept elsewhere, and by their bytes
        trusted = source in courier.plan.trusted
        entry.event = Event(
            raw, key=event.key, number=event.number, source=source, trusted=trusted, kind=kind, sound=made.sound,
        )  # fmt: skip
        event.made = (*event.made, ref(entry))
    return entry


def _sends(decisions: Sequence[Route | None]) -> bool:
    """Whether all of them do."""
    return set(map(type, decisions)) == {Send}


def _is_plain(route: Route) -> bool:
    return type(route) is Send and not route.options


def _entry(courier: Addressee, event: Sequenced, decision: Route, made: Made | None) -> Entry:
    parts = _parts(courier, event, decision, made)
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
        event.made = (*event.made, ref(entry))
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


def _parts(courier: Addressee, event: Sequenced, decision: Route, made: Made | None) -> list[Part]:
    if event.broken:
        return [(event.raw, {}, dead(event.broken))]
    if (verdict := verdict_of(event)) is not None:
        return [(event.raw if verdict.outcome is Outcome.DEAD else _seen(courier, event.raw), {}, verdict)]
    if isinstance(decision, Filtered):
        return [(_seen(courier, event.raw), {}, filtered(decision.reason))]
    if made is None:
        return [(event.enriched, decision.options, None)]
    if not made.outputs:
        return [_again(courier, event, transform.Part(made.raw), made.name)]
    return [_again(courier, event, *output) for output in made.outputs]


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
    rows = [_entry(courier, *row) for row in zip(events, decisions, made, strict=True)]
    return _joined(rows) if chains else rows
