"""The exchange: what Braze knows first, then who anonymous users are, then everything else."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from destinations.braze.profiles import Made, Profiles
from turnout.destination import UNSENT, Context, Destination, Exchange
from turnout.event import Event
from turnout.packing import carrying
from turnout.request import Checkpoint, Json, Request, Response
from turnout.verdict import Outcome, Verdict, worst

__all__ = ["Ready", "both", "heads", "known", "left", "resolved", "stopped"]

Ready = Mapping[int, Made]
"""By `id` of an event: what is to be sent of it."""
Asking = Generator[Request | Checkpoint, Response | None, Verdict | list[Made]]


def known(adapter: Destination[Any], url: str, made: list[Made], at: Context) -> Asking:
    """What is left to send once Braze has told the profiles of all users; a verdict for all where it does not yet."""
    profiles = Profiles()
    for body in profiles.asks(made):
        answer = yield Request("POST", url, Json(body), events=tuple(range(len(made))))
        assert answer is not None
        verdict = adapter.judge(answer, at)
        if not verdict.final:
            return verdict
        if 200 <= answer.status < 300 and not answer.cut:
            profiles.read(answer.json())
    return [profiles.reduced(one) for one in made]


def resolved(
    adapter: Destination[Any], url: str, events: Sequence[Event], made: Sequence[Made], at: Context
) -> Generator[Request | Checkpoint, Response | None, dict[int, Verdict]]:
    """Send the requests to `url` that begin their event, and their user; verdicts by place.

    They travel ahead of all others, so that what follows them is one batch with what needs none.
    """
    seen: set[int] = set()
    places: list[int] = []
    for place, (event, one) in enumerate(zip(events, made, strict=True)):
        begins = isinstance(one, list) and len(one) > 1 and one[0].url == url
        if begins and not (event.key and event.key in seen):
            places.append(place)
        seen.add(event.key)
    if not places:
        return {}
    steps: Exchange = Destination.exchange(adapter, [events[place] for place in places], at)
    reply: Response | None = None
    while True:
        try:
            asked = steps.send(reply)
        except StopIteration as stop:
            return dict(zip(places, stop.value, strict=True))
        if isinstance(asked, Request):
            asked = carrying(asked, tuple(places[i] for i in asked.events))
        reply = yield asked


def stopped(made: Sequence[Made], ahead: Mapping[int, Verdict]) -> list[Verdict] | None:
    """Verdicts of all where one says that nothing more may be sent for now."""
    for one in ahead.values():
        if one.outcome is Outcome.PAUSE or (one.outcome is Outcome.RETRY and one.status == 429):
            unsent = replace(one, reason=f"{UNSENT}{one.reason}")
            return [it if isinstance(it, Verdict) else ahead.get(place, unsent) for place, it in enumerate(made)]
    return None


def heads(events: Sequence[Event], made: Sequence[Made]) -> Ready:
    """Of each event the first request."""
    return {
        id(event): one[:1] if isinstance(one, list) else one for event, one in zip(events, made, strict=True)
    }


def left(events: Sequence[Event], made: Sequence[Made], ahead: Mapping[int, Verdict]) -> Ready:
    """What is still to be sent: nothing behind a request that failed."""
    ready: dict[int, Made] = {}
    for place, (event, one) in enumerate(zip(events, made, strict=True)):
        verdict = ahead.get(place)
        if verdict is None or not isinstance(one, list):
            ready[id(event)] = one
        else:
            ready[id(event)] = one[1:] if verdict.outcome is Outcome.DELIVERED else verdict
    return ready


def both(ahead: Mapping[int, Verdict], rest: Sequence[Verdict]) -> list[Verdict]:
    """Of each event the worse of its two."""
    return [worst(ahead.get(place), one) for place, one in enumerate(rest)]
