"""What a route of the admin API is, and how its arguments are read."""

from __future__ import annotations

import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from dataplane.app.supervisor import Supervisor
from turnout import codec
from turnout.errors import Fixable, Refused

__all__ = [
    "DESTINATION", "DOOR", "LIMIT", "Handler", "Route", "ident", "json_object", "parameters", "socket_only", "who",
]

Handler = Callable[[Supervisor, web.Request], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `query` maps a parameter to its JSON type and meaning; `body` is a JSON schema.

    A route is audited when it changes something or shows payloads, which may be personal data; one that
    streams when it begins.
    """

    method: str
    path: str
    verb: str
    summary: str
    handler: Handler
    query: tuple[tuple[str, str, str], ...] = ()
    body: dict[str, Any] | None = None
    audited: bool = True
    streams: bool = False


DOOR = web.AppKey("door", str)
"""Which door a request came through: `token` (the admin port) or `socket`."""
DESTINATION = ("destination", "string", "Only this destination.")
LIMIT = ("limit", "integer", "At most so many, 1 to 1000.")


def parameters(request: web.Request, *names: str) -> dict[str, Any]:
    """The named query parameters that are given; raises `Refused` for a `limit` that is none."""
    found: dict[str, Any] = {name: request.query[name] for name in names if request.query.get(name)}
    if "limit" in found:
        text = found["limit"]
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 1000:
            raise Refused("limit", "limit is a number from 1 to 1000")
        found["limit"] = int(text)
    return found


def socket_only(request: web.Request, what: str) -> None:
    """Refuse what reads or writes files of the machine to whoever has only the token."""
    if request.app[DOOR] != "socket":
        raise Fixable(f"{what} is only for the admin socket: use the command line on the machine itself")


def ident(text: str) -> int | str:
    """An id of a path: a number where it is one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def who(request: web.Request) -> str:
    """Who asks: the user at the other end of the admin socket, else by which door they came."""
    door = request.app[DOOR]
    sock = request.get_extra_info("socket")
    option = getattr(socket, "SO_PEERCRED", None)  # Linux
    if door != "socket" or sock is None or option is None:
        return door
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body, a JSON object; {} where there is none. Raises `Refused` for anything else."""
    found = codec.loads(await request.read() or b"{}")
    if not isinstance(found, dict):
        raise Refused("not_an_object", "the body is a JSON object")
    return found
