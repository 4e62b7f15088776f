"""Dead letters and refused events."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dataplane.api.route import DESTINATION, LIMIT, Handler, Route, ident, json_object, parameters
from dataplane.app.supervisor import Supervisor
from turnout.errors import Refused

__all__ = ["ROUTES"]

Query = tuple[tuple[str, str, str], ...]

TIMES: Query = (
    ("from", "string", "Not before this moment, as 2026-11-23T09:36:56Z."),
    ("to", "string", "Before this moment."),
)
SOURCE = ("source", "string", "Only of this source.")
FILTERS: dict[str, Query] = {
    "dead": (
        DESTINATION, SOURCE,
        ("class", "string", "Only of this error class; docs/dead-letters.md lists them."),
        ("event", "string", "Only of this event name (or type, where it has none)."),
        ("message_id", "string", "Only of this messageId."),
        *TIMES,
    ),
    "refused": (SOURCE, ("code", "string", "Only refused with this code."), *TIMES),
}
CURSOR = ("cursor", "string", "The `cursor` of the page before.")


def _ask(verb: str, query: Query) -> Handler:
    """A handler that hands query parameters to a verb."""
    names = [name for name, _, _ in query]

    async def handle(supervisor: Supervisor, request: web.Request) -> Any:
        args = parameters(request, *names)
        if "id" in request.match_info:
            args["id"] = ident(request.match_info["id"])
        return await supervisor.ask("pipeline", verb, args)

    return handle


def _act(verb: str, kind: str, *flags: str) -> Handler:
    """A handler that hands a body to a verb: `ids`, or `all` or filters, and what else the verb takes."""
    filters = [name for name, _, _ in FILTERS[kind]]
    known = ["ids", "all", *filters, "limit", "cursor", *flags]

    async def handle(supervisor: Supervisor, request: web.Request) -> Any:
        wanted = await json_object(request)
        if unknown := set(wanted) - set(known):
            raise Refused("unknown_field", f"unknown: {', '.join(sorted(unknown))} ({', '.join(known)})")
        chosen = bool(wanted.get("all")) or any(wanted.get(name) for name in filters)
        if (wanted.get("ids") is not None) == chosen:
            raise Refused("ids_or_all", "give either ids, or all or filters")
        if not isinstance(wanted.get("ids", []), list):
            raise Refused("ids_or_all", "ids is a list")
        limit = wanted.get("limit")
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 1000):
            raise Refused("limit", "limit is a number from 1 to 1000")
        return await supervisor.ask("pipeline", verb, wanted)

    return handle


def _body(kind: str, **flags: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "ids": {"type": "array", "items": {"type": ["integer", "string"]}, "maxItems": 1000},
        "all": {"type": "boolean"},
        "limit": {"type": "integer", "description": "At most so many in this call; `cursor` goes on."},
    }
    for name, kind_of, meaning in (*FILTERS[kind], CURSOR):
        properties[name] = {"type": kind_of, "description": meaning}
    for name, meaning in flags.items():
        properties[name] = {"type": "boolean", "description": meaning}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _routes(kind: str, what: str) -> tuple[Route, ...]:
    """What both kinds have."""
    filters = FILTERS[kind]
    page = (*filters, LIMIT, CURSOR)
    groups = "destination and class" if kind == "dead" else "source and code"
    return (
        Route("GET", f"/{kind}", f"{kind}.list", f"{what}, newest first.", _ask(f"{kind}.list", page), page),
        Route("GET", f"/{kind}/summary", f"{kind}.summary", f"{what} counted by {groups}.",
              _ask(f"{kind}.summary", filters), filters, audited=False),
        Route("GET", f"/{kind}/export", f"{kind}.export", f"{what} with all that is kept, oldest first.",
              _ask(f"{kind}.export", page), page),
        Route("GET", f"/{kind}/{{id}}", f"{kind}.show", f"One of the {what.lower()} with all that is kept.",
              _ask(f"{kind}.show", ())),
        Route("POST", f"/{kind}/discard", f"{kind}.discard", f"Give {what.lower()} up for good.",
              _act(f"{kind}.discard", kind), body=_body(kind)),
    )


ROUTES: tuple[Route, ...] = (
    *_routes("dead", "Dead letters"),
    Route("POST", "/dead/retry", "dead.retry", "Try dead letters again.",
          _act("dead.retry", "dead", "retransform"),
          body=_body("dead", retransform="From the event as received, through what is configured now.")),
    *_routes("refused", "Refused events"),
)
