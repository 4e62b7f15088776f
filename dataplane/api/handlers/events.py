"""Events sent by hand."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dataplane.api.route import Route
from dataplane.app.submit import submit
from dataplane.app.supervisor import Supervisor

__all__ = ["ROUTES"]


async def _send(supervisor: Supervisor, request: web.Request) -> Any:
    body = await request.read()
    reply = await submit(supervisor.config, supervisor.url, request.query.get("source"), body)
    return {"status": reply.status, "reply": reply.body}


ROUTES: tuple[Route, ...] = (
    Route("POST", "/send", "send", "Send an event, or an array of them, through the public port.", _send,
          (("source", "string", "Whose write key is used; default: the first enabled source."),),
          {"type": ["object", "array"]}),
)
