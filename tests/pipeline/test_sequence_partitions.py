"""Events of several partitions: exact duplicates, dense numbers, and what a crash half-way leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dataplane.log.base import MARK, Record
from dataplane.log.epochs import STARTS
from dataplane.log.partitions import Partitions
from dataplane.pipeline.limbo import STEP
from dataplane.pipeline.numbered import Sequenced
from dataplane.pipeline.sequence import Sequencer
from turnout.protocol import Envelope


class Stored:
    """A partition whose records the test puts there."""

    floor = 0

    def __init__(self) -> None:
        self.records: list[Record] = []

    @property
    def head(self) -> int:
        return self.records[-1].end if self.records else 0

    def add(self, stamp: int, *ids: str) -> None:
        envelope = Envelope(source="web", protocol="rudder", kind="", received_at=1_795_000_000_000, ip="")
        events = [{"type": "track", "event": "e", "userId": "u", "messageId": ident} for ident in ids]
        body = json.dumps({"batch": events}).encode()
        packed = msgspec.msgpack.encode(envelope)
        self.records.append(
            Record(self.head, self.head + len(body), 1 << STARTS, stamp, packed, bytes(MARK) * len(ids), body)
        )

    def read(self, position: int, max_bytes: int = 0) -> list[Record]:
        return [r for r in self.records if r.position >= position]

    async def wait(self, position: int, timeout: float) -> bool:
        return self.head > position

    def release(self, position: int) -> None: ...

    def close(self) -> None: ...


def sequencer(folder: Path, *logs: Any) -> Sequencer:
    return Sequencer(
        Partitions(dict(enumerate(logs)), run=1), folder, dedup=True, window=3600.0, max_ids=10**6
    )


def ids(events: list[Sequenced]) -> list[tuple[int, str]]:
    return [(event.number, event.message_id) for event in events]


def all_of(sequencer: Sequencer) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    while batch := sequencer.next():
        found += ids(batch)
    return found


def test_duplicates_are_found_across_partitions_and_numbers_are_dense(tmp_path: Path) -> None:
    one, two = Stored(), Stored()
    one.add(1, "a", "b")
    two.add(2, "b", "c")
    one.add(3, "c", "d")
    running = sequencer(tmp_path, one, two)
    assert all_of(running) == [(1, "a"), (2, "b"), (4, "c"), (6, "d")]
    assert running.counts["web", "duplicate"] == 2
    assert running.next_number == 7
    loaded, upto = running.load(1, 100)
    assert (ids(loaded), upto) == ([(1, "a"), (2, "b"), (4, "c"), (6, "d")], 7)
    assert {number: event.message_id for number, event in running.pick([1, 3, 4, 6]).items()} == {
        1: "a", 4: "c", 6: "d",
    }  # fmt: skip
    running.close()


class Killed(BaseException):
    """Stands for SIGKILL."""


def test_an_id_whose_number_was_never_written_down_is_no_duplicate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process dies between remembering ids and writing the numbers; meanwhile a record appears that
    comes before them, as a restarted writer finds one."""
    one, two = Stored(), Stored()
    one.add(1, "sure")
    dying = sequencer(tmp_path, one, two)
    assert all_of(dying) == [(1, "sure")]
    one.add(100, "r")
    one.add(101, "s", "r")

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(dying.sidecar, "append", killed)
        with pytest.raises(Killed):
            dying.next()

    two.add(50, "x", "y")
    again = sequencer(tmp_path, one, two)
    assert all_of(again) == [(2, "x"), (3, "y"), (4, "r"), (5, "s")], "6 is a duplicate of 4"
    assert again.next_number == 7
    two.add(200, "r", "s", "x", "z")
    assert all_of(again) == [(10, "z")], "and what this process remembered counts"
    again.close()

    third = sequencer(tmp_path, one, two)
    one.add(300, "r", "new")
    assert all_of(third) == [(12, "new")]


def test_a_full_disk_changes_neither_numbers_nor_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Stored(), Stored()
    one.add(100, "r")
    running = sequencer(tmp_path, one, two)

    def full(*_: object) -> None:
        raise OSError(28, "the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(running.sidecar, "append", full)
        with pytest.raises(OSError, match="full"):
            running.next()
    two.add(50, "x")  # stamped earlier, published later
    assert all_of(running) == [(1, "r"), (2, "x")]


@pytest.mark.parametrize("damage", [b"", b"\0" * 12, b"short"])
def test_a_torn_reservation_counts_as_a_wide_one(tmp_path: Path, damage: bytes) -> None:
    one, two = Stored(), Stored()
    one.add(1, "a")
    running = sequencer(tmp_path, one, two)
    assert all_of(running) == [(1, "a")]
    (tmp_path / "reserved").write_bytes(damage)
    again = sequencer(tmp_path, one, two)
    one.add(2, "b", "a")
    assert all_of(again) == [(2, "b")]
    assert again._limbo is not None
    assert again._limbo._end == 2 + 2 * STEP


def test_one_partition_reserves_nothing(tmp_path: Path) -> None:
    one = Stored()
    one.add(1, "a")
    running = sequencer(tmp_path, one)
    assert all_of(running) == [(1, "a")]
    running.close()
    assert not (tmp_path / "reserved").exists()
