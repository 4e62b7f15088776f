"""Several processes on one partition: one writer, any number of readers."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from pathlib import Path

import pytest
from partition_files import MARKS, fill, read_all, small
from test_log_faults import start

from dataplane.log.head import Head
from dataplane.log.local import open_reader, open_writer
from turnout.errors import Unavailable


async def test_a_reader_in_another_process_sees_what_is_durable_and_wakes(tmp_path: Path) -> None:
    child = start("waiting_reader.py", tmp_path)  # started before the log exists
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    writer = open_writer(tmp_path, small())
    for body in (b"one", b"two", b"stop"):
        await writer.append(b"", MARKS, body)
        line = await asyncio.to_thread(child.stdout.readline)
        assert line == body + b"\n"
    assert child.wait(60) == 0
    child.stdout.close()
    await writer.close()
    assert list((tmp_path / "wait").iterdir()) == []


async def test_a_dead_reader_does_not_disturb_and_is_forgotten(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, small())
    child = start("waiting_reader.py", tmp_path)
    assert child.stdout is not None
    child.stdout.readline()
    async with asyncio.timeout(60):
        while not list((tmp_path / "wait").iterdir()):
            await asyncio.sleep(0.01)
    await writer.append(b"", MARKS, b"seen")
    child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    head = Head(tmp_path)
    async with asyncio.timeout(60):
        while list((tmp_path / "wait").iterdir()):
            head.wanted = True
            await writer.append(b"", MARKS, b"unseen")
    head.close()
    await writer.close()


async def test_a_reader_that_never_drains_does_not_block_the_writer(tmp_path: Path) -> None:
    writer, reader = open_writer(tmp_path, small(1 << 20)), open_reader(tmp_path)
    assert await reader.wait(0, 0.01) is False
    (path,) = (tmp_path / "wait").iterdir()
    assert stat.S_ISFIFO(path.stat().st_mode)
    full = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(full, bytes(4096))
    os.close(full)
    head = Head(tmp_path)
    head.wanted = True
    await writer.append(b"", MARKS, b"x")
    assert await reader.wait(0, 60) is True
    head.close()
    reader.close()
    await writer.close()


async def test_a_second_writer_is_refused_and_the_first_unharmed(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, small())
    with pytest.raises(Unavailable, match=rf"pid {os.getpid()}"):
        open_writer(tmp_path, small())
    await writer.append(b"", MARKS, b"fine")
    await writer.close()
    await fill(tmp_path, [b"free again"])
    assert len(read_all(tmp_path)) == 2


async def test_the_heartbeat_moves_also_without_events(tmp_path: Path) -> None:
    writer, reader = open_writer(tmp_path, small()), open_reader(tmp_path)
    assert reader.writing
    before = time.monotonic_ns()
    async with asyncio.timeout(60):
        while reader.heartbeat < before:
            await asyncio.sleep(0.01)
    await writer.append(b"", MARKS, b"x")
    assert reader.read(0)[0].stamp <= reader.heartbeat
    await writer.close()
    assert not reader.writing
    reader.close()


def test_a_writer_outlives_its_event_loop(tmp_path: Path) -> None:
    async def leave() -> None:
        writer = open_writer(tmp_path, small())
        writers.append(writer)
        writer.append(b"", MARKS, b"stored, though nobody waits")

    writers: list[object] = []
    asyncio.run(leave())
    asyncio.run(writers[0].close())
    assert [r.body for r in read_all(tmp_path)] == [b"stored, though nobody waits"]


async def test_a_reader_of_one_loop_may_wait_again_in_another(tmp_path: Path) -> None:
    reader = open_reader(tmp_path)
    assert await reader.wait(0, 0.01) is False
    assert await asyncio.to_thread(lambda: asyncio.run(reader.wait(0, 0.01))) is False
    reader.close()


async def test_closing_a_reader_ends_the_waits_on_it(tmp_path: Path) -> None:
    reader = open_reader(tmp_path)
    waiting = asyncio.create_task(reader.wait(0, 20))
    await asyncio.sleep(0.01)
    reader.close()
    assert await waiting is False
