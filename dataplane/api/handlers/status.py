"""How the data plane is, and reload."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dataplane.api.route import Route
from dataplane.app.supervisor import Supervisor

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


ROUTES: tuple[Route, ...] = (
    Route("GET", "/status", "status", "Roles, log, sources and destinations as they are.", _status,
          audited=False),
    Route("GET", "/health", "health", "200 while events are taken and carried on, else 503 and the problems.",
          _health, audited=False),
    Route("POST", "/reload", "reload", "Apply config.yaml as it is now, in all roles or none.", _reload),
)
