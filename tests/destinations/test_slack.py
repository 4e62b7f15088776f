"""Slack beyond the contract: a strict stand-in for its webhooks, channels, and what strangers may make it say."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from destinations import registry
from destinations.messages import who
from destinations.rudderstack import slug_of
from turnout import Context, Event
from turnout.preview import describe
from turnout.testing import DestinationContract, FakeClock, Received, Tool, drive

STEADY = settings(deadline=None, derandomize=True)
NOW = FakeClock().now()
URL = "https://hooks.slack.com/services/T0LIB/B0DESK/k9"
OTHER = "https://hooks.slack.com/services/T0LIB/B0LATE/k8"


class Slack(Tool):
    """Refuses what https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks says it refuses."""

    known = ("/services/T0LIB/B0DESK/k9", "/services/T0LIB/B0LATE/k8")

    def answered(self, asked: Received) -> tuple[int, Any]:
        if asked.path not in self.known:
            return 404, "no_service"
        fields = dict(parse_qsl(asked.body.decode()))
        if asked.headers["content-type"] != "application/x-www-form-urlencoded" or set(fields) != {"payload"}:
            return 400, "invalid_payload"
        payload = json.loads(fields["payload"])
        if not payload.get("text", "").strip():
            return 400, "no_text"
        return (404, "channel_not_found") if payload.get("channel") == "#nowhere" else (200, "ok")


class TestContract(DestinationContract):
    destination = registry.find("slack")


def build(**chosen: Any):
    return registry.build("slack", {"webhook_url": URL, **chosen})


def event(**fields: Any) -> Event:
    return Event(message={"type": "track", "messageId": "m-1", "userId": "r-1", "event": "Book Lent", **fields}, key=1)


def payload(adapter: Any, one: Event) -> dict[str, Any]:
    (request,) = adapter.verdict(one, Context(NOW))
    return json.loads(request.body.fields["payload"])


def test_messages_arrive_in_the_channels_of_their_events() -> None:
    adapter = build(channels=[
        {"event": "Late", "regex": True, "webhook_url": OTHER},
        {"event": "Book Lost", "webhook_url": URL.replace("B0DESK/k9", "B0GONE/k7")},
        {"event": "Fire", "channel": "#nowhere"},
    ])
    names = ("Book Lent", "Book Late", "Fire", "Book Lost", "Book Lent")
    with Slack() as slack:
        events = [event(event=name) for name in names]
        found = slack.deliver(adapter, events, Context(NOW, adapter.delivery))
        assert [str(one.outcome) for one in found] == ["delivered", "delivered", "dead", "pause", "pause"]
        assert [one.path for one in slack.received[:2]] == list(Slack.known)
        assert slack.received[0].headers["host"] == "hooks.slack.com"
        assert len(slack.received) == 4, "nothing more is sent to a webhook that is gone"


def test_an_answer_that_throttles_waits() -> None:
    adapter = build()
    with Slack() as slack:
        slack.answer(429, "rate_limited", **{"Retry-After": "12"})
        found = slack.deliver(adapter, [event(), event()], Context(NOW, adapter.delivery))
        assert [one.after for one in found] == [12, 12]


@pytest.mark.parametrize(
    ("kind", "row", "path", "channel"),
    [
        (None, {"webhook_url": OTHER}, OTHER, None), (None, {"channel": "#a"}, URL, "#a"), (None, {}, URL, None),
        ("modern", {"webhook_url": OTHER, "channel": "#a"}, OTHER, None), ("modern", {"channel": "#a"}, URL, None),
        ("legacy", {"webhook_url": OTHER, "channel": "#a"}, URL, "#a"), ("legacy", {"webhook_url": OTHER}, URL, None),
    ],
)
def test_a_channel_is_an_address_or_a_name(kind, row, path, channel) -> None:
    adapter = build(incoming_webhooks_type=kind, channels=[{"event": "Book Lent", **row}])
    (request,) = adapter.verdict(event(), Context(NOW))
    assert (request.url, json.loads(request.body.fields["payload"]).get("channel")) == (path, channel)
    (request,) = adapter.verdict(event(type="identify", event="Book Lent"), Context(NOW))
    assert (request.url, "channel" in request.body.fields["payload"]) == (URL, False), "an identify is no event"


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"templates": [{"event": "(", "regex": True}]}, "no regular expression"),
        ({"templates": [{"event": "[[a-z]", "regex": True}]}, "Possible nested set at position 1: write a backslash"),
        ({"templates": [{"event": "a", "template": "{{#if}}"}]}, "names nothing"),
        ({"identify_template": "{{name"}, "without }}"),
        ({"track_template": "{{upper name}}"}, "helpers with arguments"),
        ({"templates": [{"template": "no event"}]}, "Field required"),
        ({"channels": {"event": "a"}}, "tuple"),
        ({"webhook_url": "hooks.slack.com/x"}, "address"),
        ({"incoming_webhooks_type": "new"}, "legacy"),
    ],
)
def test_a_setting_that_cannot_be_meant_says_why(chosen, told) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)) as caught:
        build(**chosen)
    assert "k9" not in str(caught.value)


def test_a_webhook_is_never_shown() -> None:
    adapter = build(channels=[{"event": "Book Lent", "webhook_url": URL.replace("k9", "other-mark")}])
    (request,) = adapter.verdict(event(), Context(NOW))
    shown = str(describe(request, adapter.settings.secrets())) + repr(adapter.settings)
    assert "other-mark" not in shown
    assert "k9" not in shown
    assert "hooks.slack.com" in shown


def test_what_rudderstack_posts_as_is_kept_for_its_settings() -> None:
    slug, implied = slug_of("SLACK")
    adapter = registry.build(slug, {"webhookUrl": URL, **implied})
    assert payload(adapter, event())["username"] == "RudderStack"
    assert set(payload(build(), event())) == {"text"}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"traits": {"name": "Ines", "email": "i@example.com"}, "userId": "u"}, "Ines"),
        ({"context": {"traits": {"first_name": "Ines", "lastname": "Rocha"}}}, "Ines Rocha"),
        ({"traits": {"username": "ir"}, "properties": {"email": "p@example.com"}}, "ir"),
        ({"traits": {"email": "t@example.com"}, "properties": {"email": "p@example.com"}}, "p@example.com"),
        ({"context": {"traits": {"email": "t@example.com"}}, "userId": "u"}, "t@example.com"),
        ({"userId": 17, "anonymousId": "a"}, "User 17"), ({"anonymousId": "a"}, "Anonymous user a"),
        ({}, "Anonymous user"),
    ],
)
def test_who_it_was(fields, name) -> None:
    assert who(fields) == name


@STEADY
@given(st.text(min_size=1, max_size=30))
def test_nothing_an_event_says_mentions_anyone(text) -> None:
    adapter = build(track_template="{{properties.note}}.", identify_template="{{traits}}.")
    for one in (event(properties={"note": text}), event(type="identify", traits={text: text})):
        said = payload(adapter, one)["text"]
        assert not set("<>") & set(said)


@STEADY
@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_an_exact_name_is_no_pattern(name) -> None:
    adapter = build(templates=[{"event": name, "template": "own"}, {"event": ".", "regex": True, "template": "any"}])
    assert payload(adapter, event(event=name))["text"] == "own"
    assert payload(adapter, event(event=f"x{name}"))["text"] in ("any", "own" if f"x{name}" == name else "any")


def test_a_long_message_is_cut() -> None:
    long = event(properties={"note": "x" * 2_000_000})
    assert len(payload(build(track_template="{{{properties.note}}}"), long)["text"]) == 40_000


def test_a_template_that_an_event_makes_endless_is_dead() -> None:
    adapter = build(track_template="{{#each properties.a}}{{#each ../properties.a}}x{{/each}}{{/each}}")
    found, sent = drive(adapter, [event(properties={"a": [1] * 50_000})], Context(NOW), lambda _: None)
    assert (str(found[0].outcome), sent) == ("dead", [])


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a*)*", r"(\w+\s?)* done", "((a+)b)+", "(a|a)+$", "(?:x{2,})*", "(a+){3,}", r"([)]+\))*"]
)
def test_a_pattern_that_a_name_could_make_endless_is_refused(pattern) -> None:
    with pytest.raises(ValidationError, match="forever"):
        build(templates=[{"event": pattern, "regex": True}])


@pytest.mark.parametrize(
    "pattern",
    ["^(Trial|Order) Started$", r"^slack\.events\.[a-zA-Z_]+$", "a+b*", r"(a\+)+", "([+*|])+", "(ab)+", "(a+)?",
     "(a+){2}", r"[\]()+]+(x)+", "(?i)book.*(lost|late)"],
)
def test_other_patterns_are_taken(pattern) -> None:
    build(templates=[{"event": pattern, "regex": True}])


@STEADY
@given(st.text(st.sampled_from("ab()[]|*+?{2,}\\^$"), max_size=14))
def test_any_text_is_a_pattern_or_says_why_not(text) -> None:
    with suppress(ValidationError):
        payload(build(templates=[{"event": text or "a", "regex": True, "template": "x"}]), event(event="ab" * 200))
