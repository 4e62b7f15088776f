"""Looking at single events: explain."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dataplane.api.route import Route, parameters
from dataplane.app.supervisor import Supervisor

__all__ = ["ROUTES"]

SOURCE = ("source", "string", "The source it came from, where several sources use the same messageId.")


async def _explain(supervisor: Supervisor, request: web.Request) -> Any:
    args = {"id": request.match_info["id"], **parameters(request, "source")}
    return await supervisor.ask("pipeline", "explain", args)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/explain/{id}", "explain",
          "What became of one event; the id is a messageId, or # (%23) and an event number.", _explain, (SOURCE,)),
)
