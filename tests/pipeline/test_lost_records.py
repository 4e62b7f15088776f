"""A record that damage took after its events were numbered: who owes them a verdict is given them, and nobody else."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sequence_partitions import Stored, all_of, ids, sequencer

from dataplane.log.base import REFUSED, Record
from dataplane.log.epochs import STARTS
from dataplane.log.partitions import Partitions
from dataplane.pipeline.follow import Follower
from dataplane.pipeline.numbered import Numbered, Sequenced
from dataplane.pipeline.sequence import Sequencer
from dataplane.pipeline.share import Share
from turnout.protocol import Envelope

REASON = "lost: its record in the log was damaged"


def put(log: Stored, *events: tuple[str, int], refused: int = -1) -> None:
    """A record of events by messageId and order key."""
    body = json.dumps({"batch": [{"type": "track", "userId": "u", "messageId": ident} for ident, _ in events]}).encode()
    marks = b"".join(bytes([REFUSED if n == refused else 0]) + key.to_bytes(8, "little")
                     for n, (_, key) in enumerate(events))  # fmt: skip
    told = {refused: ("bad", "not good")} if refused >= 0 else {}
    packed = msgspec.msgpack.encode(Envelope("web", "rudder", "", 1_795_000_000_000, "", refused=told))
    stamp = len(log.records)
    log.records.append(Record(log.head, log.head + len(body), 1 << STARTS, stamp, packed, marks, body))


def lose(log: Stored, *places: int) -> None:
    log.records = [record for n, record in enumerate(log.records) if n not in places]


def paged(reader: Numbered, number: int = 1, most: int = 2) -> list[Sequenced]:
    """All that a destination at `number` reads, some at a time."""
    found: list[Sequenced] = []
    while number < reader.next_number:
        events, number = reader.mine(number, most)
        found += events
    return found


def test_those_that_were_numbered_are_there_and_dead_and_those_that_are_looked_up_are_not(tmp_path: Path) -> None:
    log = Stored()
    put(log, ("a", 1), ("b", 2))
    put(log, ("c", 3), ("bad", 4), ("a", 1), ("d", 5), refused=1)  # "a" is a duplicate
    put(log, ("e", 6))
    running = sequencer(tmp_path, log)
    assert all_of(running) == [(1, "a"), (2, "b"), (3, "c"), (6, "d"), (7, "e")]
    counts = running.counts.copy()
    lose(log, 1)

    for life in range(2):
        found = paged(running)
        assert [(event.number, event.key, event.broken) for event in found] == [
            (1, 1, ""), (2, 2, ""), (3, 3, REASON), (6, 5, REASON), (7, 6, ""),
        ], life  # fmt: skip
        lost = found[2]
        assert (lost.raw, lost.source, lost.kind, lost.received_at) == (b"", "", "", 0)
        assert [event.number for event in paged(running, 4)] == [6, 7]
        assert ids(running.load(1, 100)[0]) == [(1, "a"), (2, "b"), (7, "e")]
        assert running.load(3, 1)[0][0].number == 7
        assert sorted(running.pick([2, 3, 6])) == [2]
        if not life:
            assert running.counts == counts, "reading counts nothing"
            running.close()
            running = sequencer(tmp_path, log)
    running.close()


def test_what_the_log_let_go_of_is_no_damage(tmp_path: Path) -> None:
    log = Stored()
    for n in range(4):
        put(log, (f"m{n}", n))
    running = sequencer(tmp_path, log)
    all_of(running)
    log.floor = log.records[2].position
    lose(log, 0, 1, 2)
    assert [(event.number, event.broken) for event in paged(running)] == [(3, REASON), (4, "")]
    running.close()


def test_they_are_counted_once_where_the_books_had_not_counted_them(tmp_path: Path) -> None:
    log = Stored()
    put(log, ("a", 1))
    put(log, ("b", 2), ("bad", 3), ("a", 1), refused=1)
    running = sequencer(tmp_path, log)
    all_of(running)
    lose(log, 1)
    running.refused.clear()
    assert running.recount(1) == Counter({
        ("web", "unique"): 1, ("", "unique"): 1, ("", "refused"): 1, ("", "duplicate"): 1,
    })  # fmt: skip
    assert running.recount(3) == Counter({("", "refused"): 1, ("", "duplicate"): 1})
    assert not running.refused, "nobody knows why, nor what it was"
    running.close()


def test_of_several_processes_each_has_those_of_its_lanes(tmp_path: Path) -> None:
    log, of = Stored(), 3
    logs = Partitions({0: log}, run=1)
    first = Sequencer(logs, tmp_path, dedup=True, window=3600.0, max_ids=1000, share=Share(0, of))
    others = [Follower(logs, tmp_path, Share(n, of)) for n in range(1, of)]
    for n in range(8):
        put(log, *((f"m{n}-{key}", key) for key in range(0, 256, 16)))
    while first.next():
        pass
    lose(log, 2, 5)  # before the others have read it
    ahead = [event for other in others for event in iter_next(other)]
    readers = [first, *others]
    behind = [event for reader in readers for event in paged(reader)]
    assert sorted(event.number for event in behind) == list(range(1, 129)), "each in one process, at its place"
    dead = {*range(33, 49), *range(81, 97)}
    assert {event.number for event in behind if event.broken} == dead
    own = {event.number for event in behind if not first.share.has(event.key)}
    assert {event.number for event in ahead if event.broken} == dead & own
    assert sorted(event.number for event in ahead) == sorted(own)
    for event in behind + ahead:
        assert event.key == (event.number - 1) % 16 * 16
    for reader in readers:
        reader.close()


def iter_next(reader: Numbered) -> list[Sequenced]:
    found: list[Sequenced] = []
    while events := reader.next():
        found += events
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 4), st.booleans()), min_size=1, max_size=12),
    st.integers(0, 6), st.integers(1, 50), st.integers(1, 5),
)  # fmt: skip
def test_whatever_was_destroyed_each_event_is_read_once_and_the_rest_is_whole(
    records: list[tuple[int, int, bool]], gone: int, start: int, most: int
) -> None:
    """Two partitions; the log has let go of `gone` records of the first one."""
    with tempfile.TemporaryDirectory() as folder:
        logs, destroyed = (Stored(), Stored()), [set[int](), set[int]()]
        for place, (part, count, hit) in enumerate(records):
            if hit:
                destroyed[part].add(len(logs[part].records))
            put(logs[part], *((f"{place}-{n}", n) for n in range(count)))
        running = sequencer(Path(folder), *logs)
        unique = dict(all_of(running))
        released = logs[0].records[:gone]
        hit = {(part, log.records[n].position) for part, log in enumerate(logs) for n in destroyed[part]}
        logs[0].floor = logs[0].records[gone].position if gone < len(logs[0].records) else logs[0].head
        lose(logs[0], *destroyed[0], *range(gone))
        lose(logs[1], *destroyed[1])
        due = {
            block.first + n: (block.partition, block.position) in hit
            for block in running.sidecar.blocks(1) for n in range(block.count)
            if block.partition or block.position not in {record.position for record in released}
        }  # fmt: skip
        found = paged(running, start, most)
        assert {event.number: bool(event.broken) for event in found} == {
            number: lost for number, lost in due.items() if number >= start
        }
        assert [event.number for event in found] == sorted({event.number for event in found})
        assert all(event.message_id == unique[event.number] for event in found if not event.broken)
        running.close()
