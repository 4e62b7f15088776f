"""Facebook Conversions: what is its own; what it shares with the pixel is tested there."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.facebook_conversions import FacebookConversions
from turnout import Context, Event, Form, Request, Verdict, codec
from turnout.testing import DestinationContract, FakeClock


class TestFacebookConversions(DestinationContract):
    destination = FacebookConversions


def made(properties: dict[str, Any], *, name: Any = "Boat Rented", **chosen: Any) -> dict[str, Any] | Verdict:
    settings = {"dataset_id": "771300482", "access_token": "t-harbour", **chosen}
    adapter = FacebookConversions(FacebookConversions.settings_type.model_validate(settings))
    message = {
        "type": "track", "event": name, "userId": "u-1", "messageId": "m-1", "timestamp": "2026-01-02T03:00:00Z",
        "properties": properties, "context": {"os": {"name": "android"}},
    }  # fmt: skip
    found = adapter.verdict(Event(message=message), Context(FakeClock().now(), adapter.delivery))
    if isinstance(found, Verdict):
        return found
    assert isinstance(found, list)
    (request,) = found
    assert isinstance(request, Request)
    assert isinstance(request.body, Form)
    (one,) = codec.loads(str(request.body.fields["data"]).encode())
    assert isinstance(one, dict)
    return one


def custom(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    found = made(properties, **more)
    assert isinstance(found, dict)
    data = found.get("custom_data", {})
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize(("name", "meta"), [
    ("Product List Viewed", "ViewContent"), ("product viewed", "ViewContent"), ("PRODUCT ADDED", "AddToCart"),
    ("Products Searched", "Search"), (" Checkout Started ", "InitiateCheckout"), ("Order Completed", "Purchase"),
    ("Payment Info Entered", "AddPaymentInfo"), ("Product Added to Wishlist", "AddToWishlist"),
    ("subscribe", "Subscribe"), ("Boat Rented", "Boat Rented"), ("room booked", "Purchase"), ("Tour", "Grand Tour"),
])
def test_names_are_metas_where_it_has_one(name: str, meta: str) -> None:
    found = made({"n": 1}, name=name, events_to_events={"Room Booked": "purchase", "Tour": "Grand Tour"})
    assert isinstance(found, dict)
    assert found["event_name"] == meta


@pytest.mark.parametrize(("name", "properties", "value"), [
    ("Boat Rented", {"value": "3"}, 3), ("Boat Rented", {"revenue": 4, "value": 3}, 4),
    ("Boat Rented", {"price": 3}, None),
    ("Product Viewed", {"price": 3.999}, 4.0), ("Order Completed", {}, 0), ("Order Completed", {"price": 8}, 0),
])
def test_a_value_has_a_currency(name: str, properties: dict[str, Any], value: float | None) -> None:
    found = custom(properties, name=name)
    assert found.get("value") == value
    assert found.get("currency") == (None if value is None else "USD")


def test_ids_of_products_are_looked_for_in_turn() -> None:
    products = [{"product_id": 7, "sku": "s"}, {"id": "i"}, {"sku": "s"}, {"name": "nothing"}, {"id": True}]
    found = custom({"products": products, "quantity": 3, "price": 2}, name="Checkout Started")
    assert found["content_ids"] == [7, "i", "s"]
    assert found["contents"] == [{"id": one, "quantity": 3, "item_price": 2} for one in (7, "i", "s")]
    assert found["num_items"] == 3


@pytest.mark.parametrize("source", ["app", "physical_store", "business_messaging"])
def test_a_source_is_the_events_or_the_settings(source: str) -> None:
    for found in (made({}, action_source=source), made({"action_source": source})):
        assert isinstance(found, dict)
        assert found["action_source"] == source
        assert ("app_data" in found) == (source == "app")


@pytest.mark.parametrize("source", ["pigeon", 7, ["app"], {"a": 1}])
def test_a_source_that_meta_does_not_know_is_dead(source: Any) -> None:
    found = made({"action_source": source})
    assert isinstance(found, Verdict)
    assert found.outcome == "dead"


@pytest.mark.parametrize("name", [None, "", "  ", 7, {"a": 1}])
def test_a_track_has_a_name(name: Any) -> None:
    found = made({}, name=name)
    assert isinstance(found, Verdict)
    assert found.outcome == "dead"


def test_standard_events_without_properties_can_be_refused() -> None:
    assert isinstance(made({"event_id": "e"}, name="Lead"), dict)
    assert isinstance(made({"event_id": "e"}, name="Lead", bare_standard_events=False), Verdict)
    assert isinstance(made({"event_id": "e"}, name="Boat Rented", bare_standard_events=False), dict)
