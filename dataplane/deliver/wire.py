"""One connection that speaks HTTP/1.1: a request out, its answer in, and so on while both sides keep it.

What is read was written by anyone: llhttp (by way of httptools) parses it, and nothing here grows beyond
`kept` bytes of body and `HEAD` bytes around it.
"""

from __future__ import annotations

import asyncio
import math
import os
import ssl
import zlib
from collections.abc import Callable
from typing import NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from turnout import Response

__all__ = ["HEAD", "HEADERS", "Broken", "Connection", "Origin", "system"]

HEAD = 64 << 10
"""Bytes of an answer around its body: status, headers, interim answers, chunk sizes, trailers."""
HEADERS = 128
"""Headers of an answer."""
FRAMING = 8
"""Bytes of an answer per byte of its body; in chunks of one byte there are six."""
PIECE = 256 << 10
"""Bytes of a request that are handed to the transport at once."""

CLOSED = "closed the connection without an answer"
NOT_HTTP = "the answer is not HTTP"
TOO_LONG = "the answer's head is too long"
BROKE_OFF = "the answer's body broke off"


class Origin(NamedTuple):
    """Who is at the other end; a name is in ASCII, an IPv6 address without brackets."""

    tls: bool
    host: str
    port: int


class Broken(Exception):
    """No answer came; the text says why, and holds nothing of the request.

    `stale` says that not a byte of an answer came on a connection that was used before: the server may have
    closed it before it saw the request, or after.
    """

    def __init__(self, reason: str, *, stale: bool = False) -> None:
        super().__init__(reason)
        self.stale = stale


def system(error: BaseException | None) -> str:
    """The system's own words for an error's number; an error's text may hold anything."""
    number = getattr(error, "errno", None)
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if number:
        return os.strerror(number)
    return "the connection broke" if isinstance(error, OSError) else type(error).__name__


class Connection(asyncio.Protocol):
    """One request at a time. `lost(connection)` is called once, when it is gone.

    `kept` bytes of a body are read; what is longer costs the connection.
    """

    __slots__ = (
        "_bare", "_body", "_broke", "_complete", "_drained", "_headers", "_interim", "_kept", "_loop", "_lost",
        "_parser", "_paused", "_refusal", "_size", "_status", "_total", "_transport", "_used", "_wait", "deadline",
        "origin", "usable",
    )  # fmt: skip

    def __init__(self, origin: Origin, kept: int, lost: Callable[[Connection], None]) -> None:
        self.origin = origin
        self._loop = asyncio.get_running_loop()
        self._kept = kept
        self._lost = lost
        self._parser = parser = HttpResponseParser(self)
        # What servers get wrong without harm; framing stays strict.
        parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._transport: asyncio.Transport | None = None
        self._wait: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._paused = self._used = False
        self.usable = True
        """Whether another request may follow."""
        self.deadline = math.inf
        """When `expire` is due, by the loop's clock."""
        self._begin(bare=False)

    @property
    def over(self) -> bool:
        """Whether it is gone: `lost` was called, or it never began."""
        return self._transport is None

    # ---- a request

    async def exchange(self, head: bytes, body: bytes, deadline: float, *, bare: bool) -> Response:
        """Send a request and read its answer, which has no body where it is `bare` (HEAD).

        Raises `Broken`, and TimeoutError where `expire` comes first.
        """
        assert self._transport is not None
        self._begin(bare=bare)
        self.deadline = deadline
        wait = self._wait = self._loop.create_future()
        try:
            if len(body) <= PIECE:
                self._transport.write(head + body)
            else:
                await self._pieces(head, body, wait)
            await wait
        except BaseException:
            self.abort()
            raise
        finally:
            self._wait = None
            self._used = True
        return self._response()

    def _begin(self, *, bare: bool) -> None:
        self._bare = bare
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._status = self._size = self._total = 0
        self._complete = self._interim = self._broke = False
        self._refusal = ""

    async def _pieces(self, head: bytes, body: bytes, wait: asyncio.Future[None]) -> None:
        """Write no faster than the other side reads, and no further once its answer is in."""
        assert self._transport is not None
        self._transport.write(head)
        view = memoryview(body)
        for at in range(0, len(view), PIECE):
            if self._paused:
                self._drained = self._loop.create_future()
                await self._drained
            if wait.done():
                self.usable = False
                return
            self._transport.write(view[at : at + PIECE])

    def _response(self) -> Response:
        headers = {
            name.decode("latin-1"): value.rstrip(b" \t").decode("utf-8", "replace") for name, value in self._headers
        }
        pieces, kept = self._body, self._kept
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        broke, cut = self._broke, self._size > kept
        for name, value in headers.items():
            if len(name) == 16 and name.lower() == "content-encoding":
                body, whole = _unpacked(body[: kept + 1], value.lower(), kept + 1)
                broke = broke or not (whole or cut or len(body) > kept)
        cut = cut or broke or len(body) > kept
        return Response(self._status, headers, body[:kept], BROKE_OFF if broke else "", cut=cut)

    # ---- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer; where none is due the server is out of step, and so not to be believed again."""
        wait = self._wait
        if wait is None or wait.done():
            self.abort()
            return
        self._total += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._refusal = self._refusal or NOT_HTTP
        if self._complete:
            if self._refusal:
                self.usable = False
        elif self._refusal:
            self._fail(self._refusal)
        elif self._total - FRAMING * self._size > HEAD:
            self._fail(TOO_LONG)

    def eof_received(self) -> None:
        """The server says no more: the end of a body that has no length, or of everything."""
        self._ended(None)

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self._ended(error)
        self._transport = None
        del self._parser  # which holds this
        self._lost(self)

    def pause_writing(self) -> None:
        """The other side reads slower than this one writes."""
        self._paused = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._paused = False
        self._go_on()

    def expire(self) -> None:
        """Its `deadline` has passed: the answer took too long, or it idled long enough."""
        self._fail(None)

    def close(self, reason: str) -> None:
        """End it; an exchange in flight fails with `reason`."""
        self._fail(reason)

    def abort(self) -> None:
        """End it at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def _ended(self, error: Exception | None) -> None:
        self.usable = False
        if self._wait is None or self._wait.done():
            return
        if error is not None:
            self._fail(system(error))
        elif self._status and not self._sized():
            self._finish()
        else:
            self._fail(CLOSED)

    def _sized(self) -> bool:
        """Whether the answer says where its body ends."""
        return any(
            name.lower() == b"content-length"
            or (name.lower() == b"transfer-encoding" and value.lower().rstrip().endswith(b"chunked"))
            for name, value in self._headers
        )

    def _finish(self) -> None:
        self._complete = True
        if self._wait is not None and not self._wait.done():
            self._wait.set_result(None)
        self._go_on()

    def _fail(self, reason: str | None) -> None:
        """An answer whose body is on its way keeps its status; else there is none. None is a timeout."""
        if self._wait is not None and not self._wait.done():
            if self._status:
                self._broke = True
                self._finish()
            else:
                stale = self._used and not self._total
                self._wait.set_exception(TimeoutError() if reason is None else Broken(reason, stale=stale))
                self._go_on()
        self.abort()

    def _go_on(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # ---- the parser

    def on_message_begin(self) -> None:
        """A second answer nobody asked for is none."""
        if self._complete:
            self._refusal = NOT_HTTP

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer: those mean nothing to anybody."""
        if self._status:
            self.usable = False
            return
        self._headers.append((name, value))
        if len(self._headers) > HEADERS:
            self._refusal = TOO_LONG
        elif b"\0" in value:
            self._refusal = NOT_HTTP

    def on_headers_complete(self) -> None:
        """The head is in: of an answer, or of an interim one that others follow."""
        if self._complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._interim = True
            if status < 100 or status == 101:
                self._refusal = NOT_HTTP
            return
        if self._refusal:
            return
        self._status = status
        if not self._parser.should_keep_alive():
            self.usable = False
        if self._bare:
            self.usable = False  # the parser waits for a body that does not come
            self._finish()

    def on_body(self, data: bytes) -> None:
        """Bytes of the body."""
        if not self._status or self._complete:
            return
        self._body.append(data)
        self._size += len(data)
        if self._size > self._kept:
            self.abort()
            self._finish()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._status:
            self._finish()
        elif self._interim:
            self._interim = False
            self._headers.clear()


def _unpacked(body: bytes, encoding: str, most: int) -> tuple[bytes, bool]:
    """A body that was packed although nobody asked for that, at most `most` bytes, and whether it is whole.

    What is packed otherwise stays as it is.
    """
    if encoding not in ("gzip", "x-gzip", "deflate") or not body:
        return body, True
    bare = encoding == "deflate" and body[0] & 15 != zlib.DEFLATED  # without a header, as some servers have it
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS + 32)
    try:
        found = unpacker.decompress(body, most)
    except zlib.error:
        return b"", False
    return found, unpacker.eof
