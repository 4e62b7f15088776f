"""The model's SDK and the gateway's door: what is not taken is kept, and comes again in order."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable
from typing import Any

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from dataplane.config.model import Config
from dataplane.config.pauses import Pauses
from dataplane.gateway import Gateway
from dataplane.log.memory import MemoryLog
from dataplane.protocols import PROTOCOLS
from turnout.clock import Clock

__all__ = ["SDK"]

KEY = f"Basic {base64.b64encode(b'k:').decode()}"

Events = list[dict[str, Any]]


class SDK:
    """Sends batches by the gateway's own handler, without its socket, which no virtual time can wait for.

    `taken(events)` is called just before events are sent that must be taken.
    """

    def __init__(self, config: Config, log: MemoryLog, clock: Clock, taken: Callable[[Events], None]) -> None:
        self._gateway = Gateway(config, log, clock)
        rudder = PROTOCOLS["rudder"]
        (route,) = [route for route in rudder.routes if route.path == "/v1/batch"]
        self._handle = self._gateway._ingest.handler(rudder, route)
        self._log = log
        self._taken = taken
        self._kept: deque[tuple[Events, int]] = deque()
        self.paused = False
        self.wrong: list[str] = []

    def hold(self, pauses: Pauses) -> None:
        """What people paused."""
        self.paused = "web" in pauses.names("source")
        self._gateway.hold(pauses.names("source"), stopped=False)

    async def send(self, events: Events, times: int) -> None:
        """One request, sent so many times; behind those that are kept."""
        self._kept.append((events, times))
        await self.flush()

    async def flush(self) -> None:
        """Send what is kept until it is refused."""
        while self._kept:
            events, times = self._kept[0]
            if self.paused:
                before = len(self._log.records)
                status = await self._post(events)
                if status != 503 or len(self._log.records) != before:
                    self.wrong.append(f"a paused source was answered {status}, and {events} may be taken")
                return
            self._kept.popleft()
            self._taken(events)
            for _ in range(times):
                if (status := await self._post(events)) != 200:
                    self.wrong.append(f"{events} were answered {status}")

    async def _post(self, events: Events) -> int:
        payload = StreamReader(BaseProtocol(asyncio.get_running_loop()), 1 << 16)
        payload.feed_data(json.dumps({"batch": events}).encode())
        payload.feed_eof()
        request = make_mocked_request(
            "POST", "/v1/batch", headers={"Authorization": KEY}, payload=payload
        )
        return (await self._handle(request)).status
