"""Handing over what no script touches gives what the general way gives; what is read twice is read once."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.deliver import dispatch, untouched
from dataplane.deliver.courier import Courier
from dataplane.deliver.entry import Batch, Entry
from dataplane.deliver.lanes import LANES, Lanes
from dataplane.deliver.plan import Plan
from dataplane.deliver.recent import Recent
from dataplane.pipeline.numbered import Sequenced, restored
from dataplane.pipeline.route import Gate, Route
from tests.deliver.engine_kit import InProcess
from transformations.base import Script
from turnout.protocol import Envelope

GATE = Gate("hook", ("webhook",), frozenset({"track", "identify"}), options=frozenset({"list"}))
INTEGRATIONS: tuple[Any, ...] = (
    None, {}, {"All": False}, {"hook": False}, {"hook": {"list": "l1"}}, {"All": 1}, {"All": False, "webhook": True},
)  # fmt: skip


@dataclass
class _Plan:
    gate: Gate = GATE
    trusted: frozenset[str] = frozenset()
    chain: tuple[Any, ...] = ()
    told: dict[str, str] = field(default_factory=dict)
    upstream: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Stand:
    """A courier that only writes down what it is given."""

    lanes: Lanes
    watched: bool = False
    plan: _Plan = field(default_factory=_Plan)
    routes: dict[tuple[bytes, str, str], Route] = field(default_factory=dict)
    ended: list[tuple[int, str]] = field(default_factory=list)

    def offer(self, entry: Entry) -> None:
        if self.lanes.offer(entry):
            self.ended.append(_end(entry))

    def offer_all(self, batch: Batch) -> None:
        self.ended += [_end(entry) for entry in self.lanes.offer_all(batch)]

    def passed(self, numbers: Mapping[str, Sequence[int]]) -> None:
        self.ended += [(number, reason) for reason, those in numbers.items() for number in those]


def _end(entry: Entry) -> tuple[int, str]:
    ((_, _, verdict),) = entry.parts
    assert verdict is not None
    return entry.number, verdict.reason


def event(number: int, key: int, kind: str = "track", integrations: Any = None, raw: bytes | None = None) -> Sequenced:
    message = {"type": kind, "userId": f"u{key}", "messageId": f"m{number}", "properties": {"n": number}}
    if integrations is not None:
        message["integrations"] = integrations
    envelope = Envelope(source="web", protocol="rudder", kind="", received_at=1, ip="203.0.113.9", refused={})
    body = json.dumps(message).encode() if raw is None else raw
    return restored(number, key, body, msgspec.msgpack.encode(envelope), b"k")


EVENTS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["track", "page"]), st.sampled_from(INTEGRATIONS), st.booleans()),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    made=EVENTS, waiting=st.lists(st.integers(0, 5), max_size=4), taken=st.integers(0, 3),
    cursor=st.integers(1, 12), watched=st.booleans(),
)  # fmt: skip
def test_it_gives_what_the_general_way_gives(
    made: list[tuple[int, str, Any, bool]], waiting: list[int], taken: int, cursor: int, watched: bool
) -> None:
    def stand() -> _Stand:
        cursors = [1] * LANES
        cursors[3] = cursor + len(waiting)  # a lane that was ahead of the others at the last stop
        lanes = Lanes(1, cursors)
        for number, key in enumerate(waiting, 1):
            if lanes.wanted(number, key):
                lanes.offer(Entry(number, key, "web", 0, [(b"{}", {}, None)]))
        lanes.position = len(waiting) + 1
        lanes.take(taken, 1_000, None)
        return _Stand(lanes, watched)

    def events() -> list[Sequenced]:
        first = len(waiting) + 1
        return [
            event(first + i, key, kind, told, raw=b"[1]" if broken and key == 5 else None)
            for i, (key, kind, told, broken) in enumerate(made)
        ]

    general, many, same = stand(), stand(), stand()
    batch = events()
    rows = asyncio.run(dispatch.entries(InProcess(), batch, [cast(Courier, general)], cast(Plan, general.plan)))
    for entry in rows[0]:
        general.offer(entry)
    general.lanes.position = batch[-1].number + 1
    untouched.hand_over(events(), [cast(Courier, many), cast(Courier, same)])
    for one in (many, same):
        assert sorted(one.ended) == sorted(general.ended)
        assert one.lanes.cursors() == general.lanes.cursors()
        assert _queued(one.lanes) == _queued(general.lanes)
        assert (one.lanes.count, one.lanes.bytes) == (general.lanes.count, general.lanes.bytes)


def _queued(lanes: Lanes) -> list[list[tuple[Any, ...]]]:
    return [
        [(e.number, e.key, e.source, e.at, list(e.parts)) for e in (head, *lanes._rest.get(lane, ())) if e is not None]
        for lane, head in enumerate(lanes._heads)
    ]


def test_destinations_share_the_event_and_its_decoding() -> None:
    one, two = _Stand(Lanes(1)), _Stand(Lanes(1))
    untouched.hand_over([event(1, 7)], [cast(Courier, one), cast(Courier, two)])
    ((first,), _), ((second,), _) = one.lanes.take(1, 1_000, None), two.lanes.take(1, 1_000, None)
    assert first is second
    assert first.event is not None
    assert first.event.message["properties"] == {"n": 1}
    assert (first.event.number, first.event.key, first.event.child) == (1, 7, 0)


async def test_what_scripts_make_is_shared_too_by_destinations_that_get_the_same() -> None:
    stands = [_Stand(Lanes(1)) for _ in range(3)]
    stands[2].plan.gate = Gate("other", ("webhook",), frozenset({"track"}), options=frozenset({"list"}))
    for stand in stands:
        stand.plan.chain = (Script("same", "", "same.py"),)
    read = [event(1, 7), event(2, 8, integrations={"other": {"list": "l1"}})]
    runner = InProcess(same=lambda message: {**message, "event": "Made"})
    rows = await dispatch.entries(runner, read, [cast(Courier, s) for s in stands], cast(Plan, stands[0].plan))
    (one, two), (same, other), (third, own) = rows
    assert one is same is third
    assert one.event is not None
    assert one.event.message["event"] == "Made"
    assert two is other
    assert (own.parts[0][1], own.event) == ({"list": "l1"}, None)
    recent = Recent(lambda number, most: ([], number), most=0)
    recent.add(1, 3, read)  # and forgotten at once
    assert one.event is None


async def test_what_was_read_a_moment_ago_does_not_hold_what_scripts_made_of_it() -> None:
    """A script makes a megabyte of a hundred bytes, of which four megabytes are remembered."""
    stand = _Stand(Lanes(1))
    stand.plan.chain = (Script("grows", "", "grows.py"),)
    read = [event(number, number) for number in range(1, 21)]
    recent = Recent(lambda number, most: ([], number))
    recent.add(1, 21, read)
    runner = InProcess(grows=lambda message: {**message, "context": {"page": "x" * 100_000}})
    tracemalloc.start()
    try:
        (row,) = await dispatch.entries(runner, read, [cast(Courier, stand)], cast(Plan, stand.plan))
        held = tracemalloc.get_traced_memory()[0]
        assert len(row) == 20
        assert held > 2_000_000
        del row
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < held / 10
    finally:
        tracemalloc.stop()
    assert recent.read(1, 20)[0] == read


def test_what_was_read_a_moment_ago_is_not_read_again_and_memory_is_bounded() -> None:
    reads: list[int] = []

    def load(number: int, most: int) -> tuple[list[Sequenced], int]:
        reads.append(number)
        return [event(n, n) for n in range(number, number + most)], number + most

    size = len(event(1, 1).raw)
    recent = Recent(load, most=25 * size)
    first, upto = recent.read(1, 10)
    assert (recent.read(1, 10), upto) == ((first, upto), 11)
    middle, end = recent.read(7, 10)
    assert ([e.number for e in middle], end) == ([7, 8, 9, 10], 11)
    assert middle[0] is first[6]
    stand = _Stand(Lanes(1))
    untouched.hand_over(first, [cast(Courier, stand)])
    recent.read(11, 10)
    assert reads == [1, 11]
    recent.read(21, 10)
    assert all(e.entry.event is None for e in first)  # a slow destination keeps the bytes, not the decoded form
    recent.read(1, 10)
    assert reads == [1, 11, 21, 1]


def test_a_stretch_without_events_is_remembered_too() -> None:
    recent = Recent(lambda number, most: ([], number))
    recent.add(1, 4, [event(1, 1)])  # 2 and 3 were duplicates
    assert recent.read(2, 10) == ([], 4)


