"""Damaged bytes: kept aside once, noted once, passed over by every reader.

`quarantine/{start}-{end}.bad` holds the bytes as they were found, `quarantine/index` one JSON line per
range: `{"start", "end", "file", "found", "kind"}`; kind `damage` is a range that counts, `tail` an
unfinished write that recovery cut off.
"""

from __future__ import annotations

import bisect
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from dataplane.log.head import Head
from dataplane.log.segments import make_folder, sync_folder
from dataplane.metrics.log import logger

__all__ = ["Quarantine", "Range"]

Kind = Literal["damage", "tail"]
_say = logger()
_COPY = 1 << 20


class Range(msgspec.Struct, frozen=True):
    """Positions from `start` up to `end` that hold no record. `file` has what was found there."""

    start: int
    end: int
    file: str
    found: str
    kind: Kind = "damage"


class Quarantine:
    """The damaged ranges of one partition, shared by all its processes."""

    def __init__(self, folder: Path, head: Head) -> None:
        self._log = folder
        self._folder = folder / "quarantine"
        self._head = head
        self._size = -1
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.ranges: list[Range] = []
        self.refresh()

    def refresh(self) -> None:
        """Read the index again where it has grown."""
        index = self._folder / "index"
        size = index.stat().st_size if index.exists() else 0
        if size == self._size:
            return
        self._size = size
        self._remember(list(_read(index)) if size else [])

    def _remember(self, ranges: list[Range]) -> None:
        self.ranges = ranges
        pairs = sorted((r.start, r.end) for r in self.ranges if r.kind == "damage")
        self._starts = [start for start, _ in pairs]
        self._ends = [end for _, end in pairs]

    @property
    def count(self) -> int:
        """How many damaged ranges there are; cut tails are not damage."""
        return len(self._starts)

    def past(self, position: int) -> int:
        """Where to go on reading from `position`: behind the known damage that it stands in."""
        while (i := bisect.bisect_right(self._starts, position) - 1) >= 0 and self._ends[i] > position:
            position = self._ends[i]
        return position

    def note(
        self, start: int, end: int, source: Path | None, *, offset: int = 0, size: int = 0,
        kind: Kind = "damage",
    ) -> None:
        """Keep `size` bytes at `offset` of `source` aside and note the range, unless another did already.

        Where there is no such file the range is noted alone. Never raises OSError: reading must go on.
        """
        try:
            name = self._keep(start, end, source, offset=offset, size=size, kind=kind)
        except OSError as error:
            # A full or failing disk must not stop reading: known to this process, noted by the next one.
            self._remember([*self.ranges, Range(start, end, "", "", kind)])
            _say.error("log.quarantine_failed", log=str(self._log), start=start, end=end, error=str(error))
            return
        if name:
            _say.warning(f"log.{kind}", log=str(self._log), start=start, end=end, kept=size, file=name)

    def _keep(
        self, start: int, end: int, source: Path | None, *, offset: int, size: int, kind: Kind
    ) -> str:
        with self._locked():
            self.refresh()
            if kind == "damage" and self.past(start) >= end:
                return ""
            name = f"{start:020d}-{end:020d}.{os.urandom(3).hex()}.bad"
            if source is not None and size:
                _copy(source, offset, size, self._folder / name)
            else:
                name = "nothing"
            found = datetime.now(UTC).isoformat(timespec="seconds")
            line = msgspec.json.encode(Range(start, end, name, found, kind)) + b"\n"
            _append(self._folder / "index", line)
            sync_folder(self._folder)
            self.refresh()
            self._head.damaged = self.count
            return name

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_folder(self._folder)
        file = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)


def _read(index: Path) -> Iterator[Range]:
    for line in index.read_bytes().split(b"\n"):
        if line:
            try:
                yield msgspec.json.decode(line, type=Range)
            except msgspec.DecodeError:
                # A line that a power failure tore: its range is found, and noted, again.
                _say.warning("log.index_line_unreadable", index=str(index))


def _append(index: Path, line: bytes) -> None:
    file = os.open(index, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(file, line)
        os.fsync(file)
    finally:
        os.close(file)


def _copy(source: Path, offset: int, size: int, target: Path) -> None:
    new = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source.open("rb") as old, os.fdopen(new, "wb") as kept:
        old.seek(offset)
        while size > 0 and (part := old.read(min(size, _COPY))):
            kept.write(part)
            size -= len(part)
        kept.flush()
        os.fsync(new)
