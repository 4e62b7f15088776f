"""Runs a chain of transformations, of a source or of a destination, over a batch of events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from json.encoder import encode_basestring as _quoted
from typing import Any, NamedTuple

from dataplane.metrics.log import logger
from dataplane.pipeline.numbered import Sequenced
from transformations.base import Failed, Item, Outputs, Ran, Runner, Script
from turnout import codec
from turnout.errors import Overfull, Stopped, Transient
from turnout.verdict import Verdict, dead, filtered

__all__ = ["SCRIPT", "Came", "Part", "metadata", "run_chain", "run_patiently", "run_script"]

log = logger()

_item: Callable[[tuple[bytes, bytes]], Item] = partial(tuple.__new__, Item)
"""An `Item` without its constructor, which is a function of Python's."""
SCRIPT = "script "
"""Starts the reason of an event that a transformation failed on; what follows says where."""


class Part(NamedTuple):
    """One output of a chain, or what became of the event instead."""

    raw: bytes
    verdict: Verdict | None = None


Came = Outputs | list[Part]
"""What an event came to: its only output, or its parts."""


def metadata(event: Sequenced, extra: Mapping[str, Any]) -> bytes:
    """What a script may know about an event beside the event itself, as JSON."""
    # Written by hand: a short text of orjson's that is kept holds a kilobyte until it is cut, three times the cost.
    stamp, name = event.received.stamp, event.head.event
    known = (
        f'{{"messageId":{_quoted(event.message_id)},"sourceId":{_quoted(event.source)}'
        f',"receivedAt":"{stamp.received_text}","eventType":{_quoted(event.kind)}'
    )
    if name:
        known += f',"eventName":{_quoted(name)}'
    more = codec.dumps(extra)[1:] if extra else b"}"
    return known.encode("utf-8", "replace") + (b"," + more if extra else more)


async def run_patiently(
    runner: Runner, chain: Sequence[Script], events: Sequence[Sequenced], extra: Mapping[str, Any]
) -> list[Came]:
    """`run_chain`, and while no worker answers, wait: nothing passes untransformed.

    Raises `Stopped` where a script of the chain was killed too often: who asked tries again later. Raises `Overfull`
    as `run_chain` does.
    """
    while True:
        try:
            return await run_chain(runner, chain, events, extra)
        except Stopped:
            raise
        except Transient as error:
            log.warning("transform.unavailable", error=str(error))
            await asyncio.sleep(1.0)


async def run_chain(
    runner: Runner, chain: Sequence[Script], events: Sequence[Sequenced], extra: Mapping[str, Any]
) -> list[Came]:
    """What each event came to, in order; an event that a script dropped has one filtered part.

    One event (or all that came of one) of which too many bytes are made is dead. Raises `Overfull` where it is several
    that are too much together.
    """
    try:
        return await _run_chain(runner, chain, events, extra)
    except Overfull as over:
        if len({event.number for event in events}) > 1:
            raise
        why = dead(f"{SCRIPT}{over.script}: what is made of one event is more than {over.most:,} bytes")
        return [[Part(event.enriched, why)] for event in events]


async def _run_chain(
    runner: Runner, chain: Sequence[Script], events: Sequence[Sequenced], extra: Mapping[str, Any]
) -> list[Came]:
    raws = [event.enriched for event in events]
    notes = [metadata(event, extra) for event in events]
    came: list[Came] = [Outputs((raw,)) for raw in raws] if not chain else []
    for place, script in enumerate(chain):
        ran = await runner.run(script, list(map(_item, zip(raws, notes, strict=True))))
        single = [one for one in ran if type(one) is Outputs and len(one.events) == 1]
        if len(single) < len(ran):  # not as nearly always: from here on in parts
            parts = [_became(script, Part(raw), one) for raw, one in zip(raws, ran, strict=True)]
            return await _run_on(runner, chain[place + 1 :], parts, notes)
        came = [*single]
        raws = [one.events[0] for one in single]
    return came


async def _run_on(
    runner: Runner, chain: Sequence[Script], parts: list[list[Part]], notes: Sequence[bytes]
) -> list[Came]:
    """The rest of a chain over what events came to."""
    for script in chain:
        if all(part.verdict is not None for row in parts for part in row):
            break
        parts = await run_script(runner, script, parts, notes)
    return list(parts)


async def run_script(
    runner: Runner, script: Script, parts: Sequence[Sequence[Part]], notes: Sequence[bytes]
) -> list[list[Part]]:
    """One script over the parts of events; what has a verdict already is passed on as it is."""
    if all(len(row) == 1 and row[0].verdict is None for row in parts):  # as nearly always
        ran = await runner.run(script, [Item(row[0].raw, note) for row, note in zip(parts, notes, strict=True)])
        return [_became(script, row[0], result) for row, result in zip(parts, ran, strict=True)]
    where = [(i, j) for i, row in enumerate(parts) for j, part in enumerate(row) if part.verdict is None]
    ran = await runner.run(script, [Item(parts[i][j].raw, notes[i]) for i, j in where])
    made: list[list[Part]] = [[] for _ in parts]
    results = dict(zip(where, ran, strict=True))
    for i, row in enumerate(parts):
        for j, part in enumerate(row):
            result = results.get((i, j))
            if result is None:
                made[i].append(part)
            else:
                made[i].extend(_outputs(part, result))
        if not made[i]:
            made[i].append(_dropped(script))
    return made


def _became(script: Script, part: Part, result: Ran) -> list[Part]:
    """What a script made of an event that was in one part."""
    return _outputs(part, result) or [_dropped(script)]


def _outputs(part: Part, result: Ran) -> list[Part]:
    if type(result) is Outputs:
        return [Part(raw) for raw in result.events]
    assert isinstance(result, Failed)
    return [Part(part.raw, dead(f"{SCRIPT}{result.reason}"))]


def _dropped(script: Script) -> Part:
    return Part(b"", filtered(f"dropped by {script.name}"))
