"""The admin API's two doors: the admin port with a token, the admin socket with file permissions."""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dataplane.api.audit import ABOUT, Audit
from dataplane.api.route import DOOR
from dataplane.api.routes import BASE, ROUTES, Route
from dataplane.app.folders import admin_token
from dataplane.app.listen import unheard
from dataplane.app.supervisor import Supervisor
from dataplane.metrics.declarations import Sample
from dataplane.metrics.exposition import CONTENT_TYPE, expose
from dataplane.metrics.log import logger
from turnout import codec
from turnout.errors import Fixable, Refused, TurnoutError, Unavailable

__all__ = ["Admin"]

BODY = 8 << 20
"""Largest request body, in bytes."""
SOCKET_PATH = 103
"""Longest path of a Unix socket, in bytes (macOS; Linux takes 107)."""

_STREAMS = "turnout.streams"

_log = logger()


class Admin:
    """Serves the admin API for one supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._runners: list[web.AppRunner] = []
        self._audit: Audit | None = None
        self._denied = 0

    async def start(self) -> str:
        """Open both doors; the URL of the port. Raises `Fixable` where one cannot be opened."""
        config = self._supervisor.config
        token = admin_token(config).encode()
        self._audit = Audit(config.data / "audit.log")
        port = await self._door("token", token)
        try:
            await web.TCPSite(port, config.admin.host, config.admin.port).start()
        except OSError as error:
            raise Fixable(
                f"admin: cannot listen on {config.admin.host}:{config.admin.port}: {unheard(error, 'admin.port')}"
            ) from None
        await self._open_socket(await self._door("socket", None), config.admin.socket)
        bound = port.addresses[0]
        host = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        return f"http://{host}:{bound[1]}"

    async def stop(self) -> None:
        """Close both doors."""
        for runner in self._runners:
            await runner.cleanup()
        if self._audit is not None:
            self._audit.close()
            self._audit = None
        self._supervisor.config.admin.socket.unlink(missing_ok=True)

    async def _door(self, who: str, token: bytes | None) -> web.AppRunner:
        app = web.Application(client_max_size=BODY, middlewares=[self._guard(token), _answer_errors])
        app[DOOR] = who
        for route in ROUTES:
            path = BASE + route.path.replace("{id}", "{id:[^/]+}")  # an id may have braces
            app.router.add_route(route.method, path, self._handler(route, who))
        app.router.add_get("/metrics", self._metrics)
        app.on_response_prepare.append(self._begins(who))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await runner.setup()
        self._runners.append(runner)
        return runner

    def _guard(self, token: bytes | None) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if token is not None and not _bears(request, token):
                self._denied += 1
                return _error(401, "unauthorized", "give the admin token: Authorization: Bearer TOKEN")
            return await handler(request)

        return guard

    def _handler(self, route: Route, who: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            status = 500
            request[_STREAMS] = route.streams and route.verb
            try:
                found = await route.handler(self._supervisor, request)
                response = found if isinstance(found, web.StreamResponse) else _json(found)
                status = response.status
                return response
            except TurnoutError as error:
                response = _turnout_error(error)
                status = response.status
                return response
            except web.HTTPException as error:
                status = error.status
                raise
            finally:
                if route.audited and not route.streams and self._audit is not None:
                    self._audit.note(who, route.verb, status, request.get(ABOUT))

        return handle

    def _begins(self, who: str) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
        """Notes a streamed answer when it begins: it may never end."""

        async def begins(request: web.Request, response: web.StreamResponse) -> None:
            verb = request.get(_STREAMS)
            if verb and self._audit is not None:
                self._audit.note(who, verb, response.status)

        return begins

    async def _metrics(self, request: web.Request) -> web.Response:
        found: list[Sample] = await self._supervisor.samples()
        found.append(("turnout_admin_denied_total", (), float(self._denied)))
        text = await asyncio.to_thread(expose, found)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def _open_socket(self, runner: web.AppRunner, path: Path) -> None:
        if len(os.fsencode(path)) > SOCKET_PATH:
            raise Fixable(f"admin.socket: {path} is longer than {SOCKET_PATH} bytes: give a shorter path")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _clear(path)
        # Bound under a mask, so that there is no moment in which others could connect.
        mask = os.umask(0o177)
        try:
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(str(path))
        except OSError as error:
            raise Fixable(f"admin.socket: cannot bind {path}: {error.strerror}") from None
        finally:
            os.umask(mask)
        await web.SockSite(runner, sock).start()


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error is JSON {code, message}; an unexpected one is logged by type and place only."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(error.status, "http_error")
        return _error(error.status, code, f"{request.method} {request.path}: {error.reason}")
    except TurnoutError as error:
        return _turnout_error(error)
    except Exception as error:  # noqa: BLE001 - the asker must get an answer, whatever happened
        _log.failure("admin.failed", error, path=request.path)
        return _error(500, "internal", f"{type(error).__name__} (see the log)")


def _bears(request: web.Request, token: bytes) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("utf-8", "replace"), token)


def _turnout_error(error: TurnoutError) -> web.Response:
    if isinstance(error, Refused):
        return _error(404 if error.code == "not_found" else 400, error.code, error.message)
    if isinstance(error, Fixable):
        return _error(422, "fixable", str(error))
    if isinstance(error, Unavailable):
        return _error(503, "unavailable", str(error))
    return _error(500, type(error).__name__.lower(), str(error))


def _error(status: int, code: str, message: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return _json({"code": code, "message": message}, status, headers)


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = codec.dumps(value)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _clear(path: Path) -> None:
    """Remove a socket that a killed app left; refuse to touch anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Fixable(f"admin.socket: {path} exists and is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink()
            return
    raise Fixable(f"admin.socket: another turnout answers at {path}")
