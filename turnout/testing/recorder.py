"""A real HTTP server that records what it gets and answers as told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from turnout import codec
from turnout.testing.serving import Served

__all__ = ["Received", "Recorder"]


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came over the wire; header names are lower-case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; raises `Refused` where it is none."""
        return codec.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the recorder answers."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Recorder(Served):
    """Answers 200 until told otherwise; `received` holds the requests in order of arrival."""

    def __init__(self, **chosen: Any) -> None:
        super().__init__(**chosen)
        self._lock = threading.Condition()
        self._received: list[Received] = []
        self._queued: list[Reply] = []
        self._always: Callable[[Received], Reply] = lambda _: Reply()
        self._runner: web.ServerRunner | None = None

    @property
    def received(self) -> list[Received]:
        """What came so far."""
        with self._lock:
            return list(self._received)

    def answer(self, status: int = 200, body: bytes | str = b"", **headers: str) -> None:
        """Answer the next request so (then the one after); `Retry_After="3"` is a header."""
        with self._lock:
            self._queued.append(_reply(status, body, headers))

    def always(self, status: int = 200, body: bytes | str = b"", **headers: str) -> None:
        """Answer every request so that nothing is queued for."""
        reply = _reply(status, body, headers)
        with self._lock:
            self._always = lambda _: reply

    def decide(self, choose: Callable[[Received], tuple[int, bytes]]) -> None:
        """Let a function answer: status and body."""

        def reply(request: Received) -> Reply:
            status, body = choose(request)
            return Reply(status, {}, body)

        with self._lock:
            self._always = reply

    def wait(self, count: int, timeout: float = 10.0) -> list[Received]:
        """The requests, once at least `count` came; raises TimeoutError with how many did."""
        end = time.monotonic() + timeout
        with self._lock:
            while len(self._received) < count:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{len(self._received)} of {count} requests within {timeout:g} s")
                self._lock.wait(left)
            return list(self._received)

    def clear(self) -> None:
        """Forget what came and what was to be answered."""
        with self._lock:
            self._received.clear()
            self._queued.clear()

    async def _listen(self) -> asyncio.Server:
        self._runner = web.ServerRunner(web.Server(self._handle))
        await self._runner.setup()
        assert self._runner.server is not None
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            self._runner.server, self.host, self.port, ssl=self.tls, backlog=128, reuse_address=True
        )

    async def _leave(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        came = Received(
            request.method, request.path, dict(request.query),
            {name.lower(): value for name, value in request.headers.items()}, body,
        )
        with self._lock:
            reply = self._queued.pop(0) if self._queued else self._always(came)
            self._received.append(came)
            self._lock.notify_all()
        return web.Response(status=reply.status, headers=dict(reply.headers), body=reply.body)


def _reply(status: int, body: bytes | str, headers: Mapping[str, str]) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, body.encode() if isinstance(body, str) else body)
