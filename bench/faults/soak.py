"""`python -m bench.faults.soak [EVENTS]`: hostile scripts among ordinary ones, for a long time, in a real engine.

Every twentieth event is for scripts that hang, hoard, die and flood on it; others are ordinary, and one script is
broken for everything. Nothing may be lost, and memory, descriptors and processes must not grow.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from dataplane.clock import SystemClock
from dataplane.config import parse
from dataplane.deliver import desk
from dataplane.deliver.engine import Engine
from dataplane.log.local import open_writer
from dataplane.log.partitions import open_partitions
from transformations.pool import Pool
from turnout import codec
from turnout.protocol import Envelope

__all__ = ["SCRIPTS", "Soaked", "soak"]

BATCH = 200
MORE = 20
"""Descriptors that destinations which begin later, and segments that are read again, may take."""
EVERY = 20
"""One event of so many is hostile."""
SCRIPTS = {
    "plain.py": "def transformEvent(event, metadata):\n    event['seen'] = True\n    return event\n",
    "plain.js": "export function transformEvent(event) { event.seen = true; return event; }\n",
    "hoards.py": "def transformEvent(event, metadata):\n    if event['properties']['bad']:\n        x = 'x' * 10**9\n"
                 "    return event\n",
    "hoards.js": "export function transformEvent(event) {\n"
                 "  if (event.properties.bad) { const a = []; for (;;) a.push(new Uint8Array(1e7)); }\n"
                 "  return event;\n}\n",
    "floods.py": "def transformEvent(event, metadata):\n"
                 "    return [event] * (2000 if event['properties']['bad'] else 1)\n",
    "raises.py": "def transformEvent(event, metadata):\n"
                 "    return event if not event['properties']['bad'] else 1 / 0\n",
    "hangs.py": "def transformEvent(event, metadata):\n"
                "    while event['properties']['bad']: pass\n    return event\n",
    "broken.py": "def transformEvent(event, metadata):\n    while True: pass\n",
}
KILLING = ("hoards.py", "hoards.js", "hangs.py")
"""What is bad kills these, so that they are stopped now and then: they are still behind at the end."""


@dataclass(slots=True)
class Soaked:
    """What came of it. `grown` are bytes of private memory, by process, between a quarter of the run and its end."""

    events: int
    seconds: float
    delivered: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)
    grown: dict[str, int] = field(default_factory=dict)
    descriptors: int = 0
    zombies: int = 0
    kills: int = 0
    stops: int = 0
    wrong: list[str] = field(default_factory=list)


def _config(folder: Path) -> str:
    lines = ["sources: {web: {write_key: k, transformation: plain-py}}", "transformations:"]
    for name, source in SCRIPTS.items():
        (folder / name).write_text(source)
        lines.append(f"  {name.replace('.', '-')}: {{file: {name}, timeout: 100ms, memory: 128MiB}}")
    lines.append("destinations:")
    for name in SCRIPTS:
        ident = name.replace(".", "-")
        lines += [f"  to-{ident}:", "    type: file", "    start: beginning", f"    transformation: {ident}",
                  f"    settings: {{path: out/{ident}.ndjson}}", "    delivery: {batch: 1000, linger: 10ms}"]
    return "\n".join(lines) + "\n"


def _events(first: int) -> list[dict[str, Any]]:
    return [
        {"type": "track", "event": "Step", "messageId": str(n), "userId": f"user{n % 97}",
         "properties": {"n": n, "bad": n % EVERY == 7}}
        for n in range(first, first + BATCH)
    ]


class _Feed:
    """Appends events, never far ahead of the slowest ordinary destination."""

    def __init__(self, folder: Path, config: Any) -> None:
        self.writer = open_writer(folder / "data" / "log" / "0", config.log)

    async def send(self, first: int) -> None:
        events = _events(first)
        marks = b"".join(
            b"\0" + xxhash.xxh3_64_intdigest(event["userId"].encode()).to_bytes(8, "little") for event in events
        )
        envelope = Envelope("web", "rudder", "", int(time.time() * 1000), "", "", False, {}, False)
        await self.writer.append(msgspec.msgpack.encode(envelope), marks, codec.dumps({"batch": events}))


async def soak(folder: Path, events: int, say: Any = lambda _: None) -> Soaked:
    """Run it in a folder of its own."""
    config = parse(_config(folder), str(folder / "config.yaml"), {})
    feed = _Feed(folder, config)
    partitions = open_partitions(folder / "data" / "log", 1)
    pool = Pool(2)
    await pool.start()
    faults: list[BaseException] = []
    engine = Engine(data=folder / "data", partitions=partitions, runner=pool, clock=SystemClock(),
                    on_fault=faults.append)  # fmt: skip
    await engine.start(config)
    begun = time.monotonic()
    found = Soaked(events, 0.0)
    ordinary = [f"to-{name.replace('.', '-')}" for name in SCRIPTS if name not in (*KILLING, "broken.py")]
    before: dict[str, int] = {}
    descriptors = 0
    try:
        for first in range(0, events, BATCH):
            await feed.send(first)
            while not _near(engine, ordinary, first - 20 * BATCH):
                await asyncio.sleep(0.005)
            if not before and first * 4 >= events:
                before, descriptors = _memory(pool), len(os.listdir("/proc/self/fd"))
            if first % (50 * BATCH) == 0:
                say(f"{first:>9,} events, {time.monotonic() - begun:,.0f} s, {_memory(pool)['engine'] >> 20} MiB")
        while not (_near(engine, ordinary, events) and "broken-py" in pool.health()["stopped"]):
            await asyncio.sleep(0.05)
        found.seconds = time.monotonic() - begun
        after = _memory(pool)
        found.grown = {name: size - before[name] for name, size in after.items() if before.get(name)}
        found.descriptors = len(os.listdir("/proc/self/fd")) - descriptors
        found.zombies = _zombies(os.getpid())
        _account(engine, pool, events, ordinary, found)
    finally:
        await engine.drain(5.0)
        partitions.close()
        await feed.writer.close()
        await pool.stop()
    found.wrong += [f"fault: {error!r}" for error in faults]
    return found


def _near(engine: Engine, names: Sequence[str], number: int) -> bool:
    return all(_settled(engine, name) >= number for name in names)


def _settled(engine: Engine, name: str) -> int:
    counts = engine.ledger.counts
    return counts[name, "delivered"] + counts[name, "filtered"] + counts[name, "dead"] - counts[name, "born"]


def _memory(pool: Pool) -> dict[str, int]:
    """Private bytes of this process, of the zygote, and of the largest worker that serves an ordinary script."""
    workers = [_private(pid) for pid, worker in pool._idle.items() if str(worker.key).startswith("('plain")]
    return {"engine": _private(os.getpid()), "zygote": _private(pool.zygote_pid), "worker": max(workers, default=0)}


def _private(pid: int) -> int:
    """RssAnon of a process in bytes; 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("RssAnon")), 0)


def _zombies(pid: int) -> int:
    """Children of a process that ended and were not waited for."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum("\nState:\tZ" in Path(f"/proc/{child}/status").read_text() for child in children)


def _account(engine: Engine, pool: Pool, events: int, ordinary: Sequence[str], found: Soaked) -> None:
    status = desk.status(engine)["destinations"]
    for name, row in status.items():
        found.delivered[name], found.dead[name] = row["delivered"], row["dead"]
        found.pending[name] = row["pending"] + row["unread"]
        total = row["delivered"] + row["filtered"] + row["dead"] + row["pending"] - row["born"] + row["unread"]
        if total != events:
            found.wrong.append(f"{name}: {total:,} of {events:,} events are accounted for")
    bad = events // EVERY
    for name in ordinary:
        expected = bad if name in ("to-floods-py", "to-raises-py") else 0
        if status[name]["dead"] != expected:
            found.wrong.append(f"{name}: {status[name]['dead']:,} dead, not {expected:,}")
    if status["to-broken-py"]["delivered"] or status["to-broken-py"]["dead"]:
        found.wrong.append("a script that is broken for everything has settled events")
    found.kills = int(sum(n for metric, _, n in pool.stats() if metric == "transform_kills"))
    found.stops = int(sum(n for metric, _, n in pool.stats() if metric == "transform_stops"))
    for name, most in (("engine", 60 << 20), ("zygote", 4 << 20), ("worker", 64 << 20)):
        if found.grown.get(name, 0) > most:
            found.wrong.append(f"{name} grew by {found.grown[name] >> 20} MiB")
    if found.descriptors > MORE or found.zombies:
        found.wrong.append(f"{found.descriptors} more descriptors, {found.zombies} zombies")


def main() -> int:
    """Run it and print what came of it; 1 where something is wrong."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="turnout-soak-") as folder:
        found = asyncio.run(soak(Path(folder), events, lambda line: print(line, flush=True)))
    print(f"{found.events:,} events in {found.seconds:,.0f} s; {found.kills:,} kills, {found.stops:,} stops")
    for name, delivered in found.delivered.items():
        print(f"  {name:14} {delivered:>10,} delivered {found.dead[name]:>8,} dead {found.pending[name]:>10,} pending")
    grown = ", ".join(f"{name} {size / (1 << 20):+.1f} MiB" for name, size in found.grown.items())
    print(f"  memory: {grown}; descriptors {found.descriptors:+}, zombies {found.zombies}")
    for wrong in found.wrong:
        print(f"  WRONG {wrong}")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
