"""Nested objects as one, and look-ups that are taken apart once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.fields import finder, look
from turnout.values import flat

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", ""]), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES, max_size=3)


def test_objects_and_lists_are_taken_apart() -> None:
    value = {"a": {"b": 1, "c": {}}, "d": [1, {"e": None}], "f": []}
    assert flat(value) == {"a.b": 1, "a.c": {}, "d[0]": 1, "d[1].e": None, "f": []}
    assert flat(value, "_") == {"a_b": 1, "a_c": {}, "d_0": 1, "d_1_e": None, "f": []}
    assert flat(value, lists=False) == {"a.b": 1, "a.c": {}, "d": [1, {"e": None}], "f": []}
    assert flat({}) == {}


@given(OBJECTS)
def test_what_is_flat_has_every_scalar_and_nothing_nested(value: dict[str, Any]) -> None:
    found = flat(value)
    assert not any(isinstance(one, dict | list) and one for one in found.values())
    assert flat(found) == found
    assert all(found[name] == one for name, one in value.items() if not isinstance(one, dict | list))


def test_what_is_deeper_than_anybody_nests_stays_a_value() -> None:
    value: dict[str, Any] = {"end": 1}
    for _ in range(200):
        value = {"a": value}
    ((name, rest),) = flat(value).items()
    assert name.count("a") == 50
    assert isinstance(rest, dict)


@pytest.mark.parametrize("sources", [("a", "b.c"), (("b.c", "a"),), (lambda message: None, "a"), ("b.d", "c")])
@pytest.mark.parametrize("message", [{"a": 1, "b": {"c": 2}}, {"a": "", "b": {"c": 0}}, {"a": None}, {}, None, 7])
def test_a_finder_finds_what_look_does(sources: tuple[Any, ...], message: Any) -> None:
    assert finder(*sources)(message) == look(message, *sources)
