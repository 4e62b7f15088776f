"""Verbs about what was given up: dead letters of destinations, refused events of sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from dataplane.deliver.state import ExceptionRow
from dataplane.protocols import PROTOCOLS
from turnout import clock, codec
from turnout.errors import Fixable, FormatError, Refused
from turnout.protocol import Envelope

if TYPE_CHECKING:
    from dataplane.deliver.engine import Engine

__all__ = ["VERBS"]

_envelope = msgspec.msgpack.Decoder(Envelope).decode
PAGE = 100
MOST = 1_000
SHOWN = 4_096


def _limit(args: dict[str, Any]) -> int:
    return max(1, min(MOST, int(args.get("limit") or PAGE)))


def _dead_list(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    before = args.get("cursor")
    rows = engine.ledger.state.dead(args.get("destination"), int(before) if before else None, _limit(args))
    for row in rows:
        row["at"] = clock.iso(clock.from_millis(int(row["at"] * 1000)))
    return {"dead": rows, "cursor": rows[-1]["id"] if len(rows) == _limit(args) else None}


def _dead_show(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    row = engine.ledger.state.dead_row(int(args["id"]))
    if row is None:
        raise Fixable(f"there is no dead letter {args['id']}")
    letter = engine.ledger.letters.read(row["segment"], row["offset"], row["length"])
    try:
        event = codec.loads(letter.event) if letter.event else None
    except Refused:
        event = letter.event.decode("utf-8", "replace")
    return {
        "id": row["id"],
        "destination": row["destination"],
        "source": row["source"],
        "number": row["number"],
        "message_id": letter.message_id,
        "at": clock.iso(clock.from_millis(int(row["at"] * 1000))),
        "status": row["status"],
        "reason": row["reason"],
        "attempts": letter.attempts,
        "event": event,
        "request": letter.request,
        "answer": letter.answer,
    }


def _dead_retry(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """Put dead letters back among the exceptions of their destination, as they were to be sent."""
    state = engine.ledger.state
    if args.get("all"):
        rows = state.dead(args.get("destination"), None, 1_000_000)
        idents = [row["id"] for row in rows]
    else:
        idents = [int(i) for i in args.get("ids", [])]
    retried, missing = 0, []
    for ident in idents:
        row = state.dead_row(ident)
        courier = engine.couriers.get(row["destination"]) if row else None
        if row is None or courier is None:
            missing.append(ident)
            continue
        letter = engine.ledger.letters.read(row["segment"], row["offset"], row["length"])
        if not letter.event:
            missing.append(ident)
            continue
        now = engine.clock.now().timestamp()
        again = ExceptionRow(
            row["destination"], row["number"], row["child"], int.from_bytes(row["key"], "little"), "aside",
            row["source"], first_at=now, next_at=now, paused=courier.pause.total(), reason="retried by hand",
        )  # fmt: skip
        if again in courier.chains:
            missing.append(ident)
            continue
        engine.ledger.changes.statements.append(("DELETE FROM dead WHERE id=?", (ident,)))
        engine.ledger.keep(again, letter.event, codec.loads(letter.options) if letter.options else {})
        engine.ledger.add(row["destination"], "revived")
        engine.ledger.dirty.add(row["destination"])
        courier.revive(again)
        retried += 1
    return {"retried": retried, "not_found": missing}


def _refused(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    rows = engine.ledger.state.refused(args.get("source"), _limit(args))
    for row in rows:
        row["at"] = clock.iso(clock.from_millis(row["at"]))
        row["event"] = _stored(engine, row.pop("position"), row.pop("place"))
    return {"refused": rows}


def _stored(engine: Engine, position: int, place: int) -> str | None:
    """The first part of a refused event as received; None where the log has let it go."""
    try:
        records = engine.reader.read(position, 1)
    except FormatError:
        return None
    if not records or records[0].position != position:
        return None
    record = records[0]
    envelope = _envelope(record.envelope)
    try:
        units = PROTOCOLS[envelope.protocol].split(envelope, record.body)
    except Refused:
        units = []
    raw = units[place].raw if place < len(units) else record.body
    return raw[:SHOWN].decode("utf-8", "replace")


VERBS = {
    "dead.list": _dead_list, "dead.show": _dead_show, "dead.retry": _dead_retry, "refused.list": _refused,
}
