"""A tool of asynchronous jobs, as bulk APIs are: make a job, add rows, close it, ask whether it is done, read rows.

The adapter is a plug-in that a config names as `bulk`; a process of its own finds it by `plugged_in`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from turnout import (
    Checkpoint,
    Context,
    Delivery,
    Destination,
    Event,
    Json,
    Request,
    Response,
    Settings,
    Verdict,
    dead,
    delivered,
    filtered,
    per_item,
    retry,
)
from turnout.destination import Exchange
from turnout.testing import Received, Tool

ENTRY = EntryPoint("bulk", "bulk_tool:Bulk", "turnout.destinations")


class BulkSettings(Settings):
    url: str = Field(description="Where the jobs are.", examples=["http://127.0.0.1:9/"])


class Failed(Exception):
    """An answer that ends the exchange for now; `verdict` is what it means for all of it."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


class Bulk(Destination[BulkSettings]):
    """Every step is done once: where an answer was lost, the same step is asked for again, and harmless."""

    slug: ClassVar = "bulk"
    names: ClassVar = ("Bulk",)
    delivery = Delivery(batch=50, linger=timedelta(milliseconds=100), concurrency=2)
    settings_type: ClassVar = BulkSettings
    resumable: ClassVar = True
    seen: ClassVar[list[tuple[Any, list[tuple[int, int]]]]] = []
    """What each call of `exchange` was given, for tests in this process."""

    def exchange(self, events: Sequence[Event], at: Context, resume: Any | None = None) -> Exchange:
        self.seen.append((resume, [(event.number, event.child) for event in events]))
        found = [filtered("no rows") if e.get("event") == "Skip" else None for e in events]
        sent = [i for i, verdict in enumerate(found) if verdict is None]
        try:
            said: Sequence[Verdict] = (yield from self._job(events, sent, at, resume)) if sent else ()
        except Failed as failed:
            said = [failed.verdict] * len(sent)
        told = dict(zip(sent, said, strict=True))
        return [verdict or told[i] for i, verdict in enumerate(found)]

    def _job(self, events: Sequence[Event], sent: list[int], at: Context, state: Any) -> Generator[Any, Any, Any]:
        everyone = tuple(sent)
        if state is None:
            made = yield from self._ask("POST", "jobs", at, everyone)
            state = {"job": made["id"], "step": "made"}
            yield Checkpoint(state)
        path = f"jobs/{state['job']}"
        if state["step"] == "made":
            rows = [events[i].message_id for i in sent]
            yield from self._ask("PUT", f"{path}/rows", at, everyone, rows)
            yield Checkpoint(state := {**state, "step": "added"})
        if state["step"] == "added":
            yield from self._ask("POST", f"{path}/close", at, everyone)
            yield Checkpoint(state := {**state, "step": "closed"})
        job = yield from self._ask("GET", path, at, everyone)
        if job["state"] != "done":
            raise Failed(retry("the job is running", after=job["after"]))
        rows = yield from self._ask("GET", f"{path}/rows", at, everyone)
        verdicts = per_item(rows, len(sent), _row, rest=delivered(200))
        if not all(verdict.final for verdict in verdicts):
            yield Checkpoint(None)
        return verdicts

    def _ask(
        self, method: str, path: str, at: Context, events: tuple[int, ...], body: Any = None
    ) -> Generator[Request, Response, Any]:
        request = Request(method, self.settings.url + path, None if body is None else Json(body), events=events)
        response = yield request
        if response.status != 200:
            raise Failed(self.judge(response, at))
        return response.json()


def _row(row: Mapping[str, Any]) -> Verdict:
    return retry("the row is locked", after=0.1) if row["error"] == "locked" else dead(f"row: {row['error']}", 200)


class BulkServer(Tool):
    """`taken` are the messageIds of closed jobs; `polls` is how often a job says that it runs."""

    def __init__(self, **chosen: Any) -> None:
        super().__init__(**chosen)
        self.polls = 0
        self.after = 0.1
        self.errors: dict[str, list[str]] = {}
        """What becomes of a row by its messageId: one word for each job that it is in, the last for ever."""
        self.taken: list[str] = []
        self.asked: Counter[str] = Counter()
        self.lose: set[str] = set()
        """Steps that are done and whose answer is lost, each once: a 503."""
        self._jobs: dict[str, dict[str, Any]] = {}

    def answered(self, asked: Received) -> tuple[int, Any]:
        step, status, said = self._done(asked)
        self.asked[step] += 1
        self.done(step)
        if step in self.lose:
            self.lose.discard(step)
            return 503, {}
        return status, said

    def done(self, step: str) -> None:
        """A step was done, and is not answered yet."""

    def _done(self, asked: Received) -> tuple[str, int, Any]:
        if asked.path == "/jobs":
            ident = str(len(self._jobs) + 1)
            self._jobs[ident] = {"rows": [], "closed": False, "left": self.polls}
            return "make", 200, {"id": ident}
        found = re.fullmatch(r"/jobs/(\d+)(/rows|/close)?", asked.path)
        job = self._jobs.get(found[1]) if found else None
        if found is None or job is None:
            return "odd", 404, {}
        if found[2] == "/rows" and asked.method == "PUT":
            if job["closed"]:
                return "odd", 409, {}
            job["rows"] = asked.json()
            return "add", 200, {}
        if found[2] == "/close":
            if not job["closed"]:
                job["closed"] = True
                self.taken.extend(job["rows"])
                errors = [self._error(row) for row in job["rows"]]
                job["errors"] = [{"index": i, "error": error} for i, error in enumerate(errors) if error]
            return "close", 200, {}
        if not job["closed"]:
            return "odd", 409, {}
        if found[2] == "/rows":
            return "rows", 200, job["errors"]
        job["left"] -= 1
        running = {"state": "running", "after": self.after}
        return "poll", 200, {"state": "done"} if job["left"] < 0 else running

    def _error(self, row: str) -> str:
        words = self.errors.get(row, [])
        return words.pop(0) if len(words) > 1 else words[0] if words else ""


def plugged_in(folder: Path) -> dict[str, str]:
    """The environment of a process that finds the plug-in: its entry point is written into `folder`."""
    info = folder / "bulk_tool-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bulk-tool\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY.group}]\n{ENTRY.name} = {ENTRY.value}\n")
    return {"PYTHONPATH": f"{folder}:{Path(__file__).parent}"}
