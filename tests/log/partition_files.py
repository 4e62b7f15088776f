"""What the tests of the local log do with a partition's folder."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from dataplane.config.model import LogConfig
from dataplane.log.base import MARK, Record
from dataplane.log.local import open_reader, open_writer

MARKS = bytes(MARK)


def small(segment_bytes: int = 4096, max_bytes: int = 1 << 30, retention: float = 3600.0) -> LogConfig:
    """A log of small segments that never minds the machine's free disk."""
    return LogConfig(
        segment_bytes=segment_bytes, max_bytes=max_bytes, min_free_bytes=0, retention=timedelta(seconds=retention)
    )


async def fill(folder: Path, bodies: Iterable[bytes], config: LogConfig | None = None) -> list[int]:
    """Append `bodies` one commit each through a writer of their own; returns their positions."""
    writer = open_writer(folder, config or small())
    try:
        return [await writer.append(b"envelope", MARKS, body) for body in bodies]
    finally:
        await writer.close()


def read_all(folder: Path, position: int = 0, max_bytes: int = 1 << 20) -> list[Record]:
    """Every record that a fresh reader finds."""
    reader = open_reader(folder)
    found: list[Record] = []
    try:
        while records := reader.read(position, max_bytes):
            found += records
            position = records[-1].end
        return found
    finally:
        reader.close()


def segments(folder: Path) -> list[Path]:
    """Segment files, oldest first."""
    return sorted(folder.glob("*.log"))
