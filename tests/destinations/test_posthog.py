"""PostHog beyond the contract: a strict stand-in for its capture and persons APIs, limits, halving, repeats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from destinations.posthog import LARGEST, Posthog
from destinations.posthog.mapping import domain, properties
from destinations.rudderstack import slug_of
from turnout import Context, Event
from turnout.testing import FakeClock, Received, Tool, drive_forget
from turnout.user import User

KEY, PERSONAL = "phc_harbour", "phx_harbour"
NOW = FakeClock().now()


class Capture(Tool):
    """Refuses what the capture API refuses; `seen` is what is kept, by what PostHog knows an event again by."""

    def __init__(self, *, busy: int = 0) -> None:
        super().__init__()
        self.seen: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.busy, self.gone = busy, [""][:0]

    def answered(self, asked: Received) -> tuple[int, Any] | tuple[int, Any, Mapping[str, str]]:
        if asked.path == "/api/projects/77/persons/bulk_delete/":
            return self._deleted(asked)
        if (asked.method, asked.path) != ("POST", "/batch"):
            return 404, "not found"
        if len(asked.body) > 20_000_000:
            return 413, "payload too large"
        body = asked.json()
        if not str(body.get("api_key", "")).startswith("phc_"):
            return 401, "API key is not valid"
        if self.busy:
            self.busy -= 1
            return 429, "rate limited", {"Retry-After": "9"}
        batch = body.get("batch", [body])
        for one in batch:
            ident = one.get("distinct_id") or one["properties"].get("distinct_id")
            if not isinstance(ident, str) or not ident or len(ident) > 200:
                return 400, "event submitted without a valid distinct_id"
            if not isinstance(one.get("event"), str) or not one["event"]:
                return 400, "event submitted with an empty event name"
            if not isinstance(one["properties"], dict):
                return 400, "failed to decode request"
        for one in batch:
            assert UUID(one["uuid"]).version == 4
            self.seen.setdefault((one["uuid"], one["distinct_id"], one["event"]), one)
        return 200, {"status": "Ok"}

    def _deleted(self, asked: Received) -> tuple[int, Any]:
        if asked.headers.get("authorization") != f"Bearer {PERSONAL}":
            return 401, {"type": "authentication_error", "code": "authentication_failed"}
        ids = asked.json()["distinct_ids"]
        if len(ids) > 1000 or not ids:
            return 400, {"type": "validation_error", "code": "invalid_input"}
        self.gone += ids
        return 202, {"persons_found": len(ids)}


def build(**chosen: Any) -> Posthog:
    return Posthog(Posthog.settings_type.model_validate({"api_key": KEY, **chosen}))


def event(ident: str = "m-1", user: str = "u-1", *, child: int = 0, **more: Any) -> Event:
    message = {"type": "track", "event": "Boat Rented", "messageId": ident, "userId": user, **more}
    return Event(message=message, key=crc32(user.encode()) + 1, child=child, source="web")


def item(adapter: Posthog, one: Event) -> dict[str, Any]:
    made: dict[str, Any] = adapter.merge([adapter.request(one, Context(NOW))]).body.value["batch"][0]
    return made


def test_an_event_sent_again_is_the_same_one() -> None:
    adapter = build()
    events = [event(f"m-{i}", f"u-{i % 9}") for i in range(600)]
    with Capture() as tool:
        for _ in range(2):
            found = tool.deliver(adapter, events, Context(NOW, adapter.delivery))
            assert {str(one.outcome) for one in found} == {"delivered"}
        assert len(tool.seen) == 600
        assert [len(one.json()["batch"]) for one in tool.received] == [500, 100] * 2


def test_outputs_of_a_script_have_ids_of_their_own() -> None:
    adapter = build()
    assert item(adapter, event())["uuid"] != item(adapter, event(child=1))["uuid"]


def test_the_event_that_a_batch_is_refused_for_dies_alone() -> None:
    adapter = build()
    events = [event(f"m-{i}", "u" * 201 if i == 5 else f"u-{i}") for i in range(12)]
    with Capture() as tool:
        found = tool.deliver(adapter, events, Context(NOW, adapter.delivery))
        assert [i for i, one in enumerate(found) if str(one.outcome) == "dead"] == [5]
        assert len(tool.seen) == 11


def test_too_many_are_sent_later_all_of_them() -> None:
    adapter = build()
    with Capture(busy=1) as tool:
        found = tool.deliver(adapter, [event(f"m-{i}") for i in range(600)], Context(NOW, adapter.delivery))
        assert {(str(one.outcome), one.status) for one in found[:500]} == {("retry", 429)}
        assert {str(one.outcome) for one in found[500:]} == {"retry"}
        assert found[0].after == 9
        assert len(tool.received) == 1


def test_another_key_pauses() -> None:
    adapter = build(api_key="sk_live")
    with Capture() as tool:
        assert str(tool.deliver(adapter, [event()], Context(NOW, adapter.delivery))[0].outcome) == "pause"


def test_what_is_too_large_is_dead_before_it_is_sent() -> None:
    adapter = build()
    with Capture() as tool:
        found = tool.deliver(
            adapter, [event(properties={"log": "x" * LARGEST}), event("m-2")], Context(NOW, adapter.delivery)
        )
        assert [str(one.outcome) for one in found] == ["dead", "delivered"]
        assert "900,000" in found[0].reason


@pytest.mark.parametrize(("host", "private"), [
    ("https://eu.i.posthog.com/", "https://eu.posthog.com"), ("posthog.example.com", "https://posthog.example.com"),
])
def test_people_are_forgotten_by_both_ids(host: str, private: str) -> None:
    adapter = build(host=host, personal_api_key=PERSONAL, project_id=77)
    users = [User("u-1", "", "a-1"), User(email="ines@example.com"), User("u-1"), User("", "", "a-2")]
    with Capture() as tool:
        found, sent = drive_forget(adapter, users, Context(NOW), tool.send)
        assert [str(one.outcome) for one in found] == ["delivered", "filtered", "delivered", "delivered"]
        assert tool.gone == ["u-1", "a-1", "a-2"]
        assert sent[0].url == f"{private}/api/projects/77/persons/bulk_delete/"
        assert "Authorization" not in tool.received[0].body.decode()


def test_forgetting_needs_a_personal_key() -> None:
    with Capture() as tool:
        found, sent = drive_forget(build(), [User("u-1")], Context(NOW), tool.send)
    assert (str(found[0].outcome), sent) == ("dead", [])
    assert "personal_api_key" in found[0].reason
    with pytest.raises(ValidationError, match="project_id"):
        build(personal_api_key=PERSONAL)


@pytest.mark.parametrize("wrong", [{"api_key": ""}, {"host": "ftp://x"}, {"project_id": "a/b"}, {"colour": "red"}])
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        build(**wrong)


def test_what_is_configured_as_rudderstack_s_sees_no_change() -> None:
    slug, implied = slug_of("POSTHOG")
    adapter = build(**implied)
    made = item(adapter, event(anonymousId="a-1", context={"page": {"referrer": "https://s.example.com/"}}))
    assert (slug, adapter.settings.use_v2_group) == ("posthog", False)
    assert made == {
        "event": "Boat Rented", "distinct_id": "u-1", "type": "capture", "messageId": "m-1",
        "properties": {"$anon_distinct_id": "a-1", "distinct_id": "u-1"},
    }


def test_a_property_of_the_event_wins() -> None:
    one = event(context={"ip": "198.51.100.7", "traits": {"tier": "gold"}}, properties={"$ip": "", "$set": {"a": 1}})
    assert item(build(), one)["properties"] == {"$ip": "", "$set": {"a": 1}}


def test_the_context_s_system_is_not_overwritten_by_the_user_agent_s() -> None:
    agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1"
    made = properties({"context": {"userAgent": agent, "os": {"name": "iPadOS"}}}, theirs=False)
    assert made == {
        "$os": "iPadOS", "$browser": "Mobile Safari", "$browser_version": "19.0", "$device_type": "Mobile",
        "$raw_user_agent": agent,
    }


@given(st.text(max_size=80) | st.sampled_from(["https://[", "//", "https://a:b@h.example:1/x", "http://[::1]:8/"]))
def test_a_domain_never_holds_credentials_and_never_raises(url: str) -> None:
    found = domain(url)
    assert found is None or ("@" not in found and found in url)


@given(st.dictionaries(st.sampled_from(["userId", "anonymousId", "messageId", "event", "properties", "context"]),
                       st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.integers())))
def test_any_event_is_sent_whole_or_refused(message: dict[str, Any]) -> None:
    adapter = build()
    one = Event(message={"type": "track", **message})
    made = adapter.verdict(one, Context(NOW))
    if isinstance(made, list):
        merged = adapter.merge([made[0], made[0]]).body.value
        (single,) = [made[0].body.value]
        assert merged["batch"][0] == {key: value for key, value in single.items() if key != "api_key"}
        assert isinstance(single["distinct_id"], str)
