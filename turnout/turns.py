"""Exchanges of one event after the other, each with requests that depend on the answers before."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from turnout import verdict as verdicts
from turnout.destination import BEHIND, Context, Exchange, stopping
from turnout.event import Event
from turnout.request import Request, Response
from turnout.verdict import Verdict

__all__ = ["Steps", "in_turn"]

Steps = Generator[Request, Response, Verdict]
"""What is sent for one event: a generator that is handed the answer to each request, and ends in a verdict."""


def in_turn(events: Sequence[Event], at: Context, steps: Callable[[Event, Context], Steps]) -> Exchange:
    """One verdict per event, in input order, from the steps of each; for an `exchange` that looks things up.

    Keeps the rules of the default exchange: a user's later events wait behind one that must be tried again, and
    after a pause or a 429 nothing more is sent.
    """
    found: list[Verdict] = []
    ordered = at.delivery.order == "user"
    held: set[int] = set()
    stop: Verdict | None = None
    for i, event in enumerate(events):
        if stop is not None:
            found.append(stop)
            continue
        if event.key in held:
            found.append(verdicts.retry(BEHIND))
            continue
        verdict = yield from _carried(i, steps(event, at))
        if not verdict.final and ordered and event.key:
            held.add(event.key)
        stop = stopping(stop, verdict)
        found.append(verdict)
    return found


def _carried(i: int, steps: Steps) -> Generator[Request, Response | None, Verdict]:
    """The steps of event `i`, whose requests say so."""
    try:
        asked = next(steps)
        while True:
            answer = yield replace(asked, events=(i,))
            assert answer is not None
            asked = steps.send(answer)
    except StopIteration as end:
        verdict: Verdict = end.value
        return verdict
