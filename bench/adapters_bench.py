"""What many destinations cost: building the requests of each tool, tools nobody uses, destinations that filter.

`python -m bench.adapters_bench` prints the rows. All is CPU of one process.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, cast

import msgspec
import uvloop

from bench.cpu import own_cpu
from bench.deliver_bench import NoScripts
from bench.load import encode, event
from bench.row import Row, at_most, plain
from dataplane.clock import SystemClock
from dataplane.config import parse
from dataplane.deliver import untouched
from dataplane.deliver.engine import Engine
from dataplane.log.base import LogReader
from dataplane.log.memory import MemoryLog
from dataplane.log.partitions import Partitions
from dataplane.pipeline.numbered import restored
from destinations import registry
from turnout.destination import Context, Destination
from turnout.protocol import Envelope
from turnout.testing import load
from turnout.testing.fake_clock import START

EVENTS = 1_000
FILTERING, BATCH = 50, 500


def rows() -> list[Row]:
    """Building per tool (its fixtures), importing, filtering."""
    return [*_building(), _importing(), _filtering()]


def _building() -> list[Row]:
    """Microseconds per event of `request`, decoded events in: the median over the tools, and the slowest one."""
    costs = {slug: _per_event(registry.find(slug)) for slug in sorted(registry.own())}
    slowest = max(costs, key=lambda slug: costs[slug])
    return [
        at_most("adapters: building an event's requests, median over the tools", median(costs.values()), 25, "us",
                f"{len(costs)} tools, {EVENTS:,} events of each one's fixtures"),
        at_most("adapters: building an event's requests, the slowest tool", costs[slowest], 120, "us", slowest),
        *(plain(f"adapters: {slug}", cost, "us") for slug, cost in sorted(costs.items(), key=lambda one: -one[1])),
    ]


def _per_event(kind: type[Destination[Any]]) -> float:
    """The median of five runs over the fixtures that make requests, after one that warms up."""
    cases = [(one.build(kind), one) for one in load(kind) if one.sends or one.writes]
    turns = [cases[n % len(cases)] for n in range(EVENTS)]
    found = []
    for _ in range(6):
        work = []
        for adapter, fixture in turns:
            made = fixture.input()
            assert made.message is not None  # decoded before: the engine does that once for all destinations
            work.append((adapter, made, Context(START, adapter.delivery)))
        with own_cpu() as spent:
            for adapter, made, at in work:
                adapter.request(made, at)
        found.append(spent.cpu / EVENTS * 1e6)
    return median(found[1:])


def _importing() -> Row:
    """Tools that a configuration with one webhook imports beside it."""
    program = (
        "import sys\nfrom dataplane.config import load\nfrom dataplane.deliver import engine\n"
        "from destinations import registry\nload(sys.argv[1])\n"
        "print(len({name.split('.')[1] for name in sys.modules if name.startswith('destinations.')}"
        " & registry.own()) - 1)"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        hook = "{type: webhook, settings: {webhook_url: 'http://a.example/'}}"
        file.write_text(f"sources: {{a: {{write_key: k}}}}\ndestinations: {{hook: {hook}}}\n")
        ran = subprocess.run([sys.executable, "-c", program, str(file)], check=True, capture_output=True, text=True)
    return at_most("adapters: tools imported that no destination names", float(ran.stdout), 0, "")


def _filtering() -> Row:
    """What one more destination costs that is not to have an event, from the log's batch to its count."""
    with tempfile.TemporaryDirectory() as folder:
        found = uvloop.run(_filtered(Path(folder)))
    note = f"{FILTERING} destinations, {len(found)} runs, {min(found):.2f} to {max(found):.2f}"
    return at_most("adapters: a destination that filters an event", median(found), 1, "us", note)


async def _filtered(folder: Path) -> list[float]:
    hook = {"type": "webhook", "settings": {"webhook_url": "http://127.0.0.1:9/"}}
    config = {"sources": {"web": {"write_key": "k"}}, "destinations": {f"d{n}": hook for n in range(FILTERING)}}
    partitions = Partitions({0: cast(LogReader, MemoryLog())})
    engine = Engine(data=folder / "data", partitions=partitions, runner=NoScripts(), clock=SystemClock())
    await engine.start(parse(json.dumps(config), str(folder / "config.yaml"), {}))
    couriers = list(engine.couriers.values())
    envelope = msgspec.msgpack.encode(Envelope(
        source="web", protocol="rudder", kind="", received_at=1, ip="203.0.113.9", refused={},
    ))  # fmt: skip
    bodies, numbers = [encode({**event(n), "integrations": {"All": False}}) for n in range(EVENTS)], count(1)
    found = []
    try:
        for _ in range(9):
            events = [restored(n, n * 7919, raw, envelope, b"k") for raw, n in zip(bodies, numbers, strict=False)]
            before = sum(engine.ledger.counts[one.plan.id, "filtered"] for one in couriers)
            with own_cpu() as spent:
                for at in range(0, EVENTS, BATCH):
                    untouched.hand_over(events[at : at + BATCH], couriers)
                    for courier in couriers:
                        courier.pump()
                await asyncio.sleep(0)
            filtered = sum(engine.ledger.counts[one.plan.id, "filtered"] for one in couriers) - before
            if filtered != EVENTS * FILTERING:
                raise RuntimeError(f"{filtered} filtered of {EVENTS * FILTERING}")
            found.append(spent.cpu / (EVENTS * FILTERING) * 1e6)
    finally:
        await engine.drain(5.0)
    return found[1:]


if __name__ == "__main__":
    for row in rows():
        print(f"{row.name:64} {row.value:9.2f} {row.unit:3} {row.target:8} {row.note}")
