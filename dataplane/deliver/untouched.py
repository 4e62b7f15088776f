"""Events that no script touches, handed to many destinations.

What is the same for all of them is done once: an event's decision per distinct integrations object, type and
source, its enriched bytes, its entry, and its decoding.
"""

from __future__ import annotations

from collections.abc import Sequence

from dataplane.deliver.courier import Courier
from dataplane.deliver.entry import NO_OPTIONS, Batch, Entry, Part, lane_of
from dataplane.deliver.gates import Name, routed
from dataplane.pipeline.numbered import Sequenced
from dataplane.pipeline.route import Filtered, Route, Send
from turnout.event import Event
from turnout.verdict import dead, filtered

__all__ = ["hand_over", "named"]


def hand_over(events: Sequence[Sequenced], couriers: Sequence[Courier]) -> None:
    """Offer a batch, in number order; everything before the number behind it was offered then."""
    index, names = named(events)
    first, upto = events[0].number, events[-1].number + 1
    broken = any(event.broken for event in events)
    everything: Batch | None = None
    for courier in couriers:
        decisions = [routed(courier, *name) for name in names]
        fresh = not broken and courier.lanes.fresh(first)
        if fresh and all(isinstance(one, Send) and not one.options for one in decisions):
            everything = everything or Batch([_shared(event, courier) for event in events], upto)
            courier.offer_all(everything)
        else:
            _some(events, courier, [decisions[i] for i in index], upto, fresh=fresh)


def named(events: Sequence[Sequenced]) -> tuple[list[int], Sequence[Name]]:
    """What events are routed by: for each the place of its name, and the names."""
    names: dict[Name, int] = {}
    index: list[int] = []
    for event in events:
        name = (bytes(event.head.integrations), event.kind, event.source)
        index.append(names.setdefault(name, len(names)))
    return index, list(names)


def _some(
    events: Sequence[Sequenced], courier: Courier, decisions: Sequence[Route], upto: int, *, fresh: bool
) -> None:
    """Offer what this destination is to have of a batch; what it is not to have costs no entry where nothing of
    its lane waits."""
    lanes, watched = courier.lanes, courier.watched
    queued: list[Entry] = []
    busy: set[int] = set()
    passed: dict[str, list[int]] = {}
    nothing = lanes.empty
    for event, decision in zip(events, decisions, strict=True):
        if not fresh and not lanes.wanted(event.number, event.key):
            continue
        if (
            isinstance(decision, Filtered) and not watched and not event.broken
            and (nothing or lanes.idle(event.key)) and (not busy or lane_of(event.key) not in busy)
        ):
            passed.setdefault(decision.reason, []).append(event.number)
            continue
        queued.append(_entry(event, courier, decision))
        busy.add(lane_of(event.key))
    courier.passed(passed)
    courier.offer_all(Batch(queued, upto))


def _shared(event: Sequenced, courier: Courier) -> Entry:
    """The entry of an event for every destination that it is for as it is."""
    entry: Entry | None = event.entry
    if entry is None:
        raw, source = event.enriched, event.source
        entry = event.entry = Entry(event.number, event.key, source, event.received_at, ((raw, NO_OPTIONS, None),))
        trusted = source in courier.plan.trusted
        entry.event = Event(
            raw, key=event.key, number=event.number, source=source, trusted=trusted,
            kind=event.kind, message_id=event.message_id,
        )  # fmt: skip
    return entry


def _entry(event: Sequenced, courier: Courier, decision: Route) -> Entry:
    part: Part
    if event.broken:
        part = (event.raw, {}, dead(event.broken))
    elif isinstance(decision, Filtered):
        part = (event.raw if courier.watched else b"", {}, filtered(decision.reason))
    elif decision.options:
        part = (event.enriched, decision.options, None)
    else:
        return _shared(event, courier)
    return Entry(event.number, event.key, event.source, event.received_at, [part])
