"""Where a group is committed, in the loop or in the thread, and that nobody notices which."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from partition_files import MARKS, read_all, small

from dataplane.log.local import open_writer
from dataplane.log.writer import LocalWriter
from turnout.errors import LogClosed

TURNS = 120


def counting(places: Counter[bool], wait: Callable[[int], float]) -> Callable[[int], None]:
    """A sync that takes as long as `wait` says of its number, and counts whether the loop waits for it."""
    number = 0

    def sync(file: int) -> None:
        nonlocal number
        number += 1
        time.sleep(wait(number))
        places[threading.current_thread() is threading.main_thread()] += 1

    return sync


async def filled(writer: LocalWriter, turns: int, clients: int = 7) -> None:
    async def client(name: int) -> None:
        for number in range(turns):
            await writer.append(b"e", MARKS, b"%d %d" % (name, number))

    await asyncio.gather(*(client(name) for name in range(clients)))


def committed(
    folder: Path, wait: Callable[[int], float], turns: int = TURNS, segment_bytes: int = 4096
) -> Counter[bool]:
    places: Counter[bool] = Counter()

    async def run() -> None:
        writer = open_writer(folder, small(segment_bytes), sync=counting(places, wait))
        places.clear()  # those of the start
        await filled(writer, turns)
        await writer.close()

    asyncio.run(run())
    return places


def in_order(folder: Path, turns: int, clients: int = 7) -> bool:
    last: dict[bytes, int] = {}
    for record in read_all(folder):
        name, number = record.body.split()
        if int(number) != last.get(name, -1) + 1:
            return False
        last[name] = int(number)
    return last == {b"%d" % name: turns - 1 for name in range(clients)}


def test_a_quick_disk_is_written_by_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataplane.log.writer.QUICK", 60.0)
    places = committed(tmp_path, lambda _: 0.0, segment_bytes=1 << 20)  # a new segment is the thread's
    assert places[True] > places[False]
    assert in_order(tmp_path, TURNS)


def test_a_slow_disk_is_left_to_the_thread(tmp_path: Path) -> None:
    places = committed(tmp_path, lambda _: 0.003)
    assert places[True] == 0
    assert in_order(tmp_path, TURNS)


def test_a_disk_that_is_now_quick_and_now_slow_keeps_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataplane.log.writer.QUICK", 0.004)
    places = committed(tmp_path, lambda number: 0.1 if number % 60 == 0 else 0.0, turns=400, segment_bytes=1 << 14)
    assert places[True]
    assert places[False]
    assert in_order(tmp_path, 400)


def test_a_turn_is_one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataplane.log.writer.QUICK", 60.0)
    places = committed(tmp_path, lambda _: 0.0, segment_bytes=1 << 20)
    assert sum(places.values()) <= TURNS + 1, "and one of the close"


def test_a_sync_that_fails_in_the_loop_closes_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataplane.log.writer.QUICK", 60.0)

    def sync(file: int) -> None:
        if broken and threading.current_thread() is threading.main_thread():
            raise OSError(5, "Input/output error")

    async def run() -> None:
        writer = open_writer(tmp_path, small(), sync=sync)
        await filled(writer, TURNS)
        broken.append(True)
        with pytest.raises(LogClosed, match="sync failed"):
            for _ in range(TURNS):  # one of them is the loop's own
                await writer.append(b"e", MARKS, b"0 0")
        assert "sync failed" in writer.health().reason
        await writer.close()

    broken: list[bool] = []
    asyncio.run(run())


def test_what_was_appended_in_the_turn_of_the_close_is_stored(tmp_path: Path) -> None:
    async def run() -> None:
        writer = open_writer(tmp_path, small())
        waiting = [writer.append(b"e", MARKS, b"0 %d" % number) for number in range(5)]
        closing = asyncio.ensure_future(writer.close())
        assert await asyncio.gather(*waiting)
        await closing

    asyncio.run(run())
    assert [record.body for record in read_all(tmp_path)] == [b"0 %d" % number for number in range(5)]
