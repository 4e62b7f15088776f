"""Which addresses a request may connect to (SSRF): checked on the resolved address, on connect.

A destination's address comes from config.yaml, but a name there can be made to point inside
(DNS rebinding), and adapters build addresses from settings. Sources: RFC 6890 and the IANA
special-purpose registries, by way of `ipaddress`; metadata services of the clouds.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from dataplane.deliver.failure import BLOCKED, CLOSING
from dataplane.deliver.lookups import Lookups
from turnout.destination import Client
from turnout.request import Record
from turnout.verdict import Verdict, dead, retry

__all__ = ["Blocked", "GuardedResolver", "blocked", "guarded", "guarded_socket"]

LOOKED_UP = 30.0
"""Seconds for which the names of a client's hosts are not looked up again."""
LOOKUPS = 2
"""Names of a client's hosts that are looked up at a time, in threads of its own."""

# Inside although globally routable: Azure's host agent. The others (169.254.169.254, fd00:ec2::254,
# 100.100.100.200) are link-local, unique-local or shared address space already.
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Blocked(OSError):
    """The address is private, and `egress.allow_private` is not set."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "private address")


def blocked(address: str) -> bool:
    """True where the address is not one of the public Internet, however it is spelled.

    IPv4 inside IPv6 (mapped, 6to4, NAT64) is judged as IPv4. What is no IP address is refused.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return blocked(str(inner))
        if ip.is_site_local or ip.teredo is not None or int(ip) >> 32 == 0:
            return True
    return not ip.is_global or ip.is_multicast or ip.is_reserved or ip in _METADATA


def guarded_socket(info: Any) -> socket.socket:
    """A socket for an address, or `Blocked`: the last check, for literals and cached names too."""
    family, kind, protocol, _, address = info
    if blocked(str(address[0])):
        raise Blocked
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    return made


class GuardedResolver(AbstractResolver):
    """The system's resolver, or another one, without private addresses; `Blocked` where nothing is left."""

    def __init__(self, system: AbstractResolver | None = None) -> None:
        self._system = system or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Public addresses of a name; raises OSError where there are none."""
        found = await self._system.resolve(host, port, family)
        public = [result for result in found if not blocked(result["host"])]
        if found and not public:
            raise Blocked
        return public

    async def close(self) -> None:
        """Close the resolver it stands before."""
        await self._system.close()


class _Guarded:
    """A client that writes only while every host that it names is public."""

    def __init__(self, client: Client, hosts: Sequence[str], timeout: float) -> None:
        self._client = client
        self._hosts = hosts
        self._timeout = timeout
        # With addresses of families that this machine has not, too: whether one is private is all that is asked.
        self._lookups = Lookups(LOOKUPS, flags=0)
        self._private: dict[str, bool] = {}
        self._looking: asyncio.Task[None] | None = None
        self._until = 0.0
        self._closed = False

    async def write(self, records: Sequence[Record]) -> Sequence[Verdict]:
        """As the client does; all records are dead where one of its hosts is private, and wait where its name
        was not looked up within the timeout, or where the client is closed."""
        if self._closed:
            return [retry(CLOSING)] * len(records)
        refusal = await self._refusal()
        return await self._client.write(records) if refusal is None else [refusal] * len(records)

    async def _refusal(self) -> Verdict | None:
        """Why nothing is written now. Writes share a look, which goes on where it takes longer than they wait."""
        loop = asyncio.get_running_loop()
        if self._looking is None or (self._looking.done() and loop.time() >= self._until):
            self._private = {}
            self._looking = asyncio.create_task(self._look())
        if not self._looking.done():
            await asyncio.wait([self._looking], timeout=self._timeout)
        for host, private in self._private.items():
            if private:
                return dead(f"{host}{BLOCKED}")
        late = next((host for host in self._hosts if host not in self._private), None)
        if late is None:
            return None
        return retry(CLOSING if self._closed else f"{late}: the name was not looked up within {self._timeout:g} s")

    async def _look(self) -> None:
        """Look at every host, and believe it for a while."""
        await asyncio.gather(*map(self._look_at, dict.fromkeys(self._hosts)))
        self._until = asyncio.get_running_loop().time() + LOOKED_UP

    async def _look_at(self, host: str) -> None:
        """Whether one of its addresses is private; of a name that is not found the client speaks itself."""
        try:
            found = await self._lookups.resolve(host, 0, socket.AF_UNSPEC)
        except (OSError, UnicodeError):
            found = []
        self._private[host] = any(blocked(one["host"]) for one in found)

    async def close(self) -> None:
        """Close the client; a look-up that has begun ends by itself."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
        await self._lookups.close()
        await self._client.close()


def guarded(client: Client | None, *, allow_private: bool, timeout: float) -> Client | None:
    """A client held to `egress`: the hosts that it names (`hosts`) are looked up before it writes, for `timeout`
    seconds at most.

    Which addresses its library then connects to, and those that a cluster names, are not seen here.
    """
    hosts: Sequence[str] = getattr(client, "hosts", ())
    return client if client is None or allow_private or not hosts else _Guarded(client, hosts, timeout)
