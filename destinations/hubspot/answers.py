"""Batches of records: one item for a record, and what an answer says of each.

Source: https://developers.hubspot.com/docs/api-reference/error-handling (207, objectWriteTraceId).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from turnout import Json, Request, Response, Verdict, dead, delivered, retry
from turnout.paths import get

__all__ = ["TRACE", "Inputs", "judged", "merged"]

TRACE: Final = "objectWriteTraceId"
_REFUSED = "HubSpot refuses this record"
_OPEN = "the answer leaves open what became of it"


class Inputs(Json):
    """`{"inputs": [...]}`; `keys` say which items are one record, `owners` which item an event is in."""

    __slots__ = ("keys", "owners")

    def __init__(self, items: Sequence[Mapping[str, Any]], keys: tuple[Hashable, ...], owners: tuple[int, ...]) -> None:
        super().__init__({"inputs": items})
        self.keys, self.owners = keys, owners

    @classmethod
    def one(cls, item: Mapping[str, Any], key: Hashable = None) -> Inputs:
        """A batch of one."""
        return cls([item], (key,), (0,))


def merged(requests: Sequence[Request]) -> Json:
    """The items of several requests as one body.

    HubSpot refuses a batch in which a record is twice, so events of one record are one item: later properties win.
    """
    items: list[dict[str, Any]] = []
    keys: list[Hashable] = []
    owners: list[int] = []
    places: dict[Hashable, int] = {}
    for request in requests:
        body = request.body
        assert isinstance(body, Json)
        own = body.keys if isinstance(body, Inputs) else ()
        for n, item in enumerate(body.value["inputs"]):
            key = own[n] if n < len(own) else None
            place = places.get(key) if key is not None else None
            if place is None:
                place = len(items)
                items.append(item)
                keys.append(key)
                if key is not None:
                    places[key] = place
            else:
                both = {**items[place]["properties"], **item["properties"]}
                items[place] = {**items[place], "properties": both}
            owners.append(place)
    return Inputs(items, tuple(keys), tuple(owners))


def judged(request: Request, response: Response) -> list[Verdict]:
    """A verdict for each event of a batch of records that was answered with 2xx."""
    status, said, count = response.status, response.json(), len(request.events)
    results, errors = get(said, "results", None), get(said, "errors", None)
    if not results and not errors:
        return [dead(f"HTTP {status}: the answer names no record", status)] * count
    if not errors:
        return [delivered(status)] * count
    items = _items(request)
    found = _found(items, errors if isinstance(errors, list) else [errors], results, status)
    owners = request.body.owners if isinstance(request.body, Inputs) else tuple(range(len(items)))
    if len(owners) != count:
        owners = (0,) * count if len(items) == 1 else ()
    return [found[place] for place in owners] or [dead(f"HTTP {status}: {_OPEN}", status)] * count


def _found(
    items: Sequence[Mapping[str, Any]], errors: Sequence[Any], results: Any, status: int
) -> list[Verdict]:
    """A verdict for each item: errors name them by their trace ids, results by the ids of records."""
    refused: dict[int, Verdict] = {}
    nameless = False
    for row in errors:
        named = get(row, f"context.{TRACE}", [])
        traces = {str(one) for one in (named if isinstance(named, list) else [named])}
        places = [n for n, item in enumerate(items) if item.get(TRACE) is not None and str(item[TRACE]) in traces]
        nameless = nameless or not places
        busy = get(row, "category", "") == "RATE_LIMITS"
        verdict = retry(f"HTTP {status}: {_REFUSED} for now") if busy else dead(f"HTTP {status}: {_REFUSED}", status)
        refused |= dict.fromkeys(places, verdict)
    done = {str(get(one, "id", "")) for one in results} if isinstance(results, list) else set()
    made = []
    for n, item in enumerate(items):
        taken = not nameless or ("idProperty" not in item and str(item.get("id", "")) in done)
        made.append(refused.get(n) or (delivered(status) if taken else dead(f"HTTP {status}: {_OPEN}", status)))
    return made


def _items(request: Request) -> Sequence[Mapping[str, Any]]:
    body = request.body.value if isinstance(request.body, Json) else None
    rows = get(body, "inputs", [])
    return [one if isinstance(one, dict) else {} for one in rows] if isinstance(rows, list) else []
