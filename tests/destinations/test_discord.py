"""Discord beyond the contract: a strict stand-in for its webhooks, limits, and whom events may call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations import registry
from destinations.rudderstack import slug_of
from turnout import Context, Event
from turnout.testing import DestinationContract, FakeClock, Received, Tool

STEADY = settings(deadline=None, derandomize=True)
NOW = FakeClock().now()
URL = "https://discord.com/api/webhooks/11/tok"


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Discord(Tool):
    """Refuses what https://discord.com/developers/docs/resources/webhook#execute-webhook says it refuses."""

    def answered(self, asked: Received) -> tuple[int, Any]:
        if not asked.path.startswith("/api/webhooks/11"):
            return 404, {"message": "Unknown Webhook", "code": 10015}
        if asked.path != "/api/webhooks/11/tok":
            return 401, {"message": "Invalid Webhook Token", "code": 50027}
        said = asked.json()
        embeds = said.get("embeds", [])
        if not said.get("content") and not embeds:
            return 400, {"message": "Cannot send an empty message", "code": 50006}
        long = units(said.get("content", "")) > 2000 or len(embeds) > 10 or any(
            units(one.get("title", "")) > 256 or units(one.get("description", "")) > 4096 for one in embeds
        )
        return (400, {"message": "Invalid Form Body", "code": 50035}) if long else (204, b"")


class TestContract(DestinationContract):
    destination = registry.find("discord")


def build(**chosen: Any):
    return registry.build("discord", {"webhook_url": URL, **chosen})


def event(**fields: Any) -> Event:
    message = {"type": "track", "messageId": "m-1", "userId": "c-1", "event": "Lock Opened", **fields}
    return Event(message=message, key=1)


def outcomes(adapter: Any, *events: Event) -> list[str]:
    with Discord() as discord:
        return [str(one.outcome) for one in discord.deliver(adapter, events, Context(NOW, adapter.delivery))]


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        (URL, "delivered"), (URL + "?thread_id=4", "delivered"), (URL + "x", "pause"),
        ("https://discord.com/gone", "pause"),
    ],
)
def test_a_webhook_that_is_refused_pauses(url, outcome) -> None:
    assert outcomes(build(webhook_url=url), event()) == [outcome]


@STEADY
@given(st.text(st.sampled_from("ab🚤é @<!"), min_size=2001, max_size=4500))
def test_what_is_long_is_cut_so_that_it_is_taken(text) -> None:
    long = event(properties={"note": text}, event=text)
    assert outcomes(build(track_template="{{properties.note}}"), long) == ["delivered"]
    card = build(embed_flag=True, embed_title_template="{{event}}", embed_description_template="{{properties.note}}")
    assert outcomes(card, long) == ["delivered"]


def test_an_event_calls_nobody_unless_it_may() -> None:
    for chosen, allowed in (({}, {"parse": []}), ({"mentions": True}, None)):
        for card in (False, True):
            (request,) = build(embed_flag=card, **chosen).verdict(event(properties={"a": "@everyone"}), Context(NOW))
            assert request.body.value.get("allowed_mentions") == allowed


def test_what_is_configured_as_rudderstacks_sends_what_rudderstack_does() -> None:
    slug, implied = slug_of("discord".upper())
    adapter = registry.build(slug, {"webhookUrl": URL, "identifyTemplate": "", "IdentifyTemplate": "old", **implied})
    (request,) = adapter.verdict(event(type="identify", traits={"name": "Bo"}), Context(NOW))
    assert request.body.value == {"content": "Identified Bo with name: Bo "}


def test_a_card_of_nothing_is_filtered() -> None:
    adapter = build(embed_flag=True, embed_title_template="{{missing}}", embed_description_template=" {{missing}}")
    assert outcomes(adapter, event()) == ["filtered"]
    half = build(embed_flag=True, embed_title_template="{{missing}}", embed_description_template="{{event}}")
    (request,) = half.verdict(event(), Context(NOW))
    assert request.body.value["embeds"] == [{"description": "Lock Opened"}]
