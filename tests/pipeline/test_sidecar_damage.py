"""A damaged block in the middle of the sidecar: its events keep their numbers, and so does everything behind them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from test_sequence_partitions import Stored, all_of, ids, sequencer

from dataplane.log.base import REFUSED, Record
from dataplane.log.epochs import STARTS
from dataplane.log.partitions import Partitions
from dataplane.pipeline import sidecar
from dataplane.pipeline.blocks import MARK
from dataplane.pipeline.follow import Follower
from dataplane.pipeline.numbered import Numbered
from dataplane.pipeline.sequence import Sequencer
from dataplane.pipeline.share import Share
from dataplane.pipeline.sidecar import Sidecar
from turnout.protocol import Envelope


def fill(folder: Path, *logs: Stored) -> list[tuple[int, str]]:
    """Twelve records over the logs, the second half sequenced in another order than their stamps say."""
    for number in range(6):
        logs[number % len(logs)].add(number, f"a{number}", f"b{number}")
    made = sequencer(folder, *logs)
    found = all_of(made)
    for number in range(6, 12):
        partition = number % len(logs)
        logs[partition].add(100 - 30 * partition + number, f"a{number}", "a3" if number == 8 else f"b{number}")
        found += all_of(made)
    made.sidecar.close()
    return found


def flip(folder: Path, block: int) -> None:
    path = next(folder.glob("*.seq"))
    data = bytearray(path.read_bytes())
    at = -1
    for _ in range(block + 1):
        at = data.index(MARK, at + 1)
    data[at + 40] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize("partitions", [1, 2, 3])
@pytest.mark.parametrize("block", [0, 4, 7, 8])
def test_a_damaged_block_is_decided_again_with_the_same_numbers(tmp_path: Path, partitions: int, block: int) -> None:
    logs = [Stored() for _ in range(partitions)]
    before = fill(tmp_path, *logs)
    whole = next(tmp_path.glob("*.seq")).read_bytes()
    flip(tmp_path, block)

    again = sequencer(tmp_path, *logs)
    assert all_of(again) == [], "nothing gets another number"
    assert not again.counts, "nothing is counted twice"
    assert ids(again.load(1, 100)[0]) == before
    assert next(tmp_path.glob("*.seq")).read_bytes() == whole
    again.close()


def test_a_damaged_last_block_is_a_torn_tail(tmp_path: Path) -> None:
    log = Stored()
    before = fill(tmp_path, log)
    flip(tmp_path, 11)
    again = sequencer(tmp_path, log)
    assert all_of(again) == before[-2:]
    assert ids(again.load(1, 100)[0]) == before
    again.close()


@pytest.mark.parametrize("partitions", [1, 2, 3])
@pytest.mark.parametrize("places", [(4, 5), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), (2, 3, 7, 8, 9)])
def test_so_are_several_whichever_partitions_took_turns(
    tmp_path: Path, partitions: int, places: tuple[int, ...]
) -> None:
    """The ids that are remembered say which record had which numbers."""
    logs = [Stored() for _ in range(partitions)]
    before = fill(tmp_path, *logs)
    whole = next(tmp_path.glob("*.seq")).read_bytes()
    spoil(tmp_path, *places)
    again = sequencer(tmp_path, *logs)
    assert all_of(again) == []
    assert ids(again.load(1, 100)[0]) == before
    assert next(tmp_path.glob("*.seq")).read_bytes() == whole
    again.close()


def test_what_is_gone_from_the_log_too_takes_no_number_of_those_behind_it(tmp_path: Path) -> None:
    """Else destinations would take new events for such that they had."""
    log = Stored()
    before = fill(tmp_path, log)
    spoil(tmp_path, 4, 5)
    del log.records[5]
    for _ in range(2):
        again = sequencer(tmp_path, log)
        assert all_of(again) == []
        assert ids(again.load(1, 100)[0]) == [one for one in before if one[0] not in (11, 12)]
        again.close()
    log.add(900, "new")
    again = sequencer(tmp_path, log)
    assert all_of(again) == [(25, "new")]
    again.close()


# ---- in a file that is written no more


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few blocks: of the twelve, the first 9 are in files that are written no more."""
    monkeypatch.setattr(sidecar, "SEGMENT", 300)


def blocks_of(folder: Path) -> list[tuple[Path, int]]:
    """Where every block is, in order."""
    found: list[tuple[Path, int]] = []
    for path in sorted(folder.glob("*.seq")):
        data, at = path.read_bytes(), -1
        while (at := data.find(MARK, at + 1)) >= 0:
            found.append((path, at))
    return found


def spoil(folder: Path, *places: int) -> None:
    where = blocks_of(folder)
    for place in places:
        path, at = where[place]
        data = bytearray(path.read_bytes())
        data[at + 40] ^= 0x55
        path.write_bytes(data)


def paged(reader: Numbered, most: int, number: int = 1) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    while number < reader.next_number:
        events, number = reader.mine(number, most)
        found += ids(events)
    return found


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("partitions", [1, 2, 3])
@pytest.mark.parametrize("place", [0, 3, 5, 6, 8])
def test_a_damaged_block_of_an_older_file_is_decided_again_by_whoever_reads_it(
    tmp_path: Path, partitions: int, place: int
) -> None:
    logs = [Stored() for _ in range(partitions)]
    before = fill(tmp_path, *logs)
    assert len(list(tmp_path.glob("*.seq"))) >= 3
    spoil(tmp_path, place)

    again = sequencer(tmp_path, *logs)
    assert all_of(again) == []
    assert not again.counts
    for most in (1, 3, 100):
        assert paged(again, most) == before
    for start in range(1, 26):
        assert paged(again, 2, start) == [one for one in before if one[0] >= start]
    assert ids(list(again.pick([number for number, _ in before]).values())) == before
    assert not again.counts
    again.close()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("partitions", [1, 2, 3])
@pytest.mark.parametrize("places", [(0, 1), (2, 3, 4), (4, 5), (5, 6), (6, 7, 8), (0, 1, 2, 3, 4, 5)])
def test_so_are_several_in_a_row(tmp_path: Path, partitions: int, places: tuple[int, ...]) -> None:
    logs = [Stored() for _ in range(partitions)]
    before = fill(tmp_path, *logs)
    spoil(tmp_path, *places)
    again = sequencer(tmp_path, *logs)
    assert paged(again, 3) == before
    again.close()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("partitions", [1, 2])
def test_and_a_file_that_is_gone(tmp_path: Path, partitions: int) -> None:
    logs = [Stored() for _ in range(partitions)]
    before = fill(tmp_path, *logs)
    sorted(tmp_path.glob("*.seq"))[1].unlink()
    again = sequencer(tmp_path, *logs)
    assert paged(again, 3) == before
    again.close()


def test_and_what_is_damaged_while_it_runs(tmp_path: Path) -> None:
    log = Stored()
    before = fill(tmp_path, log)
    running = sequencer(tmp_path, log)
    for place in (3, 11):
        spoil(tmp_path, place)
        assert paged(running, 3) == before
    log.add(500, "new")
    assert all_of(running) == [(25, "new")]
    assert paged(running, 3) == [*before, (25, "new")]
    running.close()


@pytest.mark.usefixtures("small")
def test_the_log_keeps_what_stands_in_the_damage(tmp_path: Path) -> None:
    """Else it may let go of records that a destination still needs."""
    for logs in ([Stored()], [Stored(), Stored()]):
        folder = tmp_path / str(len(logs))
        fill(folder, *logs)
        whole = sequencer(folder, *logs).sidecar
        due = {number: whole.positions_of(number) for number in range(1, 26)}
        spoil(folder, 4, 8)
        again = Sidecar(folder)
        for number, positions in due.items():
            found = again.positions_of(number)
            assert all(found.get(part, 0) <= position for part, position in positions.items()), number
        for number in (9, 10, 17, 18):
            assert again.number_at(due[number]) <= number, "no later than the record"
        whole.close()
        again.close()


@pytest.mark.usefixtures("small")
def test_what_cannot_be_told_is_said_and_what_the_log_let_go_of_is_not(tmp_path: Path) -> None:
    log = Stored()
    before = fill(tmp_path, log)
    spoil(tmp_path, 1, 4)
    log.floor = log.records[2].position
    del log.records[4], log.records[:2]
    again = sequencer(tmp_path, log)
    with capture_logs() as said:
        for _ in range(2):
            assert [number for number, _ in paged(again, 3)] == [
                number for number, _ in before if number > 4 and number not in (9, 10)
            ]
    assert [(one["event"], one["first"], one["filled"]) for one in said] == [("sequence.hole", 9, False)], "once"
    again.close()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("places", [(3,), (5,), (5, 6), (8,), (3, 4, 5, 6, 7, 8)])
def test_those_that_follow_decide_it_alike(tmp_path: Path, places: tuple[int, ...]) -> None:
    log = Stored()
    logs = Partitions({0: log}, run=1)
    log.add(0, "first")
    first = Sequencer(logs, tmp_path, dedup=True, window=3600.0, max_ids=1000, share=Share(0, 2))
    first.next()
    ahead = Follower(logs, tmp_path, Share(1, 2))
    for number in range(1, 12):
        log.add(number, *(f"{number}-{n}" for n in range(3)), "first")
        while first.next():
            pass
    due = ids(first.load(1, 100)[0])
    assert len(due) == 1 + 11 * 3
    spoil(tmp_path, *places)
    behind = Follower(logs, tmp_path, Share(1, 2))
    for reader in (first, ahead, behind):
        if reader is ahead:
            while reader.next_number < first.next_number:
                at = reader.next_number
                reader.next()
                assert reader.next_number > at, "it gets on"
        assert ids(reader.load(1, 100)[0]) == due
    assert first.share.has(0), "all are of the first lane"
    for reader in (first, ahead, behind):
        reader.close()


EVENTS = st.lists(st.sampled_from(["", "bad", *"abcdefghijklmnopqrst"]), min_size=1, max_size=4)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), EVENTS), min_size=1, max_size=14), st.sets(st.integers(0, 13), max_size=8),
    st.booleans(), st.sampled_from([150, 300, 10_000]), st.integers(1, 4),
)  # fmt: skip
def test_whatever_is_damaged_no_event_gets_another_number_and_none_is_missing(
    records: list[tuple[int, list[str]]], damaged: set[int], several: bool, segment: int, most: int
) -> None:
    """Repetitions, refused events and events without an id among them; whole at a restart or read while it runs."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sidecar, "SEGMENT", segment)
        folder, logs = Path(name), [Stored() for _ in range(3 if several else 1)]
        parts = Partitions(dict(enumerate(logs)), run=1)
        first = Sequencer(parts, folder, dedup=True, window=3600.0, max_ids=1000, share=Share(0, 2))
        for stamp, (part, idents) in enumerate(records):
            put(logs[part if several else 0], stamp, idents)
            to_the_end(first)
        due, counts = ids(first.load(1, 100)[0]), first.recount(1)
        spoil(folder, *(place for place in damaged if place < len(blocks_of(folder))))
        torn = len(records) - 1 in damaged

        def judge(reader: Numbered) -> None:
            found = ids(reader.load(1, 100)[0])
            assert set(found) <= set(due)
            assert found == sorted(found)
            if not torn:
                assert found == due

        behind = Follower(parts, folder, Share(1, 2))
        for reader in (first, behind):
            judge(reader)
            assert ids(list(reader.pick([number for number, _ in due]).values())) == ids(reader.load(1, 100)[0])
            if not torn:
                assert paged_all(reader, most) == due
        if not several and not torn:
            assert first.recount(1) == counts
        first.sidecar.close()
        again = Sequencer(parts, folder, dedup=True, window=3600.0, max_ids=1000, share=Share(0, 2))
        to_the_end(again)
        assert ids(again.load(1, 100)[0]) == due
        again.close()
        behind.close()


def to_the_end(reader: Sequencer) -> None:
    while reader.positions != reader.partitions.heads:
        reader.next()


def put(log: Stored, stamp: int, idents: list[str]) -> None:
    events = [{"type": "track", "userId": "u", **({"messageId": ident} if ident else {})} for ident in idents]
    refused = {n: ("bad", "not good") for n, ident in enumerate(idents) if ident == "bad"}
    envelope = Envelope("web", "rudder", "", 1_795_000_000_000, "", refused=refused)
    marks = b"".join(bytes([REFUSED if n in refused else 0]) + bytes(8) for n in range(len(idents)))
    body = json.dumps({"batch": events}).encode()
    packed = msgspec.msgpack.encode(envelope)
    log.records.append(Record(log.head, log.head + len(body), 1 << STARTS, stamp, packed, marks, body))


def paged_all(reader: Numbered, most: int) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    number = 1
    while number < reader.next_number:
        events, number = reader.load(number, most)
        found += ids(events)
    return found
