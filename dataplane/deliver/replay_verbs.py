"""Verbs about replays: start, count (a dry run), list, status, cancel, resume."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from dataplane.deliver import dispatch
from dataplane.deliver.courier import Courier
from dataplane.deliver.engine import Engine
from dataplane.deliver.export import vacant
from dataplane.deliver.rehearsal import rehearse, stopped
from dataplane.deliver.replay import define, marked, rate_of
from dataplane.deliver.replay_state import ReplayRow
from dataplane.deliver.replaying import slices
from dataplane.deliver.showing import show
from dataplane.pipeline.numbered import Sequenced
from dataplane.pipeline.route import SEND, Filtered
from turnout import clock
from turnout.destination import Context
from turnout.errors import Fixable
from turnout.event import Event

__all__ = ["NAMES", "VERBS", "shown"]

READING = 2.0
"""Seconds a dry run reads before it answers with what it has and where to go on."""
SAMPLE = 5
NAMES = 10
"""Names shown of a list that a replay was asked for, where several replays are shown: it may have thousands."""
TRIED = 50
"""Events that are taken through the transformations to find a sample of those that are sent."""


def _ident(args: dict[str, Any]) -> int:
    given = args.get("id")
    if not isinstance(given, int) or isinstance(given, bool):
        raise Fixable("the id of a replay is a number")
    return given


async def _start(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    return shown(engine, await engine.replays.start(define(args)))


async def _cancel(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    return shown(engine, await engine.replays.cancel(_ident(args)))


async def _resume(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    return shown(engine, await engine.replays.resume(_ident(args)))


def _status(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    return shown(engine, engine.replays.find(_ident(args)))


def _list(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    rows = sorted(engine.replays.rows.values(), key=lambda row: row.id, reverse=True)
    return {"replays": [shown(engine, row, names=NAMES) for row in rows]}


def shown(engine: Engine, row: ReplayRow, *, names: int | None = None) -> dict[str, Any]:
    """One replay for people: what it was asked, how far it is, what became of the events.

    Of each list it was asked for at most so many `names` are shown; `left_out` says how many more there are.
    """
    counts = engine.ledger.counts
    work = engine.replays.running(row.id)
    if work is not None:
        row = work.row
    found: dict[str, Any] = {
        "id": row.id,
        "state": row.state,
        "reason": row.reason,
        "destination": row.definition.destination,
        "file": row.definition.file,
        "at": clock.iso(clock.from_millis(int(row.at * 1000))),
        "over": None if row.over is None else clock.iso(clock.from_millis(int(row.over * 1000))),
        "first": row.first,
        "position": row.end,
        "end": row.end,
        "missed": row.missed,
        "pending": 0,
        **{what: counts[row.name, what] for what in ("delivered", "filtered", "dead", "born", "cancelled")},
    }
    if work is not None:
        waits = show(work.courier)
        waits.pop("type")
        found["position"] = work.courier.lanes.position
        found["pending"] = waits["queued"] + waits["in_flight"] + waits["retrying"] + waits["waiting"]
        found["rate"] = work.rate
        found["holds_log"] = work.courier.pins()
        found["courier"] = waits
        if waits["state"] != "running" and row.state == "running":
            found["reason"] = f"{waits['state']}: {waits['reason']}"
    elif row.state == "cancelled":
        place = engine.replays.place(row.id)
        found["position"] = row.first if place is None else min(place.cursors)
    done = found["delivered"] + found["filtered"] + found["dead"] + found["cancelled"]
    found["selected"] = done + found["pending"] - found["born"]
    asked = found["asked"] = msgspec.to_builtins(row.definition)
    long = {name: rows for name, rows in asked.items() if isinstance(rows, list) and len(rows) > (names or len(rows))}
    if long:
        found["asked"] = asked | {name: rows[:names] for name, rows in long.items()}
        found["left_out"] = {name: len(rows) - (names or 0) for name, rows in long.items()}
    return found


async def _count(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """A part of a dry run: reads for a while from `position` (or the beginning) and says what it found.

    The caller asks again with the `first`, `position`, `end` and `letters` it was given until position is
    at the end. Routes
    are by the config in force; transformations run for the sample only.
    """
    given = {name: args.pop(name) for name in ("first", "position", "end", "letters", "sample") if name in args}
    if any(not isinstance(value, int) or value < 0 for value in given.values()):
        raise Fixable("first, position, end, letters and sample are numbers")
    definition = define(args)
    replays = engine.replays
    replays.check(definition)
    if definition.file:
        vacant(Path(definition.file))
    if {"first", "position", "end"} <= set(given):
        first, position, end, letters = given["first"], given["position"], given["end"], given.get("letters", 0)
    else:
        await engine.books.commit()
        first, end = await replays.span(definition)
        position = first
        letters = replays.last_letter()
    end = min(end, engine.sequencer.next_number)
    row = ReplayRow(0, definition, "running", engine.clock.now().timestamp(), first, end, letters=letters)
    selection, stored = await replays.selection(row), replays.stored(definition)
    events, position = await slices(stored, selection, position, end, READING)
    routes, sample = await _rehearsed(engine, row, events, min(given.get("sample", SAMPLE), SAMPLE))
    own = engine.couriers.get(definition.destination)
    return {
        "first": first, "position": position, "end": end, "letters": letters, "selected": len(events),
        "routes": routes, "sample": sample,
        "rate": rate_of(definition, own.plan.delivery.rate if own else None),
    }  # fmt: skip


async def _rehearsed(
    engine: Engine, row: ReplayRow, events: Sequence[Sequenced], most: int
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """How many events each rule sends or filters, and the first few as they would be sent."""
    courier, _ = engine.replays.courier(row)
    at = clock.iso(clock.from_millis(int(row.at * 1000)))
    routes: Counter[str] = Counter()
    tried: list[dict[str, Any]] = []
    try:
        for event in events:
            decision = dispatch.routed(courier, bytes(event.head.integrations), event.kind, event.source)
            if event.source in courier.plan.upstream and not event.broken:
                decision = SEND  # what the source's transformations make of it decides, and they do not run here
            if event.broken:
                routes[f"dead: {event.broken}"] += 1
            elif isinstance(decision, Filtered):
                routes[f"filtered: {decision.reason}"] += 1
            else:
                routes["send"] += 1
                if sum(map(_sent, tried)) < most and len(tried) < TRIED:
                    event.enriched = marked(event.enriched, row.id, at)
                    tried.append(await _would(engine, courier, event))
    finally:
        await courier.stop(asyncio.get_running_loop().time())
    tried.sort(key=_sent, reverse=True)
    return dict(routes), tried[:most]


def _sent(shown: dict[str, Any]) -> bool:
    return any(part["verdict"] == "send" for part in shown["parts"])


async def _would(engine: Engine, courier: Courier, event: Sequenced) -> dict[str, Any]:
    entry = await dispatch.entry_of(engine.runner, event, courier)
    plan = courier.plan
    at = Context(engine.clock.now(), plan.delivery, plan.replay.salt if plan.replay else "")
    parts: list[dict[str, Any]] = []
    for child, (raw, options, verdict) in enumerate(entry.parts):
        if verdict is not None:
            parts.append(stopped(verdict.outcome, verdict.reason))
            continue
        one = Event(
            raw, key=entry.key, number=entry.number, child=child, source=entry.source, options=options,
            trusted=entry.source in plan.trusted,
        )
        parts.append(rehearse(plan.adapter, one, at))
    return {
        "message_id": event.message_id, "source": event.source,
        "received_at": clock.iso(clock.from_millis(event.received_at)), "parts": parts,
    }  # fmt: skip


VERBS = {
    "replay.start": _start, "replay.count": _count, "replay.list": _list, "replay.status": _status,
    "replay.cancel": _cancel, "replay.resume": _resume,
}
