"""One event's way to one destination, walked without sending anything.

By the functions that run in production: the source's transformations in their sandbox, routing, those of
the destination, routing again, the adapter. Answers are taken as 200.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataplane.deliver.rehearsal import rehearse, stopped
from dataplane.inspect.difference import difference
from dataplane.pipeline import head as heads
from dataplane.pipeline.numbered import Sequenced
from dataplane.pipeline.route import Filtered, Gate, Route, Send, decide
from dataplane.pipeline.transform import Part, metadata, run_script
from transformations.base import Runner, Script
from turnout import codec
from turnout.destination import Context, Destination
from turnout.errors import Refused
from turnout.event import Event
from turnout.verdict import Outcome, Verdict, dead, filtered

__all__ = ["Means", "walk"]


@dataclass(frozen=True, slots=True)
class Means:
    """By what an event is handled. `adapter` is None where the request is not to be made.

    `upstream` is the chain of its source, `told` what the scripts of `chain` are told of the destination.
    """

    gate: Gate
    chain: Sequence[Script]
    adapter: Destination[Any] | None
    at: Context
    trusted: bool = False
    upstream: Sequence[Script] = ()
    told: Mapping[str, str] = field(default_factory=dict)


async def walk(means: Means, runner: Runner, event: Sequenced) -> dict[str, Any]:
    """`{"route": {verdict, reason | rule}, "steps": […], "parts": [{"verdict", "reason", "rule",
    "requests": […], "records": […]}]}`.

    A part's verdict is `send`, or why nothing is sent: `filtered`, `dead`. A step is one script, of the
    `source` or the `destination`, with its name and version, and for each input its outputs as differences
    from it. `route` is the decision before the destination's scripts, for the first output that comes there.
    """
    if event.broken:
        return {"route": None, "steps": [], "parts": [stopped("dead", event.broken)]}
    connected = means.gate.sources is None or event.source in means.gate.sources
    upstream = means.upstream if connected else ()
    (parts,), steps = await _run(upstream, runner, [[Part(event.enriched)]], metadata(event, {}), "source")
    routes = [_decide(means, part, event, anew=bool(upstream)) for part in parts]
    rows = [[_routed(part, route)] for part, route in zip(parts, routes, strict=True)]
    rows, more = await _run(means.chain, runner, rows, metadata(event, means.told), "destination")
    steps += more
    parts = [part for row in rows for part in row]
    shown = [
        _part(means, part, child, event, anew=bool(upstream or means.chain)) for child, part in enumerate(parts)
    ]
    first = next((route for route in routes if isinstance(route, Send | Filtered)), None)
    return {"route": None if first is None else _route(first), "steps": steps, "parts": shown}


async def _run(
    chain: Sequence[Script], runner: Runner, rows: list[list[Part]], note: bytes, of: str
) -> tuple[list[list[Part]], list[dict[str, Any]]]:
    """What a chain makes of each of its inputs, and its steps."""
    steps: list[dict[str, Any]] = []
    for script in chain:
        parts = [part for row in rows for part in row]
        if all(part.verdict is not None for part in parts):
            break
        made = await run_script(runner, script, [[part] for part in parts], [note] * len(parts))
        steps.append({"of": of, **_step(script, parts, made)})
        each = iter(made)
        rows = [_joined([next(each) for _ in row]) for row in rows]
    return rows, steps


def _decide(means: Means, part: Part, event: Sequenced, *, anew: bool) -> Route | Verdict | None:
    """The decision for an output, or why it is dead; None where it has its verdict. `anew`: a script made it."""
    if part.verdict is not None:
        return None
    if not anew:
        return decide(bytes(event.head.integrations), event.kind, event.source, means.gate)
    try:
        head = heads.read(part.raw)
    except Refused as error:
        return dead(error.message)
    return decide(bytes(head.integrations), (head.type or "").lower(), event.source, means.gate)


def _routed(part: Part, route: Route | Verdict | None) -> Part:
    if isinstance(route, Filtered):
        return Part(part.raw, filtered(route.reason))
    return Part(part.raw, route) if isinstance(route, Verdict) else part


def _route(decision: Route) -> dict[str, str]:
    if isinstance(decision, Send):
        return {"verdict": "send", "rule": decision.rule}
    return {"verdict": "filtered", "reason": decision.reason}


def _dropped(row: Sequence[Part]) -> bool:
    return len(row) == 1 and row[0].verdict is not None and row[0].verdict.outcome is Outcome.FILTERED


def _joined(made: Sequence[Sequence[Part]]) -> list[Part]:
    """The outputs of one input of the chain; what was dropped is left out unless nothing else is there."""
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


def _part(means: Means, part: Part, child: int, event: Sequenced, *, anew: bool) -> dict[str, Any]:
    """One output of the transformations: routed again, then given to the adapter."""
    decision = _decide(means, part, event, anew=anew)
    if decision is None or isinstance(decision, Verdict):
        verdict = decision or part.verdict
        assert verdict is not None
        return stopped(verdict.outcome, verdict.reason)
    if isinstance(decision, Filtered):
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
