"""A process that follows: the same numbers, each event in one process, never beyond what is published."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.log.partitions import Partitions, open_partitions
from dataplane.pipeline import sidecar
from dataplane.pipeline.blocks import ENTRY, Block
from dataplane.pipeline.follow import Follower
from dataplane.pipeline.followed import Followed
from dataplane.pipeline.numbered import Sequenced
from dataplane.pipeline.sequence import Sequencer
from dataplane.pipeline.share import LANES, Share
from dataplane.pipeline.sidecar import Sidecar
from tests.deliver.engine_kit import Plant
from turnout.errors import Unavailable


def sequencer(log: Partitions, folder: Path, share: Share) -> Sequencer:
    return Sequencer(log, folder, dedup=True, window=3600.0, max_ids=1000, share=share)


def ids(events: list[Sequenced]) -> list[tuple[int, str]]:
    return [(event.number, event.message_id) for event in events]


@pytest.fixture
async def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def logs(plant: Plant, count: int) -> list[Partitions]:
    return [open_partitions(plant.folder / "data/log", 1, consumer=Share(n, count).name) for n in range(count)]


@given(st.integers(1, 256), st.integers(0, LANES - 1))
def test_every_lane_has_one_owner(of: int, lane: int) -> None:
    assert [share.has(lane) for share in (Share(process, of) for process in range(of))].count(True) == 1
    assert sum(Share(process, of).part(1000) for process in range(of)) == 1000
    assert all(Share(process, of).part(0) == 1 for process in range(of))


async def test_each_event_is_in_one_process_and_has_the_number_that_was_decided_once(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecar, "SEGMENT", 4_000)  # so that files are begun while others follow
    count, folder = 3, plant.folder / "data/sequence"
    first, *rest = logs(plant, count)
    one = sequencer(first, folder, Share(0, count))
    others = [Follower(log, folder, Share(n, count)) for n, log in enumerate(rest, 1)]
    found: list[list[Sequenced]] = [[] for _ in range(count)]
    for turn in range(12):
        await plant.send(*({"messageId": f"m{turn}-{n}", "userId": f"u{n}"} for n in range(20)))
        await plant.send({"messageId": f"m{turn}-0", "userId": "u0"})  # a duplicate
        found[0] += one.next()
        for place, other in enumerate(others, 1):
            while new := other.next():
                found[place] += new
            assert other.next_number == one.next_number
            assert other.positions == one.positions
    everything = [event for events in found for event in events]
    assert sorted(event.number for event in everything) == sorted({event.number for event in everything})
    assert len(everything) == 12 * 20
    for process, events in enumerate(found):
        assert events
        assert all(Share(process, count).has(event.key) for event in events)
        assert ids(events) == sorted(ids(events))
    for process, reader in enumerate([one, *others]):
        loaded, upto = [], 1
        while upto < one.next_number:
            more, upto = reader.mine(upto, 7)
            loaded += more
        assert ids(loaded) == ids(found[process])
        assert reader.sidecar.positions_of(100) == one.sidecar.positions_of(100)
    assert ids(others[0].load(1, 10_000)[0]) == sorted(ids(everything))
    assert [event.enriched for event in others[0].load(1, 10_000)[0]] == [
        event.enriched for event in sorted(everything, key=lambda event: event.number)
    ]
    for reader in (one, *others):
        reader.close()


async def test_what_is_not_published_is_not_read_and_a_new_life_goes_on_where_it_stands(plant: Plant) -> None:
    folder = plant.folder / "data/sequence"
    first, second = logs(plant, 2)
    folder.mkdir()
    with pytest.raises(Unavailable):
        Follower(second, folder, Share(1, 2))
    one = sequencer(first, folder, Share(0, 2))
    assert one._publisher is not None
    await plant.send(*({"messageId": f"a{n}", "userId": f"u{n}"} for n in range(30)))
    one.next()
    other = Follower(second, folder, Share(1, 2))
    assert other.next_number == 31
    assert not other.next()
    publish = one._publisher.publish
    one._publisher.publish = lambda number: None  # type: ignore[method-assign]  # killed between the two
    await plant.send(*({"messageId": f"b{n}", "userId": f"u{n}"} for n in range(30)))
    one.next()
    assert not other.next()
    assert other.next_number == 31
    assert max(event.number for event in other.mine(1, 1000)[0]) <= 30
    publish(one.next_number)
    assert await other.wait(5.0)
    late = one.load(31, 1000)[0]
    assert [event.number for event in other.next()] == [e.number for e in late if other.share.has(e.key)]
    one.close()
    other.close()


async def test_one_with_few_events_of_its_own_looks_at_some_at_a_time(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All events may be of one user: the others must not stand still while they look for theirs."""
    monkeypatch.setattr("dataplane.pipeline.numbered.LOOK", 50)
    folder = plant.folder / "data/sequence"
    first, second = logs(plant, 2)
    one = sequencer(first, folder, Share(0, 2))
    other = Follower(second, folder, Share(1, 2))
    for turn in range(20):
        await plant.send(*({"messageId": f"m{turn}-{n}", "userId": "u"} for n in range(20)))
    own = len(one.next())
    assert own in (0, 400), "all are of one lane"
    idle, busy = (one, other) if own == 0 else (other, one)
    assert len(other.next()) == 400 - own
    upto, turns = 1, 0
    while upto < idle.next_number:
        events, more = idle.mine(upto, 500)
        assert not events
        assert upto < more <= upto + 50 + 20
        upto, turns = more, turns + 1
    assert turns >= 6
    assert len(busy.mine(1, 50)[0]) >= 50
    assert len(idle.load(1, 1000)[0]) == 400, "whoever asks for all lanes gets them"
    for reader in (one, other):
        reader.close()


@pytest.mark.parametrize(("known", "says"), [(4, "goes on at 4, and was read up to 10"), (40, "is lost")])
async def test_where_the_sequence_is_lost_whoever_read_it_begins_again(plant: Plant, known: int, says: str) -> None:
    """Numbers go on before what was read, or beyond."""
    folder = plant.folder / "data/sequence"
    first, second = logs(plant, 2)
    one = sequencer(first, folder, Share(0, 2))
    await plant.send(*({"messageId": f"m{n}", "userId": f"u{n}"} for n in range(9)))
    one.next()
    other = Follower(second, folder, Share(1, 2))
    one.close()
    for path in folder.glob("*.seq"):
        path.unlink()
    anew = Sequencer(first, folder, dedup=True, window=3600.0, max_ids=1000, share=Share(0, 2), known=known)
    await plant.send({"messageId": "later", "userId": "u1"})
    if known > other.next_number:
        anew.next()
    with pytest.raises(Unavailable, match=says):
        other.next()
    again = Follower(second, folder, Share(1, 2))
    assert again.next_number == anew.next_number
    for reader in (anew, other, again):
        reader.close()


async def test_a_waiting_process_is_woken(plant: Plant) -> None:
    folder = plant.folder / "data/sequence"
    first, second = logs(plant, 2)
    one = sequencer(first, folder, Share(0, 2))
    other = Follower(second, folder, Share(1, 2))
    waiting = asyncio.create_task(other.wait(30.0))
    await asyncio.sleep(0)
    await plant.send({"messageId": "m", "userId": "u"})
    one.next()
    assert await waiting
    one.close()
    other.close()


def block(number: int, size: int = 20) -> Block:
    entries = b"".join(ENTRY.pack(0, bytes(16), 7, 0, 1) for _ in range(size))
    return Block(number, number, number + 1, size, entries)


def test_what_was_let_go_is_forgotten_by_those_that_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stands at the end of a file may find it deleted; and what it learned of files goes with them."""
    monkeypatch.setattr(sidecar, "SEGMENT", 500)
    written = Sidecar(tmp_path)
    written.append([block(1)])
    followed = Followed(tmp_path, 21)
    for number in range(21, 1021, 20):
        written.append([block(number)])
        written.trim({0: number}, number)  # all that is before was let go by everyone, the follower too
        assert not (tmp_path / f"{number - 20:020d}.seq").exists()
        followed.sync()
        assert [one.first for one in followed.advance(number + 20, 100)] == [number]
        assert [one.first for one in followed.blocks(number)] == [number]
        assert followed.positions_of(number) == {0: number}
    assert followed.first == 1001
    for known in (followed._headers, followed._index, followed._places):
        assert len(known) <= 1, "what was learned of files that are gone"
    written.close()


def test_a_file_that_is_begun_while_a_follower_opens_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecar, "SEGMENT", 1_000)
    written = Sidecar(tmp_path)
    for number in (1, 21, 41):
        written.append([block(number)])
    followed = Followed(tmp_path, 21)  # as it was published, with the files of later ones there already
    assert [one.first for one in followed.advance(61, 100)] == [21, 41]
    assert [one.first for one in followed.blocks(1)] == [1, 21, 41]
    written.close()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 60))
def test_a_follower_that_starts_anywhere_stands_where_it_is_told(sizes: list[int], upto: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = Sidecar(Path(folder))
        number, ends = 1, {1}
        for position, size in enumerate(sizes):
            entries = b"".join(ENTRY.pack(0, bytes(16), 7, 0, 1) for _ in range(size))
            written.append([Block(number, position, position + 1, size, entries)])
            number += size
            ends.add(number)
        written.sync()
        stands = max(end for end in ends if end <= upto)
        followed = Followed(Path(folder), stands)
        assert followed.next_number == stands
        assert [block.first for block in followed.blocks(1)] == sorted(end for end in ends if end < stands)
        written.close()
