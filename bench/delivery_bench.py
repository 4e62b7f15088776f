"""Delivery of the whole system, as a process tree: the way to three destinations beside the ceiling program, a healthy
destination beside sick ones, and how fast a backlog drains.

`python -m bench.delivery_bench` prints the rows; YARDSTICK names the folder of the ceiling program.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median, quantiles

from aiohttp import web

from bench import cpu, yardstick
from bench.load import Apart, Numbered, drive, number_of
from bench.paired import Paired, interleaved
from bench.plane import Plane
from bench.row import Row, at_least, at_most, plain, skipped
from bench.sink import Sink
from turnout.testing import Chaos
from turnout.testing.chaos import Mode

__all__ = ["Counting", "counting", "rows"]

KEY = "wk_bench"
HEAD = """\
server: {host: 127.0.0.1, port: 0}
admin: {host: 127.0.0.1, port: 0}
data: ./data
egress: {allow_private: true}
sources:
  web: {write_key: wk_bench}
"""
NO_RING = {"UV_USE_IO_URING": "0"}
"""libuv's polling kernel thread would be counted as the server's CPU while it spins."""
EVENTS = 6_000
"""Per slice of the whole way, in batches; single events are a quarter."""
FEW, BACKLOG = 20_000, 100_000
"""Both are more than what is kept in memory of what was read last."""
PAUSED = b'{"kind": "destination", "name": "d"}'
RATE = 60.0
SECONDS = 8.0
WARM = 1.5
"""Seconds of load that are not counted. The first tenth of a second of a fresh process, with its first connections and
the first touch of memory shared with the app, has every event beyond the 99th percentile of the seconds after it."""
FAULTS: dict[Mode, str] = {
    "hang": "dead", "trickle": "slow", "throttle_silent": "429-ing", "throttle": "429-ing (Retry-After)",
}
"""What is beside it, and in words; both throttling ones answer everything with 429."""


def rows() -> list[Row]:
    """All of them; about three minutes on two cores."""
    found: list[Row] = []
    for measure in (_way, _beside, _drain):
        with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
            found += measure(Path(folder))
    return found


# -- the whole way ---------------------------------------------------------------------------------------------------


@dataclass
class Tree:
    """Processes whose CPU is counted together, and how many events they have brought to all destinations."""

    pids: list[int]
    url: str
    key: str
    sent: int = field(default=0)

    def seconds(self) -> float:
        """CPU seconds so far."""
        return sum(cpu.cpu_seconds(pid) for pid in self.pids)


def _way(folder: Path) -> list[Row]:
    """From the request to three destinations, through a script that changes nothing."""
    where = yardstick.folder()
    if where is None:
        return [skipped("delivery: the whole way beside the ceiling program", "YARDSTICK names no folder")]
    found: list[Row] = []
    for kind, limit, size in (("batch of 50", 1.6, 50), ("single", 1.35, 1)):
        with ExitStack() as stack:
            ours, theirs = (stack.enter_context(counting(folder / f"{kind}-{n}")) for n in ("ours", "theirs"))
            plane = stack.enter_context(_three(folder / kind, ours.url))
            ceiling = stack.enter_context(_ceiling(where, folder / f"{kind}-ceiling", theirs.url))
            mine = Tree([plane.pid], plane.url, KEY)
            costs = interleaved({
                "turnout": partial(_carried, mine, ours, size),
                "ceiling": partial(_carried, ceiling, theirs, size),
            }, 6)
        against = Paired(tuple(costs["turnout"]), tuple(costs["ceiling"]))
        found += [
            at_most(f"delivery: the whole way to 3 destinations with a script, {kind}, over the ceiling program",
                    against.ratio, limit, note=against.note),
            plain(f"delivery: the same, CPU per event, {kind}", median(costs["turnout"]) * 1e6, "us",
                  f"the ceiling program's: {median(costs['ceiling']) * 1e6:.0f}"),
        ]
    return found


def _carried(tree: Tree, sink: Counting, size: int) -> float:
    """CPU seconds per event from a slice of load until everything has arrived three times."""
    count = EVENTS // size if size > 1 else EVENTS // 4
    before, arrived = tree.seconds(), sink.count()
    load = drive(tree.url, Numbered(tree.url, tree.key, size), connections=16, first=tree.sent, count=count)
    tree.sent += count
    if load.good != count:
        raise RuntimeError(f"{load.good} of {count} taken, {load.bad}")
    sink.wait(arrived + 3 * count * size)
    time.sleep(0.3)  # cursors are written ten times a second
    return (tree.seconds() - before) / (count * size)


class Counting:
    """A destination in a process of its own, that counts events (see `_serve`)."""

    def __init__(self, url: str, counter: Path) -> None:
        self.url = url
        self._counter = counter

    def count(self) -> int:
        """Events so far."""
        return int(self._counter.read_text() or 0)

    def wait(self, least: int, timeout: float = 90.0) -> None:
        """Wait for so many; raises `TimeoutError`."""
        until = time.monotonic() + timeout
        while (now := self.count()) < least:
            if time.monotonic() > until:
                raise TimeoutError(f"{now} of {least} events arrived")
            time.sleep(0.01)


@contextmanager
def counting(folder: Path) -> Iterator[Counting]:
    folder.mkdir(parents=True)
    port = yardstick.free_port()
    counter = folder / "count"
    counter.write_text("0")
    with yardstick.serve([sys.executable, "-m", "bench.delivery_bench", "serve", str(port), str(counter)], port):
        yield Counting(f"http://127.0.0.1:{port}/", counter)


async def _serve(port: int, counter: Path) -> None:
    """Take everything, and write down how many events it was, a hundred times a second."""
    seen = 0

    async def take(request: web.Request) -> web.Response:
        nonlocal seen
        seen += (await request.read()).count(b"-7b1e-4a2d-")
        return web.Response(body=b"ok")

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    while True:
        fresh = counter.with_suffix(".new")
        fresh.write_text(str(seen))
        fresh.rename(counter)
        await asyncio.sleep(0.01)


def _hook(url: str, more: str = "") -> str:
    return f'{{type: webhook, settings: {{webhook_url: "{url}"}}, delivery: {{batch: 50, linger: 0s}}{more}}}'


@contextmanager
def _three(folder: Path, url: str) -> Iterator[Plane]:
    folder.mkdir(parents=True)
    (folder / "same.py").write_text("def transformEvent(event, metadata):\n    return event\n")
    text = HEAD + "transformations: {same: {file: same.py}}\ndestinations:\n"
    hook = _hook(url, ", transformation: same")
    plane = Plane(folder, text + "".join(f"  d{n}: {hook}\n" for n in range(3)), NO_RING)
    try:
        yield plane.start()
    finally:
        plane.kill()


@contextmanager
def _ceiling(where: Path, folder: Path, url: str) -> Iterator[Tree]:
    folder.mkdir(parents=True)
    with yardstick.ceiling(where, folder) as (address, ingest):
        log = folder / "ceiling.log"
        command = [sys.executable, str(where / "ceiling.py"), "pipe", str(log), url, "worker"]
        pipe = subprocess.Popen(command, env={**os.environ, **NO_RING})
        try:
            yield Tree([ingest, pipe.pid], address, yardstick.CEILING_KEY)
        finally:
            for pid in reversed(cpu.tree(pipe.pid)):
                os.kill(pid, 9)
            pipe.wait()


# -- beside sick ones ------------------------------------------------------------------------------------------------


def _beside(folder: Path) -> list[Row]:
    """The p99 of a healthy destination at a fixed rate, alone and beside a dead, a slow and a throttling one."""
    waits: dict[str, list[float]] = {name: [] for name in ("alone", *FAULTS)}
    with ExitStack() as stack:
        load = stack.enter_context(Apart())
        sink = stack.enter_context(Sink())
        tools: dict[Mode, Chaos] = {name: stack.enter_context(Chaos()) for name in FAULTS}
        planes = {"alone": stack.enter_context(_pair(folder / "alone", sink.url, None))}
        for name, tool in tools.items():
            tool.mode = name
            planes[name] = stack.enter_context(_pair(folder / name, sink.url, tool.url))
        for plane in planes.values():
            made = load.drive(plane.url, Numbered(plane.url, KEY), first=0, seconds=WARM, rate=RATE, keep=True,
                              connections=8).result()  # fmt: skip
            sink.wait(lambda s, least=made.good: len(s.arrivals) >= least, 30)  # type: ignore[misc]  # a default
            sink.arrivals.clear()
        for number in range(3):
            for beside, plane in planes.items():
                made = load.drive(plane.url, Numbered(plane.url, KEY), first=(number + 1) << 20, seconds=SECONDS / 2,
                                  rate=RATE, keep=True, connections=8).result()  # fmt: skip
                sink.wait(lambda s, least=made.good: len(s.arrivals) >= least, 30)  # type: ignore[misc]  # a default
                times = {number_of(a.json): a.at for a in list(sink.arrivals)}
                waits[beside] += [(times[n] - at) * 1000 for n, at in made.acknowledged.items()]
                sink.arrivals.clear()
    alone = _p99(waits["alone"])
    return [plain("delivery: a healthy destination's p99, alone", alone, "ms", f"{len(waits['alone'])} events")] + [
        at_most(f"delivery: the same beside a {words} one, over alone", _p99(waits[name]) / alone, 1.5,
                note=f"{_p99(waits[name]):.1f} ms")
        for name, words in FAULTS.items()
    ]


def _p99(waits: list[float]) -> float:
    return quantiles(waits, n=100, method="inclusive")[98]


@contextmanager
def _pair(folder: Path, healthy: str, sick: str | None) -> Iterator[Plane]:
    text = HEAD + f'destinations:\n  plain: {{type: webhook, settings: {{webhook_url: "{healthy}/"}}}}\n'
    if sick is not None:
        text += f'  sick: {{type: webhook, settings: {{webhook_url: "{sick}"}}, delivery: {{timeout: 2s}}}}\n'
    plane = Plane(folder, text, NO_RING)
    try:
        yield plane.start()
    finally:
        plane.kill()


# -- draining --------------------------------------------------------------------------------------------------------


def _drain(folder: Path) -> list[Row]:
    """Events delivered per CPU second of the pipeline from a backlog that a pause let pile up, small and big."""
    with counting(folder / "sink") as sink:
        plane = Plane(folder / "plane", f"{HEAD}destinations:\n  d: {_hook(sink.url)}\n", NO_RING)
        try:
            plane.start()
            sent = 0
            costs: dict[int, list[float]] = {FEW: [], BACKLOG: []}
            seconds: list[float] = []
            for count in (FEW, FEW, BACKLOG, FEW, BACKLOG, FEW):
                plane.ask("/pause", PAUSED)
                drive(plane.url, Numbered(plane.url, KEY, 50), connections=4, first=sent // 50, count=count // 50)
                _sequenced(plane, sent := sent + count)
                before, began = cpu.cpu_seconds(plane.roles()["pipeline"]), time.monotonic()
                plane.ask("/resume", PAUSED)
                sink.wait(sent)
                seconds.append((time.monotonic() - began) / count)
                costs[count].append((cpu.cpu_seconds(plane.roles()["pipeline"]) - before) / count)
        finally:
            plane.kill()
    few, many = median(costs[FEW][1:]), median(costs[BACKLOG])
    return [
        plain("delivery: draining a backlog", 1 / min(seconds), "1/s", "one destination, by 50"),
        at_least(f"delivery: events per CPU second behind {BACKLOG:,} events, over behind {FEW:,}", few / many, 0.9,
                 note=f"{many * 1e6:.0f} and {few * 1e6:.0f} us per event"),
    ]


def _sequenced(plane: Plane, events: int) -> None:
    until = time.monotonic() + 60
    while plane.status()["sequenced"] < events:
        if time.monotonic() > until:
            raise TimeoutError("the log is not read to its end")
        time.sleep(0.05)
    time.sleep(0.3)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(_serve(int(sys.argv[2]), Path(sys.argv[3])))
    else:
        for row in rows():
            shown = "-" if row.value is None else f"{row.value:9.2f}"
            print(f"{row.name:100} {shown} {row.unit:3} {row.target:8} {row.note}")
