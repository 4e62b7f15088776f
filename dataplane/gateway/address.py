"""Which address a request came from, when proxies stand between."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from turnout.errors import ConfigError

__all__ = ["Proxies"]

Address = IPv4Address | IPv6Address


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    """An address as a proxy writes it: `1.2.3.4`, `1.2.3.4:567`, `[::1]:567`, `::ffff:1.2.3.4`."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


class Proxies:
    """The proxies whose `X-Forwarded-For` is believed; raises `ConfigError` for a bad network."""

    def __init__(self, trusted: Iterable[str]) -> None:
        networks: list[IPv4Network | IPv6Network] = []
        for text in trusted:
            try:
                networks.append(ip_network(text, strict=False))
            except ValueError as error:
                raise ConfigError(f"server.trusted_proxies: {error}") from None
        self._networks = tuple(networks)
        self.trusted = bool(networks)

    def client(self, peer: str | None, forwarded: Iterable[str]) -> str:
        """The client's address: the rightmost in the chain that is not a trusted proxy.

        `peer` is the connection's other end, `forwarded` the values of `X-Forwarded-For`. What a
        client wrote itself stands further left and is never reached.
        """
        if not peer:
            return ""
        if not self._networks:
            # ::ffff:1.2.3.4 is how a dual-stack socket shows an IPv4 client.
            return peer[7:] if peer.startswith("::ffff:") and "." in peer else peer
        found = _address(peer)
        if found is None:
            return peer
        chain = [part for value in forwarded for part in value.split(",")]
        while chain and self._trusts(found):
            further = _address(chain.pop())
            if further is None:
                break
            found = further
        return str(found)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)
