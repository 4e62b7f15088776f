"""Rules over answers: the first that holds decides, nothing in an answer raises, nothing of it is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import (
    Context,
    Delivery,
    Destination,
    Event,
    Json,
    Outcome,
    Request,
    Response,
    Rule,
    Settings,
    decide_item,
    delivered,
    judge,
    per_item,
)
from turnout import dead as gone
from turnout.rules import decide
from turnout.testing import drive

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STEADY = settings(deadline=None, derandomize=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["code", "errors", "index", "x"]), inner),
    max_leaves=12,
)
STATED = [
    Rule("throttle", "slow down", status=200, path="errors[*].code", values=(606, "615"), after=20),
    Rule("pause", "the key is revoked", status=200, path="errors[0].code", values=("601",)),
    Rule("dead", "the tool refuses it", status=200, path="errors"),
    Rule("retry", "maintenance", status="4xx", text="Maintenance", after=5),
    Rule("delivered", "it was there before", status=(409, 410)),
    Rule("filtered", "unsubscribed", path="error.type", values=("unsubscribed", True, None)),
]


def told(status: int, body: object = "", **headers: str) -> Response:
    text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Response(status, {k.replace("_", "-"): v for k, v in headers.items()}, text)


@pytest.mark.parametrize(
    ("answer", "outcome", "status", "after"),
    [
        (told(200, {"errors": [{"code": "1"}, {"code": 615}]}), "retry", 429, 20),
        (told(200, {"errors": [{"code": 606}]}, retry_after="3"), "retry", 429, 3),
        (told(200, {"errors": [{"code": 601}, {"code": 1}]}), "pause", 200, None),
        (told(200, {"errors": [{"code": 1}, {"code": 601}]}), "dead", 200, None),
        (told(200, {"errors": []}), None, None, None),
        (told(200, {"errors": 0}), None, None, None),
        (told(200, {}), None, None, None),
        (told(200, "not JSON"), None, None, None),
        (told(201, {"errors": [{"code": 606}]}), None, None, None),
        (told(404, "<h1>Maintenance</h1>"), "retry", 404, 5),
        (told(409), "delivered", 409, None),
        (told(302, {"error": {"type": "unsubscribed"}}), "filtered", 302, None),
        (told(500, {"error": {"type": True}}), "filtered", 500, None),
        (told(500, {"error": {"type": None}}), "filtered", 500, None),
        (told(500, {"error": {"type": 1}}), None, None, None),
        (told(500, {"error": {}}), None, None, None),
        (told(500, {"error": {"type": ["unsubscribed"]}}), None, None, None),
        (Response(0, error="refused"), None, None, None),
    ],
)
def test_the_first_rule_that_holds_decides(answer, outcome, status, after) -> None:
    verdict = decide(STATED, answer, NOW)
    if outcome is None:
        assert verdict is None
        return
    assert verdict is not None
    assert (verdict.outcome, verdict.status, verdict.after) == (outcome, status, after)


def test_a_reason_names_the_place_and_the_value_that_was_looked_for() -> None:
    verdict = decide(STATED, told(200, {"errors": [{"code": 606, "message": "ines@example.com"}]}), NOW)
    assert verdict is not None
    assert verdict.reason == "HTTP 200 (errors[*].code 606): slow down"


def test_text_and_path_must_both_hold() -> None:
    rule = Rule("dead", "both", status=200, path="a", values=(1,), text="zzz")
    assert decide((rule,), told(200, {"a": 1}), NOW) is None
    assert decide((rule,), told(200, {"a": 1, "b": "zzz"}), NOW) is not None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"outcome": "lost", "reason": "x"}, "none of delivered"),
        ({"outcome": "dead", "reason": " "}, "a sentence"),
        ({"outcome": "dead", "reason": "x", "values": ("a",)}, "need a path"),
        ({"outcome": "dead", "reason": "x", "path": "a", "values": "abc"}, "is a tuple"),
        ({"outcome": "dead", "reason": "x", "after": 3}, "before a retry"),
        ({"outcome": "retry", "reason": "x", "after": -3}, "before a retry"),
        ({"outcome": "dead", "reason": "x", "status": "6xx"}, "none of 1xx"),
        ({"outcome": "dead", "reason": "x", "status": 0}, "from 100 to 599"),
        ({"outcome": "dead", "reason": "x", "status": (200, "201")}, "from 100 to 599"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_an_error(wrong, said) -> None:
    with pytest.raises(ValueError, match=said):
        Rule(**wrong)


@STEADY
@given(st.sampled_from([200, 204, 302, 400, 401, 409, 429, 500]), JSON)
def test_no_answer_raises(status, body) -> None:
    decide(STATED, told(status, body), NOW)
    decide_item(STATED, body, status)
    found = per_item(body, 3, lambda row: gone(str(len(row))), rest=delivered(200))
    assert len(found) == 3


class Ruled(Destination[Settings]):
    slug: ClassVar = "ruled"
    names: ClassVar = ("Ruled",)
    rules: ClassVar = tuple(STATED)


def test_a_destination_asks_its_rules_and_then_the_house() -> None:
    adapter, at = Ruled(Settings()), Context(NOW)
    assert adapter.judge(told(409), at).outcome is Outcome.DELIVERED
    for status in (200, 301, 400, 401, 429, 503):
        assert adapter.judge(told(status), at) == judge(told(status), NOW)
    assert adapter.judge(Response(0, error="refused"), at) == judge(Response(0, error="refused"), NOW)


def test_bodies_are_left_alone_where_no_rule_asks(monkeypatch) -> None:
    def never(self: Response) -> None:
        raise AssertionError("the body was decoded")

    monkeypatch.setattr(Response, "json", never)
    assert decide(STATED, told(204, {"errors": [1]}), NOW) is None
    assert decide(STATED, told(409, {"errors": [1]}), NOW) is not None


def row(item):
    return decide_item(STATED, item, 400) or gone("refused", 400)


REFUSED, FINE = gone("refused", 400), delivered(200)
ASTRAY = gone("the answer leaves open what became of it", 200)


@pytest.mark.parametrize(
    ("rows", "index", "expected"),
    [
        ([{"index": 1}], "index", [FINE, REFUSED, FINE]),
        ([{"at": {"n": "2"}}], "at.n", [FINE, FINE, REFUSED]),
        ([{"index": 0, "error": {"type": True}}], "index", [STATED[-1].verdict(400, "true"), FINE, FINE]),
        ([{}, {}, {}], "", [REFUSED, REFUSED, REFUSED]),
        ([], "index", [FINE, FINE, FINE]),
        (None, "index", [FINE, FINE, FINE]),
        ({"index": 1}, "index", [FINE, FINE, FINE]),
        ([], "", [ASTRAY, ASTRAY, ASTRAY]),
        (None, "", [ASTRAY, ASTRAY, ASTRAY]),
        ([{}], "", [REFUSED, ASTRAY, ASTRAY]),
        ([{"index": 7}], "index", [ASTRAY, ASTRAY, ASTRAY]),
        ([{"index": -1}, {"index": 0}], "index", [REFUSED, ASTRAY, ASTRAY]),
        ([{"index": True}], "index", [ASTRAY, ASTRAY, ASTRAY]),
        (["odd"], "index", [ASTRAY, ASTRAY, ASTRAY]),
    ],
)
def test_rows_find_their_items(rows, index, expected) -> None:
    assert per_item(rows, 3, row, rest=FINE, index=index) == expected


def test_of_several_rows_for_an_item_one_that_is_not_delivered_counts() -> None:
    rows = [{"index": 0, "ok": 1}, {"index": 0}, {"index": 0, "ok": 1}, {"index": 9, "ok": 1}]
    found = per_item(rows, 2, lambda item: FINE if "ok" in item else REFUSED, rest=FINE)
    assert found == [REFUSED, FINE], "a row that is delivered may name what it wants"


class PerRow(Destination[Settings]):
    slug: ClassVar = "per_row"
    names: ClassVar = ("PerRow",)

    def request(self, event, at):
        return Request("POST", "https://tool.example.com/", Json(event.message))

    def verdicts(self, request, response, at):
        rows = (response.json() or {}).get("errors", [])
        return per_item(rows, len(request.events), lambda _: REFUSED, rest=FINE)


class ByRule(PerRow):
    rules: ClassVar = (Rule("dead", "refused", status=200, path="errors"),)
    verdicts = Destination.verdicts


class ByStatus(PerRow):
    verdicts = Destination.verdicts


@pytest.mark.parametrize("batch", [1, 10])
@pytest.mark.parametrize(
    ("kind", "answer", "outcome"),
    [
        (PerRow, Response(200, body=b"{}"), "delivered"),
        (PerRow, Response(200, body=b'{"err', cut=True), "dead"),
        (PerRow, Response(200, body=b'{"err', error="the answer's body broke off", cut=True), "retry"),
        (ByRule, Response(200, body=b'{"err', cut=True), "dead"),
        (ByRule, Response(201, body=b'{"err', cut=True), "delivered"),
        (ByStatus, Response(200, body=b'{"err', cut=True), "delivered"),
        (ByStatus, Response(503, body=b'{"err', cut=True), "retry"),
    ],
)
def test_an_answer_that_is_not_whole_is_not_taken_for_a_success(kind, answer, outcome, batch) -> None:
    events = [Event(message={"type": "track", "messageId": f"m{n}"}, key=n, number=n) for n in (1, 2)]
    found, _ = drive(kind(Settings()), events, Context(NOW, Delivery(batch=batch)), lambda _: answer)
    assert {verdict.outcome for verdict in found} == {outcome}
