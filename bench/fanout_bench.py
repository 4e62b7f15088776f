"""What sending costs: building requests, the default exchange, the HTTP sender beside a bare client.

`python -m bench.fanout_bench` prints the rows. The receiver is `bench.bare` in a process of its own;
what is counted is the CPU of the sending process.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, cast

import aiohttp
import msgspec
import uvloop

from bench.collector import as_in_a_role
from bench.cpu import own_cpu
from bench.deliver_bench import NoScripts
from bench.load import encode, event
from bench.paired import Paired, interleaved
from bench.row import Row, at_most, plain
from dataplane.clock import SystemClock
from dataplane.config import parse
from dataplane.deliver import untouched
from dataplane.deliver.engine import Engine
from dataplane.deliver.http import Sender
from dataplane.log.base import LogReader
from dataplane.log.memory import MemoryLog
from dataplane.log.partitions import Partitions
from dataplane.pipeline.numbered import restored
from destinations import registry
from turnout import codec
from turnout.destination import Context, Destination
from turnout.event import Event
from turnout.protocol import Envelope
from turnout.request import Raw, Record, Request, Response

POSTS = 400
EVENTS = 1_000
FLIGHTS = 8
FANS, SIZE, FANNED = 3, 50, 4_000
NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOOK = {"webhook_url": "http://127.0.0.1:9/"}


def rows() -> list[Row]:
    """Building (targets per event), sending (ratios to a bare aiohttp client), fanning out, writing files."""
    return [*_building(), *_sending(), _fanning(), _writing()]


def _building() -> list[Row]:
    hook = registry.build("webhook", HOOK)
    one, many = Context(NOW, hook.delivery), Context(NOW, _with(hook, batch=100))
    return [
        at_most("fanout: a webhook request from stored bytes", _per_event(_requests(hook, one)), 25, "us"),
        plain("fanout: exchange and encoding, batch 1", _per_event(_exchange(hook, one, 1)), "us"),
        plain("fanout: exchange and encoding, batch 100", _per_event(_exchange(hook, many, 100)), "us"),
    ]


def _requests(adapter: Destination[Any], at: Context) -> Callable[[], None]:
    bodies = _bodies(EVENTS)

    def build() -> None:
        for number, body in enumerate(bodies):
            adapter.verdict(Event(body, number=number, key=number), at)

    return build


def _exchange(adapter: Destination[Any], at: Context, size: int) -> Callable[[], None]:
    bodies, fine = _bodies(EVENTS), Response(200)

    def exchange() -> None:
        for start in range(0, EVENTS, size):
            events = [Event(b, number=i, key=1 + i % 50) for i, b in enumerate(bodies[start:start + size])]
            steps = adapter.exchange(events, at)
            with suppress(StopIteration):  # the exchange is over
                asked = next(steps)
                while True:
                    assert isinstance(asked, Request)
                    assert asked.body is not None
                    asked.body.encode()
                    asked = steps.send(fine)

    return exchange


def _sending() -> list[Row]:
    """The same bytes, eight in flight, over connections that are kept."""
    with tempfile.TemporaryDirectory() as folder, _receiver(Path(folder) / "port") as url, as_in_a_role():
        found = uvloop.run(_slices(url))
    sender = Paired(tuple(found["sender"]), tuple(found["bare"]))
    whole = Paired(tuple(found["webhook"]), tuple(found["bare"]))
    return [
        plain("fanout: a bare aiohttp POST", median(found["bare"]) * 1e6, "us", f"{FLIGHTS} in flight"),
        at_most("fanout: the sender over a bare aiohttp POST", sender.ratio, 1.3, note=sender.note),
        at_most("fanout: stored bytes to answer, webhook, batch 1, over a bare POST of the same bytes", whole.ratio,
                1.3, note=whole.note),
    ]


async def _slices(url: str) -> dict[str, list[float]]:
    """CPU seconds per request of each way, in interleaved slices of one event loop."""
    stored = encode(event(1))
    hook = registry.build("webhook", {"webhook_url": url})
    at = Context(NOW, hook.delivery)
    made = hook.verdict(Event(stored, key=1), at)
    assert isinstance(made, list)
    assert made[0].body is not None
    body = made[0].body.encode()[0]
    request = Request("POST", url, Raw(body, "application/json"))
    sender = Sender(allow_private=True, connections=FLIGHTS)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=FLIGHTS))

    async def bare() -> None:
        async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
            await response.read()
            assert response.status == 200

    async def send() -> None:
        assert (await sender.send(request, 10)).status == 200

    async def webhook() -> None:
        steps = hook.exchange([Event(stored, key=1)], at)
        asked = next(steps)
        assert isinstance(asked, Request)
        answer = await sender.send(asked, 10)
        try:
            steps.send(answer)
        except StopIteration:
            return
        raise RuntimeError("one event asked for two requests")

    ways = {"bare": bare, "sender": send, "webhook": webhook}
    # The slices wait for each other, so that `interleaved` (which is not async) can stay what it is.
    loop = asyncio.get_running_loop()
    slices = {name: _slice(loop, way) for name, way in ways.items()}
    try:
        return await asyncio.to_thread(interleaved, slices, 10)
    finally:
        await session.close()
        await sender.close()


def _slice(
    loop: asyncio.AbstractEventLoop, way: Callable[[], Awaitable[None]], posts: int = POSTS
) -> Callable[[], float]:
    async def one(count: int) -> None:
        for _ in range(count):
            await way()

    async def measured() -> float:
        with own_cpu() as spent:
            await asyncio.gather(*(one(posts // FLIGHTS) for _ in range(FLIGHTS)))
        return spent.cpu / (posts // FLIGHTS * FLIGHTS)

    return lambda: asyncio.run_coroutine_threadsafe(measured(), loop).result()


def _fanning() -> Row:
    """Events at the destinations' lanes to their verdicts in the books, beside a bare POST of the same arrays."""
    with tempfile.TemporaryDirectory() as folder, _receiver(Path(folder) / "port") as url, as_in_a_role():
        found = uvloop.run(_fans(Path(folder), url))
    costs = [(fan - bare) / SIZE * 1e6 for fan, bare in zip(found["fan"], found["bare"], strict=True)]
    note = f"{len(costs)} slices, {min(costs):.1f} to {max(costs):.1f}; a POST {median(found['bare']) * 1e6:.0f} us"
    return at_most(f"fanout: per event, batches of {SIZE} to {FANS} destinations, beyond a bare POST", median(costs), 4,
                   "us", note)


async def _fans(folder: Path, url: str) -> dict[str, list[float]]:
    """CPU seconds per request of the engine's couriers and of a bare client, in interleaved slices."""
    hook = {"type": "webhook", "settings": {"webhook_url": url}, "delivery": {"batch": SIZE, "linger": "0s"}}
    config = {"egress": {"allow_private": True}, "sources": {"web": {"write_key": "k"}},
              "destinations": {f"d{n}": hook for n in range(FANS)}}
    partitions = Partitions({0: cast(LogReader, MemoryLog())})
    engine = Engine(data=folder / "data", partitions=partitions, runner=NoScripts(), clock=SystemClock())
    await engine.start(parse(json.dumps(config), str(folder / "config.yaml"), {}))
    couriers = list(engine.couriers.values())
    envelope = msgspec.msgpack.encode(Envelope(
        source="web", protocol="rudder", kind="", received_at=1, ip="203.0.113.9", refused={},
    ))  # fmt: skip
    bodies = _bodies(FANNED)
    made = [codec.loads(restored(n, n * 7919, raw, envelope, b"k").enriched) for n, raw in enumerate(bodies[:SIZE])]
    body, requests = codec.dumps(made), FANNED // SIZE * FANS
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=FLIGHTS))
    loop, numbers = asyncio.get_running_loop(), count(1)

    async def bare() -> None:
        async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
            await response.read()
            assert response.status == 200

    async def fan() -> float:
        events = [restored(n, n * 7919, raw, envelope, b"k") for raw, n in zip(bodies, numbers, strict=False)]
        assert all(event.enriched for event in events)
        before = sum(engine.ledger.counts[c.plan.id, "delivered"] for c in couriers)
        with own_cpu() as spent:
            for at in range(0, len(events), 500):
                untouched.hand_over(events[at : at + 500], couriers)
                for courier in couriers:
                    courier.pump()
            while any(c.busy for c in couriers):
                await asyncio.sleep(0.001)
        delivered = sum(engine.ledger.counts[c.plan.id, "delivered"] for c in couriers) - before
        if delivered != FANNED * FANS:
            raise RuntimeError(f"{delivered} delivered of {FANNED * FANS}")
        return spent.cpu / requests

    slices = {"bare": _slice(loop, bare, requests),
              "fan": lambda: asyncio.run_coroutine_threadsafe(fan(), loop).result()}
    try:
        return await asyncio.to_thread(interleaved, slices, 8)
    finally:
        await session.close()
        await engine.drain(5.0)


def _writing() -> Row:
    """A batch of 1,000 lines with its one sync, in CPU per event."""
    with tempfile.TemporaryDirectory() as folder:
        adapter = registry.build("file", {"path": "events"})
        client = registry.client("file", adapter.settings, base=Path(folder), delivery=adapter.delivery)
        assert client is not None
        at, bodies = Context(NOW, adapter.delivery), _bodies(EVENTS)

        async def run() -> list[float]:
            found = []
            for _ in range(7):
                with own_cpu() as spent:
                    made = [adapter.verdict(Event(body), at) for body in bodies]
                    await client.write([record for record in made if isinstance(record, Record)])
                found.append(spent.cpu / EVENTS)
            await client.close()
            return found[1:]

        return plain("fanout: file, stored bytes to synced line", median(asyncio.run(run())) * 1e6, "us")


def _per_event(work: Callable[[], None]) -> float:
    """Microseconds of CPU per event: the median of seven runs, the first thrown away."""
    found = []
    for _ in range(8):
        with own_cpu() as spent:
            work()
        found.append(spent.cpu / EVENTS * 1e6)
    return median(found[1:])


def _bodies(count: int) -> list[bytes]:
    return [encode(event(number)) for number in range(count)]


def _with(adapter: Destination[Any], **chosen: Any) -> Any:
    return replace(adapter.delivery, **chosen)


@contextmanager
def _receiver(port_file: Path) -> Iterator[str]:
    """`bench.bare` in a process of its own; gives its URL."""
    process = subprocess.Popen([sys.executable, "-m", "bench.bare", str(port_file)])
    try:
        end = time.monotonic() + 20
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the receiver did not start")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port_file.read_text()}/v1/track"
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    for row in rows():
        print(f"{row.name:60} {row.value:9.2f} {row.unit:3} {row.target:8} {row.note}")
