"""Time as SDKs, servers and calendars have it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.clock import SystemClock
from turnout import clock
from turnout.testing import FakeClock

STEADY = settings(deadline=None, derandomize=True)
"""The same cases on every run, however busy the machine."""

MOMENTS = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis wants them naive
NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@STEADY
@given(st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999))
def test_milliseconds_survive_exactly(millis: int) -> None:
    moment = clock.from_millis(millis)
    assert (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) == millis
    assert clock.parse(clock.iso(moment)) == moment


@STEADY
@given(MOMENTS, st.integers(-23 * 60, 23 * 60))
def test_a_zone_does_not_change_the_moment(moment: datetime, minutes: int) -> None:
    there = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert clock.parse(there.isoformat()) == moment
    assert clock.iso(there) == clock.iso(moment)


@STEADY
@given(st.text() | st.integers() | st.none() | st.lists(st.integers()))
def test_anything_else_is_no_time(value) -> None:
    found = clock.parse(value)
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-11-23T09:36:56.779Z", "2026-11-23T09:36:56.779Z"), ("2026-11-23", "2026-11-23T00:00:00.000Z"),
        ("2026-11-23T09:36:56.7791234+02:00", "2026-11-23T07:36:56.779Z"),
        ("2026-11-23 09:36:56", "2026-11-23T09:36:56.000Z"),
    ],
)
def test_spellings_of_sdks(text, iso) -> None:
    moment = clock.parse(text)
    assert moment is not None
    assert clock.iso(moment) == iso


@STEADY
@given(MOMENTS, MOMENTS, MOMENTS)
def test_skew_keeps_the_clients_own_distance(received, sent, original) -> None:
    try:
        expected = received - (sent - original)
    except OverflowError:
        expected = received
    assert clock.corrected(received, sent, original) == expected
    assert clock.corrected(received, None, original) == received == clock.corrected(received, sent, None)


NUMBERS = st.integers(-1, 99_999)
DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format, st.sampled_from(["Mon", "Sunday", "x"]), NUMBERS,
    st.sampled_from(["Jan", "Feb", "dec", "13"]), NUMBERS, NUMBERS, NUMBERS, NUMBERS,
    st.sampled_from(["GMT", "-0000", "+9959", "-99999999999", "EST", ""]),
)


@STEADY
@given(st.text(max_size=40) | DATES)
def test_any_retry_after_is_bounded_or_nothing(value: str) -> None:
    found = clock.retry_after(value, NOW)
    assert found is None or 0 <= found <= 365 * 86_400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("-1", None), ("0", 0), (" 120 ", 120), ("0.5", 0.5),
        ("9" * 400, 365 * 86_400), ("000000000030", 30), ("٣", None),
        (format_datetime(NOW.replace(microsecond=0) + timedelta(seconds=90), usegmt=True), 89.322),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
    ],
)
def test_retry_after(value, seconds) -> None:
    found = clock.retry_after(value, NOW)
    if value == "Fri, 31 Dec 9999 23:59:59 -2359":
        assert found in (None, 365 * 86_400)
    else:
        assert found == (None if seconds is None else pytest.approx(seconds))


@STEADY
@given(st.integers(0, 300 * 86_400))
def test_a_wait_said_in_seconds_or_as_a_date_is_the_same(seconds: int) -> None:
    now = NOW.replace(microsecond=0)
    date = format_datetime(now + timedelta(seconds=seconds), usegmt=True)
    assert clock.retry_after(date, now) == clock.retry_after(str(seconds), now) == seconds


def test_a_fake_clock_moves_by_hand(fake_clock: FakeClock) -> None:
    wall, ticks = fake_clock.now(), fake_clock.monotonic()
    fake_clock.advance(1.5)
    assert (fake_clock.now() - wall, fake_clock.monotonic() - ticks) == (timedelta(seconds=1.5), 1.5)
    fake_clock.set_wall(wall)
    assert (fake_clock.now(), fake_clock.monotonic() - ticks) == (wall, 1.5)
    with pytest.raises(ValueError, match="backwards"):
        fake_clock.advance(-1)
    assert abs((SystemClock().now() - datetime.now(UTC)).total_seconds()) < 60


@STEADY
@given(moment=MOMENTS, hours=st.integers(-14, 14))
def test_a_moment_is_written_as_the_standard_library_writes_it(moment: datetime, hours: int) -> None:
    usual = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert clock.iso(moment) == clock.iso(moment.astimezone(timezone(timedelta(hours=hours)))) == usual
