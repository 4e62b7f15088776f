"""Time until the log is full, and what a destination may hold of it."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from dataplane.config.model import Backlog
from dataplane.deliver.room import MOST, SPAN, Room, capacity, full_in, keeps, standing

SIZES = st.integers(0, 10**13)


def test_a_steady_rate_fills_the_rest_in_rest_over_rate() -> None:
    samples = [(100.0 + 5 * n, 1_000 * n) for n in range(120)]
    left = 1_000_000 - 119_000
    found = full_in(samples, 1_000_000)
    assert found is not None
    assert abs(found - left / 200) < 1


def test_a_log_that_shrinks_or_stands_still_is_never_full() -> None:
    assert full_in([(5.0 * n, 1_000_000 - n) for n in range(100)], 2_000_000) is None
    assert full_in([(5.0 * n, 1_000_000) for n in range(100)], 2_000_000) is None


def test_a_moment_tells_no_rate_but_a_full_log_is_full_now() -> None:
    assert full_in([], 10) is None
    assert full_in([(0.0, 0), (SPAN / 2, 5)], 10) is None
    assert full_in([(0.0, 10)], 10) == 0.0


@given(st.lists(SIZES, min_size=1, max_size=50), SIZES)
def test_time_to_full_is_never_negative(sizes: list[int], most: int) -> None:
    found = full_in([(5.0 * n, size) for n, size in enumerate(sizes)], most)
    assert found is None or found >= 0


@given(SIZES, SIZES, SIZES, SIZES)
def test_capacity_obeys_both_bounds(most: int, min_free: int, stored: int, free: int) -> None:
    found = capacity(most, min_free, stored, free)
    assert 0 <= found <= most
    assert found == 0 or found <= stored + free - min_free


@given(st.one_of(st.none(), st.integers(1, 10**13)), SIZES, SIZES, st.floats(0, 1e8))
def test_no_destination_may_hold_the_whole_log(wanted: int | None, most: int, size: int, age: float) -> None:
    bound = Backlog(max_bytes=wanted, max_age=timedelta(days=1))
    kept = keeps(bound, most)
    assert 1 <= kept <= max(1, most * MOST)
    assert wanted is None or kept <= wanted
    found = standing(bound, most, size, age)
    assert (found.share >= 1) == (size >= kept or age >= 86_400)


def test_share_of_a_log_without_any_room() -> None:
    assert Room(0, 0, None).share == 0
    assert Room(5, 0, 0.0).share == 1
