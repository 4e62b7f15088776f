"""Recent events and the scripts in force, for `turnout plan`: a bounded sample, read behind everyone else."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dataplane.deliver.engine import Engine
from dataplane.deliver.reload import backlogs
from dataplane.deliver.replaying import number_at
from dataplane.pipeline.numbered import Sequenced, restored
from transformations.base import Script
from turnout.errors import Fixable
from turnout.spelling import unknown

__all__ = ["VERBS", "scripts_of", "unpacked"]

MOST = 10_000
"""Most events in a sample."""
BYTES = 16 << 20
PLACES = 100
"""A sample that cannot hold everything is taken from so many places, evenly spread."""

_encode = msgspec.msgpack.Encoder().encode


async def _sample(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """`since` Unix milliseconds, `limit`, `sources` ([] for all): events evenly spread over the time since.

    All of them where `limit` allows; else `of` is about how many there are, refused ones among them. At
    most 16 MB of events, however large the limit. Raises `Fixable` for a source that nobody knows.
    """
    limit, since = args.get("limit", 1_000), args.get("since", 0)
    sources = args.get("sources", [])
    known = {*engine.config.sources, *(name for name, _ in engine.source_counts())}
    for name in sources:
        if name not in known:
            raise Fixable(unknown("source", name, sorted(known)))
    if not isinstance(limit, int) or not 1 <= limit <= MOST or not isinstance(since, int):
        raise Fixable(f"plan: limit is a number from 1 to {MOST:,}")
    sequencer = engine.sequencer
    first, end = await number_at(sequencer, since), sequencer.next_number
    span = end - first
    places = 1 if span <= limit else min(PLACES, limit)
    each = limit if places == 1 else -(-limit // places)
    found: list[Sequenced] = []
    room, looked = BYTES, 0
    for place in range(places):
        start, stop = first + span * place // places, first + span * (place + 1) // places
        taken = 0
        while start < stop and taken < each and room > 0:
            began = asyncio.get_running_loop().time()
            events, start = sequencer.load(start, each - taken)
            for event in events:
                if taken == each or event.number >= stop or event.received_at < since or room <= 0:
                    continue
                looked += 1
                if not sources or event.source in sources:
                    found.append(event)
                    room -= len(event.raw)
                    taken += 1
            await asyncio.sleep(2 * (asyncio.get_running_loop().time() - began))
    scripts = {script.name: script for courier in engine.couriers.values() for script in courier.plan.scripts}
    about = span if len(found) == looked else round(span * len(found) / looked)
    return {
        "of": len(found) if places == 1 and room > 0 else max(about, len(found)),
        "events": [_packed(event) for event in found[:limit]],
        "scripts": [msgspec.to_builtins(script) for script in scripts.values()],
    }


def _packed(event: Sequenced) -> list[Any]:
    envelope = _encode(msgspec.structs.replace(event.envelope, refused={}))
    return [event.number, event.key, b64encode(event.raw).decode(), b64encode(envelope).decode()]


def unpacked(rows: Sequence[Sequence[Any]]) -> list[Sequenced]:
    """The events of a sample, in the process that asked for it; an id that was generated is another one."""
    return [restored(number, key, b64decode(raw), b64decode(envelope), b"") for number, key, raw, envelope in rows]


def scripts_of(rows: Sequence[Any]) -> Mapping[str, Script]:
    """The scripts of a sample, by name."""
    return {script.name: script for script in msgspec.convert(rows, list[Script])}


def _left(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """What destinations beside those of `taken` have still to deliver: `{id: {"unread", "aside"}}`."""
    left = backlogs(args["taken"], engine.couriers, engine.ledger, engine.sequencer.next_number)
    return {ident: one._asdict() for ident, one in left.items()}


VERBS = {"plan.sample": _sample, "plan.left": _left}
