"""`turnout run --demo`: a recorder where the configured webhook points, and one event to see arrive."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from dataplane.app.listen import unheard
from dataplane.app.submit import submit, write_key
from dataplane.config import Config
from turnout import codec
from turnout.clock import iso
from turnout.errors import Fixable, Refused, Unavailable

__all__ = ["Demo", "Recorder", "gained", "target"]

PATIENCE = 20.0
"""Seconds to wait for the demo event."""
BODY = 32 << 20
"""Largest body the recorder takes, in bytes."""
_NEAR = ("127.0.0.1", "localhost", "::1")

Show = Callable[[str], None]


def target(config: Config) -> tuple[str, str, int]:
    """The first enabled destination that is a webhook on this machine: its id, host and port."""
    for name, destination in config.destinations.items():
        settings = destination.settings
        url = settings.get("webhook_url") or settings.get("webhookUrl")
        parts = urlsplit(str(url)) if url else None
        if destination.enabled and destination.type == "webhook" and parts and parts.hostname in _NEAR:
            if not config.egress.allow_private:
                raise Fixable("--demo delivers to this machine: set `egress: {allow_private: true}`")
            return name, parts.hostname or "", parts.port or 80
    raise Fixable(
        "--demo needs a webhook destination on this machine, such as webhook_url: http://127.0.0.1:9000/ "
        "(`turnout init` writes one)"
    )


class Recorder:
    """A small server that takes anything and shows a line for each event: ids and names, no payload."""

    def __init__(self, host: str, port: int, arrived: Callable[[str, dict[str, Any]], None]) -> None:
        self._host = host
        self._port = port
        self._arrived = arrived
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; raises `Fixable` where the port is taken."""
        app = web.Application(client_max_size=BODY)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            where, why = f"{self._host}:{self._port}", unheard(error, "its webhook_url")
            raise Fixable(f"the demo's recorder cannot listen on {where}: {why}") from None

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        how = f"{request.method} {request.url.with_query(None)}"
        for event in _events(await request.read()):
            self._arrived(how, event)
        return web.json_response({"status": "recorded"})


class Demo:
    """The recorder and the demo event."""

    def __init__(self, config: Config, show: Show) -> None:
        self._show = show
        self._destination, host, port = target(config)
        self._recorder = Recorder(host, port, self._arrived)
        self._id = f"demo-{uuid.uuid4()}"
        self._sent: dict[str, Any] = {}
        self._sent_at = 0.0
        self._came = asyncio.Event()

    async def start(self) -> None:
        """Start the recorder."""
        await self._recorder.start()

    async def stop(self) -> None:
        """Stop the recorder."""
        await self._recorder.stop()

    async def play(self, config: Config, url: str) -> None:
        """Send the demo event and wait for it; says what happened, also when it does not come."""
        source, key = write_key(config, _source(config, self._destination))
        self._sent = {
            "type": "track", "event": "Demo Started", "messageId": self._id, "anonymousId": "demo-visitor",
            "originalTimestamp": iso(datetime.now(UTC)),
            "properties": {"from": "turnout run --demo"}, "context": {"traits": {"plan": "free"}},
        }
        self._sent_at = time.monotonic()
        try:
            reply = await submit(config, url, source, codec.dumps(self._sent))
        except Unavailable as error:
            self._show(f"demo event not sent: {error}")
            return
        if reply.status != 200:
            self._show(f"demo event not taken: HTTP {reply.status} {codec.dumps(reply.body).decode()}")
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._came.wait()
        except TimeoutError:
            self._show(f"demo event {self._id} has not arrived in {PATIENCE:g} s: `turnout status` says why")
            return
        self._show(
            "send one yourself:\n"
            f"  curl -u {key}: {url}/v1/track -H 'Content-Type: application/json' "
            """-d '{"userId": "u-1", "event": "Order Completed", "properties": {"total": 12.5}}'"""
        )

    def _arrived(self, how: str, event: dict[str, Any]) -> None:
        if event.get("messageId") != self._id:
            self._show(f"arrived: {_line(event)} ({how})")
            return
        took = round((time.monotonic() - self._sent_at) * 1000)
        self._show(f"demo event {self._id} arrived at {self._destination} ({how}) after {took} ms")
        for path, value in gained(self._sent, event):
            self._show(f"  gained on its way: {path} = {codec.dumps(value).decode()}")
        self._came.set()


def gained(sent: Mapping[str, Any], came: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Fields of `came` that `sent` does not have, as dotted paths; a whole new object is one field."""
    for key, value in came.items():
        before = sent.get(key)
        if key not in sent:
            yield prefix + key, value
        elif isinstance(value, dict) and isinstance(before, dict):
            yield from gained(before, value, f"{prefix}{key}.")


def _source(config: Config, destination: str) -> str | None:
    named = config.destinations[destination].sources
    candidates = [name for name in named or config.sources if config.sources[name].enabled]
    return candidates[0] if candidates else None


def _events(body: bytes) -> list[dict[str, Any]]:
    try:
        found = codec.loads(body)
    except Refused:
        return [{}]
    many = found if isinstance(found, list) else [found]
    return [event if isinstance(event, dict) else {} for event in many]


def _line(event: dict[str, Any]) -> str:
    parts = (event.get("messageId"), event.get("type"), event.get("event") or event.get("name"))
    return " ".join(str(part)[:100] for part in parts if part) or "a request without an event"
