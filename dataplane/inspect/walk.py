"""One event's way to one destination, walked without sending anything.

By the functions that run in production: routing, each transformation in its sandbox, routing again, the
adapter. Answers are taken as 200.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataplane.deliver.rehearsal import rehearse, stopped
from dataplane.inspect.difference import difference
from dataplane.pipeline import head as heads
from dataplane.pipeline.route import Filtered, Gate, Route, Send, decide
from dataplane.pipeline.sequence import Sequenced
from dataplane.pipeline.transform import Part, metadata, run_script
from transformations.base import Runner, Script
from turnout import codec
from turnout.destination import Context, Destination
from turnout.errors import Refused
from turnout.event import Event
from turnout.verdict import Outcome

__all__ = ["Means", "extra", "walk"]


@dataclass(frozen=True, slots=True)
class Means:
    """By what an event is handled. `adapter` is None where the request is not to be made."""

    gate: Gate
    chain: Sequence[Script]
    adapter: Destination[Any] | None
    at: Context
    trusted: bool = False


def extra(means: Means) -> dict[str, str]:
    """Metadata about the destination, as the engine gives it to a run for one destination."""
    adapter = means.adapter
    if adapter is None:
        return {"destinationId": means.gate.id}
    return {
        "destinationId": means.gate.id, "destinationType": adapter.slug,
        "destinationName": adapter.names[0] if adapter.names else means.gate.id,
    }  # fmt: skip


async def walk(means: Means, runner: Runner, event: Sequenced, told: Mapping[str, Any]) -> dict[str, Any]:
    """`{"route": {verdict, reason | rule}, "steps": […], "parts": [{"verdict", "reason", "rule",
    "requests": […], "records": […]}]}`; `told` is what the scripts are told of the destination.

    A part's verdict is `send`, or why nothing is sent: `filtered`, `dead`. A step is one script with
    its name and version, and for each input its outputs as differences from it.
    """
    if event.broken:
        return {"route": None, "steps": [], "parts": [stopped("dead", event.broken)]}
    first = decide(bytes(event.head.integrations), event.kind, event.source, means.gate)
    if isinstance(first, Filtered):
        return {"route": _route(first), "steps": [], "parts": [stopped("filtered", first.reason)]}
    parts = [Part(event.enriched)]
    note = metadata(event, told)
    steps: list[dict[str, Any]] = []
    for script in means.chain:
        if all(part.verdict is not None for part in parts):
            break
        made = await run_script(runner, script, [[part] for part in parts], [note] * len(parts))
        steps.append(_step(script, parts, made))
        parts = _joined(script, made)
    shown = [_part(means, part, child, event, first) for child, part in enumerate(parts)]
    return {"route": _route(first), "steps": steps, "parts": shown}


def _route(decision: Route) -> dict[str, str]:
    if isinstance(decision, Send):
        return {"verdict": "send", "rule": decision.rule}
    return {"verdict": "filtered", "reason": decision.reason}


def _dropped(row: Sequence[Part]) -> bool:
    return len(row) == 1 and row[0].verdict is not None and row[0].verdict.outcome is Outcome.FILTERED


def _joined(script: Script, made: Sequence[Sequence[Part]]) -> list[Part]:
    """The outputs of all inputs; what was dropped is left out unless nothing else is there."""
    kept = [part for row in made if not _dropped(row) for part in row]
    return kept or [made[0][0]]


def _step(script: Script, parts: Sequence[Part], made: Sequence[Sequence[Part]]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for child, (part, row) in enumerate(zip(parts, made, strict=True)):
        if part.verdict is not None:
            continue
        if _dropped(row):
            rows.append({"input": child, "outcome": "dropped"})
        elif row[0].verdict is not None:
            rows.append({"input": child, "outcome": "failed", "reason": row[0].verdict.reason})
        else:
            before = _json(part.raw)
            rows.extend(
                {"input": child, "outcome": "made", "changes": difference(before, _json(one.raw))} for one in row
            )
    return {"script": script.name, "version": script.version, "file": script.file, "outputs": rows}


def _json(raw: bytes) -> Any:
    try:
        return codec.loads(raw)
    except Refused:
        return raw.decode("utf-8", "replace")


def _part(means: Means, part: Part, child: int, event: Sequenced, first: Route) -> dict[str, Any]:
    """One output of the transformations: routed again, then given to the adapter."""
    if part.verdict is not None:
        return stopped(part.verdict.outcome, part.verdict.reason)
    decision = first
    if means.chain:
        try:
            head = heads.read(part.raw)
        except Refused as error:
            return stopped("dead", error.message)
        decision = decide(bytes(head.integrations), (head.type or "").lower(), event.source, means.gate)
    if not isinstance(decision, Send):
        return stopped("filtered", decision.reason)
    made = Event(
        part.raw, key=event.key, number=event.number, child=child, source=event.source,
        options=decision.options, trusted=means.trusted,
    )  # fmt: skip
    if means.adapter is None:
        return {"rule": decision.rule, **stopped("send")}
    try:
        return {"rule": decision.rule, **rehearse(means.adapter, made, means.at)}
    except Exception as error:  # noqa: BLE001 -- an adapter may be a third party's; the engine says the same
        return stopped("dead", f"adapter error: {type(error).__name__}")
