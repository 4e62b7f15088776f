"""Verbs about what was given up: dead letters of destinations, refused events of sources."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from dataplane.deliver.dead import unpack_dead, unpack_refused
from dataplane.deliver.engine import Engine
from dataplane.deliver.failure import CLASSES
from dataplane.deliver.index import DEAD, REFUSED, Filter, Row, Spot, Table, place, spot, spot_text, whole
from dataplane.deliver.revival import retry
from turnout import clock, codec
from turnout.errors import Fixable, FormatError, Refused
from turnout.spelling import unknown

__all__ = ["VERBS"]

PAGE = 100
MOST = 1_000
SHOWN = 4_096
"""Bytes of a refused event that a list shows."""
PAGE_BYTES = 8 << 20
"""An exported page ends with the letter that reaches so many bytes."""
SECONDS = 5.0
"""A call that removes letters ends after about so long, and says where to go on."""
SLICE = 250


def _limit(args: dict[str, Any]) -> int:
    return max(1, min(MOST, int(args.get("limit") or PAGE)))


async def _filter(engine: Engine, args: dict[str, Any], table: Table) -> Filter:
    """Which letters are meant; raises `Fixable` for a name that neither the config nor a letter has.

    Where the question goes on (`cursor`, or `begun` in another process), it was known when that began.
    """
    fields = {name: str(args[name]) for name in table.fields if args.get(name)}
    if fields.get("class", "rejected") not in CLASSES:
        raise Fixable(f"there is no class {fields['class']} (there are: {', '.join(CLASSES)})")
    known: dict[str, Collection[str]] = {"source": engine.config.sources, "destination": engine.config.destinations}
    if args.get("cursor") or args.get("begun"):
        known = {}
    for what, names in known.items():
        name = fields.get(what)
        if name is None or name in names:
            continue
        if not await asyncio.to_thread(engine.ledger.index.latest, table, Filter({what: name}), None, 1):
            raise Fixable(unknown(what, name, names))
    return Filter(fields, _moment(args, "from"), _moment(args, "to"))


def _moment(args: dict[str, Any], name: str) -> float | None:
    given = args.get(name)
    if given in (None, ""):
        return None
    moment = clock.parse(given)
    if moment is None:
        raise Fixable(f"{name}: a moment is written 2026-11-23T09:36:56Z")
    return moment.timestamp()


def _key(args: dict[str, Any], table: Table) -> int:
    given = args["id"]
    found = whole(str(given)) if isinstance(given, int | str) else None
    if found is None:
        raise Fixable(f"an id is a number, as `turnout {table.name} list` shows them")
    return found


def _span(engine: Engine, args: dict[str, Any], table: Table) -> tuple[Spot, int]:
    """Where a walk over letters, oldest first, goes on and ends: those that die meanwhile are not in it."""
    cursor = args.get("cursor")
    if not cursor:
        return (0, 0), engine.ledger.index.newest(table)
    after, _, upto = str(cursor).partition("-")
    at = spot(after)
    last = whole(upto)
    if at is None or last is None:
        raise Fixable("cursor is what the page before said")
    return at, last


def _cursor(at: Spot, upto: int) -> str:
    return f"{spot_text(*at)}-{upto}"


def _shown(row: Row, table: Table) -> dict[str, Any]:
    """A row of the index as a list shows it."""
    hidden = ("key", "segment", "offset", "length")
    shown = {name: value for name, value in row.items() if name not in hidden}
    shown["at"] = clock.iso(clock.from_millis(int(row["at"] * 1000)))
    return shown


def _json(raw: bytes) -> Any:
    """An event as JSON, or as text where it is none."""
    try:
        return codec.loads(raw) if raw else None
    except Refused:
        return raw.decode("utf-8", "replace")


def _full(row: Row, table: Table, payload: bytes | FormatError) -> dict[str, Any]:
    """A row with everything that is kept of it; `damaged` says why where that cannot be read."""
    shown = _shown(row, table)
    if isinstance(payload, FormatError):
        return {**shown, "event": None, "damaged": str(payload)}
    if table is REFUSED:
        refused = unpack_refused(payload)
        text = refused.event.decode("utf-8", "replace")
        event = _json(refused.event) if refused.size == len(refused.event) else text
        return {**shown, "size": refused.size, "protocol": refused.protocol, "type": refused.kind, "event": event}
    dead = unpack_dead(payload)
    return {
        **shown,
        "attempts": dead.attempts,
        "event": _json(dead.event),
        "options": codec.loads(dead.options) if dead.options else {},
        "request": dead.request,
        "answer": dead.answer,
    }


def _payloads(engine: Engine, table: Table, rows: Sequence[Row]) -> list[bytes | FormatError]:
    files = engine.ledger.letters if table is DEAD else engine.ledger.refusals
    return files.read_all([place(row) for row in rows])


async def _list(engine: Engine, args: dict[str, Any], table: Table) -> dict[str, Any]:
    """A page, newest first; refused events with the first part of what was received."""
    cursor, limit = args.get("cursor"), _limit(args)
    before = spot(str(cursor)) if cursor else None
    if cursor and before is None:
        raise Fixable("cursor is what the page before said")
    wanted = await _filter(engine, args, table)

    def read() -> tuple[list[Row], list[dict[str, Any]]]:
        rows = engine.ledger.index.latest(table, wanted, before, limit)
        if table is DEAD:
            return rows, [_shown(row, table) for row in rows]
        payloads = _payloads(engine, table, rows)
        return rows, [_excerpt(row, payload) for row, payload in zip(rows, payloads, strict=True)]

    rows, shown = await asyncio.to_thread(read)
    return {table.name: shown, "cursor": spot_text(*table.spot(rows[-1])) if len(rows) == limit else None}


def _excerpt(row: Row, payload: bytes | FormatError) -> dict[str, Any]:
    event = None
    if not isinstance(payload, FormatError):
        event = unpack_refused(payload).event[:SHOWN].decode("utf-8", "replace")
    return {**_shown(row, REFUSED), "event": event}


async def _summary(engine: Engine, args: dict[str, Any], table: Table) -> dict[str, Any]:
    """How many there are, by destination and class or by source and code."""
    wanted = await _filter(engine, args, table)
    found = await asyncio.to_thread(engine.ledger.index.summary, table, wanted)
    counts: dict[str, dict[str, int]] = {}
    for (first, second), n in sorted(found.items()):
        counts.setdefault(first, {})[second] = n
    return {"total": sum(found.values()), f"{table.groups[0]}s": counts}


async def _show(engine: Engine, args: dict[str, Any], table: Table) -> dict[str, Any]:
    key = _key(args, table)

    def read() -> dict[str, Any] | None:
        rows = engine.ledger.index.some(table, [key])
        return _full(rows[0], table, _payloads(engine, table, rows)[0]) if rows else None

    found = await asyncio.to_thread(read)
    if found is None:
        raise Fixable(f"there is no dead letter {key}" if table is DEAD else f"there is no refused event {key}")
    return found


async def _export(engine: Engine, args: dict[str, Any], table: Table) -> dict[str, Any]:
    """A page of whole letters, oldest first, bounded in bytes."""
    wanted, limit = await _filter(engine, args, table), _limit(args)

    def read() -> dict[str, Any]:
        after, upto = _span(engine, args, table)
        rows = engine.ledger.index.after(table, wanted, after, upto, limit)
        kept, size = 0, 0
        for row in rows:
            kept, size = kept + 1, size + row["length"]
            if size >= PAGE_BYTES:
                break
        more = kept < len(rows) or len(rows) == limit
        rows = rows[:kept]
        letters = [_full(row, table, p) for row, p in zip(rows, _payloads(engine, table, rows), strict=True)]
        return {table.name: letters, "cursor": _cursor(table.spot(rows[-1]), upto) if more else None}

    return await asyncio.to_thread(read)


async def _dead_retry(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """Try letters again; {retried, left: [{id, reason}], not_found, cursor, full, held}.

    `cursor` is where to go on, None at the end; `full` names the destination that has no room just
    now for more, and then the cursor stands before its letters; `held` says why it makes none.
    """
    retransform = bool(args.get("retransform"))
    answer: dict[str, Any] = {"retried": 0, "left": [], "full": None, "held": None}

    async def work(rows: list[Row]) -> int:
        found = await retry(engine, rows, retransform=retransform)
        answer["retried"] += found.retried
        answer["left"] += [{"id": ident, "reason": reason} for ident, reason in found.left]
        answer["full"] = found.full or None
        courier = engine.couriers.get(found.full)
        if courier is not None and courier.held is not None and not courier.held.elsewhere:
            answer["held"] = f"{courier.held.state}, {courier.held.reason}"
        if found.full and args.get("ids"):
            reason = f"{found.full} has too many events put aside just now"
            answer["left"] += [{"id": row["id"], "reason": reason} for row in rows[found.done :]]
        return found.done

    rest = await _walk(engine, args, DEAD, work)
    return {**answer, **rest}


async def _discard(engine: Engine, args: dict[str, Any], table: Table) -> dict[str, Any]:
    """Give letters up for good; {discarded, left, not_found, cursor}. They stay counted as dead."""
    count = 0

    async def work(rows: list[Row]) -> int:
        nonlocal count
        engine.retention.remove(table, rows, "discarded")
        await engine.retention.written()
        count += len(rows)
        return len(rows)

    rest = await _walk(engine, args, table, work)
    return {"discarded": count, "left": [], **rest}


async def _walk(
    engine: Engine, args: dict[str, Any], table: Table, work: Callable[[list[Row]], Awaitable[int]]
) -> dict[str, Any]:
    """Hand the letters meant to `work`, a slice at a time, for some seconds; {not_found, cursor}.

    `work` says how many of a slice it dealt with; fewer than all end the walk before the next one.
    """
    index, given = engine.ledger.index, args.get("ids")
    if given is not None:
        keys = [_key({"id": key}, table) for key in given]
        if len(keys) > MOST:
            raise Fixable(f"at most {MOST} ids at once")
        async with engine.retention.alone():
            rows = await asyncio.to_thread(index.some, table, keys)
            await work(rows)
        known = {row[table.key] for row in rows}
        return {"not_found": [key for key in keys if key not in known], "cursor": None}
    wanted, left = await _filter(engine, args, table), int(args.get("limit") or MOST)
    if not args.get("all") and wanted == Filter():
        raise Fixable("say which: ids, a filter, or all")
    after, upto = await asyncio.to_thread(_span, engine, args, table)
    until = asyncio.get_running_loop().time() + SECONDS
    while left > 0 and asyncio.get_running_loop().time() < until:
        async with engine.retention.alone():
            rows = await asyncio.to_thread(index.after, table, wanted, after, upto, min(SLICE, left))
            done = await work(rows)
        if not rows:
            return {"not_found": [], "cursor": None}
        left -= done
        after = table.spot(rows[done - 1]) if done else after
        if done < len(rows):
            break
    return {"not_found": [], "cursor": _cursor(after, upto)}


_Shared = Callable[["Engine", dict[str, Any], Table], Awaitable[dict[str, Any]]]
_Verb = Callable[["Engine", dict[str, Any]], Awaitable[dict[str, Any]]]


def _about(table: Table, verb: _Shared) -> _Verb:
    async def call(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
        return await verb(engine, args, table)

    return call


VERBS: dict[str, _Verb] = {
    f"{table.name}.{name}": _about(table, verb)
    for table in (DEAD, REFUSED)
    for name, verb in (
        ("list", _list), ("summary", _summary), ("show", _show), ("export", _export), ("discard", _discard),
    )
} | {"dead.retry": _dead_retry}
