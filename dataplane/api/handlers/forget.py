"""User deletion at the tools."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from aiohttp import web

from dataplane.api.audit import ABOUT
from dataplane.api.route import Route, json_object
from dataplane.app.supervisor import Supervisor
from turnout.errors import Refused

__all__ = ["ROUTES"]

KNOWN = ("users", "destinations", "dry_run")
USER = {
    "type": "object", "additionalProperties": False,
    "properties": {
        "userId": {"type": "string"}, "email": {"type": "string"}, "anonymousId": {"type": "string"},
        "traits": {"type": "object"},
    },
}


async def _forget(supervisor: Supervisor, request: web.Request) -> Any:
    wanted = await json_object(request)
    if unknown := set(wanted) - set(KNOWN):
        raise Refused("unknown_field", f"{len(unknown)} fields are not known (there are: {', '.join(KNOWN)})")
    users = wanted.get("users")
    if not isinstance(users, list) or not all(isinstance(user, Mapping) for user in users):
        raise Refused("users", "users is a list of objects")
    destinations = wanted.get("destinations", [])
    if not isinstance(destinations, list) or not all(isinstance(one, str) for one in destinations):
        raise Refused("destinations", "destinations is a list of ids")
    request[ABOUT] = {
        "users": [_digest(user) for user in users[:100]], "destinations": destinations,
        **({"dry_run": True} if wanted.get("dry_run") else {}),
    }
    return await supervisor.ask("pipeline", "forget", wanted)


def _digest(user: Mapping[str, Any]) -> str:
    """What tells later that this user was meant: sha-256 of the userId, else e-mail, else anonymousId."""
    named = next((user[key] for key in ("userId", "email", "anonymousId") if isinstance(user.get(key), str)
                  and user[key].strip()), "")
    return sha256(named.strip().encode("utf-8", "replace")).hexdigest()


ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/forget", "forget", "Ask destinations to delete users; one report per destination.", _forget,
        body={
            "type": "object", "additionalProperties": False, "required": ["users"],
            "properties": {
                "users": {"type": "array", "items": USER, "minItems": 1, "maxItems": 100},
                "destinations": {"type": "array", "items": {"type": "string"},
                                 "description": "Ids; without it every destination."},
                "dry_run": {"type": "boolean", "description": "Only say what would become of it now; ask none."},
            },
        },
    ),
)
