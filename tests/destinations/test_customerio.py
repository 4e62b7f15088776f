"""Customer.io against a server as strict as its Track API, in both versions; names, ids and repeats."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from destinations import registry
from destinations.customerio import Customerio
from destinations.customerio.mapping import entity
from destinations.rudderstack import CONSTANTS, slug_of
from turnout import Context, Event, Response, codec
from turnout.errors import Refused
from turnout.testing import FakeClock, Received, Tool, drive

NOW = FakeClock().now()
KEY = "Basic " + base64.b64encode(b"harbour:k-31").decode()


class TrackApi(Tool):
    """Credentials, required fields and limits as the API has them; `blocked` ids are refused one by one."""

    blocked = frozenset({"blocked"})

    def answered(self, asked: Received) -> tuple[int, Any]:
        if asked.headers.get("authorization") != KEY:
            return 401, {"meta": {"error": "unauthorized"}}
        if asked.path == "/api/v2/batch":
            return self._batch(asked)
        parts = asked.path.split("/")
        if parts[:3] != ["", "api", "v1"]:
            return 404, ""
        problem = self._call(asked.method, parts[3:], asked.json() if asked.body else None)
        return (400, {"meta": {"error": problem}}) if problem else (200, {})

    def _batch(self, asked: Received) -> tuple[int, Any]:
        body = asked.json()
        if set(body) != {"batch"} or not body["batch"] or len(asked.body) > 500_000:
            return 400, {"errors": [{"reason": "malformed", "field": "batch", "message": "no batch"}]}
        problems = [self._entity(one) for one in body["batch"]]
        errors = [
            {"batch_index": i, "reason": "invalid", "field": problem, "message": problem}
            for i, problem in enumerate(problems) if problem
        ]
        return (207, {"errors": errors}) if errors else (200, {})

    def _entity(self, one: dict[str, Any]) -> str:
        if one["type"] not in ("person", "object"):
            return "type"
        if one["action"] == "merge":
            people = [one["primary"], one["secondary"]]
        elif one["type"] == "object":
            if not {"object_id", "object_type_id"} <= set(one["identifiers"]):
                return "identifiers"
            people = [member["identifiers"] for member in one.get("cio_relationships", [])]
        else:
            people = [one["identifiers"]]
        if not all(len(who) == 1 and all(isinstance(v, str) and v for v in who.values()) for who in people):
            return "identifiers"
        if any(value in self.blocked for who in people for value in who.values()):
            return "identifiers.id"
        if one["action"] in ("event", "page", "screen") and not one.get("name"):
            return "name"
        return "device" if one["action"].endswith("_device") and not one["device"].get("token") else ""

    def _call(self, method: str, parts: list[str], body: Any) -> str:
        if parts == ["merge_customers"]:
            return "" if all(len(body[who]) == 1 for who in ("primary", "secondary")) else "identifiers"
        if parts == ["events"]:
            return self._event(body)
        if parts[0] != "customers" or not parts[1]:
            return "id attribute must be present"
        if unquote(parts[1]) in self.blocked:
            return "id is suppressed"
        if parts[2:] == []:
            return "" if method == "PUT" and isinstance(body, dict) else "no attributes"
        if parts[2:] == ["events"]:
            return self._event(body)
        if parts[2] == "devices":
            if len(parts) == 4:
                return "" if method == "DELETE" and parts[3] else "no token"
            return "" if body["device"]["id"] else "no token"
        return "unknown"

    def _event(self, body: dict[str, Any]) -> str:
        if not isinstance(body.get("name"), str) or not body["name"].strip():
            return "name cannot be blank"
        if "anonymous_id" in body and len(body["name"].encode()) > 100:
            return "event name cannot be longer than 100 bytes"
        return "" if isinstance(body.get("data", {}), dict) else "event data must be a hash"


@pytest.fixture
def api() -> Iterator[TrackApi]:
    with TrackApi() as server:
        yield server


def made(**settings: Any) -> Customerio:
    adapter = registry.build("customerio", {"site_id": "harbour", "api_key": "k-31", **settings})
    assert isinstance(adapter, Customerio)
    return adapter


def at(adapter: Customerio) -> Context:
    return Context(NOW, adapter.delivery)


def event(number: int = 0, **fields: Any) -> Event:
    message = {"type": "track", "messageId": f"m-{number}", "userId": "skipper-7", "event": "Boat Rented", **fields}
    return Event(message=message, key=number + 1, source="web")


EVERY = (
    event(0), event(1, type="identify", traits={"email": "ines@example.com"}),
    event(2, type="page", name="Berths"), event(3, type="screen", name="Tides"),
    event(4, type="alias", previousId="old-7"), event(5, type="group", groupId="club", traits={"boats": 14}),
    event(6, userId=None, anonymousId="a-55", event="ö" * 200),
    event(7, event="Application Opened", context={"device": {"token": "tok:1", "type": "iOS"}}),
    event(8, event="Application Uninstalled", context={"device": {"token": "tok:1"}}),
    event(9, type="record", action="insert", identifiers={"id": 42}),
)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("region", ["us", "eu"])
def test_the_api_takes_every_kind_of_event(api: TrackApi, version: str, region: str) -> None:
    adapter = made(api=version, region=region)
    found = api.deliver(adapter, EVERY, at(adapter))
    assert [str(v.outcome) for v in found] == ["delivered"] * len(EVERY)
    assert {one.headers["host"] for one in api.received} == {f"track{'-eu' * (region == 'eu')}.customer.io"}
    assert len(api.received) == (1 if version == "v2" else 9), "group and record share a request in v1"


def test_a_wrong_key_pauses_and_nothing_more_is_sent(api: TrackApi) -> None:
    adapter = made(api_key="old")
    assert [str(v.outcome) for v in api.deliver(adapter, EVERY[:3], at(adapter))] == ["pause"] * 3
    assert len(api.received) == 1


def test_only_the_refused_of_a_batch_are_dead(api: TrackApi) -> None:
    adapter = made(api="v2")
    events = [event(n, userId="blocked" if n in (1, 3) else f"u-{n}") for n in range(5)]
    found = api.deliver(adapter, events, at(adapter))
    assert [str(v.outcome) for v in found] == ["delivered", "dead", "delivered", "dead", "delivered"]
    assert len(api.received) == 1


@pytest.mark.parametrize("row", [{"batch_index": 9}, {"batch_index": None}, {}, "odd"])
def test_what_a_207_leaves_open_is_not_called_delivered(row: Any) -> None:
    adapter, answer = made(api="v2"), Response(207, {}, codec.dumps({"errors": [row]}))
    found, _ = drive(adapter, [event(0), event(1)], at(adapter), lambda _: answer)
    assert [str(v.outcome) for v in found] == ["dead", "dead"]


def test_batches_keep_to_the_limits_of_the_api(api: TrackApi) -> None:
    adapter = made(api="v2")
    events = [event(n, userId=f"u-{n}", properties={"log": "x" * 900}) for n in range(1200)]
    found = api.deliver(adapter, events, at(adapter))
    assert {str(v.outcome) for v in found} == {"delivered"}
    assert len(api.received) == 3
    assert all(len(one.body) <= 500_000 and len(one.json()["batch"]) <= 1000 for one in api.received)


def test_an_event_too_large_for_a_batch_is_dead_alone(api: TrackApi) -> None:
    adapter = made(api="v2")
    found = api.deliver(adapter, [event(0, properties={"log": "x" * 33_000}), event(1)], at(adapter))
    assert [str(v.outcome) for v in found] == ["dead", "delivered"]
    assert "32,768 bytes" in found[0].reason


def test_throttled_calls_stop_the_rest() -> None:
    adapter = made()
    found, sent = drive(adapter, EVERY[:4], at(adapter), lambda _: Response(429, {"Retry-After": "9"}))
    assert [(str(v.outcome), v.after) for v in found] == [("retry", 9.0)] * 4
    assert len(sent) == 1


def test_calls_of_v1_do_not_wait_for_a_thousand_others() -> None:
    assert made().delivery.batch < made(api="v2").delivery.batch == Customerio.delivery.batch == 1000
    assert made().delivery.linger < made(api="v2").delivery.linger


def test_a_user_waits_behind_an_event_that_failed() -> None:
    adapter = made()
    events = [Event(message={**event().message, "event": name}, key=1) for name in ("First", "Second")]
    found, sent = drive(adapter, events, at(adapter), lambda _: Response(503))
    assert [str(v.outcome) for v in found] == ["retry", "retry"]
    assert len(sent) == 1


def test_a_repeat_has_the_same_id_and_another_event_another() -> None:
    adapter = made()
    when = "2026-01-02T03:00:00.000Z"

    def ident(number: int, **fields: Any) -> Any:
        (request,) = adapter.verdict(event(number, **{"timestamp": when, **fields}), at(adapter))
        return request.body.value.get("id")

    assert ident(1) == ident(1)
    assert len({ident(1), ident(2), ident(1, timestamp="2026-01-02T03:00:00.001Z")}) == 3
    assert ident(1) < ident(1, timestamp="2026-01-02T03:00:00.001Z"), "a ULID sorts by its time"
    assert len(ident(1)) == 26
    assert ident(1, timestamp=None) is None, "without a time of its own it would be another on every attempt"
    assert ident(1, messageId="") is None


def test_a_name_of_rudderstack_means_its_behaviour() -> None:
    assert slug_of("CUSTOMERIO") == ("customerio", {"deduplicate": False})
    switch = CONSTANTS["customerio"]["CUSTOMERIO_BATCHING_FRAMEWORK_ENABLED_WORKSPACE_IDS"]
    assert [switch(value).settings["api"] for value in ("ALL", "w-1,w-2", "NONE", "")] == ["v2", "v2", "v1", "v1"]
    adapter = made(datacenter="EU", deviceTokenEventName="Push", useNativeSDK=True, syncMode="mirror", object="person")
    assert adapter.settings.region == "eu"
    assert adapter.settings.sync_mode == "mirror"


@pytest.mark.parametrize("settings", [
    {"site_id": ""}, {"api_key": ""}, {"site_id": "a:b"}, {"region": "mars"}, {"api": "v3"}, {"object": "company"},
])
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made(**settings)


@pytest.mark.parametrize(("fields", "needs"), [
    ({"userId": None}, "anonymousId"),
    ({"userId": {"id": 7}, "anonymousId": "a-55"}, "userId is neither"),
    ({"userId": True}, "userId is neither"),
    ({"event": ""}, "event is missing"),
    ({"event": 7}, "event is missing"),
    ({"properties": ["a"]}, "properties is no object"),
    ({"type": "page", "event": None}, "name or properties.url"),
    ({"type": "screen", "event": None}, "event or name"),
    ({"type": "alias"}, "previousId is missing"),
    ({"type": "alias", "userId": None, "previousId": "a"}, "userId is missing"),
    ({"type": "group"}, "groupId is missing"),
    ({"event": "Application Uninstalled"}, "context.device.token"),
    ({"type": "record", "action": "insert"}, "identifiers.id"),
    ({"type": "record", "action": "touch", "identifiers": {"id": "a"}}, "insert, update, delete"),
    ({"userId": ".."}, "dots alone"),
])
def test_what_the_api_would_refuse_is_not_sent(fields: dict[str, Any], needs: str) -> None:
    adapter = made()
    found, sent = drive(adapter, [event(**fields)], at(adapter), lambda _: Response(200))
    assert str(found[0].outcome) == "dead"
    assert needs in found[0].reason
    assert not sent


def test_a_group_is_related_to_its_caller_and_never_to_its_own_address() -> None:
    def members(**fields: Any) -> Any:
        message = event(type="group", groupId="club", traits={"email": "office@example.com"}, **fields).message
        return entity(message, "group", frozenset())["cio_relationships"]

    assert members() == [{"identifiers": {"id": "skipper-7"}}]
    assert members(userId="ines@example.com") == [{"identifiers": {"email": "ines@example.com"}}]
    assert members(userId=None) == []
    caller = {"context": {"traits": {"email": "ines@example.com"}}}
    assert members(userId=None, **caller) == [{"identifiers": {"email": "ines@example.com"}}]


@pytest.mark.parametrize("action", ["identify", "delete", "add_relationships", "delete_relationships", "dance"])
def test_a_group_says_what_happens_to_the_object(action: str) -> None:
    message = event(type="group", groupId="club", traits={"action": action, "boats": 14}).message
    found = entity(message, "group", frozenset())
    assert found["action"] == ("identify" if action == "dance" else action)
    assert found["attributes"] == {"boats": 14}


@given(st.text(min_size=1, max_size=60))
def test_any_id_is_one_segment_of_the_address(ident: str) -> None:
    adapter = made()
    result = adapter.verdict(event(userId=ident), at(adapter))
    if not isinstance(result, list):
        assert str(result.outcome) == "dead"
        assert not ident.strip() or ident in (".", "..")
        return
    path = result[0].url.removeprefix("https://track.customer.io/api/v1/customers/").removesuffix("/events")
    assert "/" not in path
    assert "?" not in path
    assert "#" not in path
    assert unquote(path) == ident


@given(st.sampled_from(["track", "page", "screen"]), st.text(min_size=1, max_size=150))
def test_a_name_without_a_person_has_at_most_a_hundred_bytes(kind: str, name: str) -> None:
    message = {"type": kind, "anonymousId": "a-55", "event": name, "name": name}
    try:
        found = entity(message, kind, frozenset())["name"]
    except Refused:
        assert not name.strip()
        return
    assert len(found.encode()) <= 100
    assert len(found.encode()) > 96 or name in found, "it is cut only where it must be"
    assert found.removeprefix("Viewed ").removesuffix(" Screen") in name
