"""Amplitude against a stand-in that refuses what its API refuses."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.amplitude import Amplitude
from destinations.amplitude.mapping import operations, session, template
from destinations.amplitude.orders import ordered, revenue
from turnout import Context, Event, codec
from turnout.testing import DestinationContract, FakeClock, Received, Tool, drive_forget
from turnout.user import User

KEY = "k-harbour"
OPERATIONS = {"$set", "$setOnce", "$add", "$append", "$prepend", "$unset"}


class TestAmplitude(DestinationContract):
    destination = Amplitude


class Ingestion(Tool):
    """The four endpoints; `bad` are user ids that are refused by their place, `slow` ones that are throttled."""

    def __init__(self, *, bad: tuple[str, ...] = (), slow: tuple[str, ...] = (), poison: str = "") -> None:
        super().__init__()
        self.bad, self.slow, self.poison = bad, slow, poison

    def answered(self, asked: Received) -> tuple[int, Any] | tuple[int, Any, Mapping[str, str]]:
        if asked.method != "POST" or asked.headers["host"] not in ("api2.amplitude.com", "api.eu.amplitude.com"):
            return 404, "not found"
        if asked.path in ("/groupidentify", "/usermap"):
            return self._form(asked)
        if asked.path not in ("/2/httpapi", "/batch"):
            return 404, "not found"
        body = asked.json()
        if body.get("api_key") != KEY:
            return 400, {"code": 400, "error": f"Invalid API key: {body.get('api_key')}"}
        events, most = body.get("events"), 2000 if asked.path == "/batch" else 10
        if len(events) > most or len(asked.body) > (20_000_000 if asked.path == "/batch" else 1_000_000):
            return 413, {"code": 413, "error": "Payload too large"}
        return self._judged(events, body.get("options", {}).get("min_id_length", 5))

    def _judged(self, events: list[dict[str, Any]], shortest: int) -> tuple[int, Any]:
        wrong: dict[str, list[int]] = {}
        for place, one in enumerate(events):
            ids = {name: one[name] for name in ("user_id", "device_id") if name in one}
            assert ids
            assert isinstance(one["event_type"], str)
            assert one["event_type"]
            assert all(isinstance(one.get(name, 0), int) for name in ("time", "session_id"))
            assert all(isinstance(one.get(name, 0), int | float) for name in ("price", "revenue"))
            names = one["user_properties"].keys()
            assert names <= OPERATIONS or not names & OPERATIONS, "operations beside properties"
            for name, ident in ids.items():
                assert isinstance(ident, str)
                if len(ident) < shortest:
                    return 400, {"code": 400, "events_with_invalid_id_lengths": {name: [place]}}
            if one.get("user_id") in self.bad:
                wrong.setdefault("time", []).append(place)
        if wrong:
            return 400, {"code": 400, "error": "Invalid fields", "events_with_invalid_fields": wrong}
        if any(one.get("user_id") == self.poison for one in events):
            return 400, {"code": 400, "error": "Invalid JSON request body"}
        slow = {one["user_id"]: 31 for one in events if one.get("user_id") in self.slow}
        if slow:
            return 429, {"code": 429, "error": "Too many requests for some devices and users", "throttled_users": slow}
        return 200, {"code": 200, "events_ingested": len(events)}

    def _form(self, asked: Received) -> tuple[int, Any]:
        form = {name: value[0] for name, value in parse_qs(asked.body.decode()).items()}
        if form.get("api_key") != KEY:
            return 401, "invalid api_key"
        (one,) = codec.loads(form["identification" if asked.path == "/groupidentify" else "mapping"].encode())
        if asked.path == "/groupidentify":
            named = one.get("group_type") and one.get("group_value")
            return (200, "success") if named else (400, "missing group_value")
        whole = one.get("unmap") is True or one.get("global_user_id")
        return (200, "success") if one.get("user_id") and whole else (400, "invalid mapping")


def adapter(**settings: Any) -> Amplitude:
    return Amplitude(Amplitude.settings_type.model_validate({"api_key": KEY, **settings}))


def event(user: str, number: int = 1, **more: Any) -> Event:
    message = {
        "type": "track", "event": "Boat Rented", "userId": user, "messageId": f"{user}-{number}",
        "timestamp": "2026-01-02T03:00:00Z", **more,
    }  # fmt: skip
    return Event(message=message, key=hash(user) & 0xFFFF | 1, number=number)


def told(made: Amplitude, events: list[Event], tool: Ingestion) -> list[tuple[str, int | None, float | None]]:
    found = tool.deliver(made, events, Context(FakeClock().now(), made.delivery))
    return [(str(one.outcome), one.status, one.after) for one in found]


def test_events_of_many_users_are_one_upload_in_their_order() -> None:
    with Ingestion() as tool:
        found = told(adapter(residency_server="eu"), [event(f"user-{i % 7}", i) for i in range(40)], tool)
    assert found == [("delivered", 200, None)] * 40
    (asked,) = tool.received
    assert (asked.headers["host"], asked.path) == ("api.eu.amplitude.com", "/batch")
    assert asked.json().keys() == {"api_key", "events"}
    assert [one["insert_id"] for one in asked.json()["events"]] == [f"user-{i % 7}-{i}" for i in range(40)]


def test_an_id_that_is_short_travels_alone_and_is_kept() -> None:
    with Ingestion() as tool:
        found = told(adapter(), [event("ines-1"), event("42"), event("ines-2", 2)], tool)
    assert [one[0] for one in found] == ["delivered"] * 3
    assert {asked.path: len(asked.json()["events"]) for asked in tool.received} == {"/batch": 2, "/2/httpapi": 1}
    alone = next(asked for asked in tool.received if asked.path == "/2/httpapi").json()
    assert alone["events"][0]["user_id"] == "42"
    assert alone["options"] == {"min_id_length": 1}


def test_only_the_events_that_are_refused_are_dead() -> None:
    with Ingestion(bad=("user-2", "user-4")) as tool:
        found = told(adapter(), [event(f"user-{i}") for i in range(6)], tool)
    assert [one[0] for one in found] == ["retry", "retry", "dead", "retry", "dead", "retry"]
    assert len(tool.received) == 1


def test_a_batch_refused_without_a_place_is_taken_apart() -> None:
    with Ingestion(poison="user-5") as tool:
        found = told(adapter(), [event(f"user-{i}") for i in range(8)], tool)
    assert [one[0] for one in found] == ["dead" if i == 5 else "delivered" for i in range(8)]


def test_a_throttled_user_waits_longer_than_the_others() -> None:
    with Ingestion(slow=("user-1",)) as tool:
        found = told(adapter(), [event(f"user-{i}") for i in range(3)], tool)
    assert [(outcome, after) for outcome, _, after in found] == [("retry", None), ("retry", 30.0), ("retry", None)]


def test_a_throttled_user_alone_does_not_hold_the_others_back() -> None:
    with Ingestion(slow=("7",)) as tool:
        found = told(adapter(), [event("7"), event("8")], tool)
    assert [one[0] for one in found] == ["retry", "delivered"]


def test_too_many_events_of_everybody_hold_back_the_rest() -> None:
    with Ingestion() as tool:
        tool.answer(429, b'{"code": 429, "error": "Exceeded rate", "throttled_users": {}}', **{"Retry-After": "9"})
        found = told(adapter(), [event("7"), event("8")], tool)
    assert [(one[0], one[2]) for one in found] == [("retry", 9.0), ("retry", 9.0)]
    assert len(tool.received) == 1


def test_a_wrong_key_stops_the_destination() -> None:
    with Ingestion() as tool:
        found = told(adapter(api_key="k-other"), [event(f"user-{i}") for i in range(3)], tool)
        assert [one[0] for one in found] == ["pause"] * 3
        alias = Event(message={"type": "alias", "userId": "ines", "previousId": "a-1"})
        assert told(adapter(api_key="k-other"), [alias], tool)[0][0] == "pause"


def test_groups_and_aliases_are_taken() -> None:
    group = event("user-1", type="group", traits={"kind": "crew", "title": "Night Watch"})
    alias = event("user-1", 2, type="alias", previousId="a-1")
    made = adapter(group_type_trait="kind", group_value_trait="title")
    with Ingestion() as tool:
        assert [one[0] for one in told(made, [group, alias], tool)] == ["delivered"] * 2
    assert [asked.path for asked in tool.received] == ["/batch", "/groupidentify", "/usermap"]


def test_an_identify_with_operations_is_taken() -> None:
    made = adapter(traits_to_increment=["trips"], traits_to_append=["boats"])
    identify = event("user-1", type="identify", traits={"trips": 1, "name": "Ines", "boats": "Lotte"})
    with Ingestion() as tool:
        assert told(made, [identify], tool)[0][0] == "delivered"
    assert tool.received[0].json()["events"][0]["user_properties"] == {
        "$set": {"name": "Ines"}, "$add": {"trips": 1}, "$append": {"boats": "Lotte"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "outcomes"),
    [
        ({"silenced_events": [1]}, ["retry", "dead"]),
        ({"events_with_missing_fields": {"event_type": [0, 1]}}, ["dead", "dead"]),
        ({"events_with_invalid_fields": {"time": [7]}}, ["dead", "dead"]),  # names nothing that was sent
        ({"events_with_invalid_fields": {"time": ["0", True, None]}}, ["dead", "dead"]),
        ({"events_with_invalid_fields": [0]}, ["dead", "dead"]),
    ],
)
def test_places_in_an_answer(body: dict[str, Any], outcomes: list[str]) -> None:
    with Ingestion() as tool:
        for _ in range(3):  # a batch that is taken apart asks again
            tool.answer(400, codec.dumps({"code": 400, **body}))
        assert [one[0] for one in told(adapter(), [event("user-1"), event("user-2")], tool)] == outcomes


def test_throttled_places_devices_and_quotas() -> None:
    said = {"code": 429, "throttled_events": [0], "throttled_devices": {"device-2": 31},
            "exceeded_daily_quota_users": {"user-3": 500_001}}  # fmt: skip
    events = [event("user-1"), event("user-2", anonymousId="device-2"), event("user-3"), event("user-4")]
    with Ingestion() as tool:
        tool.answer(429, codec.dumps(said))
        assert [one[2] for one in told(adapter(), events, tool)] == [30.0, 30.0, 3600.0, None]


# ---- deletion


class Privacy(Tool):
    """Where users are deleted: key and secret, at most 100 ids, switches as texts."""

    def answered(self, asked: Received) -> tuple[int, Any]:
        if (asked.headers["host"], asked.path) != ("analytics.eu.amplitude.com", "/api/2/deletions/users"):
            return 404, "not found"
        if asked.headers.get("authorization") != "Basic " + b64encode(f"{KEY}:s-1".encode()).decode():
            return 403, {"code": 403, "message": "Forbidden"}
        body = asked.json()
        good = 0 < len(body["user_ids"]) <= 100 and body["ignore_invalid_id"] == "true" and body["requester"]
        return (200, [{"day": "2026-01-12", "status": "staging"}]) if good else (400, {"error": "invalid"})


def forgotten(users: list[User], **settings: Any) -> tuple[list[str], list[Any]]:
    made = adapter(residency_server="eu", **settings)
    with Privacy() as tool:
        found, _ = drive_forget(made, users, Context(FakeClock().now(), made.delivery), tool.send)
        return [str(one.outcome) for one in found], [asked.json()["user_ids"] for asked in tool.received]


def test_users_are_deleted_by_their_id() -> None:
    users = [User("ines"), User(email="bo@example.com"), User("bo"), User("ines")]
    assert forgotten(users, api_secret="s-1") == (["delivered", "filtered", "delivered", "delivered"], [["ines", "bo"]])
    assert forgotten([User(anonymous_id="a-1")], api_secret="s-1") == (["filtered"], [])


def test_users_are_not_deleted_without_the_secret() -> None:
    assert forgotten([User("ines")]) == (["dead"], [])
    assert forgotten([User("ines")], api_secret="s-2") == (["dead"], [["ines"]])


# ---- what a message becomes


def made(message: dict[str, Any], options: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    tool = adapter(**settings)
    one = Event(message={"userId": "u-1", "messageId": "m-1", **message}, options=options)
    result = tool.verdict(one, Context(FakeClock().now(), tool.delivery))
    assert isinstance(result, list), result
    body = result[0].body
    assert body is not None
    return codec.loads(body.encode()[0])["events"][0]


@pytest.mark.parametrize(
    ("agent", "name", "model", "maker"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "Version/18.1 Mobile/15E148 Safari/604.1", "Mobile Safari", "iPhone", "Apple"),
        ("Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 "
         "Mobile Safari/537.36", "Chrome", "SM-S921B", "Samsung"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "Firefox", "Linux", None),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 "
         "Safari/537.36", "Chrome", "Chrome OS", None),
    ],
)  # fmt: skip
def test_a_browser_is_read_from_its_user_agent(agent: str, name: str, model: str, maker: str | None) -> None:
    found = made({"type": "page", "channel": "web", "context": {"userAgent": agent, "os": {"name": "other"}}})
    assert (found["os_name"], found["device_model"], found.get("device_manufacturer")) == (name, model, maker)
    assert found["platform"] == "Web"


def test_a_program_that_is_no_browser_keeps_its_own_system() -> None:
    context = {"userAgent": "okhttp/4.12 Chrome/1.0", "os": {"name": "Android"}, "device": {"type": "Android"}}
    found = made({"type": "track", "event": "Boat Rented", "channel": "mobile", "context": context})
    assert (found["os_name"], found["platform"]) == ("Android", "Android")


@pytest.mark.parametrize(
    ("settings", "device", "ident"),
    [
        ({}, {"id": "d-1", "type": "iOS", "advertisingId": "ad-1"}, "d-1"),
        ({"prefer_anonymous_id_for_device_id": True}, {"id": "d-1"}, "a-1"),
        ({"preferAnonymousIdForDeviceId": {"web": True}}, {"id": "d-1"}, "a-1"),
        ({"use_idfa_as_device_id": True}, {"id": "d-1", "type": "iOS", "advertisingId": "ad-1"}, "ad-1"),
        ({"use_idfa_as_device_id": True}, {"id": "d-1", "type": "Android", "advertisingId": "ad-1"}, "d-1"),
        ({"use_advertising_id_for_device_id": True}, {"type": "android", "advertisingId": "ad-1"}, "ad-1"),
        ({"use_advertising_id_for_device_id": True}, {"type": "android"}, "a-1"),
        ({}, {}, "a-1"),
    ],
)
def test_what_counts_as_the_device(settings: dict[str, Any], device: dict[str, Any], ident: str) -> None:
    message = {"type": "track", "event": "Boat Rented", "anonymousId": "a-1", "context": {"device": device}}
    assert made(message, **settings)["device_id"] == ident


def test_ids_are_texts_and_a_number_is_one() -> None:
    found = made({"type": "track", "event": 7, "userId": 1234567, "context": {"device": {"id": 9.0}}})
    assert (found["user_id"], found["device_id"], found["event_type"]) == ("1234567", "9", "7")


def test_a_place_in_the_context_is_not_lost() -> None:
    identify = {"type": "identify", "context": {"traits": {"city": "Sneek", "country": 7, "name": "Ines"}}}
    found = made(identify)
    assert (found["city"], found["country"]) == ("Sneek", "7")
    assert found["user_properties"] == {"$set": {"name": "Ines"}}
    assert "city" not in made(identify, context_places=False)
    assert made({**identify, "traits": {"city": "Lemmer"}})["city"] == "Lemmer"
    track = {"type": "track", "event": "Boat Rented", "context": {"traits": {"city": {"odd": 1}}}}
    assert "city" not in made(track)


def test_groups_of_one_event() -> None:
    track = {"type": "track", "event": "Boat Rented"}
    assert made(track, {"groups": {"crew": ["A", "B"]}})["groups"] == {"crew": ["A", "B"]}
    assert made(track, {"groups": {"group_type": "crew", "group_value": "A"}})["groups"] == {"crew": "A"}
    assert "groups" not in made(track, {"groups": "crew"})


@pytest.mark.parametrize(
    ("message", "settings", "name"),
    [
        ({"type": "page", "properties": {"category": "Docks"}}, {}, "Viewed Docks Page"),
        ({"type": "page"}, {}, "Viewed Page"),
        ({"type": "screen", "name": "Map", "event": "Other"}, {}, "Viewed Map Screen"),
        ({"type": "page", "name": "Map"}, {"use_user_defined_page_event_name": True}, "Map"),
        ({"type": "page", "name": "Map"},
         {"use_user_defined_page_event_name": True, "user_provided_page_event_string": "{{ nothing }}"}, "Map"),
        ({"type": "page", "properties": {"harbour": "Sneek"}},
         {"use_user_defined_page_event_name": True, "user_provided_page_event_string": "In {{harbour}}"}, "In Sneek"),
        ({"type": "screen", "event": "Map"},
         {"use_user_defined_screen_event_name": True, "user_provided_screen_event_string": "On {{ event }}!"},
         "On Map!"),
        ({"type": "screen", "event": "Map"}, {"user_provided_screen_event_string": "On {{ event }}"},
         "Viewed Map Screen"),
    ],
)  # fmt: skip
def test_names_of_pages_and_screens(message: dict[str, Any], settings: dict[str, Any], name: str) -> None:
    assert made(message, **settings)["event_type"] == name


@given(st.text(), st.dictionaries(st.text(max_size=4), st.text() | st.integers() | st.none(), max_size=4))
def test_a_template_never_raises_and_leaves_no_slot_that_it_read(text: str, message: dict[str, Any]) -> None:
    filled = template(text)({"name": "Map", "properties": message})
    if "{{" not in text:
        assert filled == text.strip()


@given(st.text(alphabet="ab {}", max_size=12))
def test_a_name_in_a_template_is_what_the_event_says(around: str) -> None:
    if "{" not in around and "}" not in around:
        assert template(f"{around}{{{{ name }}}}")({"name": "Map"}) == f"{around}Map".strip()


@pytest.mark.parametrize(
    ("given_", "start"),
    [
        ((None, "1767322800000"), 1767322800000), (("7c41ab09", None), -1), ((0,), 0), (("x", 5), 5),
        ((1.5,), -1), ((True,), -1), ((), -1),
    ],
)
def test_a_session_is_a_whole_number(given_: tuple[Any, ...], start: int) -> None:
    assert session(*given_) == start


NUMBERS = st.integers(-1000, 1000) | st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(revenue_=NUMBERS, price=st.none() | NUMBERS, quantity=st.none() | st.integers(1, 9))
def test_revenue_always_has_a_price_and_a_quantity(revenue_: float, price: float | None, quantity: int | None) -> None:
    found = revenue("Boat Rented", {"revenue": revenue_, "price": price, "quantity": quantity})
    assert found["revenue"] == revenue_
    if price is None:
        assert found["price"] * found["quantity"] == revenue_
    else:
        assert (found["price"], found["quantity"]) == (price, quantity or 1)


def test_what_is_no_number_is_no_revenue() -> None:
    assert revenue("Boat Rented", {"revenue": "much"}) == {}
    assert revenue("Boat Rented", {"price": 3}) == {}
    assert revenue("Boat Rented", {"revenue": "12.50", "revenue_type": "rent", "product_id": 7}) == {
        "revenue": 12.5, "price": 12.5, "quantity": 1, "revenueType": "rent", "productId": "7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("once", "each", "count", "products", "money"),
    [
        (False, False, 3, False, True), (True, False, 1, True, True),
        (False, True, 3, False, False), (True, True, 3, True, False),
    ],
)
def test_an_order_and_its_products(once: bool, each: bool, count: int, products: bool, money: bool) -> None:
    items = [{"product_id": "p-1", "price": 4, "quantity": 2}, {"product_id": "p-2", "price": 5}]
    properties = {"revenue": 13, "products": items}
    found = ordered({"event_type": "Order Completed", "insert_id": "m"}, properties, once=once, each=each)
    assert len(found) == count
    assert ("products" in found[0]["event_properties"]) is products
    assert ("revenue" in found[0]) is money
    assert [one["insert_id"] for one in found] == ["m", "m-1", "m-2"][:count]
    if each:
        assert sum(one["price"] * one["quantity"] for one in found[1:]) == 13
    assert properties == {"revenue": 13, "products": items}


def test_products_of_what_is_no_order_stay_in_it() -> None:
    found = ordered({"event_type": "Cart Viewed"}, {"products": [{"price": 1}]}, once=False, each=True)
    assert [one["event_properties"] for one in found] == [{"products": [{"price": 1}]}]


def test_what_has_a_revenue_and_products_is_an_order() -> None:
    properties = {"revenue": 5, "products": [{"price": 5}, "no product", None]}
    found = ordered({"event_type": "Berth Booked"}, properties, once=False, each=True)
    assert [one["event_type"] for one in found] == ["Berth Booked", "Product Purchased"]
    assert found[0]["event_properties"] == {"revenue": 5}
    assert (found[1]["price"], found[1]["quantity"]) == (5, 1)


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers()), st.lists(st.sampled_from("abcdef")), st.booleans())
def test_operations_lose_no_property(properties: dict[str, int], named: list[str], apart: bool) -> None:
    found = operations(dict(properties), [("$add", named)], None, apart=apart)
    plain = found.get("$set", {}) if apart else {k: v for k, v in found.items() if k != "$add"}
    assert not apart or found.keys() <= {"$set", "$add"}
    assert {**plain, **found.get("$add", {})} == properties
    assert not plain.keys() & found.get("$add", {}).keys()
