"""Names looked up in threads of one's own: the system's call cannot be ended, however long it takes."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

__all__ = ["Lookups"]


class Lookups(AbstractResolver):
    """The system's resolver; names that are slow to resolve hold up what asks this one only.

    Of families of addresses that this machine has not nothing is told, unless `flags` says otherwise.
    """

    def __init__(self, threads: int, flags: int = socket.AI_ADDRCONFIG) -> None:
        self._flags = flags
        self._threads = ThreadPoolExecutor(threads, "lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a name; raises OSError where there are none."""
        ask = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, self._flags)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [
            ResolveResult(
                hostname=host, host=_host(address), port=port, family=kind, proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]  # fmt: skip

    async def close(self) -> None:
        """Forget what waits; a look-up that has begun ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _host(address: tuple[Any, ...]) -> str:
    """The address as text, with the zone of one that means nothing without it."""
    return f"{address[0]}%{address[3]}" if len(address) > 3 and address[3] else str(address[0])
