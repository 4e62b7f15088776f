"""Lanes: order per user, cursors that never pass an unfinished event, nothing lost or doubled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dataplane.deliver.entry import Batch, Entry, Part
from dataplane.deliver.lanes import LANES, Lanes
from turnout.verdict import filtered


def entry(number: int, key: int, *, decided: bool = False, size: int = 10) -> Entry:
    """One in twenty-three has two outputs, the second of them decided in one of forty-six."""
    no = filtered("not for it")
    parts: list[Part] = [(b"x" * size, {}, no if decided else None)]
    if number % 23 == 0:
        parts.append((b"y" * size, {}, no if decided or number % 46 == 0 else None))
    return Entry(number, key, "web", number, parts)


Blocked = Callable[[int], bool | None]
BLOCKED: list[Blocked | None] = [
    None, None, lambda _: False, lambda key: key % 3 == 0, lambda key: None if key % 3 == 0 else key % 3 == 1,
]
"""Who is held back: nobody, with and without a look; some; some for whom there is no room."""


KEYS = st.integers(0, 700) | st.integers(0, 5)
"""Of many lanes, and of a few that get several events."""


class LaneModel(RuleBasedStateMachine):
    """Offers, takes, settles and puts back at random; compared event by event with a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes(1)
        self.next = 1
        self.keys: dict[int, int] = {}
        self.done: list[int] = []
        self.flights: list[list[Entry]] = []

    @rule(key=KEYS, decided=st.booleans())
    def offer(self, key: int, decided: bool) -> None:
        made = entry(self.next, key, decided=decided)
        assert self.lanes.wanted(made.number, key)
        if self.lanes.offer(made):
            self.done.append(made.number)
        assert not self.lanes.wanted(made.number, key)
        self.keys[self.next] = key
        self.next += 1

    @rule(keys=st.lists(KEYS, min_size=1, max_size=20))
    def offer_all_to_be_sent(self, keys: list[int]) -> None:
        self.offer_all([(key, False) for key in keys])

    @rule(made=st.lists(st.tuples(KEYS, st.booleans()), min_size=1, max_size=8))
    def offer_all(self, made: list[tuple[int, bool]]) -> None:
        first, batch = self.next, [entry(self.next + i, k, decided=d) for i, (k, d) in enumerate(made)]
        assert self.lanes.fresh(first)
        self.next += len(batch)
        self.done.extend(e.number for e in self.lanes.offer_all(Batch(batch, self.next)))
        for one in batch:
            assert not self.lanes.wanted(one.number, one.key)
            self.keys[one.number] = one.key
        assert not self.lanes.fresh(first)

    @rule()
    def rewind(self) -> None:
        flying = {e.number for flight in self.flights for e in flight}
        self.lanes.rewind()
        assert not self.lanes.count
        again = [n for n, k in self.keys.items() if n >= self.lanes.position and self.lanes.wanted(n, k)]
        # What is wanted again is what has no verdict and is not on its way, each event once.
        assert sorted([*again, *self.done, *flying]) == sorted(self.keys)
        batch = [entry(n, self.keys[n]) for n in again]
        if batch:
            assert not self.lanes.offer_all(Batch(batch, self.next))
        self.lanes.position = max(self.lanes.position, self.next)

    @rule()
    def advance(self) -> None:
        self.lanes.position = self.next

    @rule(events=st.integers(1, 5), size=st.sampled_from([25, 1_000]), blocked=st.sampled_from(BLOCKED))
    def take(self, events: int, size: int, blocked: Blocked | None) -> None:
        send, settled = self.lanes.take(events, size, blocked)
        assert sum(len(one.parts) for one in send) <= events or len(send) == 1
        assert sum(one.size for one in send) <= size or len(send) == 1
        assert not any(one.decided for one in send)
        assert blocked is None or not any(blocked(one.key) for one in send)
        assert all(one.decided or (blocked is not None and blocked(one.key)) for one in settled)
        self.done.extend(e.number for e in settled)
        if send:
            self.flights.append(send)

    @rule()
    def unstall(self) -> None:
        self.lanes.unstall()

    @rule(which=st.integers(0, 10), ok=st.booleans())
    def land(self, which: int, ok: bool) -> None:
        if self.flights:
            flight = self.flights.pop(which % len(self.flights))
            if ok:
                self.done.extend(e.number for e in flight)
                self.lanes.settle(flight)
            else:
                self.lanes.put_back(flight)

    @invariant()
    def order_and_cursors_hold(self) -> None:
        seen: dict[int, int] = {}
        for number in self.done:
            lane = self.keys[number] % LANES
            assert seen.get(lane, 0) < number, "a lane went back"
            seen[lane] = number
        assert len(self.done) == len(set(self.done))
        sent = sum(len(flight) for flight in self.flights)
        assert (self.lanes.count, self.lanes.flying) == (len(self.keys) - len(self.done) - sent, sent)
        flying = [e.key % LANES for flight in self.flights for e in flight]
        for one in set(flying):
            assert sum(any(e.key % LANES == one for e in f) for f in self.flights) == 1
        cursors = self.lanes.cursors()
        assert self.lanes.lowest() == min(cursors)
        for number, key in self.keys.items():
            assert (number < cursors[key % LANES]) == (number in self.done), number


    def teardown(self) -> None:
        """In the end everything leaves: no lane was forgotten."""
        for flight in self.flights:
            self.lanes.put_back(flight)
        self.flights.clear()
        self.lanes.unstall()
        while self.lanes.ready:
            send, settled = self.lanes.take(5, 1_000, None)
            self.done.extend(e.number for e in (*settled, *send))
            self.lanes.settle(send)
        assert sorted(self.done) == sorted(self.keys)
        self.order_and_cursors_hold()


LaneModel.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestLanes = LaneModel.TestCase


@pytest.mark.parametrize("offered", [((1,), (2, 3, 4, 5), (6, 7)), ((1, 2, 3, 4, 5), (6, 7))])
def test_destinations_that_share_a_batch_take_it_each_for_itself(offered: tuple[tuple[int, ...], ...]) -> None:
    batches = [Batch([entry(n, n % 2) for n in numbers], numbers[-1] + 1) for numbers in offered]
    both = Lanes(1), Lanes(1)
    for batch in batches:
        for lanes in both:
            lanes.offer_all(batch)
    for lanes in both:
        send, _ = lanes.take(3, 1_000, None)
        assert [e.number for e in send] == [1, 3, 5]
        lanes.settle(send)
        assert [e.number for e in lanes.take(9, 1_000, None)[0]] == [2, 4, 6, 7]


def test_a_blocked_user_is_held_back_and_others_pass() -> None:
    lanes = Lanes(1)
    for number, key in ((1, 5), (2, 6), (3, 5)):
        lanes.offer(entry(number, key))
    send, held = lanes.take(10, 1_000, lambda key: key == 5)
    assert [e.number for e in send] == [2]
    assert [e.number for e in held] == [1, 3]


def test_no_room_for_references_stalls_the_lane_until_there_is() -> None:
    lanes = Lanes(1)
    lanes.offer(entry(1, 5))
    assert lanes.take(10, 1_000, lambda _: None) == ([], [])
    assert not lanes.ready
    lanes.unstall()
    send, _ = lanes.take(10, 1_000, lambda _: False)
    assert [e.number for e in send] == [1]


def test_bytes_bound_a_request_but_one_event_always_goes() -> None:
    lanes = Lanes(1)
    for number in (1, 2, 3):
        lanes.offer(entry(number, number, size=600))
    send, _ = lanes.take(10, 1_000, lambda _: False)
    assert [e.number for e in send] == [1]


@dataclass
class Restart:
    sent: list[int] = field(default_factory=list)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60), st.integers(1, 7), st.integers(0, 60))
@settings(deadline=None)
def test_a_restart_from_the_cursors_sends_the_rest_and_only_that(
    keys: list[int], batch: int, rounds: int
) -> None:
    lanes = Lanes(1)
    done: list[int] = []
    for number, key in enumerate(keys, 1):
        lanes.offer(entry(number, key))
    lanes.position = len(keys) + 1
    for _ in range(rounds):
        send, _held = lanes.take(batch, 1_000, lambda _: False)
        done.extend(e.number for e in send)
        lanes.settle(send)
    cursors = list(lanes.cursors())
    again = Lanes(min(cursors), cursors)
    rest = [n for n, key in enumerate(keys, 1) if n >= min(cursors) and again.wanted(n, key)]
    assert sorted(done + rest) == list(range(1, len(keys) + 1))
