"""Fixtures: what is alike, what differs, and what a script under test may reach."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from transformations.base import Failed, Outputs, Question, Ran, Reaching, Script
from transformations.fixture import Fixture, FixtureCase, Replay, difference, items, prepared

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=4)


def case(**given: Any) -> FixtureCase:
    return FixtureCase(name="c", **given)


def ran(*outputs: dict[str, Any]) -> Outputs:
    return Outputs(tuple(json.dumps(one).encode() for one in outputs))


FAILED = Failed("t.py:3: KeyError: 'plan'")
TWO = [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("expected", "rans", "alike"),
    [
        ({"event": {}, "output": {"a": 1, "b": True}}, [ran({"b": True, "a": 1.0})], True),
        ({"event": {}, "output": {"a": 1}}, [ran({"a": True})], False),
        ({"event": {}, "output": {"a": None}}, [ran({})], False),
        ({"event": {}, "output": {"a": "1"}}, [ran({"a": 1})], False),
        ({"event": {}, "output": {}}, [ran()], False),
        ({"event": {}, "output": {}}, [ran({})], True),
        ({"event": {}, "outputs": TWO}, [ran(*TWO)], True),
        ({"event": {}, "outputs": TWO}, [ran(*reversed(TWO))], False),
        ({"event": {}, "dropped": True}, [ran()], True),
        ({"event": {}, "dropped": True}, [FAILED], False),
        ({"event": {}, "outputs": []}, [ran()], True),
        ({"event": {}, "error": "KeyError: 'plan'"}, [FAILED], True),
        ({"event": {}, "error": "TypeError"}, [FAILED], False),
        ({"event": {}, "error": "KeyError"}, [ran({})], False),
        ({"events": TWO, "outputs": TWO}, [ran(*TWO), ran()], True),
        ({"events": TWO, "output": {"n": 1}}, [ran(), ran({"n": 1})], True),
        ({"events": TWO, "outputs": TWO}, [ran(*TWO), FAILED], False),
        ({"events": TWO, "dropped": True}, [ran(), ran()], True),
        ({"events": TWO, "error": "KeyError"}, [FAILED, ran()], False),
        ({"events": TWO, "results": [{"error": "plan"}, {"outputs": TWO}]}, [FAILED, ran(*TWO)], True),
        ({"events": TWO, "results": [{"dropped": True}, {"outputs": TWO}]}, [ran(*TWO), ran()], False),
    ],
)
def test_what_is_alike(expected: dict[str, Any], rans: list[Ran], alike: bool) -> None:
    found = difference(case(**expected), rans)
    assert (found == []) is alike
    assert alike or any(line.startswith(("-", "+")) for line in found)


def test_a_difference_shows_what_was_expected_and_what_came() -> None:
    found = difference(case(event={}, output={"a": 1, "b": [1, 2]}), [ran({"a": 1, "b": [1, 3], "c": "é"})])
    assert [line for line in found if line[:1] in "+-"] == ['-      2', '+      3', '+    "c": "é"']


@given(st.lists(OBJECTS, min_size=1, max_size=3), st.lists(OBJECTS, min_size=1, max_size=3))
def test_outputs_are_alike_exactly_where_they_are_equal(outputs: list[dict[str, Any]], others: list[Any]) -> None:
    wanted = case(event={}, outputs=outputs)
    assert difference(wanted, [ran(*outputs)]) == []
    assert (difference(wanted, [ran(*others)]) == []) == (_strict(outputs) == _strict(others))


def _strict(value: Any) -> Any:
    """Equality of JSON: `True` is not 1, 1.0 is."""
    if isinstance(value, dict):
        return {key: _strict(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_strict(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return ("int", int(value))
    return (type(value).__name__, value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"event": {}}, "needs exactly one of output, outputs, dropped, error, results"),
        ({"event": {}, "dropped": True, "error": "x"}, "needs exactly one of"),
        ({"dropped": True}, "needs event or events"),
        ({"event": {}, "events": [{}], "dropped": True}, "needs event or events"),
        ({"events": [{}, {}], "results": [{"dropped": True}]}, "results has 1 entries for 2 events"),
        ({"events": [{}], "results": [{}]}, "needs exactly one of output, outputs, dropped, error"),
        ({"event": {}, "dropped": False}, "Input should be True"),
        ({"event": {}, "dropped": True, "fetch": [{"request": [1]}]}, "must be a URL, or a list of"),
        ({"event": {}, "dropped": True, "fetch": [{"request": "x", "status": 7}]}, "greater than or equal to 100"),
    ],
)
def test_what_is_no_case(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        case(**given)


def test_what_holds_for_all_cases_gives_way_to_a_cases_own() -> None:
    fixture = Fixture.model_validate({
        "credentials": {"a": "1", "b": "1"}, "metadata": {"sourceId": "web"}, "fetch": [{"request": "https://x/"}],
        "cases": [
            {"name": "one", "event": {"messageId": "m", "type": "track"}, "dropped": True, "credentials": {"b": "2"},
             "fetch": [{"request": ["https://y/"]}], "metadata": {"eventType": "page"}},
            {"name": "two", "event": {}, "dropped": True},
        ],
    })  # fmt: skip
    one, two = fixture.whole()
    assert (one.credentials, two.credentials) == ({"a": "1", "b": "2"}, {"a": "1", "b": "1"})
    assert [row.request for row in one.fetch] == [["https://y/"], ["https://x/"]]
    assert json.loads(items(one)[0].metadata) == {"messageId": "m", "eventType": "page", "sourceId": "web"}
    assert prepared(Script("s", "", credentials={"real": "secret"}), two).credentials == two.credentials
    with pytest.raises(ValidationError, match="two cases are named 'x'"):
        Fixture.model_validate({"cases": [{"name": "x", "event": {}, "dropped": True}] * 2})


async def test_a_script_under_test_reaches_recordings_of_its_hosts_only() -> None:
    recorded = [{"request": "https://api.example.com/a", "body": {"n": 1}, "status": 201}, {"request": "https://b.example/"}]
    replay = Replay(case(event={}, dropped=True, fetch=recorded, geolocation={"203.0.113.7": {"country": "NZ"}}))
    script = Script("s", "", reach=Reaching(("api.example.com",)))
    asked = [
        Question("fetch", ("https://api.example.com/a",)), Question("fetch", ("https://b.example/",)),
        Question("fetch", ()), Question("geolocation", ("203.0.113.7",)), Question("fetch", ("https://api.example.com/b",)),
    ]  # fmt: skip
    first, other, empty, place, unknown = await replay(script, asked)
    assert first.value == {"url": "https://api.example.com/a", "status": 201, "headers": {}, "body": '{"n": 1}'}
    assert other.error == "b.example is not among the hosts that s may fetch from"
    assert empty.error == "fetch url is required"
    assert place.value == {"country": "NZ"}
    assert unknown.error == "no answer is recorded for GET https://api.example.com/b"
