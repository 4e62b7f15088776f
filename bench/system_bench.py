"""The whole system, as a process tree under load: ingest, kills, latency, idling, memory, start."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles

from bench import cpu, yardstick
from bench.faults.kills import kill_under_load
from bench.load import Apart, Cycle, Numbered, batch, drive, encode, event, number_of, post
from bench.paired import Paired, interleaved
from bench.plane import Plane
from bench.row import Row, at_least, at_most, plain, skipped
from bench.sink import Sink

__all__ = ["rows"]

KEY = "wk_bench"
CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
egress: {{allow_private: true}}
sources:
  web: {{write_key: wk_bench}}
destinations: {destinations}
"""
HOOK = '{{hook: {{type: webhook, settings: {{webhook_url: "{url}/"}}}}}}'
NO_RING = {"UV_USE_IO_URING": "0"}
"""libuv's polling kernel thread would be counted as the server's CPU while it spins."""
VARIANTS = 64
"""Different bodies per kind; more only cost memory of the generator."""
SLICE = 0.8
MEGABYTE = 1e6


def rows() -> list[Row]:
    """All of them; about three minutes on two cores."""
    found: list[Row] = []
    for measure in (_ingest, _latency, _kills, _volume):
        with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
            found += measure(Path(folder))
    return found


# -- ingest ----------------------------------------------------------------------------------------


def _ingest(folder: Path) -> list[Row]:
    """CPU per request of the ingest process, beside a bare aiohttp handler (and the yardsticks)."""
    with ExitStack() as stack:
        plane = stack.enter_context(_running(folder / "plane", "{}"))
        servers = {"turnout": (plane.url, plane.roles()["ingest"], KEY)}
        servers["bare"] = (*stack.enter_context(_bare(folder)), KEY)
        if where := yardstick.folder():
            servers["floor"] = (*stack.enter_context(yardstick.floor(where)), KEY)
            running = stack.enter_context(yardstick.ceiling(where, folder))
            servers["ceiling"] = (*running, yardstick.CEILING_KEY)
        slices: dict[str, Callable[[], float]] = {}
        for name, (url, pid, key) in servers.items():
            for kind in ("single", "batch", "gzip"):
                if kind != "gzip" or name == "turnout":
                    slices[f"{name} {kind}"] = partial(_cost, url, pid, _cycle(url, key, kind))
        costs = interleaved(slices, rounds=6)
    return _ingest_rows({name: tuple(values) for name, values in costs.items()})


def _ingest_rows(costs: dict[str, tuple[float, ...]]) -> list[Row]:
    def ratio(name: str, a: str, b: str, limit: float | None = None) -> Row:
        found = Paired(costs[a], costs[b])
        if limit is None:
            return plain(name, found.ratio, "x", found.note)
        return at_most(name, found.ratio, limit, note=found.note)

    found = [
        ratio("system: ingest single / bare aiohttp handler", "turnout single", "bare single", 2.0),
        ratio("system: ingest batch of 50 / bare aiohttp handler", "turnout batch", "bare batch", 6.5),
        ratio("system: ingest gzip batch / plain batch", "turnout gzip", "turnout batch", 1.25),
        plain("system: ingest CPU per single", median(costs["turnout single"]) * 1e6, "us"),
        plain("system: ingest CPU per event of a batch", median(costs["turnout batch"]) / 50 * 1e6, "us"),
    ]
    if "floor single" not in costs:
        return [*found, skipped("system: yardsticks", "YARDSTICK names no folder")]
    return found + [
        ratio(f"system: {a} {kind} / yardstick {b}", f"{a} {kind}", f"{b} {kind}")
        for kind in ("single", "batch")
        for a, b in (("turnout", "floor"), ("ceiling", "floor"), ("turnout", "ceiling"))
    ]


def _cycle(url: str, key: str, kind: str) -> Cycle:
    if kind == "single":
        return Cycle(tuple(post(url, "/v1/track", key, encode(event(n))) for n in range(VARIANTS)))
    bodies = [encode(batch(n)) for n in range(VARIANTS)]
    return Cycle(tuple(post(url, "/v1/batch", key, body, compress=kind == "gzip") for body in bodies))


def _cost(url: str, pid: int, requests: Cycle) -> float:
    """CPU seconds of `pid` per answered request over one slice."""
    before = cpu.cpu_seconds(pid, whole_tree=False)
    load = drive(url, requests, seconds=SLICE)
    spent = cpu.cpu_seconds(pid, whole_tree=False) - before
    if load.bad or not load.good:
        raise RuntimeError(f"answers of {url}: {load.good} good, {load.bad} bad")
    return spent / load.good


# -- acknowledged to delivered, and idling ---------------------------------------------------------


def _latency(folder: Path) -> list[Row]:
    """At a tenth of the rate at which single events are taken *and* delivered, batch 1, no script."""
    with Sink() as sink, Apart() as load, _running(folder, HOOK.format(url=sink.url)) as plane:
        requests = Numbered(plane.url, KEY)
        began = time.monotonic()
        taken = load.drive(plane.url, requests, seconds=4.0).result()
        sink.wait(lambda s: len(s.arrivals) >= taken.good, timeout=120)
        capacity = taken.good / (sink.arrivals[-1].at - began)
        arrived = len(sink.arrivals)
        slow = {"first": 1 << 24, "seconds": 8.0, "rate": capacity / 10, "keep": True}
        tenth = load.drive(plane.url, requests, **slow).result()
        sink.wait(lambda s: len(s.arrivals) >= arrived + tenth.good, timeout=60)
        times = {number_of(a.json): a.at for a in sink.arrivals[arrived:]}
        waits = sorted((times[n] - at) * 1000 for n, at in tenth.acknowledged.items() if n in times)
        missing = len(tenth.acknowledged) - len(waits)
        idle = _idle(plane)
    centiles = quantiles(waits, n=100, method="inclusive")
    note = f"{len(waits)} events at {capacity / 10:.0f}/s, {missing} did not arrive"
    return [
        plain("system: capacity, single events to one webhook", capacity, "1/s", "taken and delivered"),
        at_most("system: acknowledged to delivered, p50", centiles[49], 20, "ms", note),
        at_most("system: acknowledged to delivered, p99", centiles[98], 100, "ms", note),
        at_most("system: idle CPU of all processes", idle * 100, 1, "% of a core", "10 s after the load"),
    ]


def _idle(plane: Plane) -> float:
    time.sleep(2)
    before = cpu.cpu_seconds(plane.pid)
    time.sleep(10)
    return (cpu.cpu_seconds(plane.pid) - before) / 10


# -- kills ---------------------------------------------------------------------------------------------


def _kills(folder: Path) -> list[Row]:
    found = kill_under_load(folder, 20, ("all",))
    note = f"{found.acknowledged} acknowledged, {found.again} arrived again, {found.window:.2f} s before a kill"
    return [
        at_most("system: acknowledged events lost in 20 kills -9", found.lost, 0, "events", note),
        at_most("system: order violations in 20 kills -9", found.disordered, 0, "events", note),
        at_least("system: acknowledged events in that run", found.acknowledged, 1000, "events"),
    ]


# -- much data -----------------------------------------------------------------------------------------


def _volume(folder: Path) -> list[Row]:
    """Memory at 500,000 and 2,000,000 events, and the start with that log, beside an empty one.

    Without destinations: what could grow with the number of events is the log's and the message ids'
    share; a destination's queue is bounded by count and bytes, and would take minutes to drain here.
    """
    small, large = 500_000, 2_000_000
    with _running(folder, "{}") as plane:
        empty = _starts(plane)
        requests = Numbered(plane.url, KEY, 50)
        first = _pour(plane, requests, 0, small)
        second = _pour(plane, requests, small, large)
        stored = sum(f.stat().st_size for f in (folder / "data").rglob("*") if f.is_file())
        started = _starts(plane)
    found = [
        at_most(f"system: RssAnon of {role}", second[role] / MEGABYTE, 150, "MB", f"at {large:,} events")
        for role in second
    ]
    found += [
        at_most(f"system: RssAnon of {role}, 2M events / 500k", second[role] / first[role], 1.1)
        for role in second if role in first
    ]
    return [
        *found,
        plain("system: start to ready with an empty log", median(empty), "s", "three starts, imports and all"),
        at_most("system: start to ready with a large log", median(started), 1.2, "s", f"{stored / 1e9:.2f} GB"),
        at_most("system: what that log adds to the start", median(started) - median(empty), 1.2, "s",
                "at most one active segment is read"),
    ]


def _starts(plane: Plane) -> list[float]:
    """Seconds to ready of three starts after a clean stop; it runs at the end."""
    found = []
    for _ in range(3):
        plane.stop()
        found.append(plane.start().ready_seconds)
    return found


def _pour(plane: Plane, requests: Numbered, start: int, end: int) -> dict[str, int]:
    """Send events `start` to `end`, wait until all have a verdict, and read RssAnon per role."""
    load = drive(plane.url, requests, connections=16, first=start // 50, count=(end - start) // 50)
    if load.good * 50 != end - start:
        raise RuntimeError(f"{load.good} batches taken, refused: {load.bad}")
    _settle(plane, end)
    roles = plane.roles().items()
    return {name.split("-")[0]: cpu.anonymous_memory(pid) for name, pid in roles}


def _settle(plane: Plane, events: int) -> None:
    """Wait until so many events have their number, duplicates decided."""
    until = time.monotonic() + 300
    while plane.status()["sequenced"] < events:
        if time.monotonic() > until:
            raise RuntimeError("the log is not read to its end after 300 s")
        time.sleep(0.5)


# -- servers -------------------------------------------------------------------------------------------


@contextmanager
def _running(folder: Path, destinations: str) -> Iterator[Plane]:
    plane = Plane(folder, CONFIG.format(destinations=destinations), NO_RING)
    try:
        yield plane.start()
    finally:
        plane.kill()


@contextmanager
def _bare(folder: Path) -> Iterator[tuple[str, int]]:
    port_file = folder / "port"
    command = [sys.executable, "-m", "bench.bare", str(port_file)]
    process = subprocess.Popen(command, env={**os.environ, **NO_RING})
    try:
        while not port_file.exists():
            if process.poll() is not None:
                raise RuntimeError("the bare handler does not start")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port_file.read_text()}", process.pid
    finally:
        process.kill()
        process.wait()
