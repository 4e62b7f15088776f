"""A client's connection: aiohttp's, with a bound on slow headers and errors that SDKs understand."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from dataplane.gateway import cors, replies
from dataplane.gateway.replies import Rejected

__all__ = ["Connection", "Doorman"]

KEEP_ALIVE = 75.0
LINGER = 3.0
_log = logging.getLogger(__name__)
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 2\r\n"
    b"Connection: close\r\nContent-Length: 62\r\n\r\n"
    b'{"code":"busy","message":"too many connections; come again  "}'
)


class Connection(RequestHandler):
    """One connection. `head_since` is the loop's time since which a request's head is awaited
    whose first bytes came (or the connection opened); 0 while none is."""

    __slots__ = ("head_since",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock: a connection that says nothing is a slow head too."""
        super().connection_made(transport)
        self.head_since = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Note when a head has begun and is not complete."""
        super().data_received(data)
        if self.idle:
            self.head_since = self.head_since or self._loop.time()
        else:
            self.head_since = 0.0

    def abandon(self) -> None:
        """Do not wait for the rest of this request: close as soon as it is answered."""
        self._lingering_time = 0.0

    @property
    def idle(self) -> bool:
        """No request is waiting or being handled."""
        return self._current_request is None and not self._messages

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what no handler answered: bytes that are no HTTP, or a fault of ours."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        reason: Rejected
        if isinstance(exc, HttpProcessingError) or status < 500:
            reason = Rejected(status, "bad_request", "this is not a valid HTTP request", close=True)
        else:
            where = _place(exc)
            _log.error("a request was answered with %d: %s at %s", status, type(exc).__name__, where)
            reason = Rejected(status, "internal_error", "a fault of the server", retry_after=5, close=True)
        return replies.error(reason, cors.headers(request.headers.get("Origin")))


def _place(error: BaseException | None) -> str:
    """File and line where an error was raised; its text may quote a payload and is not logged."""
    trace = error.__traceback__ if error else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"


class _Turned(asyncio.Protocol):
    """A connection above the bound: told so and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(_BUSY)
        transport.close()


class Doorman:
    """Makes connections up to a bound, and closes those whose heads take too long.

    `limit` connections, `header_timeout` in seconds.
    """

    def __init__(
        self, server: web.Server, limit: int, header_timeout: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.limit = limit
        self.header_timeout = header_timeout
        self.turned = 0
        self.slow = 0
        self._server = server
        self._loop = loop
        self._sweep: asyncio.TimerHandle | None = loop.call_later(self._pause, self._swept)

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        if len(self._server.connections) >= self.limit:
            self.turned += 1
            return _Turned()
        return Connection(
            self._server,
            loop=self._loop,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE,
            lingering_time=LINGER,
        )

    @property
    def connections(self) -> list[Connection]:
        """Those that are open."""
        return [c for c in self._server.connections if isinstance(c, Connection)]

    def close_idle(self) -> None:
        """Close every connection that has no request."""
        for connection in self.connections:
            if connection.idle:
                connection.force_close()

    @property
    def _pause(self) -> float:
        return min(1.0, self.header_timeout)

    def stop(self) -> None:
        """Stop sweeping."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _swept(self) -> None:
        oldest = self._loop.time() - self.header_timeout
        for connection in self.connections:
            if connection.head_since and connection.head_since < oldest:
                if connection.idle:
                    self.slow += 1
                    connection.force_close()
                else:
                    connection.head_since = 0.0
        self._sweep = self._loop.call_later(self._pause, self._swept)
