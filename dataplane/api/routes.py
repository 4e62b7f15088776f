"""Every route of the admin API once: what it takes, what it answers, and whether it is audited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from dataplane.app.submit import submit
from dataplane.app.supervisor import Supervisor
from turnout import codec
from turnout.errors import Refused

__all__ = ["BASE", "ROUTES", "Route", "openapi"]

BASE = "/api/v1"

Handler = Callable[[Supervisor, web.Request], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `query` maps a parameter to its JSON type and meaning; `body` is a JSON schema.

    A route is audited when it changes something or shows payloads, which may be personal data.
    """

    method: str
    path: str
    verb: str
    summary: str
    handler: Handler
    query: tuple[tuple[str, str, str], ...] = ()
    body: dict[str, Any] | None = None
    audited: bool = True


async def _status(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.status()


async def _health(supervisor: Supervisor, request: web.Request) -> Any:
    health = (await supervisor.status())["health"]
    if not health["ok"]:
        return web.json_response(health, status=503)
    return health


async def _reload(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.reload()


async def _dead_list(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.ask("pipeline", "dead.list", _query(request, "destination", "limit", "cursor"))


async def _dead_show(supervisor: Supervisor, request: web.Request) -> Any:
    return await supervisor.ask("pipeline", "dead.show", {"id": _id(request.match_info["id"])})


async def _dead_retry(supervisor: Supervisor, request: web.Request) -> Any:
    wanted = await _object(request)
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
    return await supervisor.ask("pipeline", "refused.list", _query(request, "source", "limit"))


async def _send(supervisor: Supervisor, request: web.Request) -> Any:
    body = await request.read()
    reply = await submit(supervisor.config, supervisor.url, request.query.get("source"), body)
    return {"status": reply.status, "reply": reply.body}


async def _openapi(supervisor: Supervisor, request: web.Request) -> Any:
    return openapi()


_DESTINATION = ("destination", "string", "Only this destination.")
_LIMIT = ("limit", "integer", "At most so many, 1 to 1000.")

ROUTES: tuple[Route, ...] = (
    Route("GET", "/status", "status", "Roles, log, sources and destinations as they are.", _status,
          audited=False),
    Route("GET", "/health", "health", "200 while events are taken and carried on, else 503 and the problems.",
          _health, audited=False),
    Route("POST", "/reload", "reload", "Apply config.yaml as it is now, in all roles or none.", _reload),
    Route("GET", "/dead", "dead.list", "Dead letters, newest first.", _dead_list,
          (_DESTINATION, _LIMIT, ("cursor", "string", "The `cursor` of the page before."))),
    Route("GET", "/dead/{id}", "dead.show", "One dead letter with payload, request and answer.", _dead_show),
    Route("POST", "/dead/retry", "dead.retry", "Try dead letters again.", _dead_retry, body={
        "type": "object", "additionalProperties": False,
        "properties": {
            "ids": {"type": "array", "items": {"type": ["integer", "string"]}},
            "all": {"type": "boolean"}, "destination": {"type": "string"},
        },
    }),
    Route("GET", "/refused", "refused.list", "Events the gateway did not take, with the reason.", _refused,
          (("source", "string", "Only this source."), _LIMIT)),
    Route("POST", "/send", "send", "Send an event, or an array of them, through the public port.", _send,
          (("source", "string", "Whose write key is used; default: the first enabled source."),),
          {"type": ["object", "array"]}),
    Route("GET", "/openapi.json", "openapi", "This document.", _openapi, audited=False),
)


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document of all routes."""
    from turnout import __version__

    error = {"$ref": "#/components/schemas/Error"}
    paths: dict[str, Any] = {}
    for route in ROUTES:
        parameters = [_parameter("query", *query) for query in route.query]
        if "{id}" in route.path:
            parameters.append(_parameter("path", "id", "string", "Its id."))
        operation: dict[str, Any] = {
            "operationId": route.verb, "summary": route.summary, "parameters": parameters,
            "responses": {
                "200": {"description": "Done.", **_content({"type": "object"})},
                "default": {"description": "Not done; the message says why.", **_content(error)},
            },
        }
        if route.body is not None:
            operation["requestBody"] = {"required": True, **_content(route.body)}
        paths.setdefault(BASE + route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Turnout admin API", "version": __version__},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": {
                "type": "object", "required": ["code", "message"],
                "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            }},
        },
    }


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _parameter(where: str, name: str, kind: str, meaning: str) -> dict[str, Any]:
    return {
        "name": name, "in": where, "required": where == "path", "description": meaning,
        "schema": {"type": kind},
    }


def _query(request: web.Request, *names: str) -> dict[str, Any]:
    found: dict[str, Any] = {name: request.query[name] for name in names if request.query.get(name)}
    if "limit" in found:
        text = found["limit"]
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 1000:
            raise Refused("limit", "limit is a number from 1 to 1000")
        found["limit"] = int(text)
    return found


def _id(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


async def _object(request: web.Request) -> dict[str, Any]:
    found = codec.loads(await request.read() or b"{}")
    if not isinstance(found, dict):
        raise Refused("not_an_object", "the body is a JSON object")
    return found
