"""Requests onto the wire, and what came back, as values."""

from __future__ import annotations

import ssl
from collections.abc import Hashable, Mapping

from yarl import URL

from dataplane.deliver.failure import BLOCKED, CLOSING, UNSENT_BODY
from dataplane.deliver.guard import Blocked
from dataplane.deliver.head import Head, Target, head, target
from dataplane.deliver.pool import Pool
from dataplane.deliver.wire import Broken
from turnout import Request, Response
from turnout.errors import Refused
from turnout.hosts import normal_host
from turnout.request import packed

__all__ = ["KEPT", "Sender", "unsendable"]

KEPT = 64 << 10
"""Bytes of an answer that are kept; a longer one costs its connection."""
TARGETS = 256
"""Addresses that are remembered: a destination sends to the same ones again and again."""
LONGEST = 4_096
"""Bytes of a head that is remembered: one with an event in its query is not sent again, and tells of its user."""
_AGAIN = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that mean the same twice (RFC 9110, 9.2.2)."""


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
        self._stand_ins = {normal_host(host): URL(server) for host, server in (stand_ins or {}).items()}
        self._pool: Pool | None = None
        self._closed = False
        self._targets: dict[Hashable, tuple[Target, Mapping[str, str], Head]] = {}

    async def send(self, request: Request, timeout: float) -> Response:
        """Send and read the answer, within `timeout` seconds in all; never raises for trouble.

        `Response.error` names the kind of trouble and the host, never path, query or payload. It
        is `permanent` for an address the egress rules refuse and for what cannot be HTTP at all.
        After `close` nothing is sent.
        A request whose method means the same twice is sent again where the server closed, without
        an answer, a connection that was kept; any other is for the caller to judge.
        """
        if self._closed:
            return Response(0, error=CLOSING)
        try:
            data, kind = packed(request)
            at, lines = self._head(request, kind)
        except (Refused, TypeError, ValueError) as error:
            return unsendable(error)
        if self._pool is None:
            self._pool = Pool(
                self._connections, allow_private=self._private, tls=self._tls, kept=self._kept
            )  # fmt: skip
        start = b"%b%d\r\n\r\n" % (lines.start, len(data)) if data or kind else lines.whole
        try:
            return await self._pool.send(
                at.origin, start, data, timeout, bare=at.method == "HEAD", again=at.method in _AGAIN
            )
        except Blocked:
            return Response(0, error=f"{at.host}{BLOCKED}", permanent=True)
        except TimeoutError:
            return Response(0, error=f"{at.host}: no answer within {timeout:g} s")
        except Broken as error:
            return Response(0, error=f"{at.host}: {error}")
        except ValueError as error:  # a name that cannot be looked up; UnicodeError is one
            return unsendable(error)

    async def close(self) -> None:
        """Close the connections for good; requests in flight fail, and so do those that come after."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    def _head(self, request: Request, kind: str) -> tuple[Target, Head]:
        """Where to, and the head; the last one of each address is remembered, since most are the same."""
        headers = request.headers
        key = (request.method, request.url, kind, *request.params.items())
        found = self._targets.get(key)
        if found is not None and found[1] == headers:
            return found[0], found[2]
        at = self._target(request, kind) if found is None else found[0]
        made = head(at, headers)
        if len(made.start) > LONGEST:
            return at, made
        if found is None and len(self._targets) >= TARGETS:
            self._targets.clear()
        self._targets[key] = at, dict(headers), made
        return at, made

    def _target(self, request: Request, kind: str) -> Target:
        """The address, or its stand-in; which host was meant stays in the request."""
        url = _url(request)
        server = self._stand_ins.get(normal_host(url.raw_host or ""))
        if server is None:
            return target(request.method, url, kind)
        moved = url.with_scheme(server.scheme).with_host(str(server.host)).with_port(server.explicit_port)
        return target(request.method, moved, kind, str(url.host_port_subcomponent))


def unsendable(error: Exception) -> Response:
    """The answer to what cannot be written as HTTP."""
    return Response(0, error=f"{UNSENT_BODY}{_plain(error)}", permanent=True)


def _url(request: Request) -> URL:
    url = URL(request.url)
    if url.scheme not in ("http", "https") or not url.host:
        raise Refused("bad_url", "the address is not http or https")
    return url.update_query(request.params) if request.params else url


def _plain(error: Exception) -> str:
    """Our own sentence; of others' errors only the kind, since they quote what they refuse."""
    return error.message if isinstance(error, Refused) else type(error).__name__
