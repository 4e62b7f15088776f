"""How the data plane is, and reload."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dataplane.api.route import Route
from dataplane.app.supervisor import Supervisor
from turnout.errors import Unavailable

__all__ = ["ROUTES"]


async def _status(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.status()


async def _health(supervisor: Supervisor, request: web.Request) -> Any:
    health = (await supervisor.status())["health"]
    if not health["ok"]:
        return web.json_response(health, status=503)
    return health


async def _reload(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.reload()


async def _write(supervisor: Supervisor, request: web.Request) -> Any:
    try:
        return await supervisor.ask("pipeline", "books.write")
    except Unavailable:  # what is away has nothing that is not written
        return {"written": 0}


ROUTES: tuple[Route, ...] = (
    Route("GET", "/status", "status", "Roles, log, sources and destinations as they are.", _status,
          audited=False),
    Route("GET", "/health", "health", "200 while events are taken and carried on, else 503 and the problems.",
          _health, audited=False),
    Route("POST", "/books", "books", "Write down now what the last tenth of a second changed: before a copy.", _write,
          audited=False),
    Route("POST", "/reload", "reload", "Apply config.yaml as it is now, in all roles or none.", _reload),
)
