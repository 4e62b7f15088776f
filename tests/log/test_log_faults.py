"""Kills, full disks and failing syncs: nothing acknowledged is lost, and nothing is promised falsely."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from partition_files import MARKS, read_all, segments, small

from dataplane.log.local import open_writer
from turnout.errors import LogClosed, LogFull

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KILLS = 10


def start(script: str, *words: object, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Run a program of this folder with this interpreter."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(HERE)))}
    command = [sys.executable, str(HERE / script), *map(str, words)]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, env=environment)


def kill_under_load(folder: Path, times: int, *words: str) -> list[tuple[int, int, int, int]]:
    """Kill a writer at random moments of its work; returns what it acknowledged."""
    chance = random.Random(9)
    acks = Path(f"{folder}.acks")
    with start("crashing_writer.py", folder, *words, stdin=subprocess.PIPE) as forks:
        assert forks.stdin is not None
        assert forks.stdout is not None
        for _ in range(times):
            before = acks.stat().st_size if acks.exists() else 0
            forks.stdin.write(b"\n")
            forks.stdin.flush()
            pid = int(forks.stdout.readline())
            deadline = time.monotonic() + 60
            while (acks.stat().st_size if acks.exists() else 0) == before:  # until it is at work
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(chance.uniform(0.0, 0.08))
            os.kill(pid, signal.SIGKILL)
            assert forks.stdout.readline() == b"dead\n"
        forks.stdin.close()
    whole = acks.read_bytes().split(b"\n")[:-1]
    return [tuple(map(int, line.split())) for line in whole]


@pytest.mark.parametrize("words", [(), ("spares",)], ids=["grown", "filled ahead"])
def test_kill_9_under_load_loses_nothing_acknowledged_and_keeps_order(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "log"
    promised = kill_under_load(folder, KILLS, *words)
    asyncio.run(_recover(folder))
    stored = {r.position: r.body for r in read_all(folder)}
    assert {turn for turn, *_ in promised} == set(range(KILLS))
    missing = [
        (turn, task, number)
        for turn, task, number, position in promised
        if not stored.get(position, b"").startswith(b"%d %d %d " % (turn, task, number))
    ]
    assert missing == []
    last: dict[tuple[int, int], int] = {}
    for _, body in sorted(stored.items()):
        turn, task, number = (int(word) for word in body.split(b" ")[:3])
        assert number == last.get((turn, task), -1) + 1, "each client's records in its order, none twice"
        last[turn, task] = number


async def _recover(folder: Path) -> None:
    writer = open_writer(folder, small())
    assert writer.health().damaged == 0
    await writer.close()


def test_a_write_that_does_not_fit_is_taken_back_and_the_log_goes_on_by_itself(tmp_path: Path) -> None:
    child = start("limited_writer.py", tmp_path)
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    facts = json.loads(output.splitlines()[-1])  # structlog speaks on stdout until it is configured
    assert (facts["full"], facts["open"]) == (True, True)
    assert "large" in facts["refused"]
    assert facts["size"] == 128 + facts["head"], "what was partly written is gone"
    bodies = [r.body for r in read_all(tmp_path)]
    assert bodies == [b"%d" % i * 700 for i in range(len(facts["stored"]))] + [b"after"]
    assert facts["again"] == facts["head"]
    assert not (tmp_path / "quarantine" / "index").exists()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of one MiB; only root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0 and (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False).returncode == 0
    )
    if not mounted:
        pytest.skip("mounting needs root; RLIMIT_FSIZE covers the code path")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


async def test_a_full_disk_answers_full_and_recovers(tiny_disk: Path) -> None:
    folder = tiny_disk / "log"
    writer = open_writer(folder, small(256 << 10))
    # Fill the disk behind the log's back, so that the write itself fails and not the look at free space.
    ballast = tiny_disk / "ballast"
    file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space"):
        while True:
            os.write(file, bytes(4096))
    os.close(file)
    stored = []
    with pytest.raises(LogFull):
        while True:
            stored.append(await writer.append(b"", MARKS, bytes(3000)))
    assert writer.health().open
    ballast.unlink()
    async with asyncio.timeout(60):
        while writer.health().full:
            await asyncio.sleep(0.01)
    stored.append(await writer.append(b"", MARKS, b"after"))
    await writer.close()
    assert [r.position for r in read_all(folder)] == stored


class Disk:
    """Syncs for real until told to fail."""

    def __init__(self) -> None:
        self.fails = False

    def __call__(self, file: int) -> None:
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fdatasync(file)


async def test_a_failed_sync_closes_the_log_for_good(tmp_path: Path) -> None:
    disk = Disk()
    writer = open_writer(tmp_path, small(), sync=disk)
    position = await writer.append(b"", MARKS, b"safe")
    head = writer.health().head
    disk.fails = True
    answers = await asyncio.gather(
        *[asyncio.ensure_future(writer.append(b"", MARKS, b"lost")) for _ in range(20)], return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {LogClosed}
    disk.fails = False
    with pytest.raises(LogClosed, match="sync failed"):
        await writer.append(b"", MARKS, b"late")
    health = writer.health()
    assert (health.open, health.head) == (False, head)
    assert "Input/output error" in health.reason
    assert [r.position for r in read_all(tmp_path)] == [position], "what was not synced is not shown"
    await writer.close()
    writer = open_writer(tmp_path, small())
    assert writer.health().open
    await writer.close()


async def test_a_sync_that_fails_while_taking_back_closes_the_log(tmp_path: Path) -> None:
    disk = Disk()
    writer = open_writer(tmp_path, small(1 << 20), sync=disk)
    # A descriptor that is open for reading only makes the write itself fail for another reason than room.
    os.dup2(os.open(segments(tmp_path)[0], os.O_RDONLY), writer._partition._file)
    with pytest.raises(LogClosed, match="writing failed"):
        await writer.append(b"", MARKS, b"x")
    assert not writer.health().open
    await writer.close()


async def test_more_than_the_queue_takes_is_refused_at_once(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, small(1 << 30))
    writer._most = writer._limit = 10_000
    futures = [asyncio.ensure_future(writer.append(b"", b"", bytes(900))) for _ in range(10)]
    with pytest.raises(LogFull, match="waiting for the disk"):
        writer.append(b"", b"", bytes(900))
    assert len(await asyncio.gather(*futures)) == 10
    await writer.append(b"", b"", bytes(900))
    await writer.close()
