"""Lengths of time for people."""

from __future__ import annotations

import pytest

from turnout.durations import write_span, write_time


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (-3, "0 s"), (8.4, "8 s"), (750, "12 min"), (3_600, "1 h"), (11_100, "3 h 5 min"),
     (86_400, "1 d"), (90_000, "1 d 1 h"), (90_061, "1 d 1 h")],
)  # fmt: skip
def test_the_two_largest_units_are_said(seconds: float, said: str) -> None:
    assert write_span(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(4.0059, "4.0 s"), (1, "1.0 s"), (0.0184, "18 ms"), (0.00064, "640 µs"), (0, "0 µs")]
)
def test_how_long_something_took(seconds: float, said: str) -> None:
    assert write_time(seconds) == said
