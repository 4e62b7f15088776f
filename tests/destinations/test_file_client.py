"""The file destination on a real file system: durable, rotated, mended, never shared."""

from __future__ import annotations

import asyncio
import errno
import os
import stat

import pytest

from destinations.file.client import Client
from destinations.file.settings import FileSettings
from turnout import Delivery, Record

DAY = "2026-01-02"


def lines(*texts: str, target: str = DAY) -> list[Record]:
    return [Record(target, None, text.encode()) for text in texts]


def contents(folder) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


@pytest.fixture
def make(tmp_path):
    def client(**settings):
        return Client(FileSettings(path="events", **settings), tmp_path, Delivery())

    return client


async def test_lines_are_appended_and_delivered(make, tmp_path) -> None:
    client = make()
    found = await client.write(lines('{"a":1}', '{"a":2}'))
    assert [str(v.outcome) for v in found] == ["delivered", "delivered"]
    await client.write(lines('{"a":3}'))
    await client.close()
    assert contents(tmp_path / "events") == {f"{DAY}-0001.ndjson": '{"a":1}\n{"a":2}\n{"a":3}\n'}
    assert stat.S_IMODE((tmp_path / "events").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "events" / f"{DAY}-0001.ndjson").stat().st_mode) == 0o600


async def test_files_rotate_by_size_and_by_day(make, tmp_path) -> None:
    client = make(max_bytes=10)
    await client.write([*lines("aaaa", "bbbb", "cccc", "d" * 30, "e"), *lines("ffff", target="2026-01-03")])
    await client.close()
    assert contents(tmp_path / "events") == {
        f"{DAY}-0001.ndjson": "aaaa\nbbbb\n",
        f"{DAY}-0002.ndjson": "cccc\n",
        f"{DAY}-0003.ndjson": "d" * 30 + "\n",
        f"{DAY}-0004.ndjson": "e\n",
        "2026-01-03-0001.ndjson": "ffff\n",
    }


async def test_a_restart_goes_on_in_the_same_file_and_cuts_a_torn_line(make, tmp_path) -> None:
    client = make()
    await client.write(lines("one"))
    await client.close()
    path = tmp_path / "events" / f"{DAY}-0001.ndjson"
    with path.open("a") as file:
        file.write('{"torn": ' + "x" * 100_000)
    again = make()
    await again.write(lines("two"))
    await again.close()
    assert path.read_text() == "one\ntwo\n"


async def test_a_file_that_is_one_torn_line_is_emptied(make, tmp_path) -> None:
    (tmp_path / "events").mkdir()
    path = tmp_path / "events" / f"{DAY}-0001.ndjson"
    path.write_text("x" * 200_000)
    client = make()
    await client.write(lines("one"))
    await client.close()
    assert path.read_text() == "one\n"


async def test_two_writers_never_share_a_file(make, tmp_path) -> None:
    one, two = make(), make()
    writers = ((one, "a"), (two, "b"))
    await asyncio.gather(*(c.write(lines(name * 5)) for c, name in writers for _ in range(3)))
    await one.close()
    await two.close()
    assert sorted(contents(tmp_path / "events").values()) == ["aaaaa\n" * 3, "bbbbb\n" * 3]


async def test_a_file_moved_away_is_not_written_to(make, tmp_path) -> None:
    client = make()
    await client.write(lines("one"))
    path = tmp_path / "events" / f"{DAY}-0001.ndjson"
    path.rename(tmp_path / "shipped")
    await client.write(lines("two"))
    await client.close()
    assert (tmp_path / "shipped").read_text() == "one\n"
    assert path.read_text() == "two\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
async def test_a_full_disk_is_retried_and_leaves_no_half_line(make, tmp_path, monkeypatch) -> None:
    client = make()
    await client.write(lines("before"))
    real, writes = os.write, 0

    def filling(fd: int, data) -> int:
        nonlocal writes
        writes += 1
        if writes == 1:
            return real(fd, bytes(data)[:3])
        with open("/dev/full", "wb", buffering=0) as full:
            return full.write(data)

    monkeypatch.setattr(os, "write", filling)
    found = await client.write(lines("first", "second"))
    monkeypatch.undo()
    said = f"file: {os.strerror(errno.ENOSPC)}"
    assert [(str(v.outcome), v.reason) for v in found] == [("retry", said)] * 2
    assert [str(v.outcome) for v in await client.write(lines("first", "second"))] == ["delivered"] * 2
    await client.close()
    assert contents(tmp_path / "events") == {f"{DAY}-0001.ndjson": "before\nfirst\nsecond\n"}


async def test_what_follows_a_failure_is_not_written_before_it(make, tmp_path) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / f"{DAY}-0001.ndjson").mkdir()  # cannot be opened as a file
    client = make()
    found = await client.write([*lines("one"), *lines("two", target="2026-01-03")])
    assert [str(v.outcome) for v in found] == ["retry", "retry"]
    assert "/" not in found[0].reason
    assert not (tmp_path / "events" / "2026-01-03-0001.ndjson").exists()


async def test_a_link_is_not_followed(make, tmp_path) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "events" / f"{DAY}-0001.ndjson").symlink_to(tmp_path / "precious")
    client = make()
    found = await client.write(lines("one"))
    assert str(found[0].outcome) == "retry"
    assert (tmp_path / "precious").read_text() == "mine"


async def test_each_batch_is_synced_once(make, monkeypatch) -> None:
    client = make()
    await client.write(lines("warm"))
    syncs = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (syncs.append(fd), real(fd))[1])
    await client.write(lines(*(str(i) for i in range(500))))
    await client.close()
    assert len(syncs) == 1
