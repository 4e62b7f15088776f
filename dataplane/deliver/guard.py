"""Which addresses a request may connect to (SSRF): checked on the resolved address, on connect.

A destination's address comes from config.yaml, but a name there can be made to point inside
(DNS rebinding), and adapters build addresses from settings. Sources: RFC 6890 and the IANA
special-purpose registries, by way of `ipaddress`; metadata services of the clouds.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

__all__ = ["Blocked", "GuardedResolver", "blocked", "guarded_socket"]

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
