"""Dead letters and refused events."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dataplane.api.route import DESTINATION, LIMIT, Route, ident, json_object, parameters
from dataplane.app.supervisor import Supervisor
from turnout.errors import Refused

__all__ = ["ROUTES"]


async def _dead_list(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.ask("pipeline", "dead.list", parameters(request, "destination", "limit", "cursor"))


async def _dead_show(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.ask("pipeline", "dead.show", {"id": ident(request.match_info["id"])})


async def _dead_retry(supervisor: Supervisor, request: web.Request) -> Any:
    wanted = await json_object(request)
    unknown = set(wanted) - {"ids", "all", "destination"}
    if unknown:
        raise Refused("unknown_field", f"unknown: {', '.join(sorted(unknown))} (ids, all, destination)")
    if bool(wanted.get("ids")) == bool(wanted.get("all")):
        raise Refused("ids_or_all", "give either ids or all")
    args: dict[str, Any] = {"all": True} if wanted.get("all") else {"ids": wanted["ids"]}
    if not isinstance(args.get("ids", []), list):
        raise Refused("ids_or_all", "ids is a list")
    if wanted.get("destination"):
        args["destination"] = str(wanted["destination"])
    return await supervisor.ask("pipeline", "dead.retry", args)


async def _refused(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.ask("pipeline", "refused.list", parameters(request, "source", "limit"))


ROUTES: tuple[Route, ...] = (
    Route("GET", "/dead", "dead.list", "Dead letters, newest first.", _dead_list,
          (DESTINATION, LIMIT, ("cursor", "string", "The `cursor` of the page before."))),
    Route("GET", "/dead/{id}", "dead.show", "One dead letter with payload, request and answer.", _dead_show),
    Route("POST", "/dead/retry", "dead.retry", "Try dead letters again.", _dead_retry, body={
        "type": "object", "additionalProperties": False,
        "properties": {
            "ids": {"type": "array", "items": {"type": ["integer", "string"]}},
            "all": {"type": "boolean"}, "destination": {"type": "string"},
        },
    }),
    Route("GET", "/refused", "refused.list", "Events the gateway did not take, with the reason.", _refused,
          (("source", "string", "Only this source."), LIMIT)),
)
