"""Several partitions become one row of records: what was acknowledged first comes first, and nothing waits.

A scripted world stands for writers, readers and the machine's clock. At every look of the intake (the
clock, a partition) some of the script happens, so that records appear between any two of its steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.log.base import Record
from dataplane.log.epochs import STARTS
from dataplane.log.partitions import Partitions
from dataplane.pipeline.intake import Intake
from dataplane.pipeline.merge import ALL, merge

SIZE = 10


@dataclass
class Writer:
    """One partition: `pending` was stamped and is being synced, `visible` is published."""

    run: int = 1
    start: int = 0
    end: int = 0
    alive: bool = True
    pending: list[Record] = field(default_factory=list)
    visible: list[Record] = field(default_factory=list)


class World:
    """Writers, what each record's writer knew of when it was acknowledged, and a script of actions."""

    def __init__(self, partitions: int) -> None:
        self.writers = [Writer() for _ in range(partitions)]
        self.script: list[list[tuple[str, int]]] = []
        self.clock = 0
        self.run = 1
        self.acknowledged: dict[tuple[int, int], int] = {}
        self.stamped: dict[tuple[int, int], int] = {}
        self.moment = 0  # time that no boot sets back

    def happen(self) -> None:
        """The next actions of the script."""
        for action in self.script.pop(0) if self.script else ():
            self.act(*action)

    def act(self, action: str, partition: int) -> None:
        number = partition % len(self.writers)
        writer = self.writers[number]
        self.moment += 1
        self.clock += 1
        if action == "stamp" and writer.alive and not writer.pending:
            position, epoch = writer.end, (writer.run << STARTS) + writer.start
            for _ in range(1 + self.clock % 3):
                record = Record(position, position + SIZE, epoch, self.clock, b"", b"", b"")
                writer.pending.append(record)
                self.stamped[number, position] = self.moment
                position += SIZE
        elif action == "store":
            self.act("stamp", number)
            self.act("publish", number)
        elif action == "publish" and writer.alive:
            self.publish(number, acknowledged=True)
        elif action == "die":
            writer.alive = False
        elif action == "restart" and not writer.alive:
            # What was durable and not published is found again, and was never acknowledged.
            self.publish(number, acknowledged=False)
            writer.alive, writer.run, writer.start = True, self.run, writer.start + 1
        elif action == "tie":
            self.clock -= 1  # two stamps may be equal where clocks are coarse

    def publish(self, number: int, *, acknowledged: bool) -> None:
        writer = self.writers[number]
        for record in writer.pending:
            writer.visible.append(record)
            writer.end = record.end
            if acknowledged:
                self.acknowledged[number, record.position] = self.moment
        writer.pending = []

    def boot(self) -> None:
        """All processes end, and the monotonic clock begins anew: another run."""
        self.clock, self.run = 0, self.run + 1
        for number, writer in enumerate(self.writers):
            writer.alive = False
            self.act("restart", number)

    def now(self) -> int:
        self.happen()
        self.clock += 1
        self.moment += 1
        return self.clock


class Reader:
    """A partition of the world; a look at it lets the world go on."""

    floor = 0

    def __init__(self, world: World, number: int, most: int) -> None:
        self.world, self.number, self.most = world, number, most

    @property
    def head(self) -> int:
        return self.world.writers[self.number].end

    def read(self, position: int, max_bytes: int = 0) -> Sequence[Record]:
        self.world.happen()
        found = [r for r in self.world.writers[self.number].visible if r.position >= position]
        self.world.happen()
        return found[: self.most]

    async def wait(self, position: int, timeout: float) -> bool:
        return self.head > position

    def release(self, position: int) -> None: ...

    def close(self) -> None: ...


def drained(world: World, positions: dict[int, int], most: int, calls: int) -> list[tuple[int, Record]]:
    """Up to `calls` batches of a fresh intake, which ends when nothing is visible."""
    readers: dict[int, Any] = {n: Reader(world, n, most) for n in range(len(world.writers))}
    intake = Intake(Partitions(readers, world.run), positions, max_bytes=most * SIZE, now=world.now)
    found: list[tuple[int, Record]] = []
    for _ in range(calls):
        batch = list(intake.next())
        assert not batch or intake.next() == batch, "the same until it is done"
        for number, record in batch:
            positions[number] = record.end
        found += batch
        intake.done()
        if not batch and not world.script:
            break
    return found


def out_of_order(found: list[tuple[int, Record]], world: World) -> list[Any]:
    """Pairs in which the second was stamped after the first one's acknowledgement, and came before it."""
    places = {(number, record.position): place for place, (number, record) in enumerate(found)}
    return [
        (first, second)
        for first, answered in world.acknowledged.items()
        for second, stamped in world.stamped.items()
        if second in places and answered < stamped and places[first] > places[second]
    ]


actions = st.tuples(
    st.sampled_from(["store", "store", "stamp", "publish", "publish", "die", "restart", "tie"]),
    st.integers(0, 3),
)
scripts_of_runs = st.lists(st.lists(st.lists(actions, max_size=4), max_size=25), min_size=1, max_size=3)


@given(
    partitions=st.integers(2, 4),
    scripts=scripts_of_runs,
    most=st.integers(1, 5),
)
@settings(deadline=None, max_examples=300)
def test_what_was_acknowledged_before_another_arrived_comes_first_across_deaths_and_boots(
    partitions: int, scripts: list[list[list[tuple[str, int]]]], most: int
) -> None:
    world = World(partitions)
    positions: dict[int, int] = {}
    found: list[tuple[int, Record]] = []
    for index, script in enumerate(scripts):
        if index:
            world.boot()
        world.script = list(script)
        if index % 2:  # this run is sequenced only by the next
            while world.script:
                world.happen()
        else:
            found += drained(world, positions, most, calls=200)
    found += drained(world, positions, most, calls=10_000)

    visible = {(n, r.position) for n, w in enumerate(world.writers) for r in w.visible}
    assert len(found) == len({(n, r.position) for n, r in found}) == len(visible), "each exactly once"
    assert {(n, r.position) for n, r in found} == visible, "and no dead partition held any back"
    assert out_of_order(found, world) == []
    for number in range(partitions):
        own = [record.position for n, record in found if n == number]
        assert own == sorted(own)


def test_the_property_sees_disorder() -> None:
    world = World(2)
    for action in (("stamp", 0), ("publish", 0), ("stamp", 1), ("publish", 1)):
        world.act(*action)
    first, second = ([(n, r) for r in w.visible] for n, w in enumerate(world.writers))
    assert out_of_order([*first, *second], world) == []
    assert out_of_order([*second, *first], world)


def record(position: int, stamp: int, run: int = 1) -> Record:
    return Record(position, position + SIZE, run << STARTS, stamp, b"", b"", b"")


def test_nothing_behind_the_cut_is_taken() -> None:
    visible = {0: [record(0, 5), record(10, 9)], 1: [record(0, 7)]}
    assert [(n, r.stamp) for n, r in merge(visible, {0, 1}, (1, 8), 1000)] == [(0, 5), (1, 7)]
    assert [r.stamp for _, r in merge(visible, {0, 1}, ALL, 1000)] == [5, 7, 9]


def test_more_of_a_partition_must_be_looked_at_before_others_go_on() -> None:
    visible = {0: [record(0, 5)], 1: [record(0, 7)]}
    assert [n for n, _ in merge(visible, {1}, ALL, 1000)] == [0]
    assert merge({0: [], 1: [record(0, 7)]}, {1}, ALL, 1000) == []


def test_an_earlier_run_comes_first_whatever_its_clock_said() -> None:
    visible = {0: [record(0, 3, run=2)], 1: [record(0, 900, run=1)]}
    assert [n for n, _ in merge(visible, {0, 1}, (2, 10), 1000)] == [1, 0]


def test_a_batch_ends_with_the_record_that_fills_it() -> None:
    visible = {0: [record(0, 1), record(10, 2), record(20, 3)], 1: []}
    assert len(merge(visible, {0, 1}, ALL, SIZE + 1)) == 2
