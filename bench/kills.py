"""SIGKILL to every process, again and again, under load; then count what was promised and what came."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.load import Apart, Numbered, number_of
from bench.plane import Plane
from bench.sink import Sink

__all__ = ["Outcome", "kill_under_load"]

CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
egress: {{allow_private: true}}
sources:
  web: {{write_key: wk_bench}}
destinations:
  hook:
    type: webhook
    settings: {{webhook_url: "{url}/"}}
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts of one run. `lost` were acknowledged and never arrived; `disordered` came before an earlier
    event of their user that was acknowledged before they were sent; `again` arrived more than once."""

    kills: int
    acknowledged: int
    arrived: int
    lost: int
    disordered: int
    again: int


def kill_under_load(
    folder: Path, kills: int, *, seed: int = 7, connections: int = 16,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run a data plane in `folder`, kill it `kills` times at random moments, and wait for all it promised.

    Every connection is one user that sends its next event when the last one was acknowledged.
    """
    chance = random.Random(seed)
    acknowledged: dict[int, float] = {}
    with Sink() as sink, Apart() as load:
        plane = Plane(folder, CONFIG.format(url=sink.url))
        first = 0
        try:
            for kill in range(kills + 1):
                plane.start()
                requests = Numbered(plane.url, "wk_bench", by_connection=True)
                running = load.drive(plane.url, requests, connections=connections, first=first,
                                     seconds=1.5, keep=True)
                if kill < kills:
                    time.sleep(chance.uniform(0.15, 0.8))
                    plane.kill()
                found = running.result(60)
                acknowledged |= found.acknowledged
                first = max([first, *found.acknowledged]) + 1_000
                say(f"kill {kill}: {found.good} acknowledged, {len(sink.arrivals)} requests arrived")
            seen = Seen(sink)
            sink.wait(lambda _: acknowledged.keys() <= seen.counts().keys(), timeout=120)
            plane.stop()
        finally:
            plane.kill()
    counts = seen.counts()
    return Outcome(
        kills, len(acknowledged), len(counts), len(acknowledged.keys() - counts.keys()),
        disordered(seen.order, acknowledged), sum(n - 1 for n in counts.values()),
    )


class Seen:
    """Which events a sink has, by number; each arrival is decoded once."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._read = 0
        self._counts: dict[int, int] = {}
        self.order: list[tuple[str, int]] = []
        """(user, number) of first arrivals, in order."""

    def counts(self) -> dict[int, int]:
        """How often each event has arrived by now."""
        while self._read < len(self._sink.arrivals):
            message = self._sink.arrivals[self._read].json
            self._read += 1
            number = number_of(message)
            if number not in self._counts:
                self.order.append((message["userId"], number))
            self._counts[number] = self._counts.get(number, 0) + 1
        return self._counts


def disordered(order: list[tuple[str, int]], acknowledged: dict[int, float]) -> int:
    """First arrivals that come after a later event of their user.

    A user sends its next event only after the last one's 200, so numbers of one user only grow. What
    was not acknowledged promises nothing about order and is left out.
    """
    last: dict[str, int] = {}
    wrong = 0
    for user, number in order:
        if number not in acknowledged:
            continue
        wrong += number < last.get(user, -1)
        last[user] = max(number, last.get(user, -1))
    return wrong
