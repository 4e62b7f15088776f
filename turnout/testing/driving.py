"""Runs an exchange without a network: a function answers instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from turnout.destination import Context, Destination
from turnout.event import Event
from turnout.request import Checkpoint, Request, Response
from turnout.verdict import Verdict

__all__ = ["drive"]


def drive(
    adapter: Destination[Any],
    events: Sequence[Event],
    at: Context,
    answer: Callable[[Request], Response],
    resume: Any | None = None,
) -> tuple[Sequence[Verdict], list[Request]]:
    """The verdicts and the requests, in sending order; a tool of records is judged, not sent.

    Checkpoints must be plain JSON; they are accepted and not kept.
    """
    if adapter.records:
        raise TypeError(f"{adapter.slug} returns records: its client.py delivers them")
    sent: list[Request] = []
    steps = adapter.exchange(events, at, resume)
    reply: Response | None = None
    while True:
        try:
            asked = steps.send(reply)
        except StopIteration as stop:
            verdicts: Sequence[Verdict] = stop.value
            return verdicts, sent
        if isinstance(asked, Checkpoint):
            reply = None
            continue
        sent.append(asked)
        reply = answer(asked)
