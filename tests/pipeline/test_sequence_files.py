"""Message ids and the sidecar: exact, bounded, the same after a restart, torn tails cut."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pipeline.ids import MessageIds
from dataplane.pipeline.sidecar import ENTRY, Block, Sidecar
from turnout.errors import FormatError


def digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def test_an_id_is_a_duplicate_only_of_a_different_earlier_event(tmp_path: Path) -> None:
    ids = MessageIds(tmp_path, window=3600, max_ids=1000)
    assert ids.seen(digest("a"), 5, 0.0) == -1
    assert ids.seen(digest("a"), 5, 0.0) == -1, "a re-read after a crash is not a duplicate"
    assert ids.seen(digest("a"), 6, 0.0) == 5
    assert ids.find(digest("a")) == 5
    assert ids.find(digest("b")) == -1


def test_ids_survive_a_restart_also_an_unclean_one(tmp_path: Path) -> None:
    ids = MessageIds(tmp_path, window=3600, max_ids=10**6)
    for n in range(100_000):
        assert ids.seen(digest(str(n)), n + 1, 0.0) == -1
    again = MessageIds(tmp_path, window=3600, max_ids=10**6)  # the first one was never closed
    assert len(again) == 100_000
    assert all(again.seen(digest(str(n)), 200_000, 0.0) == n + 1 for n in range(0, 100_000, 997))
    again.close(100_000)
    assert MessageIds(tmp_path, window=3600, max_ids=10**6).checkpoint() == 100_000


def test_old_generations_are_forgotten_after_the_window_and_beyond_the_bound(tmp_path: Path) -> None:
    ids = MessageIds(tmp_path, window=100, max_ids=10**6)
    for hour in range(12):
        ids.seen(digest(f"at {hour}"), hour + 1, hour * 30.0)
    assert ids.seen(digest("at 0"), 50, 12 * 30.0) == -1
    assert ids.seen(digest("at 9"), 51, 12 * 30.0) == 10, "inside the window it is remembered"
    assert len(list(tmp_path.glob("*.ids"))) <= 7
    small = MessageIds(tmp_path / "small", window=1e9, max_ids=1000)
    for n in range(90_000):
        small.seen(digest(str(n)), n + 1, 0.0)
    assert len(small) < 90_000


def test_a_newer_table_is_refused_with_a_sentence(tmp_path: Path) -> None:
    MessageIds(tmp_path, window=1, max_ids=1000).seen(digest("a"), 1, 0.0)
    path = next(tmp_path.glob("*.ids"))
    data = bytearray(path.read_bytes())
    data[6] = 99
    path.write_bytes(data)
    with pytest.raises(FormatError, match="version"):
        MessageIds(tmp_path, window=1, max_ids=1000)


def blocks(counts: list[int]) -> list[Block]:
    made, number, position = [], 1, 0
    for count in counts:
        entries = b"".join(ENTRY.pack(0, digest(str(number + i)), i, 0, 9) for i in range(count))
        made.append(Block(number, position, position + 100, count, entries))
        number += count
        position += 100
    return made


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.integers(0, 2000))
@settings(deadline=None, max_examples=40)
def test_a_torn_tail_is_cut_and_the_rest_is_found_by_number(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], torn: int
) -> None:
    folder = tmp_path_factory.mktemp("sidecar")
    made = blocks(counts)
    sidecar = Sidecar(folder)
    sidecar.append(made)
    sidecar.close()
    path = next(folder.glob("*.seq"))
    os.truncate(path, max(0, path.stat().st_size - torn))
    again = Sidecar(folder)
    whole = [b for b in made if b.first + b.count <= again.next_number]
    assert list(again.blocks(1)) == whole
    assert again.next_position == (whole[-1].end if whole else 0)
    for block in whole:
        assert next(again.blocks(block.first + block.count - 1)) == block
        assert again.position_of(block.first) == block.position
    again.append(made[len(whole) :] or [Block(again.next_number, again.next_position, 9**9, 0, b"")])
    assert [b for b in again.blocks(1) if b.count] == made
    again.close()


def test_rotation_and_trim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataplane.pipeline.sidecar.SEGMENT", 500)
    sidecar = Sidecar(tmp_path)
    made = blocks([3] * 40)
    for block in made:
        sidecar.append([block])
    assert len(list(tmp_path.glob("*.seq"))) > 3
    assert list(sidecar.blocks(1)) == made
    sidecar.trim(2000, 61)
    left = list(sidecar.blocks(1))
    assert left[0].position <= 2000
    assert left[-1] == made[-1]
    assert len(left) < len(made)
    sidecar.close()
    assert Sidecar(tmp_path).next_number == 121
