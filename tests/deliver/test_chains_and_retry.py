"""Exceptions: one row of a user at a time, in order; retries spread and obey Retry-After."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.deliver.chains import CAP_USER, Chains
from dataplane.deliver.retry import OBEYED, delay, told
from dataplane.deliver.state import ExceptionRow
from turnout.verdict import retry


def row(number: int, key: int, kind: str = "tried", at: float = 0.0) -> ExceptionRow:
    return ExceptionRow("hook", number, 0 if kind != "waiting" else -1, key, kind, "web", next_at=at)


def test_only_the_head_of_a_chain_is_due() -> None:
    chains = Chains([row(1, 7), row(2, 7, "waiting"), row(3, 8)])
    due = chains.due(1.0, 10)
    assert [r.number for r in due] == [1, 3]
    assert chains.due(1.0, 10) == []
    chains.remove(due[0])
    assert [r.number for r in chains.due(1.0, 10)] == [2]
    assert chains.blocked(7)
    assert chains.blocked(9) is False


def test_a_row_that_holds_too_long_stands_aside_and_the_next_goes_on() -> None:
    chains = Chains([row(1, 7), row(2, 7, "waiting")])
    (head,) = chains.due(1.0, 10)
    head.next_at = 50.0
    chains.stand_aside(head)
    assert [r.number for r in chains.due(1.0, 10)] == [2]
    assert [r.number for r in chains.due(60.0, 10)] == [1]


def test_whoever_holds_back_a_user_for_the_longest_is_told_until_it_goes_in_flight_or_leaves() -> None:
    young, old = row(1, 7, at=1.0), row(2, 8, at=2.0)
    young.active, old.active = 20.0, 10.0
    chains = Chains([young, row(3, 7, "waiting"), old, row(4, 9, "aside"), row(5, 6, "waiting")])
    assert chains.longest() is old
    assert [r.number for r in chains.due(2.0, 3)] == [4, 5, 1]
    assert chains.due(2.0, 1) == [old]
    assert chains.longest() is None, "it may have its verdict any moment"
    young.next_at = old.next_at = 60.0
    chains.again(young)
    assert chains.longest() is young
    chains.again(old)
    chains.let_pass(old)
    assert chains.longest() is young
    assert not chains.blocked(8)
    chains.remove(young)
    assert chains.longest() is None
    assert [r.number for r in chains.due(60.0, 10)] == [3, 2]


def test_what_held_users_back_for_a_moment_is_let_go_of_while_another_holds_one_back_for_long() -> None:
    long = row(1, 1)
    chains = Chains([long])
    tracemalloc.start()
    try:
        for number in range(2, 20_000):
            short = row(number, number)
            short.active = 1.0
            chains.add(short)
            chains.remove(short)
            del short
            if number == 5_000:
                before, _ = tracemalloc.get_traced_memory()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert chains.longest() is long
    assert after - before < 1_000_000, "15,000 rows have more than three million bytes"


def test_outputs_of_a_reference_take_its_place_in_order() -> None:
    chains = Chains([row(1, 7, "waiting"), row(5, 7, "waiting")])
    (head,) = chains.due(1.0, 1)
    parts = [row(1, 7), ExceptionRow("hook", 1, 1, 7, "tried", "web")]
    chains.replace(head, parts)
    order = []
    while due := chains.due(1.0, 5):
        assert len(due) == 1
        order.append((due[0].number, due[0].child))
        chains.remove(due[0])
    assert order == [(1, 0), (1, 1), (5, -1)]
    assert len(chains) == 0


def test_a_reference_that_is_in_flight_as_order_is_promised_again_is_replaced_where_it_stands() -> None:
    rows = [row(1, 7, at=9.0), row(2, 7, "waiting"), row(3, 7, "waiting")]
    alone = Chains(rows, ordered=False)
    flying = alone.due(1.0, 1)
    assert [r.number for r in flying] == [2]
    chains = Chains(rows, ordered=True, flying=alone.flying)
    chains.replace(flying[0], [row(2, 7)])
    order = []
    while due := chains.due(9.0, 5):
        assert len(due) == 1
        order.append((due[0].number, due[0].child))
        chains.remove(due[0])
    assert order == [(1, 0), (2, 0), (3, -1)]
    assert len(chains) == 0


def test_the_cap_of_a_user_leaves_no_room() -> None:
    chains = Chains(row(n, 7, "waiting" if n else "tried") for n in range(CAP_USER))
    assert chains.blocked(7) is None
    assert chains.blocked(8) is False


def test_without_order_every_row_stands_alone() -> None:
    chains = Chains([row(1, 7), row(2, 7)], ordered=False)
    assert [r.number for r in chains.due(1.0, 10)] == [1, 2]
    assert chains.blocked(7) is False


@given(st.integers(1, 10_000), st.one_of(st.none(), st.floats(0, 1e6)), st.integers())
def test_delay_is_bounded_and_obeys_the_tool(attempts: int, after: float | None, seed: int) -> None:
    wait = delay(attempts, after, Random(seed))
    assert wait >= 0.1
    assert wait <= max(300.0, min(after or 0, OBEYED) + 1)
    if after is not None:
        assert wait >= min(after, OBEYED)


@pytest.mark.parametrize(("most", "reason"), [
    (7200.0, "HTTP 429"), (3600.0, "HTTP 429: it asks for 1 h 30 min, and is given 1 h (delivery.retry_after)"),
])
def test_a_tool_that_asks_for_more_than_it_is_given_is_quoted(most: float, reason: str) -> None:
    assert told(retry("HTTP 429", status=429, after=5400.0), most) == reason


def test_rows_in_flight_are_not_due_again_when_the_order_changes() -> None:
    chains = Chains([row(1, 7), row(2, 8)])
    (first,) = chains.due(1.0, 1)
    again = Chains(chains.rows(), ordered=False, flying=chains.flying)
    assert [r.number for r in again.due(1.0, 10)] == [2]
    again.again(first)
    assert [r.number for r in again.due(1.0, 10)] == [1]


def test_after_an_outage_rows_come_back_soon_but_not_before_the_tool_said() -> None:
    chains = Chains([row(1, 7, at=290.0), row(2, 7, "waiting"), row(3, 8, at=250.0), row(4, 9, at=5_000.0),
                     row(5, 9, "aside", at=280.0)])  # fmt: skip
    (flying,) = Chains([row(6, 6, at=0.0)]).due(1.0, 1)
    chains.add(flying)
    chains.hasten(0.0, Random(1))
    found: list[int] = []
    while due := chains.due(6.0, 10):
        found += [r.number for r in due]
        for one in due:
            chains.remove(one)
    assert sorted(found) == [1, 2, 3, 5, 6]
    assert chains.next_at() == 5_000.0
    chains.hasten(0.0, Random(1), told=True)
    assert [r.number for r in chains.due(6.0, 10)] == [4]


def test_a_row_in_flight_is_not_hastened() -> None:
    chains = Chains([row(1, 7)])
    (one,) = chains.due(1.0, 1)
    one.next_at = 200.0
    chains.hasten(0.0, Random(1))
    assert chains.due(100.0, 1) == []
    chains.again(one)
    assert chains.next_at() == 200.0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), max_size=60))
def test_what_the_log_must_keep_is_known_after_every_change(steps: list[tuple[int, int]]) -> None:
    chains = Chains()
    for step, n in steps:
        rows = {one.number: one for one in chains.rows()}
        if n not in rows:
            chains.add(row(n, n % 3, "waiting" if step else "tried"))
        elif step == 1:
            chains.remove(rows[n])
            chains.remove(rows[n])
        elif step == 2 and rows[n].kind == "waiting":
            chains.replace(rows[n], [row(n, n % 3)])
        elif step == 3 and rows[n].kind == "tried":
            chains.stand_aside(rows[n])
        waiting = [one.number for one in chains.rows() if one.kind == "waiting"]
        assert chains.lowest() == min(waiting, default=None)
        assert chains.waiting == len(waiting)


def test_one_behind_another_is_hastened_with_it() -> None:
    chains = Chains([row(1, 7, at=200.0), row(2, 7, at=250.0)])
    chains.hasten(0.0, Random(1))
    for number in (1, 2):
        (head,) = chains.due(6.0, 10)
        assert head.number == number
        chains.remove(head)
