"""Fields by the part of the context that they are in."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.fields import Field, Fields, fill

SECTIONS = (("page", Fields(Field("url", "url"))), ("os", Fields(Field("system", "name"), Field("url", "url"))))


def test_each_part_adds_what_it_has() -> None:
    made = {"kept": 1}
    fill(SECTIONS, {"context": {"os": {"name": "Linux"}, "page": {"url": "https://example.com/"}}}, made)
    assert made == {"kept": 1, "url": "https://example.com/", "system": "Linux"}


@pytest.mark.parametrize("context", [None, [], "page", {}, {"page": None}, {"page": [1]}, {"page": "x"}, {"page": {}}])
def test_what_is_no_object_adds_nothing(context: Any) -> None:
    made: dict[str, Any] = {}
    fill(SECTIONS, {"context": context}, made)
    fill(SECTIONS, {}, made)
    assert made == {}
