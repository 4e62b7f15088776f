"""Events with thousands of products, tags and groups: what an adapter makes of one has a bound."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from destinations import registry
from turnout import codec
from turnout.clock import iso
from turnout.destination import MOST_REQUESTS, Context, Destination
from turnout.event import Event
from turnout.request import Request, Response
from turnout.testing.driving import drive
from turnout.testing.fake_clock import START
from turnout.testing.fixture import load
from turnout.verdict import Verdict

COUNT = 3_000
LISTS: tuple[Any, ...] = (
    [{} for _ in range(COUNT)], [f"group-{n}" for n in range(COUNT)],
    [{"product_id": f"p{n}", "price": 1, "quantity": 1, "id": f"x{n}", "type": "t"} for n in range(COUNT)],
)
PLACES = ("properties.products", "traits.company", "traits.tags", "context.externalId", "traits.groups")


def _lists(value: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, item in value.items() if isinstance(value, Mapping) else ():
        if isinstance(item, list):
            yield (*prefix, key)
        yield from _lists(item, (*prefix, key))


def _wide(event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Copies with a long list at a place, and a long text beside it that a copy of the traits says again."""
    group = [("traits", key) for key, item in event.get("traits", {}).items() if isinstance(item, str)]
    for path in dict.fromkeys([*_lists(event), *(tuple(place.split(".")) for place in PLACES), *group]):
        for items in LISTS:
            made = copy.deepcopy(dict(event))
            inner = made
            for step in path[:-1]:
                inner[step] = inner = inner[step] if isinstance(inner.get(step), dict) else {}
            inner[path[-1]] = items
            for part in ("traits", "context"):
                known = made.get(part)
                known = known if part == "traits" else (known or {}).get("traits")
                if isinstance(known, dict):
                    known["about"] = "a" * 50_000
            yield made


@pytest.mark.parametrize("slug", registry.slugs())
def test_a_wide_event_does_not_become_thousands_of_requests(slug: str) -> None:
    kind = registry.find(slug)
    for fixture in load(kind):
        adapter = fixture.build(kind)
        at = Context(START, adapter.delivery)
        for message in _wide(fixture.event):
            event = Event(codec.dumps(message), key=1, options=fixture.options, trusted=fixture.trusted)
            made = adapter.verdict(event, at)
            if isinstance(made, Verdict):
                assert "adapter failed" not in made.reason
            elif isinstance(made, list):
                assert len(made) <= MOST_REQUESTS
                _bounded(adapter, event, at)


def _bounded(adapter: Destination[Any], event: Event, at: Context) -> None:
    sent = size = 0

    def answer(request: Request) -> Response:
        nonlocal sent, size
        sent += 1
        size += len(request.body.encode()[0]) if request.body is not None else 0
        assert sent <= MOST_REQUESTS + 2
        assert size <= 25_000_000, "an event of some hundred kilobytes is sent as many times its size"
        return Response(200, {}, b'{"id": "r1", "data": [{"id": "r1"}], "results": [{"id": "r1"}]}')

    drive(adapter, [event], at, answer)


@pytest.mark.parametrize("name", ["Order Completed", "Products Searched", "Product List Viewed", "Cart Viewed"])
@pytest.mark.parametrize(
    ("slug", "settings"),
    [
        ("braze", {"rest_api_key": "k-1", "data_center": "EU-01"}),
        ("braze", {"rest_api_key": "k-1", "data_center": "EU-01", "use_ecommerce_recommended_events": False}),
        ("facebook_conversions", {"access_token": "k-1", "dataset_id": "7"}),
        ("facebook_pixel", {"access_token": "k-1", "pixel_id": "7"}),
    ],
)
def test_an_order_of_fifty_thousand_products_is_looked_at_as_one_of_five(
    slug: str, settings: dict[str, Any], name: str
) -> None:
    """What a stranger's event costs is counted in what is made of it, not in seconds."""
    adapter = registry.build(slug, settings)
    at = Context(START, adapter.delivery)
    asked: list[int] = []

    class Product(dict[str, Any]):
        def get(self, *args: Any) -> Any:
            asked.append(1)
            return super().get(*args)

    event = Event(codec.dumps({
        "type": "track", "event": name, "userId": "u-7", "anonymousId": "a-7", "messageId": "m-7",
        "timestamp": iso(START), "originalTimestamp": iso(START), "channel": "web", "properties": {"currency": "EUR"},
        "context": {"userAgent": "Mozilla/5.0", "traits": {"email": "ann@example.com"}},
    }), key=1)  # fmt: skip
    event.message["properties"]["products"] = [Product(product_id="p") for _ in range(50_000)]
    made = adapter.verdict(event, at)
    assert len(asked) < 200_000 // 10
    if isinstance(made, Verdict):
        assert "more than 5,000 products" in made.reason
