"""Requests onto the wire, and what came back, as values."""

from __future__ import annotations

import io
import os
import ssl
from collections.abc import Mapping

import aiohttp
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from dataplane.deliver.failure import BLOCKED, UNSENT_BODY
from dataplane.deliver.guard import Blocked, GuardedResolver, guarded_socket
from turnout import Request, Response, __version__
from turnout.errors import Refused
from turnout.request import packed

__all__ = ["KEPT", "Sender", "unsendable"]

KEPT = 64 << 10
"""Bytes of an answer that are kept; a longer one costs its connection."""
KEEPALIVE = 4.0
"""Seconds a connection idles: below the five after which common servers (Node) close one."""
CONNECT = 10.0
_LARGE = 1 << 20


class Sender:
    """Sends the requests of one destination: one pool of kept-alive connections.

    Redirects are not followed, cookies not kept, proxies of the environment not used, TLS is
    verified. Unless `allow_private`, an address that is not public is refused on connect. Of an answer
    `kept` bytes are read. `stand_ins` are servers (origins) that take what is for a host instead of it.
    `connections` bounds those open at once; `tls` replaces the system's trust (a private CA).
    """

    def __init__(
        self, *, allow_private: bool = False, connections: int = 8, tls: ssl.SSLContext | None = None, kept: int = KEPT,
        stand_ins: Mapping[str, str] | None = None,
    ) -> None:
        self._private = allow_private
        self._connections = connections
        self._tls = tls
        self._kept = kept
        self._stand_ins = {host: URL(server) for host, server in (stand_ins or {}).items()}
        self._session: aiohttp.ClientSession | None = None
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def send(self, request: Request, timeout: float) -> Response:
        """Send and read the answer, within `timeout` seconds in all; never raises for trouble.

        `Response.error` names the kind of trouble and the host, never path, query or payload. It
        is `permanent` for an address the egress rules refuse and for what cannot be HTTP at all.
        """
        try:
            url = _url(request)
            body, headers = _body(request)
            if self._stand_ins:
                url, headers = self._instead(url, headers)
        except (Refused, ValueError) as error:
            return unsendable(error)
        if self._session is None:
            self._session = self._open()
        try:
            async with self._session.request(
                request.method, url, data=body, headers=headers, allow_redirects=False,
                timeout=self._timeout(timeout),
            ) as response:
                return await _answer(response, self._kept)
        except TimeoutError:
            return Response(0, error=f"{_host(url)}: no answer within {timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return _failed(error, url)
        except ValueError as error:  # a header or method that is no HTTP; UnicodeError is one too
            return unsendable(error)

    async def close(self) -> None:
        """Close the connections; requests in flight fail."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            keepalive_timeout=KEEPALIVE,
            resolver=ThreadedResolver() if self._private else GuardedResolver(),
            socket_factory=None if self._private else guarded_socket,
            ssl=self._tls or True,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Answers are small, and a packed one could unfold to anything.
            headers={"User-Agent": f"Turnout/{__version__}", "Accept-Encoding": "identity"},
            trust_env=False,
        )

    def _instead(self, url: URL, headers: Mapping[str, str]) -> tuple[URL, Mapping[str, str]]:
        """The stand-in's address for a host that has one; which host was meant stays in the request."""
        server = self._stand_ins.get((url.host or "").lower())
        if server is None:
            return url, headers
        meant = str(url.host) if url.is_default_port() else _host(url)
        moved = url.with_scheme(server.scheme).with_host(str(server.host)).with_port(server.explicit_port)
        return moved, {"Host": meant, **headers}

    def _timeout(self, seconds: float) -> aiohttp.ClientTimeout:
        found = self._timeouts.get(seconds)
        if found is None:
            if len(self._timeouts) > 16:
                self._timeouts.clear()
            found = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, CONNECT))
            self._timeouts[seconds] = found
        return found


def unsendable(error: Exception) -> Response:
    """The answer to what cannot be written as HTTP."""
    return Response(0, error=f"{UNSENT_BODY}{_plain(error)}", permanent=True)


def _url(request: Request) -> URL:
    url = URL(request.url)
    if url.scheme not in ("http", "https") or not url.host:
        raise Refused("bad_url", "the address is not http or https")
    return url.update_query(request.params) if request.params else url


def _body(request: Request) -> tuple[bytes | io.BytesIO | None, Mapping[str, str]]:
    if request.body is None:
        return None, request.headers
    data, kind = packed(request)
    headers = request.headers
    if not any(name.lower() == "content-type" for name in headers):
        headers = {**headers, "Content-Type": kind}
    # aiohttp writes a file in pieces, and warns about a large body that is not one.
    return (data if len(data) < _LARGE else io.BytesIO(data)), headers


async def _answer(response: aiohttp.ClientResponse, kept: int) -> Response:
    """Status, headers and the first `kept` bytes. What is longer, or breaks, loses its connection."""
    pieces: list[bytes] = []
    size, error = 0, ""
    try:
        while piece := await response.content.readany():
            pieces.append(piece)
            size += len(piece)
            if size > kept:
                response.close()
                break
    except (aiohttp.ClientError, OSError):  # a timeout is an OSError
        error = "the answer's body broke off"
        response.close()
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    headers = {name: value if value.isascii() else _text(value) for name, value in response.headers.items()}
    return Response(response.status, headers, body[:kept], error, cut=bool(error) or size > kept)


def _text(value: str) -> str:
    """A header's value as text that can be stored: aiohttp gives bytes that are no UTF-8 as half surrogates."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _failed(error: Exception, url: URL) -> Response:
    host = _host(url)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Blocked):
            reason = f"{host}{BLOCKED}"
            return Response(0, error=reason, permanent=True)
        cause = cause.__cause__
    if isinstance(error, aiohttp.InvalidURL):
        return Response(0, error=f"{UNSENT_BODY}{host} is not an address", permanent=True)
    return Response(0, error=f"{host}: {_reason(error)}")


def _reason(error: Exception) -> str:
    """What happened, in words that hold nothing of the request."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the TLS certificate is not trusted"
    if isinstance(error, aiohttp.ClientSSLError):
        return "TLS failed"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name does not resolve"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {_system(error.os_error)}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed the connection without an answer"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer is not HTTP"
    return _system(error)


def _system(error: Exception) -> str:
    """The system's own words for an error's number: an error's text may hold the whole address (aiohttp's does
    where a request's body cannot be written)."""
    number = getattr(error, "errno", None)
    if number:
        return os.strerror(number)
    return "the connection broke" if isinstance(error, OSError) else type(error).__name__


def _plain(error: Exception) -> str:
    """Our own sentence; of others' errors only the kind, since they quote what they refuse."""
    return error.message if isinstance(error, Refused) else type(error).__name__


def _host(url: URL) -> str:
    return f"{url.host}:{url.port}" if url.port else str(url.host)
