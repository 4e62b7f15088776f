"""The public port: SDK paths, health and version; everything else is on the admin port."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Collection, Sequence
from pathlib import Path
from tempfile import TemporaryFile

from aiohttp import web

import turnout
from dataplane.config.model import Config, Tls
from dataplane.gateway import cors, replies
from dataplane.gateway.connection import Doorman
from dataplane.gateway.ingest import Handler, Ingest, Settings
from dataplane.gateway.limits import Rates
from dataplane.gateway.replies import Rejected
from dataplane.gateway.sources import Closed
from dataplane.log.base import LogWriter
from dataplane.protocols import PROTOCOLS
from turnout.clock import Clock
from turnout.errors import ConfigError, Refused

__all__ = ["Gateway"]

BACKLOG = 1024
PAUSED_RETRY = 30.0
STOPPED_RETRY = 10.0
Stat = tuple[str, list[str], float]


class Gateway:
    """Serves SDKs on `server.host:port`. Needs a running event loop, which may be uvloop's.

    The writer stays the caller's: it is closed by whoever opened it, after `drain`. `rates` is a folder
    for what several ingest processes share, None where there is one.
    """

    def __init__(self, config: Config, writer: LogWriter, clock: Clock, rates: Path | None = None) -> None:
        self._rates = Rates(rates)
        self._config = config
        self._writer = writer
        self._clock = clock
        self._paused: frozenset[str] = frozenset()
        self._stopped = False
        self._ingest = Ingest(Settings.of(config, clock.monotonic(), None, self._rates), writer, clock)
        self._runner: web.AppRunner | None = None
        self._doorman: Doorman | None = None
        self._listener: asyncio.Server | None = None
        self._tls: ssl.SSLContext | None = None
        self.port = config.server.port
        """The port that is bound; the configured one until `start`."""

    @property
    def url(self) -> str:
        """What SDKs are given as the data plane's URL, without a trailing slash."""
        host = self._config.server.host
        scheme = "https" if self._config.server.tls else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def start(self, *, joining: bool = False) -> None:
        """Bind and serve; raises OSError where the address is taken, `ConfigError` for a bad certificate.

        With several ingest processes the port is shared; all but the first that ever binds are `joining`.
        """
        loop = asyncio.get_running_loop()
        server = self._config.server
        if server.tls is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            _load_certificate(self._tls, server.tls)
        self._runner = web.AppRunner(
            self._application(), access_log=None, handler_cancellation=False, shutdown_timeout=0.1
        )
        await self._runner.setup()
        assert self._runner.server is not None
        timeout = server.limits.header_timeout.total_seconds()
        self._doorman = Doorman(self._runner.server, _connections(self._config), timeout, loop)
        shared = self._config.processes.ingest > 1
        if shared and not joining:
            await self._claim(loop)
        self._listener = await loop.create_server(
            self._doorman, server.host, server.port, ssl=self._tls, backlog=BACKLOG, reuse_address=True,
            reuse_port=shared,
        )
        self.port = _port(self._listener.sockets)

    async def _claim(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make sure that nobody listens: a shared port would be shared with another Turnout too."""
        server = self._config.server
        alone = await loop.create_server(
            asyncio.Protocol, server.host, server.port, reuse_address=True, start_serving=False
        )
        alone.close()
        await alone.wait_closed()

    def apply(self, config: Config) -> None:
        """Use another config for the requests that come from now on; counters go on.

        Sources, limits, proxies and the certificate change; host and port need a restart.
        Raises `ConfigError`, and changes nothing, where it cannot be used.
        """
        settings = Settings.of(config, self._clock.monotonic(), self._ingest.settings, self._rates)
        if self._tls is not None and config.server.tls is not None:
            _load_certificate(self._tls, config.server.tls)
        self._ingest.settings = settings
        self._close()
        if self._doorman is not None:
            self._doorman.limit = _connections(config)
            self._doorman.header_timeout = config.server.limits.header_timeout.total_seconds()

    def hold(self, paused: Collection[str], stopped: bool) -> None:
        """Answer 503 to the paused sources, or to all of them while `stopped`; until told otherwise."""
        self._paused, self._stopped = frozenset(paused), stopped
        self._close()

    def _close(self) -> None:
        for name, source in self._ingest.settings.sources.by_id.items():
            if self._stopped:
                source.closed = Closed("backlog_full", "there is no room; come again", STOPPED_RETRY)
            elif name in self._paused:
                source.closed = Closed("source_paused", "this source is paused; come again", PAUSED_RETRY)
            else:
                source.closed = None

    async def drain(self, deadline: float) -> None:
        """Stop accepting, finish the requests in flight within `deadline` seconds, close.

        What is not finished by then is cut off without an answer, so its SDK sends it again.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline
        self._ingest.draining = True
        if self._listener is not None:
            self._listener.close()
        while self._doorman is not None and loop.time() < until:
            self._doorman.close_idle()
            if not self._doorman.connections:
                break
            await asyncio.sleep(0.01)
        if self._doorman is not None:
            self._doorman.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._ingest.settle()

    def stats(self) -> list[Stat]:
        """Counters since the start, as `(metric, labels, number)`. Only configured sources are labels."""
        found: list[Stat] = []
        for source, counts in self._ingest.settings.sources.counts.items():
            found += [
                ("turnout_gateway_events_total", [source, "accepted"], counts.accepted),
                ("turnout_gateway_events_total", [source, "refused"], counts.refused),
                ("turnout_gateway_bytes_total", [source], counts.received_bytes),
                ("turnout_gateway_slow_bodies_total", [source], counts.slow),
                ("turnout_gateway_refused_kept_bytes_total", [source], counts.kept_bytes),
                ("turnout_gateway_refused_unkept_total", [source], counts.unkept),
            ]
            found += [
                ("turnout_gateway_requests_total", [source, str(status)], number)
                for status, number in counts.statuses.items()
            ]
        found += [
            ("turnout_gateway_requests_total", ["", str(status)], number)
            for status, number in self._ingest.nobody.statuses.items()
        ]
        found.append(("turnout_gateway_requests_in_flight", [], self._ingest.in_flight))
        if self._doorman is not None:
            found += [
                ("turnout_gateway_connections", [], len(self._doorman.connections)),
                ("turnout_gateway_connections_turned_total", [], self._doorman.turned),
                ("turnout_gateway_slow_heads_total", [], self._doorman.slow),
            ]
        return found

    def _application(self) -> web.Application:
        app = web.Application()
        for protocol in PROTOCOLS.values():
            for route in protocol.routes:
                handler = self._ingest.handler(protocol, route)
                # Both spellings, never a redirect: SDKs follow a 301 with a GET and report success.
                for path in (route.path, route.path + "/"):
                    app.router.add_post(path, handler)
        pages: dict[str, Handler] = {
            "/health": self._health,
            "/ready": self._ready,
            "/version": _version,
            "/robots.txt": _robots,
            "/sourceConfig": self._source_config,
            "/sourceConfig/": self._source_config,
        }
        for path, page in pages.items():
            app.router.add_get(path, page)
        app.router.add_route("OPTIONS", "/{any:.*}", _preflight)
        app.router.add_route("*", "/{any:.*}", _elsewhere(app))
        return app

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        """Liveness: red only where a restart helps."""
        health = self._writer.health()
        log = "closed" if not health.open else "full" if health.full else "open"
        status = "ok" if log == "open" else "degraded" if log == "full" else "failed"
        return replies.as_json({"status": status, "log": log}, 200 if health.open else 503)

    async def _ready(self, _request: web.Request) -> web.StreamResponse:
        """Whether an event sent now would be taken."""
        health = self._writer.health()
        ready = health.open and not health.full and not self._stopped and not self._ingest.draining
        return replies.as_json({"ready": ready}, 200 if ready else 503)

    async def _source_config(self, request: web.Request) -> web.StreamResponse:
        """What RudderStack's browser SDKs ask for before they send anything."""
        origin = request.headers.get("Origin")
        headers = cors.headers(origin)
        try:
            source = self._ingest.settings.sources.of_request(request)
            if source is None:
                raise Rejected(401, "missing_write_key", "send the write key as `writeKey` or by Basic")
            if source.origins and origin and not cors.allowed(origin, source.origins):
                raise Rejected(403, "origin_not_allowed", "this source takes no events from this origin")
        except Refused as reason:
            return replies.error(reason, headers)
        body = {"source": {"id": source.id, "config": {}, "destinations": []}}
        reply = replies.as_json(body, 200, headers)
        reply.headers["Cache-Control"] = "no-cache"
        return reply


def _connections(config: Config) -> int:
    """This process's part of the machine's connections, rounded up."""
    return -(-config.server.limits.connections // config.processes.ingest)


def _elsewhere(app: web.Application) -> Handler:
    """What answers every path and method that is not served."""
    paths = {resource.canonical for resource in app.router.resources()}

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path in paths:
            reason = Rejected(405, "method_not_allowed", "this path is not served by this method")
        else:
            reason = Rejected(404, "not_found", "there is nothing at this path")
        return replies.error(reason, cors.headers(request.headers.get("Origin")))

    return handle


async def _preflight(request: web.Request) -> web.StreamResponse:
    return cors.preflight(request)


async def _version(_request: web.Request) -> web.StreamResponse:
    return replies.as_json({"name": "turnout", "version": turnout.__version__}, 200)


async def _robots(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="User-agent: *\nDisallow: /\n", headers=replies.NAMED)


def _load_certificate(context: ssl.SSLContext, tls: Tls) -> None:
    """From texts that were read with the config: the files may be gone since. OpenSSL takes files only, so these have
    no name, and are gone when they are closed."""
    try:
        with TemporaryFile(buffering=0) as certificate, TemporaryFile(buffering=0) as key:
            for file, text in zip((certificate, key), tls.pem(), strict=True):
                file.write(text)
                file.seek(0)  # where /dev/fd shares its place in the file with us
            places = (f"/dev/fd/{certificate.fileno()}", f"/dev/fd/{key.fileno()}")
            context.load_cert_chain(*places, password=lambda: "")  # or one with a passphrase asks the terminal for it
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"server.tls: the certificate or key cannot be used: {error}") from None


def _port(sockets: Sequence[socket.socket]) -> int:
    return int(sockets[0].getsockname()[1])
