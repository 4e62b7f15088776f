"""Segment beyond the contract: a strict stand-in for its batch endpoint, limits, halving, ids."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from destinations import registry
from destinations.rudderstack import slug_of
from turnout import Context, Event
from turnout.preview import describe
from turnout.testing import DestinationContract, FakeClock, Received, Tool, drive_forget
from turnout.user import User

STEADY = settings(deadline=None, derandomize=True)
NOW = FakeClock().now()
KEY = "wk-harbour"


class Segment(Tool):
    """Refuses what https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ says it refuses.

    `kept` is what is seen in the source: the rest is answered with 200 too.
    """

    def __init__(self, **chosen: Any) -> None:
        super().__init__(**chosen)
        self.kept: dict[str, dict[str, Any]] = {}
        self.refuses = ""

    def answered(self, asked: Received) -> tuple[int, Any]:
        if (asked.method, asked.path) != ("POST", "/v1/batch"):
            return 404, ""
        events = asked.json()["batch"]
        if len(asked.body) > 500_000 or any(len(str(one)) > 32_768 * 2 for one in events):
            return 400, {"success": False}
        if self.refuses and any(one["messageId"] == self.refuses for one in events):
            return 400, {"success": False}
        if asked.headers.get("authorization") == "Basic " + base64.b64encode(f"{KEY}:".encode()).decode():
            for one in events:
                if one.get("userId") or one.get("anonymousId"):
                    self.kept.setdefault(one["messageId"], one)
        return 200, {"success": True}


class TestContract(DestinationContract):
    destination = registry.find("segment")


def build(**chosen: Any):
    return registry.build("segment", {"write_key": KEY, **chosen})


def event(ident: str = "m-1", *, child: int = 0, **fields: Any) -> Event:
    message = {"type": "track", "messageId": ident, "userId": "c-1", "event": "Lock Opened", **fields}
    return Event(message=message, key=1, child=child, source="web")


def item(adapter: Any, one: Event, at: Context | None = None) -> dict[str, Any]:
    (request,) = adapter.verdict(one, at or Context(NOW))
    (made,) = request.body.value["batch"]
    return made


def test_a_batch_arrives_once_however_often_it_is_sent() -> None:
    adapter = build()
    with Segment() as segment:
        for _ in range(2):
            events = [event(f"m-{i}") for i in range(700)]
            found = segment.deliver(adapter, events, Context(NOW, adapter.delivery))
            assert {str(one.outcome) for one in found} == {"delivered"}
        assert len(segment.kept) == 700
        assert [len(one.json()["batch"]) for one in segment.received] == [500, 200, 500, 200]


def test_the_event_that_a_batch_is_refused_for_is_found() -> None:
    adapter = build()
    with Segment() as segment:
        segment.refuses = "m-5"
        events = [event(f"m-{i}") for i in range(9)]
        found = segment.deliver(adapter, events, Context(NOW, adapter.delivery))
        assert [str(one.outcome) for one in found] == ["delivered"] * 5 + ["dead"] + ["delivered"] * 3
        assert set(segment.kept) == {f"m-{i}" for i in range(9)} - {"m-5"}


def test_large_events_travel_in_several_requests_and_too_large_ones_die_alone() -> None:
    adapter = build()
    with Segment() as segment:
        events = [event(f"m-{i}", properties={"note": "x" * 31_000}) for i in range(40)]
        events.append(event("m-large", properties={"note": "x" * 32_000}))
        found = segment.deliver(adapter, events, Context(NOW, adapter.delivery))
        assert [str(one.outcome) for one in found] == ["delivered"] * 40 + ["dead"]
        assert found[-1].reason.startswith("it has 32,")
        assert len(segment.received) == 3
        assert all(len(one.body) <= 500_000 for one in segment.received)


def test_a_batch_of_one_has_the_shape_of_all() -> None:
    adapter = build()
    with Segment() as segment:
        segment.deliver(adapter, [event()], Context(NOW))
        segment.deliver(adapter, [event("m-2")], Context(NOW, adapter.delivery))
        assert list(segment.kept) == ["m-1", "m-2"]


@pytest.mark.parametrize("ident", ["m-1", "", "x" * 101])
def test_an_id_is_the_events_own_where_it_names_this_event(ident) -> None:
    adapter = build()
    made = {item(adapter, event(ident, child=child))["messageId"] for child in range(3)}
    assert len(made) == 3, "children of one event are events of their own"
    assert (ident in made) == (ident == "m-1")
    assert item(adapter, event(ident), Context(NOW, salt="again"))["messageId"] not in made
    assert item(adapter, event(ident))["messageId"] == item(adapter, event(ident))["messageId"]


def test_what_is_configured_as_rudderstacks_has_its_fields() -> None:
    slug, implied = slug_of("SEGMENT")
    adapter = registry.build(slug, {"writeKey": KEY, "eventFilteringOption": "disable", **implied})
    made = item(adapter, event(timestamp="2026-01-01T00:00:00Z", context={"ip": "203.0.113.9"}))
    assert made == {"type": "track", "userId": "c-1", "event": "Lock Opened", "timeStamp": "2026-01-01T00:00:00Z"}


@STEADY
@given(
    st.dictionaries(
        st.sampled_from(["All", "all", "Segment", "Mixpanel", "Ünser Tool"]), st.booleans() | st.just({"a": 1})
    )
)
def test_of_integrations_what_is_for_tools_behind_segment_goes_on(said) -> None:
    made = item(build(), event(integrations=said)).get("integrations", {})
    assert made == {key: value for key, value in said.items() if key in ("Mixpanel", "Ünser Tool")}


class PublicApi(Tool):
    """Refuses what https://docs.segmentapis.com/tag/Deletion-and-Suppression says it refuses."""

    def answered(self, asked: Received) -> tuple[int, Any]:
        if asked.headers.get("authorization") != "Bearer sgp-anchor":
            return 401, {"errors": [{"type": "unauthorized"}]}
        wanted = asked.json()
        if not 0 < len(wanted["subjectIds"]) <= 5_000 or wanted["subjectType"] != "USER_ID":
            return 422, {"errors": [{"type": "validation-failed"}]}
        return (200, {"data": {"regulateId": "r-1"}}) if asked.path == "/regulations" else (404, {})


def forgotten(*users: User, **chosen: Any) -> tuple[list[str], list[Received]]:
    adapter = build(**chosen)
    with PublicApi() as api:
        found, _ = drive_forget(adapter, users, Context(NOW), api.send)
        return [str(verdict.outcome) for verdict in found], api.received


@pytest.mark.parametrize(
    ("region", "host"), [("us", "api.segmentapis.com"), ("eu", "eu1.api.segmentapis.com")]
)
def test_users_are_deleted_with_a_key_of_another_api(region, host) -> None:
    users = (User("c-1"), User(email="ines@example.com"), User("c-2"), User("c-1"))
    found, (came,) = forgotten(*users, public_api_token="sgp-anchor", region=region)
    assert found == ["delivered", "filtered", "delivered", "delivered"]
    assert came.json() == {"regulationType": "DELETE_ONLY", "subjectType": "USER_ID", "subjectIds": ["c-1", "c-2"]}
    assert came.headers["host"] == host


def test_who_cannot_be_deleted_is_told_why() -> None:
    assert forgotten(User("c-1")) == (["dead"], [])
    assert forgotten(User("c-1"), public_api_token="sgp-other")[0] == ["pause"]
    assert forgotten(User(anonymous_id="d-1"), public_api_token="sgp-anchor") == (["filtered"], [])


def test_the_write_key_is_never_shown() -> None:
    (request,) = build().verdict(event(), Context(NOW))
    shown = str(describe(request, build().settings.secrets()))
    assert KEY not in shown
    assert request.headers["Authorization"] not in shown
    with pytest.raises(ValidationError, match="header"):
        build(write_key="wk\n")
