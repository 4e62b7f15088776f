"""Partitions beside each other: runs that compare, room that is shared, readers that wait for any of them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from partition_files import read_all

from dataplane.config.model import LogConfig
from dataplane.log.epochs import next_run, partitions, run_of
from dataplane.log.format import crc32
from dataplane.log.local import open_writer
from dataplane.log.partitions import open_partitions
from dataplane.log.segments import segment_path
from turnout.errors import FormatError, LogFull

SMALL = LogConfig(min_free_bytes=0)


async def test_runs_count_up_whatever_is_lost(tmp_path: Path) -> None:
    assert next_run(tmp_path) == 1
    for number in (0, 1, 0):
        run = next_run(tmp_path)
        writer = open_writer(tmp_path / str(number), SMALL, run=run)
        await writer.append(b"", b"", b"x")
        await writer.close()
    assert partitions(tmp_path) == [0, 1]
    assert next_run(tmp_path) == 4
    epochs = [[r.epoch for r in read_all(tmp_path / name)] for name in ("0", "1")]
    assert [[run_of(epoch) for epoch in each] for each in epochs] == [[1, 3], [2]]
    (tmp_path / "0" / "head").unlink()  # state files may be lost: the segments say it too
    assert next_run(tmp_path) == 4
    last = max((tmp_path / "0").glob("*.log"))
    last.write_bytes(b"\0" * 128)
    assert next_run(tmp_path) == 3, "the other partition and earlier segments are what is left"
    shutil.rmtree(tmp_path / "0")
    assert next_run(tmp_path) == 3


async def test_a_log_of_before_runs_were_counted_is_the_oldest(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "0", SMALL)
    await writer.append(b"", b"", b"old")
    await writer.close()
    assert next_run(tmp_path) == 1
    writer = open_writer(tmp_path / "0", SMALL, run=1)
    await writer.append(b"", b"", b"new")
    await writer.close()
    assert [run_of(r.epoch) for r in read_all(tmp_path / "0")] == [0, 1]


async def test_a_restart_within_a_run_is_a_later_epoch_of_it(tmp_path: Path) -> None:
    for _ in range(3):
        writer = open_writer(tmp_path / "0", SMALL, run=5)
        await writer.append(b"", b"", b"x")
        await writer.close()
    epochs = [r.epoch for r in read_all(tmp_path / "0")]
    assert epochs == sorted(set(epochs))
    assert {run_of(epoch) for epoch in epochs} == {5}


async def test_max_bytes_is_for_all_partitions_together(tmp_path: Path) -> None:
    config = LogConfig(min_free_bytes=0, max_bytes=256 << 10, segment_bytes=16 << 10)
    folders = [tmp_path / str(number) for number in range(3)]
    writers = [
        open_writer(folder, config, run=1, beside=[f for f in folders if f != folder], writers=3)
        for folder in folders
    ]
    stored = 0
    for _ in range(3):
        for writer in writers:
            try:
                while True:
                    await writer.append(b"", b"", bytes(2000))
                    stored += 1
            except LogFull:
                continue
    sizes = [sum(p.stat().st_size for p in folder.glob("*.log")) for folder in folders]
    assert sum(sizes) <= 256 << 10
    assert stored > 20
    for writer in writers:
        await writer.close()


async def test_waiting_ends_when_any_partition_has_something(tmp_path: Path) -> None:
    log = open_partitions(tmp_path, 3)
    writer = open_writer(tmp_path / "2", SMALL, run=1)
    assert not await log.wait({}, 0.01)
    waiting = asyncio.ensure_future(log.wait({}, 10))
    await asyncio.sleep(0)
    position = await writer.append(b"", b"", b"x")
    assert await waiting
    assert log.heads == {0: 0, 1: 0, 2: log.read(2, position)[0].end}
    assert list(log.read(9, 0)) == []
    log.release({2: 5})
    assert (tmp_path / "2" / "released" / "pipeline").read_bytes()[0] == 5
    log.close()
    await writer.close()


async def test_a_partition_that_nobody_writes_is_read_on(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "4", SMALL, run=1)
    await writer.append(b"", b"", b"left")
    await writer.close()
    log = open_partitions(tmp_path, 1)
    assert log.numbers == (0, 4)
    assert [r.body for r in log.read(4, 0)] == [b"left"]
    log.close()


def test_a_newer_log_is_not_started_over(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    writer = open_writer(folder, SMALL, run=1)
    asyncio.run(writer.close())
    path = segment_path(folder, 0)
    data = bytearray(path.read_bytes())
    for copy in (0, 64):
        data[copy + 8] = 99
        data[copy + 56 : copy + 60] = crc32(bytes(data[copy : copy + 56])).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(FormatError, match="newer"):
        next_run(tmp_path)
