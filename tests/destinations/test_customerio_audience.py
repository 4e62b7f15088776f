"""The Customer.io audience against a server as strict as its API for manual segments."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from destinations import registry
from destinations.customerio_audience import CustomerioAudience
from destinations.rudderstack import CONSTANTS
from turnout import Context, Event
from turnout.testing import FakeClock, Received, Tool

KEY = "Basic " + base64.b64encode(b"harbour:k-31").decode()


class Segments(Tool):
    """One manual segment; people come and go in the order of the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.people: dict[str, set[str]] = {"id": set(), "email": set(), "cio_id": set()}

    def answered(self, asked: Received) -> tuple[int, Any]:
        if asked.headers.get("authorization") != KEY:
            return 401, {"meta": {"error": "unauthorized"}}
        *_, segment, call = asked.path.split("/")
        ids = asked.json()["ids"]
        good = all(isinstance(one, str) for one in ids) and 1 <= len(ids) <= 1000
        if segment != "7" or not good:
            return 400, {"meta": {"errors": ["segment or ids"]}}
        people = self.people[asked.query["id_type"]]
        people.update(ids) if call == "add_customers" else people.difference_update(ids)
        return 200, {}


def rows(*given: tuple[str, dict[str, Any]], key: int = 0) -> list[Event]:
    return [
        Event(message={"type": "record", "messageId": f"m-{n}", "action": action, "identifiers": ids}, key=key)
        for n, (action, ids) in enumerate(given)
    ]


def audience(**settings: Any) -> CustomerioAudience:
    return registry.build(
        "customerio_audience", {"site_id": "harbour", "api_key": "k-31", "segment_id": "7", **settings}
    )


def sent(segments: Segments, adapter: CustomerioAudience, events: list[Event]) -> list[str]:
    at = Context(FakeClock().now(), adapter.delivery)
    return [str(verdict.outcome) for verdict in segments.deliver(adapter, events, at)]


def test_people_come_and_go_by_kind_of_identifier() -> None:
    events = rows(
        ("insert", {"id": "a"}), ("update", {"id": 2}), ("insert", {"email": "ines@example.com"}),
        ("delete", {"id": "c"}), ("insert", {"id": "d"}),
    )
    with Segments() as segments:
        segments.people["id"].add("c")
        assert sent(segments, audience(), events) == ["delivered"] * 5
        assert segments.people == {"id": {"a", "2", "d"}, "email": {"ines@example.com"}, "cio_id": set()}
        assert len(segments.received) == 3


def test_a_row_that_came_and_went_is_gone() -> None:
    events = rows(("insert", {"id": "a"}), ("delete", {"id": "a"}), ("insert", {"id": "b"}), key=5)
    with Segments() as segments:
        assert sent(segments, audience(), events) == ["delivered"] * 3
        assert segments.people["id"] == {"b"}


def test_a_thousand_at_a_time() -> None:
    events = rows(*[("insert", {"id": f"u-{n}"}) for n in range(2100)])
    with Segments() as segments:
        assert set(sent(segments, audience(), events)) == {"delivered"}
        assert [len(one.json()["ids"]) for one in segments.received] == [1000, 1000, 100]


def test_what_cannot_be_a_member_hurts_nobody_else() -> None:
    events = rows(("insert", {"id": None}), ("insert", {}), ("touch", {"id": "a"}), ("insert", {"id": "b"}))
    with Segments() as segments:
        assert sent(segments, audience(), events) == ["dead", "dead", "dead", "delivered"]
        assert segments.people["id"] == {"b"}


@pytest.mark.parametrize(("settings", "outcome"), [({"segment_id": 8}, "dead"), ({"api_key": "old"}, "pause")])
def test_a_segment_or_key_that_is_wrong(settings: dict[str, Any], outcome: str) -> None:
    with Segments() as segments:
        assert sent(segments, audience(**settings), rows(("insert", {"id": "a"}))) == [outcome]


def test_rudderstacks_spelling() -> None:
    adapter = registry.build("customerio_audience", {
        "siteId": "harbour", "apiKey": "k-31", "appApiKey": "k-32", "connectionMode": "cloud", "audienceId": 7,
        "identifierMappings": [{"from": "a", "to": "id"}], "schemaVersion": "1.1",
    })
    assert adapter.settings.segment_id == "7"
    assert CONSTANTS["customerio_audience"]["MAX_ITEMS"](3).delivery == {"batch": 3}
