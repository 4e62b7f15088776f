"""Verdicts as they are reached, kept for whoever watches.

Nobody watching costs one look at an attribute per verdict. A watcher asks for what has come in since it
asked last; what it does not fetch in time is dropped and counted, never waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from dataplane.deliver.entry import Entry
from dataplane.pipeline import head as heads
from dataplane.pipeline.head import EventHead, text
from turnout import clock
from turnout.clock import Clock
from turnout.errors import Refused
from turnout.verdict import Outcome, Verdict

__all__ = ["FILTERS", "VERDICTS", "Tail", "Watch"]

RING = 2_000
"""Lines kept for one watcher between two questions."""
NAME = 80
KEY = 6
VERDICTS = ("delivered", "filtered", "dead", "pending")
FILTERS = ("source", "destination", "event", "verdict")

Line = dict[str, Any]


class Watch:
    """All watchers of an engine; it is there only while there is one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.tails: dict[int, Tail] = {}

    def reached(self, destination: str, entry: Entry, child: int, raw: bytes, verdict: Verdict) -> None:
        """An event's output has a verdict, or waits (retry and pause count as pending)."""
        outcome = verdict.outcome
        name = "pending" if outcome in (Outcome.RETRY, Outcome.PAUSE) else outcome.value
        line: Line | None = None
        for tail in self.tails.values():
            if not tail.may_want(entry.source, destination, name):
                continue
            if line is None:
                line = {
                    "at": clock.iso(self._clock.now()), "number": entry.number, "child": child,
                    "source": entry.source, **_told(raw), "destination": destination, "verdict": name,
                    "status": verdict.status, "reason": verdict.reason,
                }  # fmt: skip
            tail.offer(line)


class Tail:
    """One watcher's filters, and what it has not fetched yet."""

    def __init__(self, wanted: Mapping[str, str]) -> None:
        self._source, self._destination, event, self._verdict = (wanted.get(name, "") for name in FILTERS)
        self._event = event.lower()
        self._lines: deque[Line] = deque(maxlen=RING)
        self._came = 0
        self.expires: asyncio.TimerHandle | None = None

    def may_want(self, source: str, destination: str, verdict: str) -> bool:
        return (
            (not self._source or source == self._source)
            and (not self._destination or destination == self._destination)
            and (not self._verdict or verdict == self._verdict)
        )

    def offer(self, line: Line) -> None:
        if not self._event or self._event in (line["event"].lower(), line["type"]):
            self._lines.append(line)
            self._came += 1

    def fetch(self) -> dict[str, Any]:
        """`{"lines", "not_shown"}` since the last call."""
        lines, came = list(self._lines), self._came
        self._lines.clear()
        self._came = 0
        return {"lines": lines, "not_shown": came - len(lines)}


def _told(raw: bytes) -> dict[str, str]:
    """What a line shows of an event itself."""
    try:
        head = heads.read(raw) if raw else EventHead()
    except Refused:
        head = EventHead()
    user = text(head.userId) or text(head.anonymousId)
    return {"type": (head.type or "").lower(), "event": (head.event or "")[:NAME], "user": _short(user)}


def _short(key: str) -> str:
    """Enough of a user's id to tell neighbours apart."""
    return key if len(key) <= KEY else key[:KEY] + "…"
