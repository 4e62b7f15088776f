"""Facebook Pixel against a stand-in that refuses what Meta refuses; what both destinations share is tested here."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.facebook_pixel import FacebookPixel
from turnout import Context, Event, Form, Request, Response, codec
from turnout.testing import DestinationContract, FakeClock, Received, Tool
from vendors.meta.users import user_data

PIXEL, TOKEN = "483920175", "t-harbour"
HASHED = {"em", "ph", "ge", "db", "fn", "ln", "ct", "st", "zp", "country", "external_id"}
PERSONAL = {"email", "phone", "firstName", "lastName", "gender", "birthday", "city", "state", "zip", "country"}


class TestFacebookPixel(DestinationContract):
    destination = FacebookPixel


class Graph(Tool):
    """`/<pixel>/events`: a batch with an event that it cannot take is refused as a whole."""

    def __init__(self, *, bad: tuple[str, ...] = (), busy: int = 0, token: str = TOKEN) -> None:
        super().__init__()
        self.bad, self.busy, self.token, self.events = bad, busy, token, 0

    def answered(self, asked: Received) -> tuple[int, Any] | tuple[int, Any, Mapping[str, str]]:
        if asked.headers["host"] != "graph.facebook.com" or asked.method != "POST":
            return 404, _error(2500, "Unknown path components")
        if asked.path != f"/v25.0/{PIXEL}/events":
            return 400, _error(100, "Unsupported post request", error_subcode=33)
        if asked.query.get("access_token") != self.token:
            return 400, _error(190, "Malformed access token")
        if self.busy > 0:
            self.busy -= 1
            return 400, _error(80004, "too many calls"), {
                "X-Business-Use-Case-Usage": '{"9":[{"type":"pixel","estimated_time_to_regain_access":2}]}',
            }
        form = parse_qs(asked.body.decode(), strict_parsing=True)
        events = codec.loads(form["data"][0].encode())
        if not 0 < len(events) <= 1000:
            return 400, _error(100, "Too many events")
        for one in events:
            if said := self._wrong(one):
                return 400, _error(100, said)
        self.events += len(events)
        return 200, {"events_received": len(events), "messages": [], "fbtrace_id": "A1"}

    def _wrong(self, event: dict[str, Any]) -> str:
        who, custom = event["user_data"], event.get("custom_data", {})
        now = int(FakeClock().now().timestamp())
        if not event["event_name"] or not isinstance(event["event_time"], int) or not event["action_source"]:
            return "a required field is missing"
        if not now - 7 * 86_400 <= event["event_time"] <= now + 60:
            return "Event Timestamp Too Old"
        if not who or any(len(who[name]) != 64 for name in HASHED & who.keys()):
            return "not hashed, or nobody"
        if event["action_source"] == "app" and len(event["app_data"]["extinfo"]) != 16:
            return "extinfo"
        if event["event_name"] == "Purchase" and not (isinstance(custom["value"], int | float) and custom["currency"]):
            return "a purchase without value or currency"
        assert not PERSONAL & custom.keys()
        return "refused" if event["event_id"] in self.bad else ""


def _error(code: int, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1", **more}}


def adapter(**settings: Any) -> FacebookPixel:
    chosen = {"pixel_id": PIXEL, "access_token": TOKEN, **settings}
    return FacebookPixel(FacebookPixel.settings_type.model_validate(chosen))


def event(number: int = 1, **more: Any) -> Event:
    message = {
        "type": "track", "event": "Boat Rented", "userId": f"u-{number % 5}", "messageId": f"m-{number}",
        "timestamp": "2026-01-02T03:00:00Z", "channel": "web", "properties": {"revenue": 5, "email": "a@example.com"},
        **more,
    }  # fmt: skip
    return Event(message=message, key=number % 5 + 1, number=number)


def told(made: FacebookPixel, events: list[Event], tool: Graph) -> list[str]:
    found = tool.deliver(made, events, Context(FakeClock().now(), made.delivery))
    return [str(one.outcome) for one in found]


def sent(made: FacebookPixel, one: Event, **options: Any) -> dict[str, Any]:
    one.options = options
    request = made.request(one, Context(FakeClock().now(), made.delivery))
    assert isinstance(request, Request)
    assert isinstance(request.body, Form)
    (found,) = codec.loads(str(request.body.fields["data"]).encode())
    assert isinstance(found, dict)
    return found


def test_events_of_many_users_are_one_form_in_their_order() -> None:
    with Graph() as tool:
        assert told(adapter(test_destination=True, test_event_code="T&1"), [event(n) for n in range(40)], tool) == \
            ["delivered"] * 40
    (asked,) = tool.received
    form = parse_qs(asked.body.decode())
    assert form["test_event_code"] == ["T&1"]
    assert [one["event_id"] for one in codec.loads(form["data"][0].encode())] == [f"m-{n}" for n in range(40)]


def test_an_event_alone_has_the_same_shape() -> None:
    with Graph() as tool:
        assert told(adapter(), [event(3)], tool) == ["delivered"]
    (asked,) = tool.received
    assert parse_qs(asked.body.decode())["data"][0].startswith('[{"event_name":')


def test_a_batch_with_a_bad_event_is_taken_apart() -> None:
    with Graph(bad=("m-5", "m-11")) as tool:
        found = told(adapter(), [event(n) for n in range(16)], tool)
    assert found == ["dead" if n in (5, 11) else "delivered" for n in range(16)]
    assert tool.events == 14


def test_a_token_that_is_not_valid_pauses() -> None:
    with Graph(token="t-other") as tool:
        assert told(adapter(), [event(1), event(2)], tool) == ["pause", "pause"]
    assert len(tool.received) == 1


def test_a_throttled_call_waits_as_long_as_meta_says() -> None:
    made = adapter()
    with Graph(busy=1) as tool:
        found = tool.deliver(made, [event(1), event(2)], Context(FakeClock().now(), made.delivery))
    assert {(str(one.outcome), one.status, one.after) for one in found} == {("retry", 429, 120.0)}


@pytest.mark.parametrize("said", ["", "no json", "[]", '{"9": 3}', '{"9":[1,{"estimated_time_to_regain_access":"x"}]}'])
def test_a_header_that_says_nothing_leaves_the_wait_to_the_engine(said: str) -> None:
    made = adapter()
    response = Response(400, {"x-business-use-case-usage": said}, codec.dumps(_error(17, "calls")))
    found = made.judge(response, Context(FakeClock().now(), made.delivery))
    assert (str(found.outcome), found.status, found.after) == ("retry", 429, None)


def test_a_wait_is_an_hour_at_most() -> None:
    made = adapter()
    header = '{"9":[{"estimated_time_to_regain_access":1},{"estimated_time_to_regain_access":9999}]}'
    response = Response(400, {"x-business-use-case-usage": header}, codec.dumps(_error(4, "calls")))
    assert made.judge(response, Context(FakeClock().now(), made.delivery)).after == 3600.0


@pytest.mark.parametrize(("when", "outcome"), [
    ("2025-12-26T03:04:06Z", "delivered"), ("2025-12-26T03:04:05Z", "dead"), ("2026-01-02T03:05:05Z", "delivered"),
    ("2026-01-02T03:05:07Z", "dead"), ("yesterday", "dead"), (None, "dead"),
])
def test_events_are_of_a_week(when: str | None, outcome: str) -> None:
    with Graph() as tool:
        assert told(adapter(), [event(1, timestamp=when)], tool) == [outcome]


@pytest.mark.parametrize("properties", [
    {"products": {"sku": "r"}}, {"products": ["r"]}, {"category": {"a": 1}}, {"revenue": "many"}, {"revenue": {}},
])
def test_orders_that_cannot_be_read_are_dead(properties: dict[str, Any]) -> None:
    with Graph() as tool:
        assert told(adapter(), [event(1, event="Order Completed", properties=properties)], tool) == ["dead"]
    assert not tool.received


def test_a_property_that_is_kept_back_is_not_the_value_either() -> None:
    made = adapter(blacklist_pii_properties={"revenue": False, "product_id": True, "email": True})
    found = sent(made, event(1, properties={"revenue": 7, "hours": 2}))
    assert found["custom_data"] == {"hours": 2}
    found = sent(made, event(1, event="Product Viewed", properties={"product_id": "p-1", "email": "a@example.com"}))
    assert found["custom_data"]["content_ids"] == []
    assert found["custom_data"]["product_id"] == sha256(b"p-1").hexdigest()
    assert found["custom_data"]["email"] == sha256(b"a@example.com").hexdigest()


def test_only_who_trusts_the_option_sends_values_as_they_are() -> None:
    one = event(1, properties={"email": "a@example.com"})
    assert sent(adapter(), one, hashed=True)["user_data"]["em"] == sha256(b"a@example.com").hexdigest()
    assert sent(adapter(trust_hashed=True), one, hashed=True)["user_data"]["em"] == "a@example.com"
    assert sent(adapter(trust_hashed=True), one)["user_data"]["em"] == sha256(b"a@example.com").hexdigest()


@pytest.mark.parametrize("spelled", [
    {"blacklist_pii_properties": {"notes": True, "passport": False}},
    {"blacklistPiiProperties": [
        {"blacklistPiiProperties": "notes", "blacklistPiiHash": True},
        {"blacklistPiiProperties": "passport", "blacklistPiiHash": ""},
        {"blacklistPiiProperties": "", "blacklistPiiHash": False},
    ]},
    {"blacklist_pii_properties": [{"property": "notes", "hash": True}, "passport"]},
])
def test_what_is_kept_back_is_spelled_in_three_ways(spelled: dict[str, Any]) -> None:
    assert adapter(**spelled).settings.blacklist_pii_properties == {"notes": True, "passport": False}


@pytest.mark.parametrize("wrong", [
    {"pixel_id": "a/b"}, {"pixel_id": ""}, {"access_token": ""}, {"api_version": "25"},
    {"blacklist_pii_properties": [3]}, {"value_field_identifier": "properties.cost"}, {"name_rules": "none"},
])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        adapter(**wrong)


# ---- the person


def who(message: dict[str, Any], **rules: Any) -> dict[str, Any]:
    return user_data(message, **{"names": "meta", "hashed": False, "external_id": True, **rules})


def digested(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(("field", "trait", "values", "form"), [
    ("em", "email", [" Ines@Example.com", "ines@example.com\n"], "ines@example.com"),
    ("ph", "phone", ["+351 210-000-000", "00351210000000", 351210000000], "351210000000"),
    ("ge", "gender", ["F", "female", " Female "], "f"),
    ("db", "birthday", ["1990-04-05", "19900405", "1990-04-05T10:00:00Z"], "19900405"),
    ("fn", "firstName", ["Anne-Marie", "ANNE MARIE", "annemarie"], "annemarie"),
    ("ct", "city", ["St. Ives", "stives 2"], "stives"),
    ("zp", "zip", ["5000-001", "5000", 5000, " 5000 "], "5000"),
    ("country", "country", ["PT", "p.t."], "pt"),
])
def test_one_person_in_many_spellings_is_one(field: str, trait: str, values: list[Any], form: str) -> None:
    for value in values:
        assert who({"traits": {trait: value}}) == {field: digested(form)}
        assert who({"context": {"traits": {trait: digested(form)}}}) == {field: digested(form)}


def test_names_come_from_their_own_traits_or_from_the_whole() -> None:
    traits = {"name": "Ana Luz", "firstName": "Bea"}
    assert who({"traits": traits}) == {"fn": digested("bea"), "ln": digested("luz")}
    assert who({"traits": traits}, names="rudderstack") == {"fn": digested("Ana"), "ln": digested("Luz")}
    assert who({"traits": {"name": "Ana"}}) == {"fn": digested("ana")}


def test_a_click_is_known_by_the_address_of_its_page() -> None:
    page = {"url": "https://example.com/?a=1&fbclid=Ab%2BC#top"}
    message = {"timestamp": "2026-01-02T03:00:00.250Z", "context": {"page": page}}
    assert who(message) == {"fbc": "fb.1.1767322800250.Ab+C"}
    assert who({**message, "context": {"page": page, "fbc": "fb.1.2.c"}}) == {"fbc": "fb.1.2.c"}
    assert who({"context": {"page": {"url": "https://example.com/?xfbclid=1"}}}) == {}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6,
)  # fmt: skip
TRAITS = st.dictionaries(
    st.sampled_from([*sorted(PERSONAL), "name", "postalCode", "address", "userId"]), VALUES, max_size=6
)


@given(TRAITS, TRAITS, st.sampled_from(["meta", "rudderstack"]))
def test_nobody_is_sent_in_the_clear(traits: dict[str, Any], context: dict[str, Any], names: str) -> None:
    found = who({"traits": traits, "context": {"traits": context}, "properties": {**context}}, names=names)
    assert all(len(found[name]) == 64 and set(found[name]) <= set("0123456789abcdef") for name in HASHED & found.keys())
    assert found.keys() <= HASHED
