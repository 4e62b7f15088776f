"""The archive: what is written is read again as the sequencer gave it, once or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.deliver.archive import MAGIC, Archive, Segment
from dataplane.deliver.state import Changes, State
from dataplane.pipeline.numbered import Sequenced, restored
from turnout.errors import FormatError
from turnout.protocol import Envelope

SECRET = b"s" * 32


def restore(number: int, key: int, raw: bytes, envelope: bytes) -> Sequenced:
    return restored(number, key, raw, envelope, SECRET)


def made(number: int, raw: bytes = b'{"type":"track","userId":"ann"}', at: int = 1_700_000_000_000) -> Sequenced:
    envelope = Envelope(
        source="web", protocol="rudder", kind="track", received_at=at, ip="203.0.113.7",
        refused={0: ("bad", "not this one")}, anonymous_id="anon",
    )  # fmt: skip
    return restore(number, number * 7, raw, msgspec.msgpack.encode(envelope))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(tmp_path / "state" / "pipeline.db")
    yield opened
    opened.close()


def keep(archive: Archive, state: State, segment: Segment) -> None:
    changes = Changes()
    archive.keep(segment, changes)
    state.commit(changes)


def test_events_come_back_as_they_were_received(tmp_path: Path, state: State) -> None:
    archive = Archive(tmp_path / "archive", state, restore)
    events = [made(n) for n in (3, 5, 6, 9)]
    segment = archive.write("hook", events)
    keep(archive, state, segment)
    again = list(archive.events("hook"))
    assert [(e.number, e.key, e.raw, e.source, e.received_at) for e in again] == [
        (e.number, e.key, e.raw, e.source, e.received_at) for e in events
    ]
    assert [e.enriched for e in again] == [e.enriched for e in events]
    assert again[0].envelope.refused == {}
    assert (again[0].kind, again[0].envelope.ip, again[0].envelope.anonymous_id) == ("track", "203.0.113.7", "anon")
    assert [e.number for e in archive.events("hook", 5, 6)] == [5, 6]
    assert list(archive.events("other")) == []
    assert (segment.first, segment.last, segment.events) == (3, 9, 4)
    assert (tmp_path / "archive" / "00000001.arc").stat().st_mode & 0o777 == 0o600


def test_segments_of_the_same_time_are_read_by_number_from_anywhere(tmp_path: Path, state: State) -> None:
    """As they are where a process that is no more left its own: a replay that goes on at a number must miss nothing."""
    archive = Archive(tmp_path / "archive", state, restore)
    for numbers in ((1, 4, 7), (20, 21), (2, 3, 8), (9, 22)):
        keep(archive, state, archive.write("hook", [made(n) for n in numbers]))
    wanted = [1, 2, 3, 4, 7, 8, 9, 20, 21, 22]
    assert [e.number for e in archive.events("hook")] == wanted
    for number in range(1, 24):
        assert [e.number for e in archive.events("hook", number)] == [n for n in wanted if n >= number]
        assert [e.number for e in archive.events("hook", 1, number)] == [n for n in wanted if n <= number]
    assert [s.first for s in archive.segments()] == [1, 2, 9, 20], "oldest first, as they are deleted"


def test_many_blocks_are_read_from_where_it_is_asked(tmp_path: Path, state: State) -> None:
    archive = Archive(tmp_path / "archive", state, restore)
    raw = b'{"type":"track","userId":"ann","properties":{"text":"' + b"x" * 5_000 + b'"}}'
    for first in (1, 201):
        keep(archive, state, archive.write("hook", [made(n, raw) for n in range(first, first + 200)]))
    assert [e.number for e in archive.events("hook", 150, 350)] == list(range(150, 351))
    assert [e.number for e in archive.events("hook")] == list(range(1, 401))


def test_a_segment_that_was_never_kept_is_gone_at_the_next_start(tmp_path: Path, state: State) -> None:
    archive = Archive(tmp_path / "archive", state, restore)
    keep(archive, state, archive.write("hook", [made(1)]))
    archive.write("hook", [made(2)])
    (tmp_path / "archive" / "00000003.arc.new").write_bytes(b"half")
    again = Archive(tmp_path / "archive", state, restore)
    assert [p.name for p in sorted((tmp_path / "archive").iterdir())] == ["00000001.arc"]
    assert [e.number for e in again.events("hook")] == [1]
    keep(again, state, again.write("hook", [made(2)]))
    assert [e.number for e in again.events("hook")] == [1, 2]


def test_a_flipped_bit_costs_its_block_and_nothing_else(tmp_path: Path, state: State) -> None:
    archive = Archive(tmp_path / "archive", state, restore)
    raw = b'{"type":"track","userId":"ann","properties":{"text":"' + b"x" * 5_000 + b'"}}'
    keep(archive, state, archive.write("hook", [made(n, raw) for n in range(1, 201)]))
    path = tmp_path / "archive" / "00000001.arc"
    data = bytearray(path.read_bytes())
    data[len(MAGIC) + 50] ^= 1
    path.write_bytes(data)
    numbers = [e.number for e in archive.events("hook")]
    assert numbers
    assert numbers == list(range(numbers[0], 201))
    assert 1 < numbers[0] < 100


def test_a_segment_of_a_newer_version_is_refused(tmp_path: Path, state: State) -> None:
    archive = Archive(tmp_path / "archive", state, restore)
    keep(archive, state, archive.write("hook", [made(1)]))
    path = tmp_path / "archive" / "00000001.arc"
    path.write_bytes(MAGIC[:6] + b"\x02\x00" + path.read_bytes()[8:])
    with pytest.raises(FormatError, match="newer Turnout"):
        list(archive.events("hook"))


def test_the_index_is_made_again_where_the_state_file_was_lost(tmp_path: Path, state: State) -> None:
    archive = Archive(tmp_path / "archive", state, restore)
    later = 1_700_000_000_500
    before = [archive.write(name, [made(n), made(n + 1, at=later)]) for n, name in ((1, "hook"), (5, "crm"))]
    for segment in before:
        keep(archive, state, segment)
    (tmp_path / "archive" / "00000003.arc").write_bytes(b"no archive")
    other = State(tmp_path / "other.db")
    try:
        changes = Changes()
        again = Archive(tmp_path / "archive", other, restore, lost=changes)
        other.commit(changes)
        assert again.segments() == before
        assert [e.number for e in again.events("crm")] == [5, 6]
        assert again.write("hook", [made(9)]).id == 4
    finally:
        other.close()


def test_a_rename_takes_the_archive_along_and_a_forgotten_segment_is_not_read(tmp_path: Path, state: State) -> None:
    archive = Archive(tmp_path / "archive", state, restore)
    segment = archive.write("hook", [made(1)])
    keep(archive, state, segment)
    changes = Changes()
    changes.rename("hook", "crm", 1_795_000_000.0)
    state.commit(changes)
    assert [e.number for e in archive.events("crm")] == [1]
    changes = Changes()
    archive.forget(segment, changes)
    state.commit(changes)
    archive.drop(segment)
    assert list(archive.events("crm")) == []
    assert list((tmp_path / "archive").iterdir()) == []


@settings(deadline=None, max_examples=30)  # each makes a file with two syncs
@given(st.lists(st.tuples(st.integers(1, 2**40), st.binary(max_size=200)), min_size=1, max_size=30,
                unique_by=lambda pair: pair[0]))  # fmt: skip
def test_whatever_was_received_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    state = State(folder / "state.db")
    try:
        archive = Archive(folder / "archive", state, restore)
        events = [made(number, raw) for number, raw in sorted(rows)]
        keep(archive, state, archive.write("hook", events))
        assert [(e.number, e.raw) for e in archive.events("hook")] == sorted(rows)
    finally:
        state.close()
