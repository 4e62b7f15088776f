"""What a replay takes and how it marks an event: pure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.deliver.replay import SAFE_RATE, Definition, define, marked, rate_of
from turnout import codec
from turnout.errors import Fixable

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
contexts = st.dictionaries(st.text(max_size=5) | st.just("turnout"), values, max_size=4)
AT = "2026-11-23T09:36:56.779Z"
MARK = {"replay": {"id": 3, "at": AT}}


@given(st.dictionaries(st.text(max_size=5), values, max_size=4), contexts | st.none())
def test_an_event_is_marked_and_nothing_else_of_it_changes(message: dict[str, Any], context: Any) -> None:
    message = {**message, "context": context}
    raw = codec.dumps(message)
    once = marked(raw, 3, AT)
    assert codec.loads(once) == {**message, "context": {**(context or {}), "turnout": MARK}}
    assert codec.loads(marked(once, 3, AT)) == codec.loads(once)


@given(st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_an_event_without_a_context_gets_one(message: dict[str, Any]) -> None:
    message.pop("context", None)
    assert codec.loads(marked(codec.dumps(message), 3, AT)) == {**message, "context": {"turnout": MARK}}


@given(values.filter(lambda v: v is not None and not isinstance(v, dict)))
def test_a_context_that_is_no_object_stays_as_it_came(context: Any) -> None:
    raw = codec.dumps({"type": "track", "context": context})
    assert marked(raw, 3, AT) == raw


@pytest.mark.parametrize("raw", [
    b' { "a" : 1 , "context" : { } } \n', b'{"context":null}', b"{}", b'{"context": {"a": 1 } }',
    b'{"context":{"x":1},"context":{"y":"\\ud800"}}', b'{"context":{"turnout":{"replay":{"id":1}},"b":[]}}',
])  # fmt: skip
def test_however_it_is_spelled(raw: bytes) -> None:
    made = json.loads(marked(raw, 3, AT))
    wanted = json.loads(raw)
    assert made.pop("context")["turnout"] == MARK
    wanted.pop("context", None)
    assert made == wanted


@given(st.binary(max_size=40))
def test_any_bytes_are_taken(raw: bytes) -> None:
    assert isinstance(marked(raw, 3, AT), bytes)


@given(st.dictionaries(
    st.sampled_from([*Definition.__struct_fields__, "from", "to", "x"]),
    values | st.lists(st.text(max_size=4), max_size=3), max_size=5,
))  # fmt: skip
def test_a_definition_is_taken_or_refused_with_a_sentence(asked: dict[str, Any]) -> None:
    try:
        found = define(asked)
    except Fixable as error:
        assert str(error).startswith("replay: ")
    else:
        assert found.destination or found.file


def test_a_replay_leaves_a_destinations_own_rate_to_its_live_events() -> None:
    hook = Definition(destination="hook")
    assert rate_of(hook, None) == SAFE_RATE
    assert rate_of(hook, 10.0) == 5.0
    assert rate_of(Definition(destination="hook", rate=7.0), 10.0) == 7.0
    assert rate_of(Definition(file="/x"), 10.0) > SAFE_RATE
