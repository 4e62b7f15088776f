"""Segments whose file was filled with zeros ahead: what crashes leave of them, and when there are none."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
from pathlib import Path

import pytest
from partition_files import MARKS, read_all, segments, small

from dataplane.config.model import LogConfig
from dataplane.log import partition, spare
from dataplane.log.format import BLOCK
from dataplane.log.handoff import Handoff
from dataplane.log.head import Head
from dataplane.log.local import open_reader, open_writer
from dataplane.log.quarantine import Quarantine, Range
from dataplane.log.writer import LocalWriter
from turnout.errors import LogFull

SIZE = 16 << 10
BODY = b"." * 900


@pytest.fixture(autouse=True)
def _small_spares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "SMALLEST", SIZE)
    monkeypatch.setattr(partition, "BUSY", 2048)
    monkeypatch.setattr(spare, "_STEP", 4096)


def config(max_bytes: int = 1 << 30) -> LogConfig:
    return small(64 << 10, max_bytes=max_bytes)


async def until_filled(writer: LocalWriter) -> list[bytes]:
    """Append until the active segment is one that was filled ahead; returns what was appended."""
    bodies: list[bytes] = []
    async with asyncio.timeout(60):
        while not writer._partition._filled:
            bodies.append(b"%d" % len(bodies) + BODY)
            await writer.append(b"", MARKS, bodies[-1])
    return bodies


def ranges(folder: Path) -> list[Range]:
    head = Head(folder)
    try:
        return Quarantine(folder, head).ranges
    finally:
        head.close()


async def crashed(folder: Path, to: Path) -> tuple[list[bytes], int]:
    """What a kill leaves in `to` while a filled segment is written; its records, and where the last begins."""
    writer = open_writer(folder, config())
    bodies = await until_filled(writer)
    bodies.append(b"the last" + BODY)
    last = await writer.append(b"", MARKS, bodies[-1])
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("wait"))
    await writer.close()
    return bodies, last


async def test_the_zeros_behind_the_last_record_are_no_damage(tmp_path: Path) -> None:
    bodies, _ = await crashed(tmp_path / "live", tmp_path / "dead")
    folder = tmp_path / "dead"
    assert segments(folder)[-1].read_bytes().endswith(bytes(4096)), "else this tests nothing"
    writer = open_writer(folder, config())
    await writer.append(b"", MARKS, b"next")
    assert writer.health().damaged == 0
    await writer.close()
    assert [r.body for r in read_all(folder)] == [*bodies, b"next"]
    assert ranges(folder) == []
    assert not list(folder.glob("*.new"))


async def test_a_tail_torn_at_any_page_before_zeros_costs_the_last_record_only(tmp_path: Path) -> None:
    bodies, last = await crashed(tmp_path / "live", tmp_path / "dead")
    for kept in (0, 1, 7, 40, 500, 900):
        folder = tmp_path / f"kept{kept}"
        shutil.copytree(tmp_path / "dead", folder)
        (folder / "head").unlink()  # a power failure: it is never synced
        path = segments(folder)[-1]
        offset = BLOCK + last - int(path.stem)
        whole = path.read_bytes()
        path.write_bytes(whole[: offset + kept].ljust(len(whole), b"\0"))
        writer = open_writer(folder, config())
        assert writer.health().head == last
        assert await writer.append(b"", MARKS, b"next") == last
        await writer.close()
        assert [r.body for r in read_all(folder)] == [*bodies[:-1], b"next"]
        found = [(r.start, r.kind) for r in ranges(folder)]
        assert found == ([(last, "tail")] if kept else [])
        kept_aside = [bad.stat().st_size for bad in (folder / "quarantine").glob("*.bad")]
        assert sum(kept_aside) <= kept, "the torn bytes, not the zeros behind them"


async def test_zeros_where_acknowledged_records_stood_are_damage(tmp_path: Path) -> None:
    _, last = await crashed(tmp_path / "live", tmp_path / "dead")
    folder = tmp_path / "dead"
    path = segments(folder)[-1]
    whole = path.read_bytes()
    head = open_reader(folder).head
    path.write_bytes(whole[: BLOCK + last - int(path.stem)].ljust(len(whole), b"\0"))
    writer = open_writer(folder, config())
    assert writer.health().damaged == 1
    assert await writer.append(b"", MARKS, b"next") == head, "a position is never given out twice"
    await writer.close()
    assert [(r.start, r.end, r.kind) for r in ranges(folder)] == [(last, head, "damage")]


async def test_a_record_that_ends_in_zeros_is_kept_whole(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "live", config())
    await until_filled(writer)
    await writer.append(b"", b"", b"x" + bytes(5000))
    shutil.copytree(tmp_path / "live", tmp_path / "dead", ignore=shutil.ignore_patterns("wait"))
    await writer.close()
    writer = open_writer(tmp_path / "dead", config())
    await writer.close()
    assert read_all(tmp_path / "dead")[-1].body == b"x" + bytes(5000)


async def test_a_reader_at_the_head_follows_from_segment_to_segment(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, config())
    reader = open_reader(tmp_path)
    seen: list[bytes] = []
    sent: list[bytes] = []
    position = 0
    async with asyncio.timeout(30):
        while len(segments(tmp_path)) < 6:
            sent.append(b"%d" % len(sent) + BODY)
            await writer.append(b"", MARKS, sent[-1])
            for record in reader.read(position):
                seen.append(record.body)
                position = record.end
    reader.close()
    await writer.close()
    assert seen == sent
    assert ranges(tmp_path) == []
    lengths = [path.stat().st_size - BLOCK for path in segments(tmp_path)]
    starts = [int(path.stem) for path in segments(tmp_path)]
    assert [a + n for a, n in zip(starts, lengths, strict=True)] == [*starts[1:], position], "no zeros are left"


async def test_a_disk_too_full_for_a_spare_file_stops_nothing(tmp_path: Path) -> None:
    def sync(file: int) -> None:
        if threading.current_thread().name == "log-spare":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(file)

    writer = open_writer(tmp_path, config(), sync=sync)
    for _ in range(200):
        await writer.append(b"", MARKS, BODY)
    assert (writer.health().open, writer.health().full) == (True, False)
    await writer.close()
    assert len(read_all(tmp_path)) == 200
    assert not list(tmp_path.glob("*.new"))


async def test_a_spare_file_is_given_back_when_room_is_short(tmp_path: Path) -> None:
    limit = 400 << 10
    writer = open_writer(tmp_path, config(max_bytes=limit))
    most = 0
    with pytest.raises(LogFull):
        async with asyncio.timeout(60):
            while True:
                await writer.append(b"", MARKS, BODY)
                most = max(most, sum(path.stat().st_size for path in tmp_path.iterdir() if path.is_file()))
    async with asyncio.timeout(60):
        while list(tmp_path.glob("*.new")):
            await asyncio.sleep(0.01)
    assert most < limit + 8192, "zeros count as well; head and lock are beside them"
    await writer.close()


async def test_close_leaves_neither_zeros_nor_a_spare_file(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, config())
    await until_filled(writer)
    end = writer.health().head
    await writer.close()
    last = segments(tmp_path)[-1]
    assert last.stat().st_size == BLOCK + end - int(last.stem)
    assert not list(tmp_path.glob("*.new"))


def test_what_many_threads_hand_over_is_taken_once_and_in_each_ones_order() -> None:
    handoff: Handoff[tuple[int, int]] = Handoff()
    threads = [
        threading.Thread(target=lambda who=who: [handoff.put((who, number)) for number in range(5000)])
        for who in range(4)
    ]
    for thread in threads:
        thread.start()
    taken: list[tuple[int, int]] = []
    while len(taken) < 20_000:
        found = handoff.take(10)
        taken += found
    for thread in threads:
        thread.join()
    assert [[n for w, n in taken if w == who] for who in range(4)] == [list(range(5000))] * 4
    assert handoff.take(0) == []
