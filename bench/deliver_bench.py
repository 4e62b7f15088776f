"""What it costs to know where every event stands, beside a job row and two status rows in SQLite.

*state* is entries, lanes, journal, verdicts, counts, cursors and commits alone; *engine* is everything from the
log's record to the books (sequence, enrichment and routing too) with adapters that answer at once, so that
nothing is sent. `python -m bench.deliver_bench` prints the rows.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

import msgspec
import uvloop
import xxhash

from bench.collector import as_in_a_role
from bench.cpu import own_cpu
from bench.load import batch, encode
from bench.paired import Paired, interleaved
from bench.row import Row, at_least, at_most, plain
from dataplane.clock import SystemClock
from dataplane.config import parse
from dataplane.config.model import Config
from dataplane.deliver import untouched
from dataplane.deliver.engine import Engine
from dataplane.deliver.entry import NO_OPTIONS, Batch, Entry
from dataplane.deliver.exchange import Sent
from dataplane.log.base import LogReader
from dataplane.log.memory import MemoryLog
from dataplane.log.partitions import Partitions
from dataplane.pipeline.numbered import restored
from dataplane.pipeline.scripts import Texts
from destinations.webhook import Webhook
from transformations.base import Item, Ran, Reach, Script, Trial
from turnout import verdict
from turnout.destination import Context
from turnout.event import Event
from turnout.protocol import Envelope
from turnout.verdict import Verdict

__all__ = ["rows"]

EVENTS = 10_000
SIZE = 50
MANY = 50
COMMIT = 10
"""Batches between two commits: a tenth of a second at 5,000 events per second."""


class Instant(Webhook):
    """Delivers everything at once; the users of `failing` are to be tried again, for ever."""

    failing = 0
    """Of every hundred users."""

    def exchange(self, events: Sequence[Event], at: Context, resume: Any = None) -> Any:
        """Yields no request."""
        return [self._verdict(event) for event in events]
        yield

    def _verdict(self, event: Event) -> Verdict:
        return verdict.retry("no") if event.key % 100 < self.failing else verdict.delivered(200)


class Measured(Engine):
    """An engine whose destinations are `Instant`."""

    failing = 0

    async def prepare(self, config: Config, texts: Texts | None = None) -> None:
        """As ever, with other adapters."""
        await super().prepare(config, texts)
        assert self._prepared is not None
        for ident, plan in self._prepared.items():
            adapter = Instant(plan.adapter.settings)
            adapter.failing = self.failing
            self._prepared[ident] = replace(plan, adapter=adapter)


class NoScripts:
    """A runner for configs without transformations."""

    async def start(self) -> None:
        """Nothing is started."""

    async def stop(self) -> None:
        """Nothing runs."""

    async def check(self, script: Script) -> None:
        """There are none."""

    def resume(self, name: str) -> bool:
        """There is nothing to be resumed."""
        return False

    async def trial(self, script: Script, items: Sequence[Item], reach: Reach | None = None) -> Trial:
        """Never called."""
        raise NotImplementedError

    async def run(self, script: Script, items: Sequence[Item]) -> list[Ran]:
        """Never called."""
        raise NotImplementedError


def rows(rounds: int = 5) -> list[Row]:
    """Ratios are medians of interleaved slices."""
    engine = {f"engine {n}": partial(_engine, n, 0) for n in (3, 10)}
    slices: dict[str, Callable[[], float]] = {**engine, "failing 3": partial(_engine, 3, 5)}
    slices |= {f"state {n}": partial(_state, n) for n in (3, 10)}
    slices |= {f"rows {n}": partial(_job_rows, n) for n in (3, 10)}
    slices[f"filtered {MANY}"] = _filtered
    with as_in_a_role():
        found = {name: tuple(values) for name, values in interleaved(slices, rounds).items()}

    def ratio(a: str, b: str) -> Paired:
        return Paired(found[a], found[b])

    made: list[Row] = [plain(f"deliver: {name} destinations, per event", median(costs) * 1e6, "us")
                       for name, costs in found.items()]
    for count, limit in ((3, 6), (10, 15)):
        against = ratio(f"rows {count}", f"state {count}")
        made.append(at_least(f"deliver: job and status rows in SQLite over delivery state, {count} destinations",
                             against.ratio, limit, note=against.note))
    more = ratio("engine 10", "engine 3")
    worse = ratio("failing 3", "engine 3")
    return [
        *made,
        at_most("deliver: cost per event at 10 destinations over 3", more.ratio, 1.6, note=more.note),
        at_most(f"deliver: an event that {MANY} destinations filter, per destination",
                median(found[f"filtered {MANY}"]) / MANY * 1e6, 1, "us"),
        at_most("deliver: 5 % of users failing over none", worse.ratio, 2.0, note=worse.note),
    ]


def _engine(destinations: int, failing: int) -> float:
    """CPU seconds per event, from the log's record to verdicts in the books."""
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        return uvloop.run(_through(Path(folder), destinations, failing))


def _measured(folder: Path, log: MemoryLog) -> Measured:
    partitions = Partitions({0: cast(LogReader, log)})
    return Measured(data=folder / "data", partitions=partitions, runner=NoScripts(), clock=SystemClock())


async def _through(folder: Path, destinations: int, failing: int) -> float:
    log = MemoryLog()
    engine = _measured(folder, log)
    engine.failing = failing
    await engine.start(_config(folder, destinations))
    records = [_record(n) for n in range(EVENTS // SIZE)]
    with own_cpu() as spent:
        for at in range(0, len(records), 10):  # no faster than it is read, so that one reader serves all
            for envelope, marks, body in records[at : at + 10]:
                await log.append(envelope, marks, body)
            while not _done(engine, (at + 10) * SIZE):
                await asyncio.sleep(0.002)
    await engine.drain(5.0)
    return spent.cpu / EVENTS


def _state(destinations: int) -> float:
    """CPU seconds per event of the state alone."""
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        return uvloop.run(_settling(Path(folder), destinations))


async def _settling(folder: Path, destinations: int) -> float:
    engine = _measured(folder, MemoryLog())
    await engine.start(_config(folder, destinations))
    payload, one = encode(batch(0, 1)["batch"][0]), Sent(verdict.delivered(200))
    couriers, journal = list(engine.couriers.values()), engine.ledger.journal
    loop = asyncio.get_running_loop()
    with own_cpu() as spent:
        for first in range(1, EVENTS + 1, SIZE):
            offered = Batch([_entry(number, payload) for number in range(first, first + SIZE)], first + SIZE)
            now = loop.time()
            for courier in couriers:
                lanes, settler, plan = courier.lanes, courier._settler, courier.plan
                courier.offer_all(offered)
                while lanes.ready:
                    taken, _ = lanes.take(SIZE, 500_000, None)
                    journal.sent(plan.origin, plan.outgoing(taken), at=now, seconds=0.001, status=200)
                    if not settler.delivered(taken, [one] * len(taken)):
                        raise RuntimeError("what was delivered is not settled as such")
                    lanes.settle(taken)
                engine.ledger.dirty.add(plan.id)
            if first // SIZE % COMMIT == COMMIT - 1:
                journal.flush(now)
                await engine.books.commit()
    await engine.drain(5.0)
    return spent.cpu / EVENTS


def _filtered() -> float:
    """CPU seconds per event that is for none of many destinations."""
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        return uvloop.run(_passing(Path(folder)))


async def _passing(folder: Path) -> float:
    engine = _measured(folder, MemoryLog())
    await engine.start(_config(folder, MANY))
    envelope = _record(0)[0]
    bodies = [encode({**one, "integrations": {"All": False}}) for one in batch(0, SIZE)["batch"]]
    events = [restored(n, n * 7919, bodies[n % SIZE], envelope, b"k") for n in range(1, EVENTS + 1)]
    with own_cpu() as spent:
        for at in range(0, EVENTS, SIZE):
            untouched.hand_over(events[at : at + SIZE], list(engine.couriers.values()))
    passed = engine.ledger.counts["d0", "filtered"]
    await engine.drain(5.0)
    if passed != EVENTS:
        raise RuntimeError(f"{passed} of {EVENTS} were filtered")
    return spent.cpu / EVENTS


def _entry(number: int, payload: bytes) -> Entry:
    """As dispatch makes it, for all destinations alike."""
    entry = Entry(number, number * 7919, "web", 0, ((payload, NO_OPTIONS, None),))
    entry.event = Event(payload, key=entry.key, number=number, source="web")
    return entry


def _config(folder: Path, destinations: int) -> Config:
    hook = {"type": "webhook", "settings": {"webhook_url": "http://127.0.0.1:9/"}, "start": "beginning",
            "delivery": {"batch": SIZE, "linger": "0s"}}
    config = {"egress": {"allow_private": True}, "sources": {"web": {"write_key": "k"}},
              "destinations": {f"d{n}": hook for n in range(destinations)}}
    return parse(json.dumps(config), str(folder / "config.yaml"), {})


def _done(engine: Engine, events: int) -> bool:
    """So many events were read, and delivered or put aside."""
    return all(c.lanes.position > events and not c.lanes.count and not c.lanes.flying
               for c in engine.couriers.values())


def _record(number: int) -> tuple[bytes, bytes, bytes]:
    message = batch(number, SIZE)
    marks = b"".join(
        b"\0" + xxhash.xxh3_64_intdigest(event["anonymousId"].encode()).to_bytes(8, "little")
        for event in message["batch"]
    )
    envelope = Envelope(source="web", protocol="rudder", kind="", received_at=int(time.time() * 1000),
                        ip="203.0.113.9", refused={})
    return msgspec.msgpack.encode(envelope), marks, encode(message)


def _job_rows(destinations: int) -> float:
    """CPU seconds per event of a job row, an executing and a succeeded row per destination, 50 at a time."""
    payloads = [encode(event) for event in batch(0, SIZE)["batch"]]
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        db = sqlite3.connect(Path(folder) / "jobs.db", isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("CREATE TABLE job (id INTEGER PRIMARY KEY, destination TEXT, user TEXT, at REAL, payload BLOB)")
        db.execute("CREATE TABLE status (id INTEGER PRIMARY KEY, job INTEGER, state TEXT, attempt INTEGER,"
                   " code INTEGER, at REAL)")
        db.execute("CREATE INDEX status_of_job ON status (job, id)")
        job = 0
        with own_cpu() as spent:
            for _ in range(EVENTS // SIZE):
                for destination in range(destinations):
                    ids = range(job, job + SIZE)
                    job += SIZE
                    _in_one(db, "INSERT INTO job VALUES (?,?,?,?,?)",
                            [(i, f"d{destination}", "u", 1.0, p) for i, p in zip(ids, payloads, strict=True)])
                    for state, code in (("executing", None), ("succeeded", 200)):
                        _in_one(db, "INSERT INTO status (job, state, attempt, code, at) VALUES (?,?,?,?,?)",
                                [(i, state, 1, code, 1.0) for i in ids])
        db.close()
        return spent.cpu / EVENTS


def _in_one(db: sqlite3.Connection, statement: str, values: list[tuple[Any, ...]]) -> None:
    db.execute("BEGIN")
    db.executemany(statement, values)
    db.execute("COMMIT")


if __name__ == "__main__":
    for row in rows():
        print(f"{row.name:70} {row.value:9.2f} {row.unit:3} {row.target:8} {row.note}")
