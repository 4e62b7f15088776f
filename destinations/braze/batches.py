"""Several requests as one, and what an answer says about each of them.

Source: https://www.braze.com/docs/api/endpoints/user_data/post_user_track (errors of items),
https://www.braze.com/docs/api/endpoints/subscription_groups/post_update_user_subscription_group_status_v2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from turnout import Json, Outcome, Request, Response, Verdict, codec, dead

__all__ = ["TRACKED", "Batch", "listed", "said", "subscribed", "tracked"]

TRACKED: Final = ("attributes", "events", "purchases")
_IDS: Final = ("external_ids", "emails", "phones")
Owners = Mapping[str, Sequence[Sequence[int]]]


class Batch(Json):
    """A merged body that knows whose its items are: by array and place in it, the places of its requests."""

    __slots__ = ("owners",)

    def __init__(self, value: Any, owners: Owners) -> None:
        super().__init__(value)
        self.owners = owners


def _items(body: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = body.get(name)
    return found if isinstance(found, list) else ()


def tracked(bodies: Sequence[Mapping[str, Any]], partner: str) -> Batch:
    """Attributes, events and purchases of all."""
    made: dict[str, Any] = {"partner": partner} if partner else {}
    owners: dict[str, list[Sequence[int]]] = {}
    for name in TRACKED:
        items: list[Any] = []
        whose: list[Sequence[int]] = []
        for place, body in enumerate(bodies):
            found = _items(body, name)
            items += found
            whose += [(place,)] * len(found)
        if items:
            made[name], owners[name] = items, whose
    return Batch(made, owners)


def listed(bodies: Sequence[Mapping[str, Any]], name: str) -> Batch:
    """One array of all items, each once; what else a body says is the same in all."""
    places: dict[bytes, list[int]] = {}
    items = []
    for place, body in enumerate(bodies):
        for item in _items(body, name):
            key = codec.dumps(item)
            if key not in places:
                places[key] = []
                items.append(item)
            places[key].append(place)
    return Batch({**bodies[0], name: items}, {name: list(places.values())})


def subscribed(bodies: Sequence[Mapping[str, Any]]) -> Batch:
    """Users of one group and state together; where a group's state changes again, a later entry says so."""
    made: list[dict[str, Any]] = []
    owners: list[list[int]] = []
    last: dict[Any, int] = {}
    for place, body in enumerate(bodies):
        for item in _items(body, "subscription_groups"):
            group, state = item["subscription_group_id"], item["subscription_state"]
            at = last.get(group, -1)
            if at < 0 or made[at]["subscription_state"] != state:
                at = last[group] = len(made)
                made.append({"subscription_group_id": group, "subscription_state": state})
                owners.append([])
            for name in _IDS:
                known = made[at].get(name, [])
                fresh = [one for one in _items(item, name) if one not in known]
                if fresh:
                    made[at][name] = known + fresh
            owners[at].append(place)
    return Batch({"subscription_groups": made}, {"subscription_groups": owners})


def said(request: Request, response: Response, given: Verdict, *, fatal: bool = True) -> list[Verdict] | None:
    """A verdict per event for a success that names errors; None where it names none.

    An item that is refused makes its event dead. What Braze calls a success, with errors of no item
    that is known (or, where they are not `fatal`, of any), it has taken: the verdict says that there were some.
    """
    status, told = response.status, response.json()
    errors = told.get("errors") if isinstance(told, Mapping) else None
    if not isinstance(errors, list) or not errors:
        return None
    count = len(request.events)
    if told.get("message") != "success":
        return [dead(f"HTTP {status}: Braze refuses the request, with errors", status)] * count
    rest = Verdict(Outcome.DELIVERED, f"HTTP {status}: taken, with errors", status)
    found: list[Verdict | None] = [None] * count
    placed = 0
    for row in errors:
        owners = _owners(request, row) if fatal else ()
        placed += bool(owners)
        for place in owners:
            found[place] = dead(f"HTTP {status}: Braze refuses an item of this event ({row['input_array']})", status)
    return [one or (given if placed == len(errors) else rest) for one in found]


def _owners(request: Request, row: Any) -> Sequence[int]:
    """The places of the requests that brought the item which a row of errors names."""
    if not isinstance(row, Mapping) or not isinstance(request.body, Json):
        return ()
    name, place = row.get("input_array"), row.get("index")
    if not isinstance(name, str) or isinstance(place, bool) or not isinstance(place, int):
        return ()
    body = request.body
    if isinstance(body, Batch):
        whose = body.owners.get(name, ())
        return whose[place] if 0 <= place < len(whose) else ()
    known = isinstance(body.value, Mapping) and 0 <= place < len(_items(body.value, name))
    return (0,) if known and len(request.events) == 1 else ()
