"""Values of strangers, made to cost: what a value or a text may come to has a bound."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from turnout.errors import Refused
from turnout.templates import Template
from turnout.values import day, flat, iso, micros, moment

LONG = 2_000_000


@pytest.mark.parametrize("value", [
    "1" * LONG + "x", "1 " * LONG, "Fri, " * LONG, "-" * LONG, "2026-11-23" + " " * LONG,
])
def test_a_long_text_is_no_time_and_is_not_looked_at_for_minutes(value: str) -> None:
    assert moment(value) is None


@pytest.mark.parametrize("value", [
    "Fri, 31 Dec 9999 23:59:59 -0100", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00",
])
def test_a_time_beyond_the_calendar_is_none(value: str) -> None:
    assert moment(value) is iso(value) is day(value) is micros(value) is None


def test_the_longest_times_that_browsers_write_are_read() -> None:
    written = "Mon, 23 Nov 2026 09:36:56 GMT (Coordinated Universal Time)"
    assert moment(written) == moment(f"  {written}  ") == datetime(2026, 11, 23, 9, 36, 56, tzinfo=UTC)


@pytest.mark.parametrize("inner", [dict.fromkeys(map(str, range(1_000)), 1), [1] * 1_000])
def test_a_long_name_does_not_stand_before_thousands(inner: object) -> None:
    with pytest.raises(Refused, match="too long"):
        flat({"k" * 100_000: inner})
    assert len(flat({"k" * 1_000: inner})) == 1_000


def test_a_loop_does_not_say_a_long_text_for_each_item() -> None:
    template = Template("{{#each items}}{{../title}}{{/each}}")
    assert template.render({"items": [1] * 10, "title": "ab"}) == "ab" * 10
    with pytest.raises(Refused, match="too long"):
        template.render({"items": [1] * 10_000, "title": "t" * 100_000})
