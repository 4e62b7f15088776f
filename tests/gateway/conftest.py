"""A running gateway on a free port, with a log in memory that can be full, closed or slow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import pytest

from dataplane.clock import SystemClock
from dataplane.config.model import Config
from dataplane.gateway import Gateway
from dataplane.log.base import Health
from dataplane.protocols import PROTOCOLS, record
from turnout.errors import LogClosed, LogFull
from turnout.protocol import Envelope, Unit


class ListLog:
    """Keeps records in a list; `gate` holds appends back until it is set."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes, bytes]] = []
        self.full = False
        self.closed = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, envelope: bytes, marks: bytes, body: bytes) -> int:
        await self.gate.wait()
        if self.closed:
            raise LogClosed("an fsync failed")
        if self.full:
            raise LogFull("no room")
        self.records.append((envelope, marks, body))
        return len(self.records) - 1

    def health(self) -> Health:
        return Health(not self.closed, self.full, "", 0, 0, 0, len(self.records), 0, 0.0)

    async def close(self) -> None:
        """Nothing is buffered."""

    @property
    def last(self) -> tuple[Envelope, list[tuple[int, int]], bytes]:
        envelope, marks, body = self.records[-1]
        return record.decode(envelope), record.read_marks(marks), body

    def units(self) -> list[Unit]:
        """Every unit of every record, checked against its marks."""
        units: list[Unit] = []
        for packed, marks, body in self.records:
            envelope = record.decode(packed)
            found = PROTOCOLS[envelope.protocol].split(envelope, body)
            assert len(found) == len(record.read_marks(marks))
            units += found
        return units


class Site:
    """A gateway, its log, and a client; paths are relative to the gateway."""

    def __init__(self, gateway: Gateway, log: ListLog, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.log = log
        self.http = http

    async def send(
        self, path: str = "/v1/track", *, method: str = "POST", key: str | None = "wk", **kwargs: Any
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, decoded JSON (or text) and headers."""
        if key is not None:
            basic = {"Authorization": aiohttp.encode_basic_auth(key, "")}
            kwargs["headers"] = {**basic, **kwargs.get("headers", {})}
        url = self.gateway.url + path
        async with self.http.request(method, url, allow_redirects=False, **kwargs) as r:
            is_json = r.headers.get("Content-Type") == "application/json"
            return r.status, await (r.json() if is_json else r.text()), dict(r.headers)

    def stat(self, metric: str, *labels: str) -> float:
        return sum(n for m, found, n in self.gateway.stats() if m == metric and found == list(labels))


def config(**server: Any) -> dict[str, Any]:
    return {
        "server": {"port": 0, **server},
        "sources": {
            "website": {"write_key": "wk"},
            "shop": {"write_keys": ["new", "old"], "origins": ["https://shop.example"]},
            "off": {"write_key": "wk_off", "enabled": False},
            "slow": {"write_key": "wk_slow", "rate": 2},
            "backend": {"write_key": "wk_backend", "trusted": True},
        },
    }


Opener = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.fixture
def opener() -> Opener:
    """Opens a site; keywords go under `server:` of its config."""

    @contextlib.asynccontextmanager
    async def open_(**server: Any) -> AsyncIterator[Site]:
        log = ListLog()
        gateway = Gateway(Config.model_validate(config(**server)), log, SystemClock())
        await gateway.start()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as http:
            try:
                yield Site(gateway, log, http)
            finally:
                log.gate.set()
                await gateway.drain(1)

    return open_


@pytest.fixture
async def site(opener: Opener) -> AsyncIterator[Site]:
    """A gateway with the default config of these tests."""
    async with opener() as opened:
        yield opened
