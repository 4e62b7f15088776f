"""What every fault is tried on: a data plane with two ingest processes, three destinations, and many users.

*plain* gets each event by itself and refuses some, *shaped* gets what a script makes of them, *kept* is a file.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, NamedTuple
from urllib.error import URLError

from bench.faults.account import Arrival, Fate, Outcome, arrived, sums, verdicts
from bench.faults.users import Users
from bench.plane import Plane
from bench.sink import Sink
from dataplane.log.base import MARK, REFUSED
from dataplane.log.partitions import open_partitions

__all__ = ["FATES", "SCRIPT", "Answers", "Damage", "Scene", "restarts", "settled", "until"]

CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
log: {log}
egress: {{allow_private: true}}
processes: {{ingest: 2, pipeline: {pipelines}}}
sources:
  web: {{write_key: wk_bench}}
transformations:
  shape: {{file: shape.py}}
destinations:
  plain:
    type: webhook
    settings: {{webhook_url: "{url}/plain"}}
  shaped:
    type: webhook
    settings: {{webhook_url: "{url}/shaped"}}
    delivery: {{batch: 20, linger: 20ms}}
    transformation: shape
  kept:
    type: file
    settings: {{path: ./kept}}
    delivery: {{batch: 100, linger: 20ms}}
"""
SCRIPT = """\
def transformEvent(event, metadata):
    last = event["properties"]["n"] % 10
    if last == 3:
        return None
    if last == 7:
        raise ValueError("seven")
    return [event, event] if last == 5 else event
"""


def plain(n: int) -> Fate:
    """Event 11 of 20 is refused for good."""
    return Fate(0, dead=1) if n % 20 == 11 else Fate()


def shaped(n: int) -> Fate:
    """The script drops some, raises on some and doubles some."""
    return {3: Fate(0, filtered=1), 7: Fate(0, dead=1), 5: Fate(2, born=1)}.get(n % 10, Fate())


FATES: Mapping[str, Callable[[int], Fate]] = {"plain": plain, "shaped": shaped, "kept": lambda _: Fate()}


class Damage(NamedTuple):
    """What is done to a data folder, and what it may cost: events of `records` of the log, which are dead then,
    `reread` of what was sent already, `retried` events that only the state held. `counted`: the sums hold. `said` is
    the event of the log line, `pipelines` how many processes deliver."""

    do: Callable[[Path, Random], None]
    records: int = 0
    reread: bool = False
    retried: bool = False
    counted: bool = True
    said: str = ""
    pipelines: int = 1


class Answers:
    """The destinations' answers: *plain* refuses event 11 of 20, and event 13 of 100 fails the first time.

    While `closed`, both answer 503.
    """

    def __init__(self) -> None:
        self.closed = False
        self._failed: set[bytes] = set()

    def __call__(self, path: str, body: bytes) -> int:
        """The status for one request."""
        if self.closed:
            return 503
        n = json.loads(body)["properties"]["n"] if "plain" in path else 0
        if n % 20 == 11:
            return 400
        if n % 100 == 13 and body not in self._failed:
            self._failed.add(body)
            return 503
        return 200


class Scene:
    """`with Scene(folder) as scene:` it runs; every process of it is gone afterwards.

    `more` is appended to the config, `log` its section of that name, `environ` added to the environment,
    `pipelines` how many processes deliver.
    `ends` are the moments (monotonic) at which the process that sends died.
    """

    def __init__(
        self, folder: Path, *, more: str = "", log: str = "{segment_bytes: 1000000}",
        environ: dict[str, str] | None = None, pipelines: int = 1,
    ) -> None:
        self.folder = folder
        self.answers = Answers()
        self.sink = Sink(self.answers)
        self.ends: list[float] = []
        self._more = more
        self._log = log
        self._pipelines = pipelines
        self._environ = environ
        self._clear: list[float] = []
        self._lines: list[Counter[str]] = []

    def __enter__(self) -> Scene:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "shape.py").write_text(SCRIPT)
        self.sink.__enter__()
        try:
            config = CONFIG.format(url=self.sink.url, log=self._log, pipelines=self._pipelines) + self._more
            self.plane = Plane(self.folder, config, self._environ)
            self.plane.start()
        except BaseException:
            self.sink.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.plane.kill()
        self.sink.__exit__(kind, error, trace)

    def users(self, count: int, pause: float = 0.05, *, repeats: bool = True) -> Users:
        """Users of it."""
        return Users(lambda: self.plane.url, "wk_bench", count, pause=pause, repeats=repeats)

    def ended(self, moment: float, ports: Collection[int] | None = None) -> None:
        """A process that sends died at `moment`: remember what it had sent, before another does in its place.

        A dead process has no connections (those it had were from `ports`; None: all there are); what it had
        written before is read first.
        """
        patience = time.monotonic() + 1.0
        while (self.sink.peers if ports is None else self.sink.peers.intersection(ports)) and (
            time.monotonic() < patience
        ):
            time.sleep(0.002)
        self.ends.append(moment)
        self._clear.append(time.monotonic())
        self._lines.append(Counter(name for name, _ in _lines(self.folder / "kept")))

    def judge(
        self, outcome: Outcome, load: Users, status: Mapping[str, Any], damage: Damage | None = None, *,
        one_day: bool = True,
    ) -> Outcome:
        """Fill the outcome in, with the plane stopped: arrivals, counts, sums, and what the log itself holds.

        After `damage` only what must hold all the same is looked at. Files have a day in their names: where it was
        not `one_day`, nobody knows in which order their lines were written.
        """
        reread = damage is not None and damage.reread
        for name, fate in FATES.items():
            found, unknown = self.arrivals(name), name == "kept" and not one_day
            arrived(outcome, sorted(found) if unknown else found, load.acknowledged, fate, self.ends,
                    reread=reread or unknown)  # fmt: skip
        if damage is None or not (damage.reread or damage.records):
            outcome.wrong += sums(status, load.total)
            outcome.wrong += verdicts(status, load.acknowledged, FATES)
            outcome.wrong += received(self.folder / "data", status)
        elif damage.counted:
            outcome.wrong += sums(status, None)
        return outcome

    def arrivals(self, name: str) -> list[Arrival]:
        """What a destination was sent, in order."""
        if name == "kept":
            lines, places = [], Counter[str]()
            for name, line in _lines(self.folder / "kept"):
                places[name] += 1  # each process has files of its own
                life = sum(ended[name] < places[name] for ended in self._lines)
                lines.append(Arrival(*_number(json.loads(line)), life=life))
            return lines
        found = []
        for request, one in enumerate(list(self.sink.arrivals)):
            if name not in one.path:
                continue
            value, life = one.json, bisect_left(self._clear, one.at)
            found += [
                Arrival(*_number(event), one.at, life, one.status == 200, one.status != 503, request)
                for event in (value if isinstance(value, list) else [value])
            ]
        return found


def received(data: Path, status: Mapping[str, Any]) -> list[str]:
    """`received = refused + duplicate + unique`, with what the log's own records say was received."""
    counts = {
        name: sum(row[name] for row in status["sources"].values()) for name in ("unique", "duplicate", "refused")
    }
    partitions = open_partitions(data / "log", len(list((data / "log").iterdir())), consumer="count")
    came = refused = 0
    try:
        for number in partitions.numbers:
            position = 0
            while records := partitions.read(number, position):
                for record in records:
                    flags = record.marks[::MARK]
                    came += len(flags)
                    refused += sum(bool(flag & REFUSED) for flag in flags)
                position = records[-1].end
    finally:
        partitions.close()
    wrong = []
    if refused != counts["refused"]:
        wrong.append(f"{counts['refused']} refused, but the log holds {refused}")
    if came != sum(counts.values()):
        wrong.append(f"{counts} are not the {came} events that the log received")
    return wrong


def settled(plane: Plane, patience: float = 90.0) -> dict[str, Any]:
    """Wait until every event has its verdict; the status then.

    Raises `TimeoutError` with the status where nothing changes for `patience` seconds.
    """
    moved, before = time.monotonic(), tuple[Any, ...]()
    while True:
        status: dict[str, Any] = {}
        with suppress(URLError, TimeoutError):  # a role is just coming back: asked again
            status = plane.status()
        if _quiet(status):
            return status
        rows = status.get("destinations", {}).values()
        now = tuple((row["pending"], row["unread"], row["delivered"]) for row in rows)
        if now and now != before:
            moved, before = time.monotonic(), now
        if time.monotonic() > moved + patience:
            raise TimeoutError(f"nothing changes for {patience:g} s: {json.dumps(status)}")
        time.sleep(0.1)


def restarts(status: Mapping[str, Any]) -> str:
    """Which roles were started again, as a sentence."""
    found = {name: role["restarts"] for name, role in status["roles"].items() if role["restarts"]}
    return "restarts: " + (", ".join(f"{name} {count}" for name, count in found.items()) or "none")


def _quiet(status: Mapping[str, Any]) -> bool:
    rows = status.get("destinations")
    if rows is None or status["stale"] or status["log"] is None:
        return False
    parts = status["log"]["partitions"].values()
    if any(part["sequenced"] is None or part["sequenced"] < part["head"] for part in parts):
        return False
    return all(row["pending"] == 0 and row["unread"] == 0 for row in rows.values())


def until(true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait until it is so; raises `TimeoutError` with `what` did not come about."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds:g} s: {what}")
        time.sleep(0.02)


def _lines(folder: Path) -> Sequence[tuple[str, bytes]]:
    """Whole lines of the file destination and their files, those of a user in the order in which they were written."""
    return [
        (path.name, line)
        for path in sorted(folder.glob("*.ndjson"))
        for line in path.read_bytes().split(b"\n")[:-1]
    ]


def _number(event: Mapping[str, Any]) -> tuple[int, int]:
    return int(event["userId"][1:]), int(event["properties"]["n"])
