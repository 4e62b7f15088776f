"""A load generator: keep-alive HTTP/1.1 connections that post prepared requests as fast as they are answered.

It parses only what it must of an answer, because it shares the machine with what it measures. What is
measured is the server's CPU, so a slow generator lowers the rate and not the figure.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import multiprocessing
import re
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import uvloop

__all__ = ["Apart", "Cycle", "Load", "Numbered", "Requests", "answer_of", "batch", "drive", "encode", "event",
           "number_of", "post"]

WEB_AGENT = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
STAMP = "2026-03-09T07:15:42.118Z"


class Requests(Protocol):
    """Gives request after request as bytes."""

    def __call__(self, number: int, connection: int) -> bytes:
        """The `number`-th request of the load, to be sent on `connection`."""
        ...


@dataclass(slots=True)
class Load:
    """What a stretch of load did.

    `good` answers of 200, all others by status; seconds; latencies in seconds; and, where kept, the
    number of each acknowledged request with the moment of its answer (monotonic clock).
    """

    good: int = 0
    bad: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    acknowledged: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cycle:
    """The same few requests again and again: for what is measured before duplicates are looked for."""

    requests: tuple[bytes, ...]

    def __call__(self, number: int, connection: int) -> bytes:
        """The next of the requests."""
        return self.requests[number % len(self.requests)]


class Numbered:
    """Requests that differ in their messageIds (the number) and, per connection, in their user."""

    def __init__(self, url: str, write_key: str, size: int = 1, *, by_connection: bool = False) -> None:
        body = encode(event(0)) if size == 1 else encode(batch(0, size))
        self._data = bytearray(post(url, "/v1/track" if size == 1 else "/v1/batch", write_key, body))
        self._ids = [found.start() for found in re.finditer(rb"[0-9a-f]{8}(?=-7b1e-4a2d)", self._data)]
        self._users = [found.end() for found in re.finditer(rb"(guest|device)-", self._data)]
        self._by_connection = by_connection

    def __call__(self, number: int, connection: int) -> bytes:
        """The request with events `number * size` and following."""
        data, first = self._data, number * len(self._ids)
        for place, at in enumerate(self._ids):
            data[at : at + 8] = b"%08x" % (first + place)
        for place, at in enumerate(self._users):
            user = connection if self._by_connection else (first + place // 2) % 100_000
            data[at : at + 6] = b"%06d" % user
        return bytes(data)


def number_of(message: dict[str, Any]) -> int:
    """The number of an event of `Numbered`, from its messageId."""
    return int(message["messageId"][:8], 16)


def post(url: str, path: str, write_key: str, body: bytes, *, compress: bool = False) -> bytes:
    """A whole request. `url` gives the Host header; `compress` sends the body as gzip."""
    if compress:
        body = gzip.compress(body, 6)
    auth = base64.b64encode(f"{write_key}:".encode()).decode()
    lines = [
        f"POST {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", f"Authorization: Basic {auth}",
        "Content-Type: application/json", f"Content-Length: {len(body)}",
        *(["Content-Encoding: gzip"] if compress else []), "", "",
    ]
    return "\r\n".join(lines).encode() + body


def event(number: int) -> dict[str, Any]:
    """A track event of a web SDK, about 1,000 bytes; every number gives another messageId."""
    who = number % 100_000
    return {
        "type": "track", "messageId": f"{number:08x}-7b1e-4a2d-9c55-0123456789ab", "channel": "web",
        "userId": f"guest-{who:06d}", "anonymousId": f"device-{who:06d}-f1c2-4a6e-8d5b-9a4b0c1d2e3f",
        "originalTimestamp": STAMP, "sentAt": "2026-03-09T07:15:42.530Z", "event": "Room Booked",
        "properties": {
            "booking_id": f"b-{number}", "room": 100 + who % 500, "nights": 1 + number % 6, "price": 129.5,
            "currency": "EUR", "extras": [{"sku": "breakfast", "count": 2}, {"sku": "late", "count": 1}],
        },
        "context": {
            "app": {"name": "Hotel web", "version": "4.18.0", "namespace": "example.hotel.web"},
            "library": {"name": "RudderLabs JavaScript SDK", "version": "3.34.1"},
            "locale": "ja-JP", "timezone": "Asia/Tokyo", "userAgent": WEB_AGENT,
            "screen": {"width": 2560, "height": 1440, "density": 2, "innerWidth": 1280, "innerHeight": 1319},
            "page": {"path": f"/rooms/{who}", "title": f"Room {who}", "url": f"https://hotel.example/rooms/{who}",
                     "referrer": "https://search.example/"},
        },
        "integrations": {"All": True},
    }


def batch(number: int, size: int = 50) -> dict[str, Any]:
    """A batch of `size` events of different users, each somewhat smaller than `event`."""
    events = [event(number * size + place) for place in range(size)]
    for one in events:
        del one["context"]["screen"], one["context"]["app"]
    return {"batch": events, "sentAt": "2026-03-09T07:15:42.530Z"}


def encode(value: dict[str, Any]) -> bytes:
    """Compact JSON, as SDKs send it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def drive(
    url: str, requests: Requests, *, connections: int = 32, first: int = 0, count: int | None = None,
    seconds: float | None = None, rate: float | None = None, keep: bool = False,
) -> Load:
    """Post until `seconds` pass or `count` requests were sent; answers in flight are waited for.

    Numbers start at `first`. `rate` is requests per second over all connections, evenly spaced; without
    it each is sent when the one before on its connection is answered. `keep` fills `acknowledged`. A
    connection that breaks ends quietly: what was not answered is not counted.
    """
    return uvloop.run(_drive(url, requests, connections, range(first, first + (count or 1 << 40)),
                             seconds, rate, keep))


class Apart:
    """A generator in a process of its own, so that it does not share an interpreter with a `Sink`."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        self._pool.submit(int).result()

    def drive(self, url: str, requests: Requests, **options: Any) -> Future[Load]:
        """`drive` over there."""
        return self._pool.submit(drive, url, requests, **options)

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


async def _drive(
    url: str, requests: Requests, connections: int, numbers: range,
    seconds: float | None, rate: float | None, keep: bool,
) -> Load:
    parts, load, began = urlsplit(url), Load(), time.monotonic()
    until = None if seconds is None else began + seconds
    left = iter(numbers)

    async def client(connection: int) -> None:
        try:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
        except OSError:
            return
        try:
            for number in left:
                if rate is not None:
                    await asyncio.sleep(began + (number - numbers.start) / rate - time.monotonic())
                if until is not None and time.monotonic() >= until:
                    return
                sent = time.monotonic()
                writer.write(requests(number, connection))
                status, now = await answer_of(reader), time.monotonic()
                load.latencies.append(now - sent)
                if status != 200:
                    load.bad[status] = load.bad.get(status, 0) + 1
                    continue
                load.good += 1
                if keep:
                    load.acknowledged[number] = now
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    await asyncio.gather(*map(client, range(connections)))
    load.seconds = time.monotonic() - began
    return load


async def answer_of(reader: asyncio.StreamReader, says: bytes = b"") -> int:
    """The status of one answer, its body read; raises IncompleteReadError where the connection ends.

    A 200 whose body does not hold `says` is ConnectionError: the port of one that was killed may be anybody's.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    at = head.lower().find(b"content-length:")
    if at >= 0 and (length := int(head[at + 15 : head.index(b"\r", at)])):
        body = await reader.readexactly(length)
    else:
        body = b""
    status = int(head[9:12])
    if status == 200 and says not in body:
        raise ConnectionError("another server answers")
    return status
