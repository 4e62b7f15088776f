"""A server that misbehaves on purpose: what the delivery engine is tested against."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Mapping
from typing import Any, Literal, get_args

from turnout.testing.serving import Served

__all__ = ["Chaos", "Mode"]

Mode = Literal[
    "ok", "hang", "reset", "close", "trickle", "garbage", "cut", "huge", "redirect", "throttle",
    "throttle_silent", "error", "reset_after_read", "ok_reset", "ok_close",
]
"""ok: 200 · hang: reads, never answers · reset: RST on connect · reset_after_read: RST once the request is
in · close: closes without an answer · trickle: a byte of the answer at a time · garbage: not HTTP ·
cut: promises more body than it sends · huge: 5 MB of body · redirect: 302 to itself · throttle: 429 with
Retry-After: 2 · throttle_silent: 429 without · error: 503 · ok_reset: 200, then RST · ok_close: 200 as if the
connection was kept, then closed."""

_HEAD = "HTTP/1.1 {status} Chaos\r\nContent-Length: {length}\r\n{more}\r\n"


class Chaos(Served):
    """Set `mode`, or `mix` for modes with probabilities (seeded: the same run after run).

    `seen` counts requests by the mode they met; `accepted` how many were taken in whole.
    """

    def __init__(self, seed: int = 7, **chosen: Any) -> None:
        super().__init__(**chosen)
        self.mode: Mode = "ok"
        self.seen: dict[Mode, int] = dict.fromkeys(get_args(Mode), 0)
        self.accepted: list[bytes] = []
        self._mix: Mapping[Mode, float] = {}
        self._random = random.Random(seed)  # noqa: S311 -- repeatable, not secret
        self._tasks: set[asyncio.Task[None]] = set()

    def mix(self, chances: Mapping[Mode, float]) -> None:
        """Answer by chance: `{"error": 0.2, "reset": 0.1}`; the rest is ok."""
        if sum(chances.values()) > 1:
            raise ValueError("chances add up to more than 1")
        self._mix = dict(chances)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._take, self.host, self.port, ssl=self.tls)

    async def _leave(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # The client may leave: this is a test of how it does.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._serve(reader, writer):
                    pass
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        except asyncio.CancelledError:
            pass  # `_leave` ends it; asyncio's own callback would report a cancelled one as a fault
        finally:
            writer.transport.abort()  # a client that does not read would keep it open
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False where the connection is done with."""
        mode = self._choose()
        if mode == "reset":
            self.seen[mode] += 1
            _reset(writer)
            return False
        body = await _request(reader)
        self.seen[mode] += 1
        if mode in ("close", "reset_after_read"):
            if mode == "reset_after_read":
                _reset(writer)
            return False
        if mode == "hang":
            await asyncio.Event().wait()
        if mode == "garbage":
            writer.write(b"\x16\x03\x01 this is no HTTP at all\r\n\r\n")
            await writer.drain()
            return False
        return await self._answer(mode, writer, body)

    async def _answer(self, mode: Mode, writer: asyncio.StreamWriter, body: bytes) -> bool:
        status, length, more, sent = 200, 2, "", b"ok"
        if mode == "huge":
            length, sent = 5_000_000, b"x" * 5_000_000
        elif mode == "cut":
            length = 1_000
        elif mode == "redirect":
            status, more = 302, f"Location: {self.url}\r\n"
        elif mode == "throttle":
            status, more = 429, "Retry-After: 2\r\n"
        elif mode == "throttle_silent":
            status = 429
        elif mode == "error":
            status = 503
        if status == 200:
            self.accepted.append(body)
        head = _HEAD.format(status=status, length=length, more=more).encode()
        if mode == "trickle":
            for byte in head + sent:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(0.02)
        else:
            writer.write(head + sent)
            await writer.drain()
            if mode == "ok_reset":
                await asyncio.sleep(0)  # the answer is out, in most cases
                _reset(writer)
        return mode not in ("cut", "ok_reset", "ok_close")

    def _choose(self) -> Mode:
        if not self._mix:
            return self.mode
        point = self._random.random()
        for mode, chance in self._mix.items():
            point -= chance
            if point < 0:
                return mode
        return "ok"


async def _request(reader: asyncio.StreamReader) -> bytes:
    """The body of one request; raises IncompleteReadError where the client left."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line.split(b":")[1]))
    return b""


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN: closing a socket that lingers for no time."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
