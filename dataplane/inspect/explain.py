"""What became of one event, from the bytes received to every destination's answer.

What happened is told from the log, the sidecar, the state file, the dead letters and the journal; what
scripts and adapters made of it is reconstructed (dataplane/inspect/reconstruct.py) and marked so.
docs/explain.md describes the answer. Nothing here holds up the engine: the log is read one record at a
time, files are searched in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dataplane.deliver import trace as tracing
from dataplane.deliver.engine import Engine
from dataplane.deliver.journal import Attempt, Filtering
from dataplane.deliver.replay_state import name_of
from dataplane.inspect.conclude import conclude
from dataplane.inspect.difference import difference
from dataplane.inspect.find import Found, find, first_of, later
from dataplane.inspect.reconstruct import Rebuilt, rebuild, running
from dataplane.inspect.walk import walk
from dataplane.pipeline.blocks import DUPLICATE, REFUSED
from dataplane.pipeline.head import text
from dataplane.pipeline.lookup import Stored
from transformations.base import Item, Ran, Script, Tester
from turnout import clock, codec
from turnout.errors import Refused, TurnoutError
from turnout.preview import mask

__all__ = ["explain"]

_RESULTS = {0: "unique", DUPLICATE: "duplicate", REFUSED: "refused"}


async def explain(
    engine: Engine, runner: Tester, wanted: str, source: str = "", *, brief: bool = False
) -> dict[str, Any]:
    """Everything about one event, as plain JSON. `wanted` is a messageId, or `#` and an event number.

    Of several processes each tells what it knows, and whether the event is of its lanes (`mine`); all but one are
    asked in `brief`, for what became of the event.

    Raises `Refused` (not_found) where no such event is known.
    """
    found = await find(engine, wanted, source)
    decision = await _decision(engine, found, brief=brief)
    told: dict[str, Any] = {
        "number": found.number, "found_by": found.by, "event": _event(found), "decision": decision,
        "enrichment": None, "destinations": {},
    }  # fmt: skip
    if not engine.sequencer.share.alone:
        found.owned = told["mine"] = found.entry is not None and engine.sequencer.share.has(found.entry[2])
    if decision["result"] in ("refused", "duplicate"):
        return told
    if found.stored is not None and not found.stored.event.broken:
        told["enrichment"] = difference(_json(found.stored.raw), _json(found.stored.event.enriched))
    told["destinations"] = await _Destinations(engine, runner, found).all()
    if decision["result"] is None and not any(one["attempts"] or one["dead"] for one in told["destinations"].values()):
        decision["message"] = "its bytes were released, and nothing else is known of it any more"
    return told


# ---- what is known of it


def _json(raw: bytes) -> Any:
    try:
        return codec.loads(raw)
    except Refused:
        return raw.decode("utf-8", "replace")


def _event(found: Found) -> dict[str, Any] | None:
    """The event as received; None where the log has let it go."""
    stored = found.stored
    if stored is None:
        return None
    envelope, head = stored.envelope, stored.event.head
    body = _json(stored.raw)
    return {
        "message_id": stored.event.message_id, "source": envelope.source,
        "received_at": clock.iso(clock.from_millis(envelope.received_at)), "ip": envelope.ip,
        "protocol": envelope.protocol, "type": stored.event.kind, "event": head.event or "",
        "user_id": text(head.userId), "anonymous_id": text(head.anonymousId) or envelope.anonymous_id,
        "bytes": len(stored.raw), "position": stored.record.position, "place": stored.place,
        "of": stored.record.count, "json": None if isinstance(body, str) else body,
        "text": body if isinstance(body, str) else None,
    }  # fmt: skip


async def _decision(engine: Engine, found: Found, *, brief: bool) -> dict[str, Any]:
    """What sequence decided: `result` is unique, duplicate, refused, or None where it is not known any more."""
    told: dict[str, Any] = {
        "result": None, "duplicate_of": None, "code": None, "message": None, "duplicates": found.duplicates,
        "duplicates_searched": True, "other_sources": list(found.others),
    }  # fmt: skip
    entry = found.entry
    if entry is None:
        refused = engine.ledger.state.refused_row(found.number)
        if refused is not None:
            told |= {"result": "refused", "code": refused[1], "message": refused[2]}
        return told
    flags, digest, _ = entry
    told["result"] = _RESULTS.get(flags, "refused")
    if told["result"] == "refused":
        told["code"], told["message"] = _reason(engine, found)
    elif told["result"] == "duplicate":
        told["duplicate_of"] = await first_of(engine, digest, found.number)
    elif found.by != "search" and not brief:
        numbers, whole = await asyncio.to_thread(later, engine, digest, found.number)
        told["duplicates"], told["duplicates_searched"] = numbers, whole
    return told


def _reason(engine: Engine, found: Found) -> tuple[str, str]:
    if found.stored is not None and found.stored.place in found.stored.envelope.refused:
        code, message = found.stored.envelope.refused[found.stored.place]
        return code, message
    row = engine.ledger.state.refused_row(found.number)
    return (row[1], row[2]) if row else ("unreadable", "the stored event cannot be read")


# ---- destinations


class _Destinations:
    """What became of one event at each destination."""

    def __init__(self, engine: Engine, runner: Tester, found: Found) -> None:
        self._engine = engine
        self._found = found
        self._runner = _Once(runner)

    async def all(self) -> dict[str, Any]:
        """By id, in the config's order; then replays (`replay:<id>`), and those that are gone from it."""
        engine, number = self._engine, self._found.number
        await engine.books.commit()  # what is dead since the last tenth of a second is looked up on disk
        traces = await tracing.trace(engine, number)
        letters = await asyncio.to_thread(tracing.dead_letters, engine, number)
        replays = (name for name, replay in engine.replays.couriers.items() if replay.chains.of(number))
        gone = sorted({*traces, *map(_owner, letters), *replays} - {*engine.couriers})
        told: dict[str, Any] = {}
        for ident in [*engine.couriers, *gone]:
            one = await self._one(ident, traces.get(ident, []))
            one["dead"] = [letter for letter in letters if _owner(letter) == ident]
            one["verdict"], one["why"] = conclude(one)
            told[ident] = one
        return told

    async def _one(self, ident: str, happened: Sequence[Attempt | Filtering]) -> dict[str, Any]:
        told = await self._stands(ident)
        source = self._found.stored.envelope.source if self._found.stored is not None else ""
        told["attempts"] = [tracing.attempted(one, source) for one in happened if isinstance(one, Attempt)]
        told["filtered"] = [tracing.left_out(one, source) for one in happened if isinstance(one, Filtering)]
        told["reconstructed"] = None
        stored = self._found.stored
        if stored is not None and told["stands"] != "before" and (happened or self._found.owned):
            rebuilt = self._by(ident, stored.envelope.source, happened)
            if rebuilt is not None:
                told["reconstructed"] = await self._walk(stored, rebuilt)
        return told

    async def _stands(self, ident: str) -> dict[str, Any]:
        replay = self._engine.replays.named(ident)
        courier = (self._engine.couriers if replay is None else self._engine.replays.couriers).get(ident)
        if courier is None and replay is not None:
            return {"type": "replay", "target": replay.definition.target, "state": replay.state,
                    "reason": f"to {replay.definition.target}", "stands": "settled", "sends_at": None,
                    "fills_until": None, "expired": 0, "ahead": 0, "waits": []}  # fmt: skip
        if courier is None:
            return {"type": None, "state": "removed", "reason": "no longer in the config", "stands": "settled",
                    "sends_at": None, "fills_until": None, "expired": 0, "ahead": 0, "waits": []}  # fmt: skip
        entry = self._found.entry
        key = entry[2] if entry else None
        stands = await tracing.stands(self._engine, courier, self._found.number, key)
        if replay is not None:
            return {"type": "replay", "target": replay.definition.target, **stands}
        return {"type": courier.plan.adapter.slug, **stands}

    def _by(self, ident: str, source: str, happened: Sequence[Attempt | Filtering]) -> Rebuilt | None:
        """By what the event was handled last, or would be now."""
        if happened:
            last = happened[-1]
            origin, replay = last.origin, self._engine.replays.named(ident)
            if replay is not None:
                ident = replay.definition.destination
                if not ident:
                    return None  # it writes them as they were received
                origin = replace(origin, destination=self._called(ident, origin.config, last.at))
            return rebuild(self._engine, origin, source, datetime.fromtimestamp(last.at, UTC), ident)
        courier = self._engine.couriers.get(ident)
        return None if courier is None else running(courier, source, self._engine.clock.now())

    def _called(self, ident: str, config: str, at: float) -> str:
        """What the destination was called in an old config."""
        renames = self._engine.ledger.state.renames(self._engine.couriers)
        shown = (self._engine.history.config(config) or {}).get("destinations") or {}
        names = (name for name in (ident, *sorted(renames.names(ident))) if renames.now(name, at) == ident)
        return next((name for name in names if name in shown), ident)

    async def _walk(self, stored: Stored, rebuilt: Rebuilt) -> dict[str, Any]:
        told: dict[str, Any] = {
            "config": rebuilt.config, "running": rebuilt.running, "scripts": rebuilt.scripts,
            "notes": rebuilt.notes, "route": None, "steps": [], "parts": [],
        }  # fmt: skip
        if rebuilt.means is None:
            return told
        means = rebuilt.means
        try:
            walked = await walk(means, self._runner, stored.event)
            secrets = [value for script in (*means.upstream, *means.chain) for value in script.credentials.values()]
            told |= mask(walked, secrets)  # a script may write a secret of its own into an event
        except TurnoutError as error:
            told["notes"].append(f"the scripts could not be run again: {error}")
        return told


def _owner(letter: dict[str, Any]) -> str:
    """Whose verdict a dead letter is: its destination's, or the replay's that gave it up."""
    return str(letter["destination"]) if letter["replay"] is None else name_of(letter["replay"])


class _Once:
    """A runner that runs the same script over the same event once for all destinations, as a trial: to
    explain an event neither counts as a run nor stops a script."""

    def __init__(self, runner: Tester) -> None:
        self._runner = runner
        self._known: dict[tuple[str, str, tuple[Item, ...]], list[Ran]] = {}

    async def start(self) -> None:
        """The runner it stands before runs already."""

    async def stop(self) -> None:
        """The runner it stands before goes on."""

    async def check(self, script: Script) -> None:
        """Compile in a worker."""
        await self._runner.check(script)

    async def run(self, script: Script, items: Sequence[Item]) -> list[Ran]:
        """Run, or give what the same run gave before."""
        key = (script.name, script.version, tuple(items))
        if key not in self._known:
            self._known[key] = (await self._runner.trial(script, items)).results
        return self._known[key]
