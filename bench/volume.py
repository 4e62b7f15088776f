"""What only shows at a size that takes an hour: `python -m bench.volume [EVENTS] [BACKLOG]` (`make volume`).

Memory at a tenth of the events and at all of them, draining behind a backlog beside small ones, and how long
`explain` takes over the log they leave. Everything is on the disk of the system's temporary folder, about three
times the events' own bytes.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import cpu
from bench.delivery_bench import FEW, NO_RING, PAUSED, Counting, counting
from bench.load import Numbered, drive
from bench.plane import Plane
from bench.row import Row, at_least, at_most, plain

__all__ = ["rows"]

KEY = "wk_bench"
CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
egress: {{allow_private: true}}
log: {{max_bytes: 60GB, retention: 7d}}
sources:
  web: {{write_key: wk_bench}}
destinations:
  d:
    type: webhook
    settings: {{webhook_url: "{url}", idempotency_key: false}}
    delivery: {{batch: 50, linger: 20ms}}
    backlog: {{max_bytes: 40GB}}
"""
REST = "-7b1e-4a2d-9c55-0123456789ab"
"""Behind the number in the messageIds of `bench.load`."""
PIECE = 50_000
"""Events that are sent before one looks again."""
LOOKS = 30
MOST_MILLIS = 200
MEGABYTE = 1e6


def rows(folder: Path, events: int, backlog: int) -> list[Row]:
    """All of them; `events` 10,000,000 and `backlog` 5,000,000 take about an hour on two cores."""
    with counting(folder / "sink") as sink:
        plane = Plane(folder / "plane", CONFIG.format(url=sink.url), NO_RING)
        try:
            plane.start()
            run = _Run(plane, sink)
            found = run.drained(events // 10, backlog)
            small = run.small
            run.pour(events)
            sink.wait(run.sent, timeout=3600)
            found += [
                at_most(f"volume: RssAnon of {role}, {events:,} events / {events // 10:,}", large / small[role], 1.1,
                        note=f"{large / MEGABYTE:.1f} and {small[role] / MEGABYTE:.1f} MB")
                for role, large in run.memory().items() if role in small
            ]
            return found + run.explained()
        finally:
            plane.kill()


class _Run:
    def __init__(self, plane: Plane, sink: Counting) -> None:
        self.plane, self.sink, self.sent = plane, sink, 0
        self.small: dict[str, int] = {}

    def pour(self, until: int) -> None:
        """Send until so many events were taken, and wait until they have their numbers."""
        while self.sent < until:
            piece = min(PIECE, until - self.sent)
            load = drive(
                self.plane.url, Numbered(self.plane.url, KEY, 50), connections=4, first=self.sent // 50,
                count=piece // 50,
            )
            if load.bad:
                raise RuntimeError(f"{load.bad} batches were refused")
            self.sent += piece
            _say(f"{self.sent:,} events sent")
        self._sequenced()

    def memory(self) -> dict[str, int]:
        """Bytes of RssAnon by role."""
        return {name: cpu.anonymous_memory(pid) for name, pid in self.plane.roles().items()}

    def drained(self, first: int, backlog: int) -> list[Row]:
        """Memory at `first` events, then what draining costs behind few and behind many."""
        self.pour(first)
        self.sink.wait(self.sent, timeout=3600)
        self.small = self.memory()
        few = [self._drain(FEW) for _ in range(5)]
        many = self._drain(backlog)
        few += [self._drain(FEW) for _ in range(5)]
        return [at_least(
            f"volume: events per CPU second behind {backlog:,} events, over behind {FEW:,}", median(few) / many, 0.9,
            note=f"{many * 1e6:.1f} and {median(few) * 1e6:.1f} us per event",
        )]

    def _drain(self, count: int) -> float:
        self.plane.ask("/pause", PAUSED)
        self.pour(self.sent + count)
        pipeline = self.plane.roles()["pipeline"]
        before = cpu.cpu_seconds(pipeline)
        self.plane.ask("/resume", PAUSED)
        self.sink.wait(self.sent, timeout=3600)
        spent = (cpu.cpu_seconds(pipeline) - before) / count
        _say(f"drained {count:,} at {spent * 1e6:.1f} us per event")
        return spent

    def explained(self) -> list[Row]:
        """Milliseconds of `explain` by messageId, of events from all over the log."""
        chance = random.Random(5)
        took = []
        for _ in range(LOOKS):
            ident = f"{chance.randrange(self.sent):08x}{REST}"
            began = time.perf_counter()
            answer = self.plane.ask(f"/explain/{ident}")
            took.append((time.perf_counter() - began) * 1000)
            if not answer:
                raise RuntimeError(f"{ident} was not found")
        log = sum(f.stat().st_size for f in (self.plane.folder / "data" / "log").rglob("*") if f.is_file())
        return [
            at_most(f"volume: explain by messageId over {log / 1e9:.1f} GB of log, median", median(took), MOST_MILLIS,
                    "ms"),
            plain("volume: the slowest of them", max(took), "ms", f"of {LOOKS}"),
        ]

    def _sequenced(self) -> None:
        until = time.monotonic() + 600
        while self.plane.status()["sequenced"] < self.sent:
            if time.monotonic() > until:
                raise TimeoutError("the log is not read to its end")
            time.sleep(0.05)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> None:
    """Print the rows."""
    events = int(arguments[0]) if arguments else 10_000_000
    backlog = int(arguments[1]) if arguments[1:] else events // 2
    with tempfile.TemporaryDirectory(prefix="turnout-volume-") as folder:
        for row in rows(Path(folder), events, backlog):
            print(f"{row.name:90} {row.value:10.3f} {row.unit:3} {row.target:8} {row.note}")


if __name__ == "__main__":
    main(sys.argv[1:])
