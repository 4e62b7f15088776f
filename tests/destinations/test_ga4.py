"""Google Analytics 4 against a stand-in that refuses what Google's validation server refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from destinations.ga4 import GA4
from destinations.ga4.events import EVENTS
from destinations.ga4.names import event_name, fitted, key, legal
from destinations.ga4.params import custom, user_properties
from destinations.ga4.user_data import user_data
from turnout import Context, Event, User, codec
from turnout.errors import Fixable, Refused
from turnout.testing import DestinationContract, FakeClock, Received, Tool, drive_forget

STEADY = settings(deadline=None, derandomize=True)
NOW = FakeClock().now()
SECRET = "s-harbour-1"
STREAM = "G-8XK2PLB4TD"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
RESERVED = ("_", "firebase_", "ga_", "google_", "gtag.")


class TestGA4(DestinationContract):
    destination = GA4


class Collector(Tool):
    """`/mp/collect` takes everything in silence; `/debug/mp/collect` says what is wrong; the Admin API deletes."""

    known = ("u-77", "a-5f2e")

    def answered(self, asked: Received) -> tuple[int, Any] | tuple[int, Any, Mapping[str, str]]:
        host = asked.headers["host"]
        if host == "oauth2.googleapis.com":
            return 200, {"access_token": "t-1", "expires_in": 3599, "token_type": "Bearer"}
        if host == "analyticsadmin.googleapis.com":
            return self._deleted(asked)
        assert asked.method == "POST"
        assert host in ("www.google-analytics.com", "region1.google-analytics.com")
        wrong = list(self._wrong(asked))
        if asked.path == "/debug/mp/collect":
            return 200, {"validationMessages": wrong}
        assert asked.path == "/mp/collect"
        assert not wrong, wrong
        return 204, ""

    def _wrong(self, asked: Received) -> Any:
        query, body = asked.query, asked.json()

        def no(code: str, what: str) -> dict[str, str]:
            return {"fieldPath": "events", "description": what, "validationCode": code}

        if query.get("api_secret") != SECRET:
            yield no("VALUE_INVALID", "api_secret")
        if not body.get("client_id" if "measurement_id" in query else "app_instance_id"):
            yield no("VALUE_REQUIRED", "client")
        if len(asked.body) >= 130_000 or not 1 <= len(body["events"]) <= 25:
            yield no("EXCEEDED_MAX_ENTITIES", "size")
        for name, held in body.get("user_properties", {}).items():
            if len(name) > 24 or not isinstance(held["value"], str | int | float) or len(str(held["value"])) > 36:
                yield no("VALUE_INVALID", name)
        for event in body["events"]:
            if not NAME.fullmatch(event["name"]):
                yield no("NAME_INVALID", event["name"])
            params = event["params"]
            if len(params) > 25:
                yield no("EXCEEDED_MAX_ENTITIES", "params")
            for holder in (params, *params.get("items", ())):
                for name, value in holder.items():
                    if not NAME.fullmatch(name) or name.startswith(RESERVED):
                        yield no("NAME_INVALID", name)
                    if isinstance(value, str) and len(value) > 100 and not name.startswith("page_"):
                        yield no("VALUE_INVALID", name)
                    if isinstance(value, dict) or (isinstance(value, list) and name != "items"):
                        yield no("VALUE_INVALID", name)
            for item in params.get("items", ()):
                if not isinstance(item.get("price", 0), int | float):
                    yield no("INTERNAL_ERROR", "price")

    def _deleted(self, asked: Received) -> tuple[int, Any] | tuple[int, Any, Mapping[str, str]]:
        if asked.headers.get("authorization") != "Bearer t-1":
            return 401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}}
        if asked.path != "/v1alpha/properties/318204417:submitUserDeletion":
            return 404, {"error": {"code": 404, "status": "NOT_FOUND"}}
        (ident,) = asked.json().values()
        if ident == "u-busy":
            return 429, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, {"Retry-After": "60"}
        return 200, {"deletionRequestTime": "2026-01-02T03:04:05Z"}


def adapter(**chosen: Any) -> GA4:
    given = {"api_secret": SECRET, "measurement_id": STREAM, **chosen}
    return GA4(GA4.settings_type.model_validate(given))


def event(name: Any = "Boat Inspected", **more: Any) -> Event:
    message = {"type": "track", "event": name, "anonymousId": "a-5f2e", "timestamp": "2026-01-02T03:00:00Z", **more}
    return Event(message=message, key=1, number=1)


def sent(made: GA4, *events: Event) -> list[Any]:
    with Collector() as tool:
        verdicts = tool.deliver(made, events, Context(NOW, made.delivery))
        assert [str(one.outcome) for one in verdicts] == ["delivered"] * len(events), verdicts
        return [asked.json() for asked in tool.received]


def refused(made: GA4, one: Event) -> str:
    verdict = made.verdict(one, Context(NOW, made.delivery))
    assert not isinstance(verdict, list)
    assert str(verdict.outcome) == "dead"
    return verdict.reason


# ---- end to end


def test_events_of_every_kind_are_taken() -> None:
    (track, page, group) = sent(
        adapter(region="eu"), event(), event(type="page", properties={"url": "https://example.com/" + "b" * 900}),
        event(type="group", groupId="crew-9", traits={"size": 7}),
    )  # fmt: skip
    assert track["events"][0]["name"] == "Boat_Inspected"
    assert len(page["events"][0]["params"]["page_location"]) == 920
    assert group["events"][0]["params"]["group_id"] == "crew-9"


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_recommended_event_is_taken(name: str) -> None:
    properties = {
        "query": "dinghy", "order_id": "o-1", "total": "12.5", "score": 3, "value": 2,
        "virtual_currency_name": "shells", "achievement_id": "knots", "method": "web",
        "products": [{"product_id": "p-1", "price": "11", "name": "Chart"}],
    }  # fmt: skip
    (body,) = sent(adapter(), event(name.replace("_", " ").title(), properties=properties))
    (made,) = body["events"]
    assert made["name"] == EVENTS[name].name
    if EVENTS[name].items != "none":
        assert made["params"]["items"] == [{"item_id": "p-1", "price": 11, "item_name": "Chart"}]
    if EVENTS[name].money:
        assert made["params"]["currency"] == "USD"
        assert isinstance(made["params"]["value"], float | int)


def test_what_does_not_fit_is_made_to() -> None:
    properties = {f"berth no. {i}": "x" * 200 for i in range(40)} | {"products": [{"name": "y" * 300}] * 300}
    (body,) = sent(adapter(), event(properties=properties, context={"sessionId": 9}))
    params = body["events"][0]["params"]
    assert len(params) == 25
    assert params["session_id"] == 9
    assert params["engagement_time_msec"] == 1
    assert len(params["items"]) == 200
    assert params["berth_no__0"] == "x" * 100


def test_validation_says_what_google_would_drop() -> None:
    made = adapter(debug_mode=True, fit_limits=False)
    with Collector() as tool:
        events = [event(), event(properties={"berth no.": 4})]
        found = tool.deliver(made, events, Context(NOW, made.delivery))
    assert [str(one.outcome) for one in found] == ["delivered", "dead"]
    assert found[1].status == 200


def test_answers_that_are_none_of_googles_are_read_as_ever() -> None:
    with Collector() as tool:
        for status, headers in ((503, {}), (429, {"Retry-After": "7"}), (413, {}), (403, {})):
            tool.answer(status, b"{}", **headers)
        made = adapter()
        told = [tool.deliver(made, [event()], Context(NOW, made.delivery))[0] for _ in range(4)]
    assert [(str(one.outcome), one.after) for one in told] == [
        ("retry", None), ("retry", 7.0), ("dead", None), ("dead", None),
    ]  # fmt: skip


def test_a_request_that_is_too_long_is_dead_with_the_limit() -> None:
    one = event(properties={f"p{i}": "x" * 1000 for i in range(200)})
    assert "130,000 bytes" in refused(adapter(fit_limits=False), one)
    assert sent(adapter(), one)


# ---- names, times, clients


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("", "name"), (None, "name"), (7, "name"), ("ad_click", "keeps"), ("ga_visit", "begin"), ("_x", "begin"),
        ("1st Booking", "letter"), ("Boat-Rented", "letter"), ("b" * 41, "40"),
    ],
)  # fmt: skip
def test_names_that_google_does_not_take(name: Any, word: str) -> None:
    assert word in refused(adapter(), event(name))


@given(st.text(max_size=60))
@STEADY
def test_a_name_is_legal_or_refused(name: str) -> None:
    try:
        made = event_name(name)
    except Refused:
        return
    assert re.fullmatch(r"[^\W\d_]\w{0,39}", made)
    assert event_name(made) == made
    assert key(made) == key(name)


@pytest.mark.parametrize(
    ("time", "word"), [("2025-12-30T03:04:05Z", "72 hours"), ("2026-01-02T03:20:00Z", "15 minutes")]
)
def test_times_that_google_does_not_take(time: str, word: str) -> None:
    assert word in refused(adapter(), event(timestamp=time))


@pytest.mark.parametrize("time", ["2025-12-30T03:04:06Z", "2026-01-02T03:19:00Z", None, "yesterday"])
def test_other_times_are_taken(time: str | None) -> None:
    (body,) = sent(adapter(), event(timestamp=time))
    assert ("timestamp_micros" in body) == (time is not None and time.startswith("202"))


def test_fractions_of_a_second_unless_switched_off() -> None:
    one = event(timestamp="2026-01-02T03:00:00.123456Z")
    assert sent(adapter(), one)[0]["timestamp_micros"] == 1_767_322_800_123_456
    assert sent(adapter(whole_seconds=True), one)[0]["timestamp_micros"] == 1_767_322_800_000_000


def test_who_the_client_is() -> None:
    own = {"externalId": [{"type": "ga4ClientId", "id": 555.17}]}
    clients = [
        body["client_id"] for body in sent(
            adapter(), event(context=own), event(), event(anonymousId=41), event(anonymousId="", rudderId="r-1")
        )
    ]  # fmt: skip
    assert clients == ["555.17", "a-5f2e", "41", "r-1"]
    assert "anonymousId" in refused(adapter(), event(anonymousId=None))


def test_options_of_a_tag_count_in_hybrid_mode_only() -> None:
    options = {"clientId": "7.1", "sessionId": "s-1", "sessionNumber": 2, "consents": {"ad_user_data": "MAYBE"}}
    message = {"type": "page", "anonymousId": "a-5f2e", "context": {"sessionId": 5}}
    one = Event(message=message, key=1, options=options)
    (cloud,), (hybrid,) = sent(adapter(), one), sent(adapter(connectionMode={"web": "hybrid"}), one)
    assert (cloud["client_id"], cloud["events"][0]["params"]["session_id"]) == ("a-5f2e", 5)
    assert (hybrid["client_id"], hybrid["events"][0]["params"]["session_id"]) == ("7.1", "s-1")
    assert cloud["events"][0]["params"]["session_number"] == 2
    assert "consent" not in cloud


# ---- parameters and user properties

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=150)
INNER = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
TREES = st.dictionaries(st.text(max_size=50), INNER, max_size=30)


@given(TREES)
@STEADY
def test_parameters_are_flat_and_fit(properties: dict[str, Any]) -> None:
    for name, value in fitted(custom(properties)).items():
        assert NAME.fullmatch(name)
        assert not name.startswith(RESERVED)
        assert isinstance(value, bool | int | str)
        assert not isinstance(value, str) or 0 < len(value) <= 1000
    assert len(fitted(custom(properties))) <= 25


@given(st.text(max_size=60))
@STEADY
def test_a_made_name_is_legal_and_stays(name: str) -> None:
    made = legal(name)
    assert made == "" or NAME.fullmatch(made)
    assert legal(made) == made


@given(TREES, TREES)
@STEADY
def test_user_properties_are_those_that_google_keeps(traits: dict[str, Any], own: dict[str, Any]) -> None:
    found = user_properties(traits, own, frozenset({"email"}), fit=True)
    assert len(found) <= 25
    for name, held in found.items():
        assert NAME.fullmatch(name)
        assert len(name) <= 24
        assert name != "email"
        assert isinstance(held["value"], bool | int) or 0 < len(held["value"]) <= 36


def test_what_names_a_person_is_sent_nowhere() -> None:
    person = {"email": "ines@example.com", "firstName": "Ines", "plan": "crew"}
    bodies = sent(
        adapter(), event(properties=person, context={"traits": person}),
        event(type="group", groupId="g-1", traits=person),
    )  # fmt: skip
    assert "ines" not in str(bodies).lower()
    assert bodies[0]["user_properties"] == {"plan": {"value": "crew"}}


def test_user_data_is_hashed_and_needs_a_user() -> None:
    traits = {"email": "ines@example.com", "phone": "+31 20 555 0100", "city": "Sneek"}
    known = event("login", userId="u-77", context={"traits": traits})
    (body,) = sent(adapter(send_user_data=True), known)
    assert body["user_data"].keys() == {"sha256_email_address", "sha256_phone_number"}
    assert all(re.fullmatch("[0-9a-f]{64}", value) for (value,) in body["user_data"].values())
    assert "user_data" not in sent(adapter(send_user_data=True), event("login", context={"traits": traits}))[0]


def test_addresses_at_google_are_the_same_with_points() -> None:
    one, other = ({"traits": {"email": text}} for text in (" I.Nes@Gmail.com ", "ines@gmail.com"))
    assert user_data(one) == user_data(other)
    assert user_data({"traits": {"email": "i.nes@example.com"}}) != user_data({"traits": {"email": "ines@example.com"}})
    assert user_data({"traits": {"email": "nobody"}}) == {}


# ---- mappings


def test_an_event_with_mappings_is_sent_once_for_each_and_stays_as_it_is() -> None:
    rows = [
        {"event": "Room Booked", "name": "purchase", "properties": {"events[0].params": "$.properties.stay"}},
        {"event": "room booked ", "name": "lead_won", "properties": {"client_id": "$.context.traits.tag"}},
        {"rsEventName": "", "destEventName": "", "eventProperties": [{"from": "", "to": ""}]},
    ]
    one = event("Room Booked", properties={"stay": {"nights": 2}}, context={"sessionId": 4, "traits": {"tag": "7.1"}})
    before = codec.dumps(one.message)
    first, second = sent(adapter(events_mapping=rows), one)
    assert first["events"] == [{"name": "purchase", "params": {"nights": 2, "session_id": 4}}]
    assert second["client_id"] == "7.1"
    assert codec.dumps(one.message) == before


def test_a_mapped_name_that_google_keeps_is_dead() -> None:
    rows = [{"event": "Room Booked", "name": "purchase", "properties": {"events[0].name": "$.properties.kind"}}]
    assert "keeps" in refused(adapter(events_mapping=rows), event("Room Booked", properties={"kind": "first_visit"}))


@pytest.mark.parametrize(
    "mapped",
    [
        {"events[0]": "$.properties.stay"}, {"events": "$.properties.stays"}, {"events": "none"},
        {"events": "$.properties.none"},
    ],
)  # fmt: skip
def test_a_mapping_that_leaves_no_event_is_dead(mapped: dict[str, str]) -> None:
    rows = [{"event": "Room Booked", "name": "purchase", "properties": mapped}]
    one = event("Room Booked", properties={"stay": {"nights": 2}, "stays": ["a"], "none": []})
    assert "mapping" in refused(adapter(events_mapping=rows), one)


def test_items_of_a_mapping_that_are_none_are_left_out() -> None:
    mapped = {"events[0].params.items": "$.properties.rooms"}
    rows = [{"event": "Room Booked", "name": "purchase", "properties": mapped}]
    (body,) = sent(adapter(events_mapping=rows), event("Room Booked", properties={"rooms": [4, {"item_name": "Loft"}]}))
    assert body["events"][0]["params"]["items"] == [{"item_name": "Loft"}]


@pytest.mark.parametrize("odd", [[], {"a": 1}, [1], 1e300, None, "", True])
def test_options_may_be_anything(odd: Any) -> None:
    options = {"clientId": odd, "sessionId": odd, "sessionNumber": odd, "consents": {"ad_user_data": odd}}
    one = Event(message=event().message, key=1, options=options)
    for made in (adapter(), adapter(connection_mode="hybrid")):
        assert isinstance(made.verdict(one, Context(NOW, made.delivery)), list)


# ---- settings


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"measurement_id": None}, "measurement_id"), ({"client_type": "firebase"}, "firebase_app_id"),
        ({"api_secret": ""}, "api_secret"), ({"client_type": "gtm"}, "client_type"),
        ({"events_mapping": [{"event": "A", "name": "ga_x"}]}, "name"),
        ({"events_mapping": [{"event": "A", "name": "b", "properties": {"events[0].params.x": "$.a["}}]}, "$.a["),
        ({"property_id": "properties/4"}, "property_id"),
    ],
)  # fmt: skip
def test_settings_that_are_wrong_say_which(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError) as told:
        adapter(**wrong)
    assert word in str(told.value)


# ---- deletion


@pytest.fixture(scope="module")
def service_account() -> str:
    pem = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return codec.dumps({"client_email": "harbour@example.com", "private_key": pem.decode()}).decode()


def forgotten(made: GA4, users: list[User]) -> tuple[list[str], list[Any]]:
    with Collector() as tool:
        verdicts, _ = drive_forget(made, users, Context(NOW, made.delivery), tool.send)
        asked = [one.json() for one in tool.received if one.headers["host"].startswith("analyticsadmin")]
    return [str(one.outcome) for one in verdicts], asked


def test_users_are_deleted_by_each_of_their_ids(service_account: str) -> None:
    made = adapter(property_id=318204417, service_account=service_account)
    users = [User("u-77", "", "a-5f2e"), User("", "ines@example.com"), User("u-78")]
    outcomes, asked = forgotten(made, users)
    assert outcomes == ["delivered", "filtered", "delivered"]
    assert asked == [{"userId": "u-77"}, {"clientId": "a-5f2e"}, {"userId": "u-78"}]


def test_a_busy_admin_api_stops_the_rest(service_account: str) -> None:
    made = adapter(property_id="318204417", service_account=service_account)
    outcomes, asked = forgotten(made, [User("u-77"), User("u-busy", "", "a-1"), User("u-79")])
    assert outcomes == ["delivered", "retry", "retry"]
    assert asked == [{"userId": "u-77"}, {"userId": "u-busy"}]


def test_an_app_is_asked_for_its_instance(service_account: str) -> None:
    chosen = {"client_type": "firebase", "firebase_app_id": "1:2", "property_id": "318204417"}
    made = adapter(**chosen, service_account=service_account)
    _, asked = forgotten(made, [User("", "", "a-1", {"ga4AppInstanceId": "9f27"})])
    assert asked == [{"appInstanceId": "9f27"}]


def test_deletion_says_what_it_needs() -> None:
    assert forgotten(adapter(), [User("u-77")]) == (["dead"], [])
    with pytest.raises(Fixable, match="service_account"):
        adapter(service_account="{}", property_id="1")
