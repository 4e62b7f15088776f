"""Where one event stands at each destination, as the engine knows it: for `turnout explain`.

Reads what the engine has in memory and the state file; changes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dataplane.deliver.courier import Courier
from dataplane.deliver.dead import unpack_dead
from dataplane.deliver.journal import Attempt, Filtering, Origin, find
from dataplane.deliver.segments import Place
from dataplane.deliver.state import ExceptionRow
from turnout import clock, codec
from turnout.errors import FormatError, Refused

if TYPE_CHECKING:
    from dataplane.deliver.engine import Engine
from dataplane.deliver.showing import show

__all__ = ["Trace", "attempted", "dead_letters", "left_out", "moment", "stands", "trace", "versions"]

Trace = dict[str, list[Attempt | Filtering]]
"""What the journal knows of an event, by destination, in the order it happened."""


def moment(seconds: float) -> str:
    """Unix seconds as ISO 8601."""
    return clock.iso(clock.from_millis(int(seconds * 1000)))


async def trace(engine: Engine, number: int) -> Trace:
    """What the journal knows, by what destinations are called now; read in a thread."""
    engine.ledger.journal.flush(asyncio.get_running_loop().time())
    found: Trace = {}
    renames = engine.ledger.state.renames(engine.couriers)
    for one in await asyncio.to_thread(find, engine.ledger.journal.folder, number):
        found.setdefault(renames.now(one.origin.destination, one.at), []).append(one)
    return found


def versions(origin: Origin, source: str) -> dict[str, str]:
    """Scripts that an event of a source passed, and their versions."""
    upstream, own = origin.passed(source)
    return dict((*upstream, *own))


def attempted(one: Attempt, source: str) -> dict[str, Any]:
    """An attempt with an event of this source, as plain JSON."""
    return {
        "at": moment(one.at), "child": one.child, "status": one.status, "error": one.error,
        "seconds": round(one.seconds, 6), "attempt": one.attempt, "events": one.events,
        "config": one.origin.config, "scripts": versions(one.origin, source),
    }  # fmt: skip


def left_out(one: Filtering, source: str) -> dict[str, Any]:
    """What ended without a request, as plain JSON."""
    return {
        "at": moment(one.at), "child": one.child, "reason": one.reason,
        "config": one.origin.config, "scripts": versions(one.origin, source),
    }  # fmt: skip


async def stands(engine: Engine, courier: Courier, number: int, key: int | None) -> dict[str, Any]:
    """`{"state", "reason", "sends_at", "fills_until", "stands", "ahead", "waits": […]}` of the event with this order
    key's hash (None where nothing but its number is known any more: then it has its verdict).

    `stands` is before (it came before the destination began), unread, queued, sending, settled or archived.
    `ahead` is how many events the destination has before it, `waits` what is put aside, with its cause, `expired` how
    many of its events the archive has let go.
    """
    status = show(courier)
    found: dict[str, Any] = {
        "state": status["state"], "reason": status["reason"], "sends_at": _sends_at(engine, courier), "ahead": 0,
        "fills_until": None, "expired": engine.ledger.counts[courier.plan.id, "expired"],
    }  # fmt: skip
    began = engine.ledger.state.began(courier.plan.id)
    if began is not None and number < began:
        return {**found, "stands": "before", "began": began, "waits": []}
    found["stands"] = "settled" if key is None else courier.lanes.stands(number, key)
    if found["stands"] == "unread":
        found["ahead"] = max(0, number - courier.lanes.position)
    elif found["stands"] == "queued" and key is not None:
        found["ahead"] = courier.lanes.ahead(number, key)
        found["fills_until"] = _fills_until(engine, courier)
    found["waits"] = [_waits(courier, row) for row in courier.chains.of(number)]
    if found["stands"] == "settled" and await asyncio.to_thread(_archived, engine, courier.plan.id, number):
        found["stands"] = "archived"
    return found


def _archived(engine: Engine, destination: str, number: int) -> bool:
    """Whether it left a full backlog; reads files."""
    return next(engine.archive.events(destination, number, number), None) is not None


def _sends_at(engine: Engine, courier: Courier) -> str | None:
    """When a destination that is held back (throttled, down, paused) may send again."""
    if courier.held is None and courier.stopped is not None:
        return moment(courier.stopped.since + courier.stopped.after)
    wait = courier.condition.wait()
    if courier.held is not None or not wait:
        return None
    return moment(engine.clock.now().timestamp() + wait)


def _fills_until(engine: Engine, courier: Courier) -> str | None:
    """Until when a batch waits for more events, where it is not full and nothing else holds it back."""
    delivery, lanes = courier.plan.delivery, courier.lanes
    if courier.held is not None or courier.condition.down or not 1 < delivery.batch > lanes.count:
        return None
    left = courier.filled + delivery.linger.total_seconds() - asyncio.get_running_loop().time()
    if left <= 0 or lanes.bytes >= delivery.batch_bytes or not courier.room:
        return None
    return moment(engine.clock.now().timestamp() + left)


def _waits(courier: Courier, row: ExceptionRow) -> dict[str, Any]:
    flying = (row.number, row.child) in courier.chains.flying
    next_at = row.next_at
    if flying and (job := courier.jobs.of(row)) is not None and not job.running:
        flying, next_at = False, job.next_at
    told: dict[str, Any] = {
        "child": row.child, "kind": row.kind, "attempts": row.attempts, "reason": row.reason,
        "since": moment(row.first_at), "next_at": None if flying else moment(next_at),
        "sending": flying, "behind": None,
    }  # fmt: skip
    head = courier.chains.ahead_of(row)
    if head is not None:
        told["behind"] = {"number": head.number, "reason": head.reason, "next_at": moment(head.next_at)}
        told["next_at"] = None
    return told


def dead_letters(engine: Engine, number: int) -> list[dict[str, Any]]:
    """Dead letters of an event at any destination, with the request and the answer."""
    return [_letter(engine, row) for row in engine.ledger.state.dead_of(number)]


def _letter(engine: Engine, row: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": row["id"], "destination": row["destination"], "child": row["child"], "at": moment(row["at"]),
        "replay": row["replay"], "status": row["status"], "reason": row["reason"], "attempts": None,
        "event": None, "request": None, "answer": None,
    }  # fmt: skip
    try:
        place = Place(row["segment"], row["offset"], row["length"])
        letter = unpack_dead(engine.ledger.letters.read(place))
    except FormatError as error:
        return {**told, "unreadable": str(error)}
    told |= {"attempts": letter.attempts, "request": letter.request, "answer": letter.answer}
    try:
        told["event"] = codec.loads(letter.event) if letter.event else None
    except Refused:
        told["event"] = letter.event.decode("utf-8", "replace")
    return told
