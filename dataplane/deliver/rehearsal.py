"""What an adapter would ask for to deliver one event, sending nothing: for preview, replay and plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from turnout.auth import shown
from turnout.bounds import Bounded, Endless
from turnout.destination import Context, Destination
from turnout.event import Event
from turnout.preview import curl, describe, describe_record
from turnout.request import Record, Request, Response
from turnout.verdict import Verdict, dead

__all__ = ["asked", "rehearse", "stopped"]

_ANSWER = Response(200, {}, b"{}")


def rehearse(adapter: Destination[Any], event: Event, at: Context) -> dict[str, Any]:
    """`{"verdict", "reason", "requests": […], "records": […]}`, with every answer taken as 200.

    The verdict is `send`, or why nothing is sent. Requests are shown with secrets masked, and as a
    curl line.
    """
    secrets = adapter.settings.secrets()
    made = asked(adapter, event, at)
    if isinstance(made, Verdict):
        return stopped(made.outcome, made.reason)
    if isinstance(made, Record):
        return {**stopped("send"), "records": [describe_record(made, secrets)]}
    seen = [shown(adapter.auth, one) for one in made]
    return {**stopped("send"), "requests": [{**describe(one, secrets), "curl": curl(one, secrets)} for one in seen]}


def asked(adapter: Destination[Any], event: Event, at: Context) -> list[Request] | Record | Verdict:
    """Every request, or the record, with every answer taken as 200; or why nothing is asked for.

    An adapter that looks something up ends with an answer that says nothing; what it would send next is
    among what its `request` gives, which is then taken.
    """
    made = adapter.verdict(event, at)
    if isinstance(made, Verdict | Record):
        return made
    try:
        found = _exchange(adapter, event, at)
    except Endless as error:
        return dead(error.message)
    return made if len(made) > len(found) else found


def stopped(verdict: str, reason: str = "") -> dict[str, Any]:
    """The answer where nothing is asked for."""
    return {"verdict": str(verdict), "reason": reason, "requests": [], "records": []}


def _exchange(adapter: Destination[Any], event: Event, at: Context) -> list[Request]:
    steps = Bounded(adapter.slug, adapter.exchange([event], at), 1)
    found: list[Request] = []
    answer: Response | None = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration:
            return found
        answer = None
        if isinstance(step, Request):
            found.append(replace(step, events=()))
            answer = _ANSWER
