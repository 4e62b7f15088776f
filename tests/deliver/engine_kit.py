"""An engine in the test's own loop: real log, real HTTP server, real state files."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import xxhash
from aiohttp import web

from dataplane.config import parse
from dataplane.config.model import LogConfig
from dataplane.config.pauses import Pauses
from dataplane.deliver import desk, verbs
from dataplane.deliver.engine import Engine
from dataplane.log.base import REFUSED
from dataplane.log.local import open_writer
from dataplane.log.partitions import open_partitions
from transformations.base import Failed, Item, Outputs, Ran, Reach, Script, Trial
from turnout.errors import Stopped
from turnout.protocol import Envelope

Answer = Callable[[dict[str, Any]], tuple[int, dict[str, str]]]


START = 1_795_000_000.0
"""When events are received, unless the clock was moved on; Unix seconds."""


class Clock:
    """Runs as time does, from `START` on, and jumps when told to."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._ahead = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(START + self.monotonic(), UTC)

    def monotonic(self) -> float:
        return time.monotonic() - self._begun + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


class Server:
    """Records the JSON it is sent; `answer(body)` says the status and headers."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.taken: list[Any] = []
        self.headers: list[Any] = []
        self.answer: Answer = lambda _: (200, {})
        self.gate = asyncio.Event()
        self.gate.set()

    async def start(self) -> str:
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        # A request whose client has left is not worth a minute's wait at the end.
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/"

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.got.append(body)
        self.headers.append(request.headers)
        await self.gate.wait()
        status, headers = self.answer(body)
        if 200 <= status < 300:
            self.taken.extend(body if isinstance(body, list) else [body])
        return web.Response(status=status, headers=headers)

    async def stop(self) -> None:
        self.gate.set()
        await self._runner.cleanup()


class InProcess:
    """A Runner for tests of delivery: scripts named here, run in the test's own process.

    One that has a gate answers when it is open.
    """

    def __init__(self, **functions: Callable[[dict[str, Any]], Any]) -> None:
        self.functions = functions
        self.runs: list[tuple[str, int]] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.stopped: dict[str, Stopped] = {}

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def check(self, script: Script) -> None: ...

    async def run(self, script: Script, items: Sequence[Item]) -> list[Ran]:
        if (stopped := self.stopped.get(script.name)) is not None:
            raise stopped
        self.runs.append((script.name, len(items)))
        if (gate := self.gates.get(script.name)) is not None:
            await gate.wait()
        found: list[Ran] = []
        for item in items:
            try:
                made = self.functions[script.name](json.loads(item.event))
            except Exception as error:  # the script's own fault, as the sandbox reports it
                found.append(Failed(f"{script.name}:1: {type(error).__name__}: {error}"))
                continue
            rows = [] if made is None else made if isinstance(made, list) else [made]
            found.append(Outputs(tuple(json.dumps(row).encode() for row in rows)))
        return found

    def resume(self, name: str) -> bool:
        return self.stopped.pop(name, None) is not None

    async def trial(self, script: Script, items: Sequence[Item], reach: Reach | None = None) -> Trial:
        return Trial(await self.run(script, items), [])


class Plant:
    """Folder, log writer and engine, which may be stopped and started again."""

    def __init__(self, folder: Path, runner: InProcess | None = None) -> None:
        self.folder = folder
        self.runner = runner or InProcess()
        self.writer = open_writer(folder / "data" / "log" / "0", LogConfig(min_free_bytes=0))
        self.engine: Engine
        self.faults: list[BaseException] = []
        self.clock = Clock()
        self.jumped = 0.0

    async def start(self, config: str, pauses: Pauses | None = None) -> Engine:
        self.partitions = open_partitions(self.folder / "data" / "log", 1)
        self.engine = Engine(
            data=self.folder / "data", partitions=self.partitions, runner=self.runner,
            clock=self.clock, on_fault=self.faults.append,
        )  # fmt: skip
        self.engine.pauses = pauses or Pauses()
        await self.engine.start(self.config(config))
        return self.engine

    async def call(self, verb: str, args: dict[str, Any]) -> Any:
        """Ask as the app does over the control channel."""
        return await verbs.call(self.engine, verb, args)

    def status(self) -> dict[str, Any]:
        return desk.status(self.engine)

    def stats(self) -> list[desk.Sample]:
        return desk.stats(self.engine)

    def config(self, text: str) -> Any:
        return parse(text, str(self.folder / "config.yaml"), {})

    async def reload(self, config: str) -> None:
        await self.engine.prepare(self.config(config))
        await self.engine.commit()

    async def send(self, *events: dict[str, Any], source: str = "web", refused: Sequence[int] = ()) -> None:
        marks = b""
        for index, event in enumerate(events):
            key = event.get("anonymousId") or event.get("userId") or event.get("messageId")
            digest = xxhash.xxh3_64_intdigest(str(key).encode())
            marks += bytes([REFUSED if index in refused else 0]) + digest.to_bytes(8, "little")
        envelope = Envelope(
            source=source, protocol="rudder", kind="", received_at=int((START + self.jumped) * 1000), ip="203.0.113.9",
            refused=dict.fromkeys(refused, ("bad", "not good")),
        )  # fmt: skip
        body = json.dumps({"batch": list(events)}).encode()
        await self.writer.append(msgspec.msgpack.encode(envelope), marks, body)

    def advance(self, seconds: float) -> None:
        """Let time pass: for the engine, and for events that are sent from now on."""
        self.clock.advance(seconds)
        self.jumped += seconds
        for courier in self.engine.couriers.values():
            courier.pump()

    def idle(self, ident: str = "hook") -> bool:
        """Whether nothing is on its way to a destination. Only then may time jump where a test waits for what is due:
        an answer that comes after the jump is one that took so long, and its next attempt is due from there."""
        return not self.engine.couriers[ident].sending

    async def passes(self, step: float, test: Callable[[], bool], ident: str = "hook") -> None:
        """Let time pass, `step` seconds whenever a destination is idle, until it is so."""

        def passed() -> bool:
            if self.idle(ident):
                self.advance(step)
            return test()

        await self.until(passed)

    async def until(self, test: Callable[[], bool], seconds: float = 60.0) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while not test():
            assert not self.faults, self.faults
            assert asyncio.get_running_loop().time() < end, self.status()
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        await self.engine.drain(5.0)
        self.partitions.close()

    async def close(self) -> None:
        await self.stop()
        await self.writer.close()


def event(user: str, n: int, **more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Step", "messageId": f"{user}-{n}", "userId": user,
            "properties": {"n": n}, **more}  # fmt: skip


def config(url: str, *, extra: str = "", delivery: str = "{}", chain: str = "[]") -> str:
    if "timeout" not in delivery:  # a busy machine answers late, and a server whose gate is shut when the test says so
        delivery = f"{{timeout: 2m, {delivery.removeprefix('{')}"
    return f"""
egress: {{allow_private: true}}
sources: {{web: {{write_key: k}}}}
transformations: {{drop: {{file: drop.py}}, split: {{file: split.py}}}}
destinations:
  hook:
    type: webhook
    settings: {{webhook_url: "{url}"}}
    start: beginning
    delivery: {delivery}
    transformation: {chain}
{extra}
"""


def per_user(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(row["userId"], []).append(row["properties"]["n"])
    return found
