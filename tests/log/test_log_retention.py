"""What is deleted, and what never is."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from partition_files import fill, read_all, segments, small

from dataplane.log.base import LogReader, LogWriter
from dataplane.log.local import open_reader, open_writer
from dataplane.log.retention import released
from turnout.errors import LogFull


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


async def append_until_full(writer: LogWriter, size: int = 900) -> int:
    for count in range(10_000):
        try:
            await writer.append(b"", b"", bytes(size))
        except LogFull:
            return count
    raise AssertionError("never full")


async def takes_again(writer: LogWriter) -> None:
    """A client that comes back is taken, at the latest after the writer's next look at its room."""
    async with asyncio.timeout(60):
        while not await append_until_full(writer):
            await asyncio.sleep(0.01)


async def test_nothing_goes_while_someone_may_need_it(tmp_path: Path) -> None:
    await fill(tmp_path, [bytes(900)] * 30, small(4096, retention=0))
    await fill(tmp_path, [b"end"], small(4096, retention=0))
    assert len(read_all(tmp_path)) == 31


async def test_released_and_old_segments_go_and_the_floor_moves(tmp_path: Path) -> None:
    positions = await fill(tmp_path, [bytes(900)] * 30, small(4096, retention=3600))
    reader = open_reader(tmp_path)
    reader.release(positions[20])
    writer = open_writer(tmp_path, small(4096, retention=3600))
    assert reader.floor == 0, "released, but younger than the retention"
    await writer.close()
    writer = open_writer(tmp_path, small(4096, retention=0))
    floor = reader.floor
    assert positions[20] - 4096 < floor <= positions[20]
    assert writer.health().floor == floor
    assert reader.read(0)[0].position == floor, "a position below the floor reads from the floor"
    assert int(segments(tmp_path)[0].stem) == floor
    await writer.close()
    reader.close()


async def test_an_open_reader_survives_deletion_underneath(tmp_path: Path) -> None:
    positions = await fill(tmp_path, [bytes(900)] * 30, small(4096))
    reader, other = open_reader(tmp_path), open_reader(tmp_path)
    assert reader.read(0, max_bytes=1)[0].position == 0
    other.release(positions[20])
    writer = open_writer(tmp_path, small(4096, retention=0))
    found = reader.read(positions[5])
    assert found[0].position == reader.floor
    assert reader.damaged == 0
    await writer.close()
    reader.close()
    other.close()


async def test_at_max_bytes_released_segments_go_early_and_unreleased_never(tmp_path: Path) -> None:
    writer, reader = open_writer(tmp_path, small(4096, max_bytes=40_000)), open_reader(tmp_path)
    count = await append_until_full(writer)
    health = writer.health()
    assert (health.open, reader.floor) == (True, 0)
    assert health.bytes <= 40_000
    assert len(read_all(tmp_path)) == count
    reader.release(read_all(tmp_path)[9].end)
    await until(lambda: reader.floor > 0)
    await takes_again(writer)
    assert writer.health().bytes <= 40_000
    await writer.close()
    reader.close()


async def test_a_log_whose_only_segment_is_full_and_released_frees_itself(tmp_path: Path) -> None:
    writer, reader = open_writer(tmp_path, small(1 << 20, max_bytes=6000)), open_reader(tmp_path)
    await append_until_full(writer)
    reader.release(reader.head)
    await until(lambda: writer.health().floor == reader.head)
    await takes_again(writer)
    await writer.close()
    reader.close()


async def test_full_is_said_before_the_disk_is(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    config = small().model_copy(update={"min_free_bytes": free.f_blocks * free.f_frsize * 2})
    writer = open_writer(tmp_path, config)
    with pytest.raises(LogFull, match="min_free_bytes"):
        await writer.append(b"", b"", b"x")
    health = writer.health()
    assert (health.open, health.full) == (True, True)
    assert "min_free_bytes" in health.reason
    await writer.close()


async def test_the_least_released_position_counts_and_the_last_word_of_each(tmp_path: Path) -> None:
    await fill(tmp_path, [b"a"])
    assert released(tmp_path) == 0
    one, two = open_reader(tmp_path, "one"), open_reader(tmp_path, "two")
    one.release(500)
    assert released(tmp_path) == 500
    two.release(300)
    assert released(tmp_path) == 300
    two.release(800)
    one.release(400)
    assert released(tmp_path) == 400
    one.close()
    two.close()
    again: LogReader = open_reader(tmp_path, "one")
    assert released(tmp_path) == 400, "kept across restarts"
    again.close()
    (tmp_path / "released" / "one").write_bytes(b"\1" * 12)
    assert released(tmp_path) == 0, "a torn word frees nothing"


async def test_a_folder_that_cannot_be_synced_is_an_error_at_start(tmp_path: Path) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output"):
        open_writer(tmp_path / "log", small(), sync=broken)
    writer = open_writer(tmp_path / "log", small())
    await writer.close()
