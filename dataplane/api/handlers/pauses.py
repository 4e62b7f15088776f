"""Pause and resume a destination, a source or a transformation."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dataplane.api.route import Route, json_object, who
from dataplane.app.supervisor import Supervisor
from dataplane.config.pauses import KINDS, REASON
from turnout.errors import Refused

__all__ = ["ROUTES"]


async def _wanted(request: web.Request, *names: str) -> dict[str, Any]:
    wanted = await json_object(request)
    unknown = set(wanted) - set(names)
    if unknown:
        raise Refused("unknown_field", f"unknown: {', '.join(sorted(unknown))} ({', '.join(names)})")
    return wanted


async def _pause(supervisor: Supervisor, request: web.Request) -> Any:
    wanted = await _wanted(request, "kind", "name", "reason")
    return await supervisor.pause(
        wanted.get("kind"), wanted.get("name"), by=who(request), reason=wanted.get("reason", "")
    )


async def _resume(supervisor: Supervisor, request: web.Request) -> Any:
    wanted = await _wanted(request, "kind", "name")
    return await supervisor.resume(wanted.get("kind"), wanted.get("name"))


def _body(**more: Any) -> dict[str, Any]:
    return {
        "type": "object", "additionalProperties": False, "required": ["kind", "name"],
        "properties": {"kind": {"enum": list(KINDS)}, "name": {"type": "string"}, **more},
    }


ROUTES: tuple[Route, ...] = (
    Route("POST", "/pause", "pause", "Pause a destination, a source or a transformation.", _pause,
          body=_body(reason={"type": "string", "maxLength": REASON})),
    Route("POST", "/resume", "resume", "Let it go on; a destination also where its tool refused us.", _resume,
          body=_body()),
)
