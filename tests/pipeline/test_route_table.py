"""The truth table of routing (docs/architecture.md, Routing)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.pipeline.route import Filtered, Gate, Send, route

GATE = Gate(
    "hook", ("my hook", "webhook"), frozenset({"track", "identify"}),
    frozenset({"web"}), frozenset({"region"}),
)  # fmt: skip
ABSENT = object()

TABLE = [
    (ABSENT, True),
    ({}, True),
    ({"All": True}, True),
    ({"All": False}, "integrations.All is false"),
    ({"All": "x"}, "integrations.All is not a boolean"),
    ({"All": None}, "integrations.All is not a boolean"),
    ({"All": 1}, "integrations.All is not a boolean"),
    ({"Webhook": True}, True),
    ({"Webhook": False}, "integrations.Webhook is false"),
    ({"Webhook": {}}, True),
    ({"All": False, "Webhook": True}, True),
    ({"All": False, "Webhook": {}}, True),
    ({"All": False, "webHOOK": True}, True),
    ({"Webhook": None}, True),
    ({"Webhook": "yes"}, True),
    ({"Webhook": 1}, True),
    ({"Webhook": []}, True),
    ({"All": False, "Webhook": "yes"}, "integrations.All is false"),
    ({"All": False, "Webhook": None}, "integrations.All is false"),
    ({"hook": False, "My Hook": True, "Webhook": True}, "integrations.hook is false"),
    ({"My Hook": False, "Webhook": True}, "integrations.My Hook is false"),
    ({"hook": "?", "My Hook": False}, True),
    ({"Somebody Else": False}, True),
    ({"All": False, "Somebody Else": True}, "integrations.All is false"),
    (None, "integrations is not an object"),
    ([], "integrations is not an object"),
    ("x", "integrations is not an object"),
    (3, "integrations is not an object"),
]


@pytest.mark.parametrize(("integrations", "expected"), TABLE, ids=lambda v: repr(v)[:40])
def test_table(integrations: Any, expected: Any) -> None:
    present = integrations is not ABSENT
    found = route(integrations if present else None, "track", "web", GATE, present=present)
    if expected is True:
        assert isinstance(found, Send)
    else:
        assert found == Filtered(expected)


def test_options_are_only_those_the_tool_lets_through() -> None:
    found = route({"Webhook": {"region": "eu", "url": "http://evil"}}, "track", "web", GATE)
    assert found == Send({"region": "eu"}, "integrations.Webhook is an object")


def test_type_and_source_filter_too() -> None:
    assert route(None, "page", "web", GATE, present=False) == Filtered("type page is not supported")
    assert route(None, "", "web", GATE, present=False) == Filtered("type (none) is not supported")
    assert route(None, "track", "app", GATE, present=False) == Filtered("source app is not connected")


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)


@given(json_value | st.dictionaries(st.sampled_from(["All", "hook", "WEBHOOK", "x"]), json_value))
def test_never_raises_and_always_says_why(integrations: Any) -> None:
    found = route(integrations, "track", "web", GATE)
    assert found.rule if isinstance(found, Send) else found.reason
