"""Breakers: when they open, what closes them, and that a trickle of successes does not fool them."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.deliver.breaker import LONGEST, MOST, TRIAL, WINDOW, Breaker, Rejects


def opened(threshold: int = 3) -> Breaker:
    breaker = Breaker(threshold=threshold)
    for _ in range(threshold):
        assert breaker.allows(0.0)
        breaker.sent()
        breaker.failed(0.0, 0.0)
    assert breaker.open
    return breaker


def test_it_opens_probes_once_and_closes() -> None:
    breaker = opened()
    assert not breaker.allows(0.0)
    assert breaker.allows(100.0)
    breaker.sent()
    assert not breaker.allows(100.0), "one probe at a time"
    breaker.failed(100.0, 100.0)
    assert not breaker.allows(100.5)
    breaker.succeeded()
    assert breaker.allows(100.5)


def test_a_probe_that_asked_nothing_leaves_room_for_another() -> None:
    breaker = opened(1)
    breaker.sent()
    assert not breaker.allows(100.0)
    breaker.unsent()
    assert breaker.allows(100.0)


def test_requests_that_were_under_way_do_not_make_the_wait_longer() -> None:
    breaker = opened()
    until = breaker.until
    for _ in range(200):
        breaker.failed(0.5, -1.0)
    assert breaker.until == until <= 1.0
    breaker.sent()
    breaker.failed(0.9, -1.0)
    assert breaker.probing, "the probe itself has not come back"


def test_a_success_closes_it_on_trial_and_one_failure_opens_it_again() -> None:
    breaker = opened()
    breaker.succeeded()
    assert not breaker.open
    breaker.failed(10.0, 10.0)
    assert breaker.open
    breaker.succeeded()
    for _ in range(TRIAL):
        breaker.succeeded()
    breaker.failed(20.0, 20.0)
    assert not breaker.open, "trusted again, it takes the usual number"


def test_one_success_in_ten_does_not_keep_it_closed() -> None:
    breaker = Breaker()
    for n in range(1, 10 * WINDOW):
        if n % 16:
            breaker.failed(float(n), float(n))
        else:
            breaker.succeeded()
        if breaker.open:
            break
    assert breaker.open
    steady = Breaker(threshold=WINDOW)
    for n in range(1, 10 * WINDOW):
        if n % 12:
            steady.failed(float(n), float(n))
        else:
            steady.succeeded()
    assert steady.open, "11 of 12 fail, never 32 in a row"


def test_a_twentieth_of_failures_never_opens_it() -> None:
    breaker = Breaker()
    rng = Random(3)
    for n in range(20_000):
        if rng.random() < 0.05:
            breaker.failed(float(n), float(n))
        else:
            breaker.succeeded()
        assert not breaker.open


@given(st.lists(st.booleans(), max_size=200))
def test_the_next_probe_is_never_further_than_the_longest_wait(answers: list[bool]) -> None:
    breaker = Breaker(threshold=3)
    now = 0.0
    for good in answers:
        if breaker.open:
            assert breaker.until - now <= LONGEST
            now = max(now, breaker.until)
        assert breaker.allows(now)
        breaker.sent()
        if good:
            breaker.succeeded()
        else:
            breaker.failed(now, now)
        assert not breaker.probing
    assert MOST < WINDOW


def test_rejects_of_many_users_trip_it() -> None:
    rejects = Rejects()
    assert [rejects.dead(n % 50) for n in range(1_000)].index(True) == 999


@pytest.mark.parametrize(("users", "each"), [(3, 1), (50, 30)])
def test_few_users_or_a_share_of_deliveries_do_not(users: int, each: int) -> None:
    rejects = Rejects()
    for n in range(5_000):
        assert not rejects.dead(n % users)
        if each > 1 and n % each == 0:
            rejects.delivered(1)


def test_after_a_resume_a_tenth_is_enough_until_deliveries_are_usual() -> None:
    rejects = Rejects()
    assert any(rejects.dead(n) for n in range(1_000))
    rejects.delivered(1)
    assert [rejects.dead(n) for n in range(200)].index(True) <= 101
    for _ in range(20):
        rejects.delivered(1)
    assert not any(rejects.dead(n) for n in range(900))
