"""What the sequence does on a full disk: an error that says so, and everything as before once there is room."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec
import pytest

from dataplane.log.memory import MemoryLog
from dataplane.log.partitions import Partitions
from dataplane.pipeline.ids import MessageIds
from dataplane.pipeline.sequence import Sequencer
from dataplane.protocols import record
from turnout.protocol import Envelope


def digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of one MiB, less than the smallest table; only root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0 and (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False).returncode == 0
    )
    if not mounted:
        pytest.skip("mounting needs root; the refused system call covers the code path")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_table_for_which_there_is_no_room_is_an_error_and_not_the_end(tiny_disk: Path) -> None:
    ids = MessageIds(tiny_disk, window=3600, max_ids=10**6)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            ids.seen(digest("a"), 1, 0.0)
    assert [path.name for path in tiny_disk.iterdir()] == ["ids.json"], "what was begun is taken back"


def test_a_table_has_all_its_blocks_from_the_start(tmp_path: Path) -> None:
    MessageIds(tmp_path, window=3600, max_ids=1000).seen(digest("a"), 1, 0.0)
    status = next(tmp_path.glob("*.ids")).stat()
    assert status.st_blocks * 512 >= status.st_size


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_that_cannot_reserve_gets_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    ids = MessageIds(tmp_path, window=3600, max_ids=1000)
    assert ids.seen(digest("a"), 1, 0.0) == -1
    assert ids.seen(digest("a"), 2, 0.0) == 1
    status = next(tmp_path.glob("*.ids")).stat()
    assert status.st_blocks * 512 >= status.st_size


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_the_sequence_goes_on_where_it_was_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MemoryLog()
    envelope = Envelope("web", "rudder", "track", 1, "", "", False, {})
    for name in ("a", "b", "a"):
        body = msgspec.json.encode({"userId": "u", "messageId": name})
        log.append(record.encode(envelope), record.marks(("u",), {}), body)
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        sequencer = Sequencer(Partitions({0: log}), tmp_path, dedup=True, window=3600, max_ids=1000)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                sequencer.next()
        assert sequencer.next_number == 1
        assert not sequencer.counts
    assert [event.number for event in sequencer.next()] == [1, 2]
    assert sequencer.counts == {("web", "unique"): 2, ("web", "duplicate"): 1}
    sequencer.close()


async def test_a_start_on_a_full_disk_enters_missing_ids_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MemoryLog()
    envelope = Envelope("web", "rudder", "track", 1, "", "", False, {})

    def send(name: str) -> None:
        body = msgspec.json.encode({"userId": "u", "messageId": name})
        log.append(record.encode(envelope), record.marks(("u",), {}), body)

    send("a")
    first = Sequencer(Partitions({0: log}), tmp_path, dedup=True, window=3600, max_ids=1000)
    assert len(first.next()) == 1
    first.sidecar.close()
    for path in (tmp_path / "ids").iterdir():  # as after a power cut that took the tables
        path.unlink()
    send("a")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        again = Sequencer(Partitions({0: log}), tmp_path, dedup=True, window=3600, max_ids=1000)
        with pytest.raises(OSError, match="No space left"):
            again.next()
    assert again.next() == []
    assert +again.counts == {("web", "duplicate"): 1}
    again.close()
