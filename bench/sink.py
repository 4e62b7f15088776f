"""A destination that takes everything and remembers what arrived when.

An aiohttp server in a thread of its own, so that a test or a bench may block while it answers.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiohttp import web

__all__ = ["Arrival", "Sink"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: `at` in seconds of the monotonic clock, its headers, its body as bytes, its path,
    and the status it was answered with."""

    at: float
    headers: dict[str, str]
    body: bytes
    path: str = "/"
    status: int = 200

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Sink:
    """`with Sink() as sink:` serves `sink.url`; every POST is recorded and answered 200.

    `answer(path, body)` gives another status.
    """

    def __init__(self, answer: Callable[[str, bytes], int] | None = None) -> None:
        self._answer = answer
        self.arrivals: list[Arrival] = []
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sink", daemon=True)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Sink:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def peers(self) -> set[int]:
        """The ports at the other ends of the connections that are open to it."""
        server = self._runner.server if self._runner is not None else None
        open_ = [one.transport for one in list(server.connections)] if server is not None else []
        return {one.get_extra_info("peername")[1] for one in open_ if one is not None}

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of all requests, in order of arrival; a JSON array counts as several."""
        found: list[dict[str, Any]] = []
        for arrival in list(self.arrivals):
            value = arrival.json
            found += value if isinstance(value, list) else [value]
        return found

    def wait(self, enough: Callable[[Sink], bool], timeout: float = 60.0) -> bool:
        """Wait until `enough(sink)`; False when `timeout` seconds pass first."""
        until = time.monotonic() + timeout
        while not enough(self):
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    async def _serve(self) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._take)
        # Keep-alive requests in flight at the end are not worth waiting for.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = self._answer(request.path, body) if self._answer is not None else 200
        self.arrivals.append(Arrival(time.monotonic(), dict(request.headers), body, request.path, status))
        return web.Response(status=status, text="ok")
