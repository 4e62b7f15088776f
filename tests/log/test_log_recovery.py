"""Starts after crashes and damage: what is cut, what is passed over, and what never moves."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import shutil
import stat
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from partition_files import MARKS, fill, read_all, segments, small

from dataplane.log.format import BLOCK
from dataplane.log.head import Head
from dataplane.log.local import open_reader, open_writer
from dataplane.log.quarantine import Quarantine, Range

BODIES = [b"zero", b"one" * 9, b"two", b"three" * 5, b"four"]


def ranges(folder: Path) -> list[Range]:
    head = Head(folder)
    try:
        return Quarantine(folder, head).ranges
    finally:
        head.close()


def forget_head(folder: Path) -> None:
    """As after a power failure: `head` is never synced."""
    (folder / "head").unlink()


async def test_a_tail_torn_at_any_byte_costs_the_last_record_only(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    positions = await fill(whole, BODIES)
    forget_head(whole)
    name = segments(whole)[0].name
    size = segments(whole)[0].stat().st_size
    for length in range(BLOCK + positions[-1], size):
        folder = tmp_path / f"cut{length}"
        shutil.copytree(whole, folder)
        os.truncate(folder / name, length)
        writer = open_writer(folder, small())
        assert writer.health().head == positions[-1]
        await writer.append(b"", b"", b"next")
        await writer.close()
        assert [r.body for r in read_all(folder)] == [*BODIES[:-1], b"next"]
        kinds = [(r.start, r.kind) for r in ranges(folder)]
        assert kinds == ([] if length == BLOCK + positions[-1] else [(positions[-1], "tail")])
        shutil.rmtree(folder)


async def test_cut_bytes_are_kept(tmp_path: Path) -> None:
    await fill(tmp_path, [b"one"])
    forget_head(tmp_path)
    with segments(tmp_path)[0].open("ab") as file:
        file.write(b"half a record")
    await fill(tmp_path, [])
    (cut,) = ranges(tmp_path)
    kept = tmp_path / "quarantine" / cut.file
    assert kept.read_bytes() == b"half a record"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


async def test_damage_in_the_middle_is_kept_aside_said_once_and_passed(tmp_path: Path) -> None:
    positions = await fill(tmp_path, BODIES)
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[BLOCK + positions[1] + 50] ^= 0x10
    path.write_bytes(data)
    for _ in range(3):
        writer = open_writer(tmp_path, small())
        assert writer.health().damaged == 1
        await writer.close()
    records = read_all(tmp_path)
    assert [r.body for r in records] == [BODIES[0], *BODIES[2:]]
    assert [r.position for r in records] == [positions[0], *positions[2:]]
    (found,) = ranges(tmp_path)
    assert (found.start, found.end, found.kind) == (positions[1], positions[2], "damage")
    kept = (tmp_path / "quarantine" / found.file).read_bytes()
    assert kept == bytes(data[BLOCK + positions[1] : BLOCK + positions[2]])
    assert read_all(tmp_path, positions[1])[0].position == positions[2], "a cursor in the range goes on behind it"


async def test_a_reader_finds_damage_by_itself_and_notes_it_once(tmp_path: Path) -> None:
    positions = await fill(tmp_path, BODIES)
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[BLOCK + positions[2]] ^= 1
    path.write_bytes(data)
    first, second = open_reader(tmp_path), open_reader(tmp_path)
    for reader in (first, second):
        assert [r.body for r in reader.read(0)] == BODIES[:2]
        assert [r.body for r in reader.read(positions[2])] == BODIES[3:]
    assert (first.damaged, second.damaged, len(ranges(tmp_path))) == (1, 1, 1)
    first.close()
    second.close()


async def test_damage_at_the_end_lets_a_reader_wait_not_spin(tmp_path: Path) -> None:
    positions = await fill(tmp_path, BODIES)
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    reader = open_reader(tmp_path)
    assert list(reader.read(positions[-1])) == []
    assert await reader.wait(positions[-1], 0.01) is False
    reader.close()


async def test_positions_once_published_are_never_given_again(tmp_path: Path) -> None:
    """The disk lost acknowledged records: a cursor behind them must not skip what comes now."""
    positions = await fill(tmp_path, BODIES)
    end = read_all(tmp_path)[-1].end
    os.truncate(segments(tmp_path)[0], BLOCK + positions[3] + 5)
    assert await fill(tmp_path, [b"next"]) == [end]
    assert [r.body for r in read_all(tmp_path)] == [*BODIES[:3], b"next"]
    (found,) = ranges(tmp_path)
    assert (found.start, found.end, found.kind) == (positions[3], end, "damage")


async def test_every_start_has_a_higher_epoch_and_a_segment_of_its_own(tmp_path: Path) -> None:
    for i in range(3):
        await fill(tmp_path, [b"%d" % i])
    assert [(r.epoch, r.body) for r in read_all(tmp_path)] == [(1, b"0"), (2, b"1"), (3, b"2")]
    assert len(segments(tmp_path)) == 3


async def test_starts_without_events_leave_no_heap_of_files(tmp_path: Path) -> None:
    await fill(tmp_path, [b"a"])
    reader = open_reader(tmp_path)
    assert [r.body for r in reader.read(0)] == [b"a"]
    for _ in range(3):
        await fill(tmp_path, [])
    await fill(tmp_path, [b"b"])
    assert len(segments(tmp_path)) == 2
    assert [r.body for r in reader.read(reader.read(0)[-1].end)] == [b"b"], "open reader sees the replaced file"
    assert read_all(tmp_path)[-1].epoch == 5
    reader.close()


async def test_segments_follow_each_other_without_gaps(tmp_path: Path) -> None:
    bodies = [bytes([i]) * 500 for i in range(60)] + [b"large" * 5000, b"end"]
    await fill(tmp_path, bodies, small(4096))
    assert len(segments(tmp_path)) > 8
    records = read_all(tmp_path)
    assert [r.body for r in records] == bodies
    assert all(a.end == b.position for a, b in itertools.pairwise(records))
    for path in segments(tmp_path)[:-2]:
        assert path.stat().st_size <= 4096


async def test_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "log" / "0"
    await fill(folder, BODIES)
    reader = open_reader(folder)
    await reader.wait(1 << 40, 0.001)
    reader.release(5)
    for path in [folder, *folder.rglob("*")]:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
    reader.close()


async def test_a_segment_without_readable_headers_is_passed_over(tmp_path: Path) -> None:
    await fill(tmp_path, [b"a" * 10])
    await fill(tmp_path, [b"b" * 10])
    await fill(tmp_path, [b"c" * 10])
    middle = segments(tmp_path)[1]
    data = middle.read_bytes()
    middle.write_bytes(b"\0" * 128 + data[128:])
    await fill(tmp_path, [b"d"])
    assert [r.body for r in read_all(tmp_path)] == [b"a" * 10, b"c" * 10, b"d"]
    assert len(ranges(tmp_path)) == 1


async def test_the_last_segment_without_readable_headers_is_kept_and_passed_over(tmp_path: Path) -> None:
    positions = await fill(tmp_path, [b"a" * 10])
    end = read_all(tmp_path)[-1].end
    path = segments(tmp_path)[0]
    path.write_bytes(b"\0" * 128 + path.read_bytes()[128:])
    forget_head(tmp_path)
    assert await fill(tmp_path, [b"d"]) == [end]
    assert [r.body for r in read_all(tmp_path, positions[0])] == [b"d"]


async def test_a_missing_segment_is_passed_over(tmp_path: Path) -> None:
    for body in (b"a", b"b", b"c"):
        await fill(tmp_path, [body])
    segments(tmp_path)[1].unlink()
    assert [r.body for r in read_all(tmp_path)] == [b"a", b"c"]
    assert len(ranges(tmp_path)) == 1


async def test_a_half_made_segment_and_an_odd_head_do_no_harm(tmp_path: Path) -> None:
    await fill(tmp_path, [b"a"])
    end = read_all(tmp_path)[-1].end
    (tmp_path / f"{end:020d}.new").write_bytes(b"TRN")
    with (tmp_path / "head").open("r+b") as file:
        file.seek(8)
        file.write(struct.pack("<Q", 1 << 62))
    assert await fill(tmp_path, [b"b"]) == [end]
    assert [r.body for r in read_all(tmp_path)] == [b"a", b"b"]
    assert not list(tmp_path.glob("*.new"))


async def test_zeros_behind_the_data_are_a_torn_tail(tmp_path: Path) -> None:
    """File systems that extend a file before its data arrives leave zeros after a power failure."""
    await fill(tmp_path, [b"a"])
    forget_head(tmp_path)
    os.truncate(segments(tmp_path)[0], 100_000)
    await fill(tmp_path, [b"b"])
    assert [r.body for r in read_all(tmp_path)] == [b"a", b"b"]


@pytest.fixture(scope="module")
def three_segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("three")
    asyncio.run(fill(folder, [bytes([i]) * 40 * i for i in range(1, 12)], small(1500)))
    return folder


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_a_flipped_bit_anywhere_costs_one_record_at_most(
    three_segments: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    before = [(r.position, r.body) for r in read_all(three_segments)]
    folder = tmp_path_factory.mktemp("flip") / "log"
    shutil.copytree(three_segments, folder)
    path = data.draw(st.sampled_from(segments(folder)))
    damaged = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, len(damaged) * 8 - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    if data.draw(st.booleans()):
        forget_head(folder)
    restarted = data.draw(st.booleans()) or not (folder / "head").exists()
    extra = await fill(folder, [b"new"]) if restarted else []
    after = [(r.position, r.body) for r in read_all(folder)]
    assert after[len(after) - len(extra) :] == [(p, b"new") for p in extra]
    after = after[: len(after) - len(extra)]
    lost = [record for record in before if record not in after]
    assert len(lost) <= 1
    assert after == [record for record in before if record not in lost]
    shutil.rmtree(folder)


async def test_many_records_in_one_commit_survive_a_tear_up_to_it(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, small(1 << 20))
    futures = [writer.append(b"e", MARKS, b"%d" % i * 50) for i in range(3000)]  # more than one pwritev
    positions = [await f for f in futures]
    await writer.close()
    forget_head(tmp_path)
    path = segments(tmp_path)[0]
    os.truncate(path, BLOCK + positions[1500] + 10)
    await fill(tmp_path, [])
    assert [r.position for r in read_all(tmp_path)] == positions[:1500]


async def test_records_larger_than_a_chunk_are_read_and_their_damage_passed(tmp_path: Path) -> None:
    bodies = [b"small", os.urandom(3 << 20), b"between", os.urandom(2 << 20), b"last"]
    positions = await fill(tmp_path, bodies, small(64 << 20))
    assert [r.body for r in read_all(tmp_path, max_bytes=100)] == bodies
    with segments(tmp_path)[0].open("r+b") as file:
        file.seek(BLOCK + positions[1] + (2 << 20))
        file.write(b"\0" * 5000)
    assert [r.position for r in read_all(tmp_path)] == [positions[0], *positions[2:]]
    forget_head(tmp_path)
    writer = open_writer(tmp_path, small())
    assert writer.health().damaged == 1
    await writer.close()


async def test_a_page_the_disk_cannot_read_is_damage_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    positions = await fill(tmp_path, [bytes([i]) * 1500 for i in range(20)], small(1 << 20))
    preadv = os.preadv

    def failing(file: int, buffers: list[memoryview], offset: int) -> int:
        if offset < 12288 and offset + len(buffers[0]) > 8192:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(file, buffers, offset)

    monkeypatch.setattr(os, "preadv", failing)
    found = [r.position for r in read_all(tmp_path)]
    assert found == [
        p for p, end in itertools.pairwise([*positions, 1 << 40]) if BLOCK + end <= 8192 or BLOCK + p >= 12288
    ]
    assert len(ranges(tmp_path)) == 1


async def test_damage_is_passed_even_where_it_cannot_be_kept(tmp_path: Path) -> None:
    positions = await fill(tmp_path, BODIES)
    with segments(tmp_path)[0].open("r+b") as file:
        file.seek(BLOCK + positions[1] + 45)
        file.write(b"??")
    (tmp_path / "quarantine").write_bytes(b"in the way")
    assert [r.body for r in read_all(tmp_path)] == [BODIES[0], *BODIES[2:]]
