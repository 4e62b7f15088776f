"""Every route of the admin API once: what it takes, what it answers, and whether it is audited."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dataplane.api.handlers import alerts, events, forget, inspect, letters, pauses, plan, replays, status
from dataplane.api.route import Route
from dataplane.app.supervisor import Supervisor

__all__ = ["BASE", "ROUTES", "Route", "openapi"]

BASE = "/api/v1"


async def _openapi(supervisor: Supervisor, request: web.Request) -> Any:
    return openapi()


ROUTES: tuple[Route, ...] = (
    *status.ROUTES,
    *letters.ROUTES,
    *events.ROUTES,
    *inspect.ROUTES,
    *pauses.ROUTES,
    *alerts.ROUTES,
    *replays.ROUTES,
    *plan.ROUTES,
    *forget.ROUTES,
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
