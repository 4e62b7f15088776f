"""Google Ads Enhanced Conversions, and what both destinations of Google Ads share, against a strict stand-in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from destinations.google_enhanced_conversions import GoogleEnhancedConversions
from destinations.google_enhanced_conversions.settings import GoogleEnhancedConversionsSettings
from tests.destinations.google_ads_api import ACCOUNT, CREDENTIALS, GoogleAds
from turnout import Bearer, Context, Event, OAuth2, Request, Response, codec
from turnout.errors import Refused
from turnout.testing import DestinationContract, FakeClock, drive
from vendors.google_ads.answers import partly
from vendors.google_ads.names import ACTION, found_in, query
from vendors.google_ads.people import People
from vendors.google_ads.settings import Account
from vendors.google_ads.times import stamp

NOW = FakeClock().now()


class TestGoogleEnhancedConversions(DestinationContract):
    destination = GoogleEnhancedConversions

    def looks_up(self, request: Request) -> bool:
        return request.url.endswith(":searchStream")


def adapter(**chosen: Any) -> GoogleEnhancedConversions:
    given = {**CREDENTIALS, "conversions": ["Room Booked", "Guest's Boat"], **chosen}
    return GoogleEnhancedConversions(GoogleEnhancedConversionsSettings.model_validate(given))


def booked(order: Any, name: str = "Room Booked", **more: Any) -> Event:
    message = {
        "type": "track", "event": name, "messageId": f"m-{order}", "userId": f"u-{order}",
        "context": {"traits": {"email": f"guest{order}@example.com"}}, "properties": {"orderId": order, **more},
    }  # fmt: skip
    return Event(message=message, key=1 + hash(order) % 1000)


def at(one: GoogleEnhancedConversions) -> Context:
    return Context(NOW, one.delivery)


def test_thousands_travel_together_and_the_name_is_asked_for_once() -> None:
    one = adapter()
    with GoogleAds() as ads:
        found = ads.deliver(one, [booked(i) for i in range(1, 2_051)], at(one))
        assert {v.outcome for v in found} == {"delivered"}
        assert len(ads.taken) == 2_050
        assert len(ads.received) == 3, "a look-up and two uploads"
        ads.deliver(one, [booked("later")], at(one))
        assert len(ads.asked) == 1, "the name was remembered"


def test_each_conversion_has_its_own_verdict() -> None:
    one = adapter()
    refused = {"2": "CONVERSION_ALREADY_ENHANCED", "3": "CONVERSION_NOT_FOUND", "4": "TRANSIENT_ERROR",
               "5": "TOO_RECENT_CONVERSION"}  # fmt: skip
    with GoogleAds(refused=refused) as ads:
        found = ads.deliver(one, [booked(i) for i in range(1, 6)], at(one))
    assert [v.outcome for v in found] == ["delivered", "filtered", "dead", "retry", "retry"]
    assert found[2].reason == "HTTP 200 (CONVERSION_NOT_FOUND): Google refuses this conversion"
    assert found[4].after == 6 * 3600


def test_a_name_that_the_account_does_not_know_is_dead_and_the_others_are_sent() -> None:
    one = adapter()
    with GoogleAds(known={"Guest's Boat": f"customers/{ACCOUNT}/conversionActions/7"}) as ads:
        found = ads.deliver(one, [booked(1), booked(2, "guest's boat")], at(one))
        assert [v.outcome for v in found] == ["dead", "delivered"]
        assert found[0].reason == "the account has no conversion action 'Room Booked'"
        assert ads.received[-1].json()["conversionAdjustments"][0]["conversionAction"].endswith("/7")


def test_an_account_that_refuses_pauses_before_anything_is_sent() -> None:
    one = adapter(access_token="old")
    with GoogleAds() as ads:
        found = ads.deliver(one, [booked(1)], at(one))
        assert [v.outcome for v in found] == ["pause"]
        assert len(ads.received) == 1
    foreign = adapter(customer_id="999-888-7777")
    with GoogleAds() as ads:
        assert [v.outcome for v in ads.deliver(foreign, [booked(1)], at(foreign))] == ["pause"]


def test_an_event_that_chooses_a_foreign_account_hurts_no_other() -> None:
    one = adapter(customer_id='{{ properties.account || "303-404-5050" }}', login_customer_id="909-808-7070")
    with GoogleAds() as ads:
        accounts = {1: "", 2: "999-888-7777", 3: "../9", 4: 3034045050}
        events = [booked(i, account=account) for i, account in accounts.items()]
        found = ads.deliver(one, events, at(one))
        assert [v.outcome for v in found] == ["delivered", "dead", "dead", "delivered"]
        assert ads.logins == {"9098087070"}


def test_after_too_many_calls_nothing_more_is_asked() -> None:
    one = adapter(customer_id="{{ properties.account }}")
    calls = 0

    def busy(_: Request) -> Response:
        nonlocal calls
        calls += 1
        return Response(429, {"Retry-After": "30"})

    found, _ = drive(one, [booked(i, account=1_000_000_000 + i) for i in range(5)], at(one), busy)
    assert calls == 1
    assert [(v.outcome, v.after) for v in found] == [("retry", 30.0)] * 5


def test_an_error_of_a_stream_is_read_in_its_list() -> None:
    one = adapter()
    body = [{"error": {"code": 403, "details": [{"errors": [{"errorCode": {"authorizationError": "MISSING_TOS"}}]}]}}]
    found, _ = drive(one, [booked(1)], at(one), lambda _: Response(403, body=codec.dumps(body)))
    assert found[0].outcome == "pause"


@pytest.mark.parametrize("body", [
    {"partialFailureError": {"code": 3}},
    {"partialFailureError": {"details": [{"errors": [{"errorCode": {"a": "B_C"}}]}]}},
    {"partialFailureError": {"details": [{"errors": [{"location": {"fieldPathElements": [{"index": 9}]}}]}]}},
    {"partialFailureError": {"details": "none"}},
])  # fmt: skip
def test_what_names_no_conversion_delivers_none(body: Any) -> None:
    assert {v.outcome for v in partly(Response(200, body=codec.dumps(body)), 2)} == {"dead"}


@pytest.mark.parametrize(("given", "wrong"), [
    ({"customer_id": {"a": 1}}, "number of an account"), ({"customer_id": "12/34"}, "number of an account"),
    ({"customer_id": "{{ a b }}"}, "must be a number or a path"), ({"access_token": None}, "needs client_id"),
    ({"sub_account": True}, "needs login_customer_id"), ({"developer_token": ""}, "at least 1 item"),
    ({"api_version": "../v1"}, "pattern"),
])  # fmt: skip
def test_settings_say_what_is_wrong(given: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        GoogleEnhancedConversionsSettings.model_validate({**CREDENTIALS, **given})


def test_a_refresh_token_comes_before_an_access_token() -> None:
    assert adapter().auth == Bearer("tok-77")
    full = adapter(client_id="c", client_secret="s", refresh_token="r")
    assert isinstance(full.auth, OAuth2)
    assert full.auth.grant == "refresh_token"


def test_settings_of_rudderstack_are_read() -> None:
    given = {
        "customerId": "303-404-5050", "subAccount": False, "loginCustomerId": 11,
        "developerToken": "d", "accessToken": "t",
        "listOfConversions": [{"conversions": "Room Booked"}, {"conversions": ""}], "requireHash": False,
        "rudderAccountId": "x", "authStatus": "active",
    }  # fmt: skip
    read = GoogleEnhancedConversionsSettings.model_validate(given)
    assert (read.conversions, read.require_hash, read.login_customer_id) == (("Room Booked",), False, "11")
    made = GoogleEnhancedConversions(read).verdict(booked(1), Context(NOW))
    assert isinstance(made, list)
    assert "login-customer-id" not in made[0].headers


def test_of_two_actions_with_a_name_the_accounts_own_is_taken() -> None:
    resources = [f"customers/{who}/conversionActions/1" for who in (5, 7, 6)]
    rows = [{"conversionAction": {"name": "A", "resourceName": resource}} for resource in resources]
    assert found_in([{"results": rows}], ACTION, ["A"], Account("7")) == {"A": "customers/7/conversionActions/1"}
    bad = [{"conversionAction": {"name": "A", "resourceName": "customers/7/../../x"}}]
    assert found_in([{"results": bad}, None, {"results": 3}], ACTION, ["A"], Account("7")) == {}


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4, unique=True))
def test_a_name_never_leaves_its_quotes(names: list[str]) -> None:
    inside = query(ACTION, names).partition(" IN (")[2]
    plain = inside.replace("\\\\", "").replace("\\'", "")
    assert plain.count("'") == 2 * len(names)


@given(st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.none(), st.datetimes().map(str)))
def test_a_time_has_googles_form_or_is_refused(value: Any) -> None:
    try:
        made = stamp(value, "x")
    except Refused:
        return
    assert made[10] == " "
    assert made[-6] in "+-"
    assert len(made) == 25


@pytest.mark.parametrize(("one", "other"), [
    ({"email": " Ann.Lee@GMAIL.com "}, {"email": "annlee@gmail.com"}), ({"phone": "+351 21-0"}, {"phone": 351210}),
    ({"firstName": " ANN"}, {"first_name": "ann"}),
])  # fmt: skip
def test_one_person_is_written_in_many_ways(one: dict[str, Any], other: dict[str, Any]) -> None:
    people = People()
    first, second = ({"context": {"traits": traits}} for traits in (one, other))
    for ask in (people.email, people.phone, people.address):
        assert ask(first) == ask(second)
    assert any(ask(first) for ask in (people.email, people.phone, people.address))
