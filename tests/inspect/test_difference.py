"""A difference says all of what changed: applied to the one value it gives the other."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dataplane.inspect.difference import apply, difference

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c d", ""]), inner),
    max_leaves=12,
)


@given(values, values)
def test_applied_it_gives_the_other_value(before: Any, after: Any) -> None:
    kept = json.dumps(before)
    rows = difference(before, after)
    made = apply(before, rows)
    assert json.dumps(made, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert json.dumps(before) == kept


@given(values)
def test_equal_values_differ_in_nothing(value: Any) -> None:
    assert difference(value, json.loads(json.dumps(value))) == []


def test_rows_are_readable() -> None:
    before = {"event": "a", "properties": {"total": 42.5, "items": [1, 2]}, "old": 1}
    after = {"event": "b", "properties": {"total": 42.5, "items": [1]}, "odd key": True}
    rows = [(row["op"], row["at"]) for row in difference(before, after)]
    assert rows == [("change", "event"), ("remove", "properties.items[1]"), ("remove", "old"), ("add", '["odd key"]')]


def test_true_is_not_one() -> None:
    assert [row["to"] for row in difference({"a": 1}, {"a": True})] == [True]
