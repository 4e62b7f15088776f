"""The local engine: a folder of segments, written by one process and read by any number."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from dataplane.config.model import LogConfig
from dataplane.log.partition import Limits
from dataplane.log.reader import LocalReader
from dataplane.log.segments import Sync, make_folder, sync_data
from dataplane.log.writer import LocalWriter
from turnout.errors import Unavailable

__all__ = ["open_reader", "open_writer"]


def open_writer(
    folder: Path, config: LogConfig, *, sync: Sync = sync_data, run: int = 0,
    beside: Iterable[Path] = (), writers: int = 1,
) -> LocalWriter:
    """Recover the partition in `folder` (`data/log/0`) and open it for appending.

    It takes as long as reading one segment. Raises `Unavailable` where another process writes there,
    `FormatError` where a newer Turnout did, OSError where the folder cannot be used. `sync` makes a
    file descriptor durable; tests hand in one that fails. `run` is of epochs.py.
    `beside` are the folders of the log's other partitions, which share `log.max_bytes` with it; `writers`
    is how many of all take records.
    """
    folder = folder.absolute()
    make_folder(folder)
    lock = _lock(folder)
    try:
        limits = Limits(
            segment_bytes=config.segment_bytes,
            max_bytes=config.max_bytes,
            min_free_bytes=config.min_free_bytes,
            retention=config.retention.total_seconds(),
            beside=tuple(one.absolute() for one in beside),
            writers=writers,
            run=run,
        )
        for one in limits.beside:
            make_folder(one)
        return LocalWriter(folder, limits, sync, lock)
    except BaseException:
        os.close(lock)
        raise


def open_reader(folder: Path, consumer: str = "pipeline") -> LocalReader:
    """Read the partition in `folder`, which need not exist yet; `release` speaks for `consumer`.

    Retention heeds the least position that any consumer ever released; one that only looks (tail,
    explain) never calls `release` and counts for nothing.
    """
    folder = folder.absolute()
    make_folder(folder)
    return LocalReader(folder, consumer)


def _lock(folder: Path) -> int:
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(file, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(file)
        raise Unavailable(
            f"the log in {folder} is being written by another process (pid {owner}); stop it first"
        ) from None
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    return file
