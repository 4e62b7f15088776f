"""Replays: begin, count without sending, look at, cancel, resume."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dataplane.api.route import Route, ident, json_object, socket_only
from dataplane.app.supervisor import Supervisor

__all__ = ["ROUTES"]

_TEXTS = {"type": "array", "items": {"type": "string"}}
_ASKED: dict[str, Any] = {
    "destination": {"type": "string"},
    "file": {"type": "string", "description": "Absolute path of a new file; only over the admin socket."},
    "from": {"type": "string", "description": "RFC 3339; received at or after it."},
    "to": {"type": "string", "description": "RFC 3339; received before it."},
    "sources": _TEXTS, "events": _TEXTS, "users": _TEXTS, "message_ids": _TEXTS, "verdicts": _TEXTS,
    "archive": {"type": "boolean"}, "transform": {"type": "boolean"}, "rate": {"type": "number"},
    "unordered": {"type": "boolean"}, "new_keys": {"type": "boolean"},
}
_COUNTED = {name: {"type": "integer"} for name in ("first", "position", "end", "letters", "sample")}


async def _asked(request: web.Request) -> dict[str, Any]:
    asked = await json_object(request)
    if asked.get("file"):
        socket_only(request, "a replay into a file")
    return asked


async def _start(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.ask("pipeline", "replay.start", await _asked(request))


async def _count(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.ask("pipeline", "replay.count", await _asked(request))


async def _list(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.ask("pipeline", "replay.list")


async def _status(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.ask("pipeline", "replay.status", {"id": ident(request.match_info["id"])})


async def _cancel(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.ask("pipeline", "replay.cancel", {"id": ident(request.match_info["id"])})


async def _resume(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.ask("pipeline", "replay.resume", {"id": ident(request.match_info["id"])})


def _body(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": fields}


ROUTES: tuple[Route, ...] = (
    Route("GET", "/replays", "replay.list", "Replays, newest first.", _list, audited=False),
    Route("POST", "/replays", "replay.start", "Begin a replay.", _start, body=_body(_ASKED)),
    Route("POST", "/replays/count", "replay.count",
          "A part of a dry run; ask again with the `first`, `position`, `end` and `letters` of the answer.", _count,
          body=_body({**_ASKED, **_COUNTED})),
    Route("GET", "/replays/{id}", "replay.status", "One replay.", _status, audited=False),
    Route("POST", "/replays/{id}/cancel", "replay.cancel", "End a replay.", _cancel),
    Route("POST", "/replays/{id}/resume", "replay.resume", "Go on with a cancelled replay.", _resume),
)
