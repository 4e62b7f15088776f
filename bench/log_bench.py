"""What a durable acknowledgement costs: the local log beside SQLite under the same group commit.

`python -m bench.log_bench` prints the rows. A hundred asyncio clients each append 1 KB and wait for the
answer before the next. SQLite gets WAL and synchronous=FULL, one transaction per group, and the very
way the log has of queueing and answering. Both files are in the system's temporary folder.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Protocol

import uvloop

from bench.cpu import own_cpu
from bench.paired import Paired, interleaved
from bench.row import Row, at_least, at_most, plain
from dataplane.config.model import LogConfig
from dataplane.log.handoff import Handoff
from dataplane.log.local import open_reader, open_writer

CLIENTS = 100
SLICE = 0.4
ROUNDS = 9
BODY = os.urandom(512).hex().encode()
ENVELOPE = b"x" * 60
MARKS = bytes(9)


class Log(Protocol):
    """What the clients of both sides call."""

    def append(self, envelope: bytes, marks: bytes, body: bytes) -> asyncio.Future[int]:
        """Store one record durably."""
        ...

    def commits(self) -> int:
        """Groups committed so far."""
        ...

    async def close(self) -> None:
        """Stop."""
        ...


Item = tuple[asyncio.Future[int], bytes, bytes, bytes]


class Sqlite:
    """A table of records in SQLite, WAL and FULL, with the group commit of the local log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: Handoff[Item] = Handoff()
        self._going = True
        self._loop = asyncio.get_running_loop()
        self._commits = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def append(self, envelope: bytes, marks: bytes, body: bytes) -> asyncio.Future[int]:
        """Queue one row."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._queue.put((future, envelope, marks, body))
        return future

    def commits(self) -> int:
        """Transactions so far: one sync each, checkpoints not counted."""
        return self._commits

    async def close(self) -> None:
        """Stop the thread."""
        self._going = False
        self._queue.ring()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        base = sqlite3.connect(self._path, isolation_level=None)
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        base.execute("CREATE TABLE record (position INTEGER PRIMARY KEY, envelope BLOB, marks BLOB, body BLOB)")
        queue = self._queue
        going = True
        while going:
            going = self._going
            items = queue.take(0.1 if going else 0)
            if items:
                base.execute("BEGIN")
                base.executemany(
                    "INSERT INTO record (envelope, marks, body) VALUES (?, ?, ?)", [one[1:] for one in items]
                )
                base.execute("COMMIT")
                self._commits += 1
                self._loop.call_soon_threadsafe(self._answer, items)
        base.close()

    @staticmethod
    def _answer(items: list[Item]) -> None:
        for item in items:
            if not item[0].done():
                item[0].set_result(0)


class Local:
    """The local log under the same clients."""

    def __init__(self, folder: Path) -> None:
        self._writer = open_writer(folder, LogConfig(min_free_bytes=0))
        self.append = self._writer.append
        self.close = self._writer.close

    def commits(self) -> int:
        """Syncs so far."""
        return self._writer.health().syncs


@dataclass(slots=True)
class Slice:
    """One slice: acknowledgements, syncs, and seconds of the wall clock and of all threads' CPU."""

    acks: int
    syncs: int
    wall: float
    cpu: float


async def _load(log: Log, seconds: float) -> Slice:
    acks = 0
    stop = time.perf_counter() + seconds
    before = log.commits()

    async def client() -> None:
        nonlocal acks
        while time.perf_counter() < stop:
            await log.append(ENVELOPE, MARKS, BODY)
            acks += 1

    with own_cpu() as spent:
        await asyncio.gather(*[client() for _ in range(CLIENTS)])
    return Slice(acks, log.commits() - before, spent.wall, spent.cpu)


def _slice(make: Callable[[Path], Log], parent: Path, kept: list[Slice]) -> float:
    """Seconds per acknowledgement in a fresh log."""

    async def run(folder: Path) -> Slice:
        log = make(folder / "log")
        try:
            return await _load(log, SLICE)
        finally:
            await log.close()

    folder = Path(tempfile.mkdtemp(dir=parent))  # deleted at the very end: deleting is work for the disk too
    os.sync()  # what the slice before left to write must not be written during this one
    found = uvloop.run(run(folder))
    kept.append(found)
    return found.wall / found.acks


def rows() -> list[Row]:
    """Acknowledgements per second against SQLite, syncs and CPU per acknowledgement, reading."""
    local: list[Slice] = []
    sqlite: list[Slice] = []
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        found = interleaved(
            {"log": lambda: _slice(Local, parent, local), "sqlite": lambda: _slice(Sqlite, parent, sqlite)},
            rounds=ROUNDS,
        )
        reading = _reading(parent / "read")
    against = Paired(tuple(found["sqlite"]), tuple(found["log"]))
    syncs = median(one.syncs / one.acks for one in local[1:])
    name = f"at {CLIENTS} clients"
    return [
        at_least(f"log: acks/s over SQLite WAL FULL, {name}", against.ratio, 3.0, note=against.note),
        at_most(f"log: fsyncs per ack, {name}", syncs, 0.1, unit=""),
        plain(f"log: CPU per ack, {name}", _cpu(local), "us", "clients included"),
        plain(f"log: SQLite's CPU per ack, {name}", _cpu(sqlite), "us", "clients included"),
        plain(f"log: acks, {name}", _rate(local), "1/s"),
        plain(f"log: SQLite's acks, {name}", _rate(sqlite), "1/s"),
        plain("log: CPU of reading a 1 KB record", reading, "us"),
    ]


def _cpu(slices: list[Slice]) -> float:
    return median(one.cpu / one.acks for one in slices[1:]) * 1e6


def _rate(slices: list[Slice]) -> float:
    return median(one.acks / one.wall for one in slices[1:])


def _reading(folder: Path) -> float:
    async def write() -> None:
        log = Local(folder)
        await asyncio.gather(*[log.append(ENVELOPE, MARKS, BODY) for _ in range(20_000)])
        await log.close()

    uvloop.run(write())
    reader = open_reader(folder)
    position = count = 0
    with own_cpu() as spent:
        while records := reader.read(position):
            position = records[-1].end
            count += len(records)
    reader.close()
    return spent.cpu / count * 1e6


if __name__ == "__main__":
    for row in rows():
        print(f"{row.name:55} {row.value:10.3f} {row.unit:3} {row.target:10} {row.ok!s:5} {row.note}")
