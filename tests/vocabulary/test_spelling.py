"""Which name is meant by one that is misspelt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.spelling import nearest, unknown


@pytest.mark.parametrize(("given_name", "known", "found"), [
    ("wbe", ["web", "app"], "web"), ("apx", ["web", "app"], "app"), ("HOK", ["hook", "disk"], "hook"),
    ("intance_url", ["instance_url", "url"], "instance_url"), ("shop", ["web"], ""), ("x", ["web"], ""),
    ("secretKey", ["apiSecret"], ""), ("web", [], ""),
])
def test_a_close_name_is_found_and_no_other(given_name: str, known: list[str], found: str) -> None:
    assert nearest(given_name, known) == found


@given(st.text(max_size=200), st.lists(st.text(max_size=20), max_size=5))
def test_it_is_one_of_the_known_or_none(given_name: str, known: list[str]) -> None:
    assert nearest(given_name, known) in {*known, ""}


def test_what_is_unknown_is_said_with_a_close_name_or_all() -> None:
    assert unknown("source", "wbe", ["web", "app"]) == "no source is called wbe (did you mean web?)"
    assert unknown("source", "shop", ["web", "app"]) == "no source is called shop (there are: web, app)"
    assert unknown("source", "shop", []) == "no source is called shop (there are: none)"
