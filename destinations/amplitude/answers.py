"""What Amplitude's answers mean for each event of a request.

Source: https://amplitude.com/docs/apis/analytics/http-v2 and
https://amplitude.com/docs/apis/analytics/batch-event-upload (the bodies of 400 and 429). Whatever the status
is, an upload that is not answered with 200 was not taken at all: the events it does not object to are sent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from turnout import Json, Request, Response, Verdict, dead, retry
from turnout.clock import retry_after

__all__ = ["refused", "throttled"]

PAUSE = 30.0
"""Seconds in which a throttled user or device is left alone, where the answer does not say."""
QUOTA = 3600.0
"""Seconds until an event of a user past the daily quota is tried again: the quota counts the last 24 hours."""
_BY_FIELD = {
    "events_with_invalid_fields": "HTTP 400: Amplitude cannot read a field of this event",
    "events_with_missing_fields": "HTTP 400: Amplitude misses a field of this event",
    "events_with_invalid_id_lengths": "HTTP 400: an id of this event is too short for Amplitude",
}
_SILENCED = "HTTP 400: Amplitude takes nothing from this device any more"
_AGAIN = "HTTP {0}: not taken because of other events in the same upload"


def refused(request: Request, said: Mapping[str, Any]) -> list[Verdict] | None:
    """For a 400 that names events by their place: those are dead, the others are sent again; None for another."""
    count = len(request.events)
    found: dict[int, Verdict] = {}
    for field, reason in _BY_FIELD.items():
        named = said.get(field)
        for places in named.values() if isinstance(named, Mapping) else ():
            found |= dict.fromkeys(_places(places, count), dead(reason, 400))
    found |= dict.fromkeys(_places(said.get("silenced_events"), count), dead(_SILENCED, 400))
    if not found:
        return None
    again = retry(_AGAIN.format(400))
    return [found.get(place, again) for place in range(count)]


def throttled(request: Request, response: Response, said: Mapping[str, Any], now: datetime) -> list[Verdict] | None:
    """For a 429 that names users, devices or events: those wait, the others are sent again; None for another."""
    names = ("throttled_users", "throttled_devices", "throttled_events")
    quotas = ("exceeded_daily_quota_users", "exceeded_daily_quota_devices")
    if not any(said.get(name) for name in (*names, *quotas)):
        return None
    told = retry_after(response.header("Retry-After"), now)
    # Without a status: a 429 would hold back the events of everybody else too.
    slow = retry("HTTP 429: Amplitude throttles this user or device", after=PAUSE if told is None else told)
    full = retry("HTTP 429: this user or device is past Amplitude's daily quota", after=QUOTA)
    again = retry(_AGAIN.format(429), after=told)
    count = len(request.events)
    places = set(_places(said.get("throttled_events"), count))
    items = _items(request)
    if count == 1 or len(items) != count:
        return [full if any(said.get(name) for name in quotas) else slow] * count
    found = []
    for place, item in enumerate(items):
        if _named(item, said, *quotas):
            found.append(full)
        else:
            found.append(slow if place in places or _named(item, said, *names[:2]) else again)
    return found


def _items(request: Request) -> Sequence[Any]:
    body = request.body.value if isinstance(request.body, Json) else None
    events = body.get("events") if isinstance(body, Mapping) else None
    return events if isinstance(events, list) else []


def _named(item: Any, said: Mapping[str, Any], users: str, devices: str) -> bool:
    return isinstance(item, Mapping) and (
        _in(item.get("user_id"), said.get(users)) or _in(item.get("device_id"), said.get(devices))
    )


def _in(ident: Any, named: Any) -> bool:
    return isinstance(ident, str) and isinstance(named, Mapping | list) and ident in named


def _places(given: Any, count: int) -> Iterator[int]:
    for place in given if isinstance(given, list) else ():
        if isinstance(place, int) and not isinstance(place, bool) and 0 <= place < count:
            yield place
