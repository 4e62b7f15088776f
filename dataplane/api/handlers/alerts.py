"""Alerts: what stands, and whether the channels work."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dataplane.api.route import Route, json_object
from dataplane.app.supervisor import Supervisor
from turnout.errors import Refused

__all__ = ["ROUTES"]


async def _list(supervisor: Supervisor, request: web.Request) -> Any:
    return supervisor.alerting.describe()


async def _test(supervisor: Supervisor, request: web.Request) -> Any:
    wanted = await json_object(request)
    if unknown := set(wanted) - {"channel"}:
        raise Refused("unknown_field", f"unknown: {', '.join(sorted(unknown))} (channel)")
    return {"tested": await supervisor.alerting.test(str(wanted.get("channel") or ""))}


ROUTES: tuple[Route, ...] = (
    Route("GET", "/alerts", "alerts.list", "Alerts that stand, and channels that do not take them.", _list,
          audited=False),
    Route("POST", "/alerts/test", "alerts.test", "Send a test alert, and show what the channels answered.",
          _test, body={
              "type": "object", "additionalProperties": False, "properties": {"channel": {"type": "string"}},
          }),
)
