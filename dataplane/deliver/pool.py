"""The connections of one sender: opened, kept for the next request, bounded, ended in time."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import socket
import ssl
from collections import deque
from contextlib import suppress
from functools import cache, partial

from aiohappyeyeballs import AddrInfoType, start_connection

from dataplane.deliver.guard import Blocked, GuardedResolver, guarded_socket
from dataplane.deliver.lookups import Lookups
from dataplane.deliver.wire import CLOSED, Broken, Connection, Origin, system
from turnout import Response

__all__ = ["CONNECT", "KEEPALIVE", "Pool"]

KEEPALIVE = 4.0
"""Seconds a connection idles: below the five after which common servers (Node) close one."""
CONNECT = 10.0
"""Seconds for a connection to be made, TLS and all."""
LOOKUP = 10.0
"""Seconds for which a name's addresses are believed."""
NAMES = 100
"""Names whose addresses are remembered, or looked up."""
LOOKUPS = 2
"""Names that are looked up at a time, in threads of the pool's own: a name that hangs is no other destination's."""
STAGGER = 0.25
"""Seconds until the next address is tried beside one that does not answer (RFC 8305)."""


class Pool:
    """At most `limit` connections are open at once; who comes first is served first.

    Unless `allow_private`, an address that is not public is refused as it is connected to. `tls` replaces
    the system's trust. Of an answer `kept` bytes are read.
    """

    def __init__(self, limit: int, *, allow_private: bool, tls: ssl.SSLContext | None, kept: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._private = allow_private
        self._tls = tls
        self._kept = kept
        self._resolver = Lookups(LOOKUPS) if allow_private else GuardedResolver(Lookups(LOOKUPS))
        self._names: dict[str, tuple[asyncio.Task[list[str]], float]] = {}
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._open: set[Connection] = set()
        self._idle: dict[Origin, list[Connection]] = {}
        self._opening: set[asyncio.Timeout] = set()
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] | None = None

    async def send(
        self, origin: Origin, head: bytes, body: bytes, timeout: float, *, bare: bool, again: bool
    ) -> Response:
        """Send over a connection and read the answer, which has no body where it is `bare`.

        `again` permits to send twice where the server closed a connection that was kept as we sent on it.
        Raises TimeoutError after `timeout` seconds, waiting for our turn included; `Broken`; `Blocked`;
        ValueError for a name that cannot be one.
        """
        deadline = self._loop.time() + timeout
        while True:
            connection = self._ready(origin)
            if connection is None:
                connection = await self._take(origin, deadline)
            if deadline < self._due:
                self._watch(deadline)
            try:
                return await connection.exchange(head, body, deadline, bare=bare)
            except Broken as error:
                if not (again and error.stale and self._gone is None):
                    raise
            finally:
                self._give(connection)

    async def close(self) -> None:
        """Close the connections, those too that are being opened; what is in flight or waits fails."""
        self._gone = self._loop.create_future()
        if self._timer is not None:
            self._timer.cancel()
        for scope in self._opening:
            if not scope.expired():
                scope.reschedule(self._loop.time())
        for task, _ in self._names.values():
            task.cancel()
        for connection in list(self._open):
            connection.close(CLOSED)
        if self._open or self._opening:
            await self._gone
        await self._resolver.close()

    # ---- turns

    def _ready(self, origin: Origin) -> Connection | None:
        """A connection that was kept, where nobody waits for his turn."""
        if self._taken >= self._limit or self._waiting:
            return None
        found = self._kept_for(origin)
        if found is not None:
            self._taken += 1
        return found

    async def _take(self, origin: Origin, deadline: float) -> Connection:
        try:
            async with asyncio.timeout_at(deadline) as scope:
                self._opening.add(scope)
                try:
                    await self._turn()
                    try:
                        return self._kept_for(origin) or await self._connect(origin)
                    except BaseException:
                        self._leave()
                        raise
                finally:
                    self._opening.discard(scope)
                    self._left()
        except TimeoutError:
            if self._gone is not None:
                raise Broken(CLOSED) from None
            raise

    async def _turn(self) -> None:
        if self._taken < self._limit and not self._waiting:
            self._taken += 1
            return
        turn = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(turn)
            else:
                self._leave()
            raise

    def _leave(self) -> None:
        """A turn is over: it passes to who has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1

    def _give(self, connection: Connection) -> None:
        if connection.usable and self._gone is None:
            connection.deadline = due = self._loop.time() + KEEPALIVE
            found = self._idle.get(connection.origin)
            if found is None:
                found = self._idle[connection.origin] = []
            found.append(connection)
            if due < self._due:
                self._watch(due)
        else:
            connection.abort()
        self._leave()

    def _kept_for(self, origin: Origin) -> Connection | None:
        found = self._idle.get(origin)
        while found:
            connection = found.pop()
            if connection.usable and self._loop.time() < connection.deadline:
                return connection
            connection.abort()
        return None

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        found = self._idle.get(connection.origin)
        if found is not None:
            if connection in found:
                found.remove(connection)
            if not found:
                del self._idle[connection.origin]
        self._left()

    def _left(self) -> None:
        """Where this is closed: whether nothing is open any more, nor about to be."""
        if self._gone is not None and not (self._open or self._opening or self._gone.done()):
            self._gone.set_result(None)

    # ---- time: one timer for all, which a request touches only where it is the first to end

    def _watch(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = when
        self._timer = self._loop.call_at(when, self._sweep)

    def _sweep(self) -> None:
        self._timer, self._due = None, math.inf
        now, due = self._loop.time(), math.inf
        for connection in list(self._open):
            if connection.deadline <= now:
                connection.expire()
            else:
                due = min(due, connection.deadline)
        if due < math.inf:
            self._watch(due)

    # ---- new connections

    async def _connect(self, origin: Origin) -> Connection:
        if self._gone is not None:  # closed in the moment in which our turn came
            raise Broken(CLOSED)
        self._make_room()
        addresses = await self._addresses(origin)
        try:
            async with asyncio.timeout(CONNECT):
                connection = await self._made(origin, addresses)
        except Blocked:
            raise
        except (OSError, RuntimeError) as error:  # RuntimeError: uvloop
            raise Broken(_reason(error)) from error
        if not connection.over:
            self._open.add(connection)
        if self._gone is not None or not connection.usable:  # closed, or lost, in the moment in which it was made
            connection.abort()
            raise Broken(CLOSED)
        return connection

    async def _made(self, origin: Origin, addresses: list[AddrInfoType]) -> Connection:
        if origin.tls and self._tls is None:
            self._tls = await asyncio.to_thread(_trust)
        made = await start_connection(
            addresses, happy_eyeballs_delay=STAGGER, interleave=1, loop=self._loop,
            socket_factory=None if self._private else guarded_socket,
        )  # fmt: skip
        _, connection = await self._loop.create_connection(
            partial(Connection, origin, self._kept, self._lost), sock=made, ssl=self._tls if origin.tls else None,
            server_hostname=origin.host.rstrip(".") if origin.tls else None,
        )  # fmt: skip
        return connection

    def _make_room(self) -> None:
        """Connections that idle make room for one to somewhere else; those that idled longest first."""
        idle = sorted((one for found in self._idle.values() for one in found), key=lambda one: one.deadline)
        for connection in idle[: max(0, self._taken + len(idle) - self._limit)]:
            self._idle[connection.origin].remove(connection)
            connection.abort()

    async def _addresses(self, origin: Origin) -> list[AddrInfoType]:
        """Where a name is, asked for once for all who wait for it; each time another address comes first."""
        try:
            ipaddress.ip_address(origin.host.partition("%")[0])
        except ValueError:
            pass
        else:
            return [_address(origin.host, origin.port)]
        task, until = self._names.get(origin.host, (None, 0.0))
        if task is None or (task.done() and until <= self._loop.time()):
            if len(self._names) >= NAMES:
                self._names = {name: found for name, found in self._names.items() if not found[0].done()}
            if len(self._names) >= NAMES:
                raise Broken("too many names are being looked up")
            task = asyncio.create_task(self._look_up(origin.host))
            task.add_done_callback(_retrieved)
            self._names[origin.host] = task, self._loop.time() + LOOKUP
        try:
            found = await asyncio.shield(task)
        except (OSError, ValueError) as error:
            self._names.pop(origin.host, None)
            if isinstance(error, Blocked | ValueError):
                raise
            raise Broken("the name does not resolve") from error
        found.append(found.pop(0))
        return [_address(host, origin.port) for host in found]

    async def _look_up(self, name: str) -> list[str]:
        found = [one["host"] for one in await self._resolver.resolve(name, 0, socket.AF_UNSPEC)]
        if not found:
            raise OSError
        return found


@cache
def _trust() -> ssl.SSLContext:
    """The system's certificates; to read them takes a while."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _address(host: str, port: int) -> AddrInfoType:
    if ":" in host:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the TLS certificate is not trusted"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"cannot connect within {CONNECT:g} s"
    return f"cannot connect: {system(error)}"


def _retrieved(task: asyncio.Task[list[str]]) -> None:
    """Who asked may be gone; then nobody has seen how it ended."""
    if not task.cancelled():
        task.exception()
