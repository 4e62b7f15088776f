"""Message ids and the sidecar: exact, bounded, the same after a restart, torn tails cut."""

from __future__ import annotations

import os
import struct
import zlib
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pipeline.blocks import ENTRY, Block
from dataplane.pipeline.ids import MessageIds
from dataplane.pipeline.sidecar import Sidecar
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
    assert again.positions == ({0: whole[-1].end} if whole else {})
    for block in whole:
        assert next(again.blocks(block.first + block.count - 1)) == block
        assert again.positions_of(block.first) == {0: block.position}
    again.append(made[len(whole) :] or [Block(again.next_number, 0, 9**9, 0, b"")])
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
    sidecar.trim({0: 2000}, 61)
    left = list(sidecar.blocks(1))
    assert left[0].position <= 2000
    assert left[-1] == made[-1]
    assert len(left) < len(made)
    sidecar.close()
    assert Sidecar(tmp_path).next_number == 121


def version_1(first: int, made: list[Block]) -> bytes:
    """A sidecar as version 1 wrote it, by hand."""
    data = struct.pack("<6sHQ", b"TOSEQ\x01", 1, first)
    for block in made:
        place = struct.pack("<QQQ", block.first, block.position, block.end)
        crc = zlib.crc32(block.entries, zlib.crc32(place))
        data += struct.pack("<4sII", b"\xabSQ1", block.count, crc) + place + block.entries
    return data


def test_a_sidecar_of_version_1_is_read_and_never_added_to(tmp_path: Path) -> None:
    made = blocks([2, 3, 1, 4])
    (tmp_path / f"{1:020d}.seq").write_bytes(version_1(1, made[:2]))
    old = version_1(6, made[2:])
    (tmp_path / f"{6:020d}.seq").write_bytes(old + b"torn")
    sidecar = Sidecar(tmp_path)
    assert (sidecar.next_number, sidecar.positions) == (11, {0: 400})
    assert list(sidecar.blocks(1)) == made
    assert sidecar.positions_of(6) == {0: 200}
    other = Block(11, 0, 77, 1, ENTRY.pack(0, digest("x"), 0, 0, 9), 3)
    sidecar.append([other])
    sidecar.close()
    assert (tmp_path / f"{6:020d}.seq").read_bytes() == old
    assert (tmp_path / f"{11:020d}.seq").read_bytes()[6:8] == b"\x02\0"
    again = Sidecar(tmp_path)
    assert list(again.blocks(1)) == [*made, other]
    assert again.positions == {0: 400, 3: 77}
    again.trim({0: 400, 3: 0}, 11)
    assert [b.first for b in again.blocks(1)] == [11], "version 1 goes when the log let go of it"
    again.close()


@pytest.mark.parametrize("empty", [b"", version_1(5, [])])
def test_an_empty_last_file_of_version_1_takes_its_place_from_the_one_before(
    tmp_path: Path, empty: bytes
) -> None:
    made = blocks([4])
    (tmp_path / f"{1:020d}.seq").write_bytes(version_1(1, made))
    (tmp_path / f"{5:020d}.seq").write_bytes(empty)
    sidecar = Sidecar(tmp_path)
    assert (sidecar.next_number, sidecar.positions) == (5, {0: 100})
    sidecar.close()


def test_a_newer_sidecar_is_refused_with_a_sentence(tmp_path: Path) -> None:
    Sidecar(tmp_path).close()
    path = next(tmp_path.glob("*.seq"))
    path.write_bytes(path.read_bytes()[:6] + b"\x63\0" + path.read_bytes()[8:])
    with pytest.raises(FormatError, match="newer Turnout"):
        Sidecar(tmp_path)


def test_where_every_partition_stands_is_known_from_the_last_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataplane.pipeline.sidecar.SEGMENT", 500)
    sidecar = Sidecar(tmp_path)
    quiet = Block(1, 0, 50, 1, ENTRY.pack(0, digest("q"), 0, 0, 9), 7)
    sidecar.append([quiet])
    for block in blocks([3] * 40):
        sidecar.append([Block(block.first + 1, block.position, block.end, 3, block.entries, 1)])
    last = {7: 50, 1: 4000}
    assert sidecar.positions == last
    assert sidecar.positions_of(120) == {7: 50, 1: 3900}
    assert sidecar.positions_of(122) == last
    sidecar.trim({7: 0, 1: 9**9}, 121)
    assert len(list(tmp_path.glob("*.seq"))) > 3, "partition 7 still has its record"
    sidecar.trim({7: 50, 1: 2000}, 121)
    assert next(sidecar.blocks(1)).position <= 2000
    sidecar.close()
    for path in sorted(tmp_path.glob("*.seq"))[:-1]:
        path.unlink()
    again = Sidecar(tmp_path)
    assert (again.next_number, again.positions) == (122, last)
    again.close()


def test_a_header_damaged_later_costs_no_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataplane.pipeline.sidecar.SEGMENT", 1)
    sidecar = Sidecar(tmp_path)
    made = blocks([3, 3, 3])
    for block in made:
        sidecar.append([block])
    sidecar.close()
    path = sorted(tmp_path.glob("*.seq"))[0]
    path.write_bytes(b"\0" * 10 + path.read_bytes()[10:])
    again = Sidecar(tmp_path)
    assert list(again.blocks(1)) == made
    assert again.positions_of(1) == {0: 0}
    again.close()


def test_a_disk_that_was_full_when_a_file_was_to_begin_does_not_stop_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar = Sidecar(tmp_path)
    made = blocks([3, 3])
    sidecar.append(made[:1])
    with monkeypatch.context() as patch:
        patch.setattr("dataplane.pipeline.sidecar.SEGMENT", 1)
        patch.setattr("dataplane.pipeline.sidecar.pack_header", lambda *_: b"")
        patch.setattr("os.write", _full)
        with pytest.raises(OSError, match="full"):
            sidecar.append(made[1:])
    monkeypatch.setattr("dataplane.pipeline.sidecar.SEGMENT", 1)
    sidecar.append(made[1:])
    assert list(sidecar.blocks(1)) == made
    assert len(list(tmp_path.glob("*.seq"))) == 2
    sidecar.close()


def _full(*_: object) -> int:
    raise OSError(28, "the disk is full")
