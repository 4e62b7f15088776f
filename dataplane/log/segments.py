"""Segment files: their names, how they come to be, and reading one of them.

`{base, 20 digits}.log` holds the positions from `base` on; a position stands at file offset
`BLOCK + position - base`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dataplane.log import format as v1
from dataplane.log.format import BLOCK, HEAD, Header
from turnout.errors import FormatError

__all__ = [
    "CHUNK", "Segment", "Sync", "bases", "create", "make_folder", "segment_path", "sync_data", "sync_folder",
]

CHUNK = 1 << 20
"""Bytes read at a time."""
_PAGE = 4096
Sync = Callable[[int], None]
"""Makes what was written to a file descriptor durable; raises OSError where it cannot."""


def _sync_data() -> Sync:
    full: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        return os.fdatasync
    command = full

    def through_the_drive(file: int) -> None:
        # macOS: fsync leaves the data in the drive's cache (fsync(2)).
        fcntl.fcntl(file, command)

    return through_the_drive


sync_data: Final = _sync_data()


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable: after creating, renaming and deleting."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter, and make its name durable."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)


def segment_path(folder: Path, base: int) -> Path:
    """Where the segment of `base` is."""
    return folder / f"{base:020d}.log"


def bases(folder: Path) -> list[int]:
    """Bases of all segments, ascending."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, _, suffix = entry.name.partition(".")
            if suffix == "log" and len(stem) == 20 and stem.isdigit():
                found.append(int(stem))
    return sorted(found)


def create(
    folder: Path, base: int, epoch: int, sync: Sync, spare: tuple[int, Path, int] | None = None
) -> tuple[int, Header]:
    """Make an empty segment and return it open for writing.

    It gets its name only when its header is durable, so a `.log` file without one is damage, never
    a crash. `spare` is a file of zeros to be it: descriptor, path, size. Raises OSError; nothing is left
    behind then but perhaps a `.new` file.
    """
    header = Header(base, epoch, time.time_ns(), os.urandom(16))
    path = segment_path(folder, base)
    if spare is None:
        fresh = path.with_suffix(".new")
        file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    else:
        file, fresh, _ = spare
    try:
        block = v1.pack_header(header)
        if os.pwrite(file, block, 0) != len(block):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)
        fresh.replace(path)
        sync_folder(folder)
    except BaseException:
        os.close(file)
        raise
    return file, header


class Segment:
    """One segment open for reading.

    Raises FileNotFoundError where it is gone and `FormatError` where its header is damaged or newer.
    """

    __slots__ = ("_file", "base", "header")

    def __init__(self, folder: Path, base: int) -> None:
        self._file = os.open(segment_path(folder, base), os.O_RDONLY)
        try:
            self.header = v1.read_header(os.pread(self._file, BLOCK, 0))
            if self.header.base != base:
                raise FormatError("the segment's header is damaged")
        except BaseException:
            os.close(self._file)
            raise
        self.base = base

    def size(self) -> int:
        """Bytes behind the header."""
        return max(0, os.fstat(self._file).st_size - BLOCK)

    def fill(self, buffer: bytearray, position: int, size: int) -> int:
        """Read up to `size` bytes at `position` into the start of `buffer`; returns how many there were."""
        offset = BLOCK + position - self.base
        with memoryview(buffer) as view:
            try:
                return os.preadv(self._file, [view[:size]], offset)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
            return self._fill_around(view, offset, size)

    def _fill_around(self, view: memoryview, offset: int, size: int) -> int:
        # The disk cannot read some of it: zeros stand for those pages, and show as damage.
        done = 0
        while done < size:
            want = min(_PAGE - (offset + done) % _PAGE, size - done)
            try:
                got = os.preadv(self._file, [view[done : done + want]], offset + done)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                view[done : done + want] = bytes(want)
                got = want
            done += got
            if got < want:
                break
        return done

    def valid_until(self, position: int, end: int) -> int:
        """The end of the run of valid records that starts at `position`."""
        buffer = bytearray(CHUNK)
        while position < end:
            filled = self.fill(buffer, position, min(len(buffer), end - position))
            taken, need = v1.parse(buffer, filled, self.header, position, None)
            position += taken
            if not taken and filled < min(len(buffer), end - position):
                break  # the file is shorter than it was
            if need > end - position or need == 0:
                break
            if need > len(buffer):
                buffer = bytearray(need)
        return position

    def next_valid(self, position: int, end: int) -> int:
        """Position of the first valid record at or behind `position`, or -1 where none is before `end`."""
        window = bytearray(CHUNK)
        while position + HEAD <= end:
            filled = self.fill(window, position, min(len(window), end - position))
            at = window.find(v1.RECORD_MAGIC, 0, filled)
            while at >= 0:
                if self._is_valid(position + at, end):
                    return position + at
                at = window.find(v1.RECORD_MAGIC, at + 1, filled)
            if filled < len(window):
                break
            position += filled - len(v1.RECORD_MAGIC) + 1
        return -1

    def _is_valid(self, position: int, end: int) -> bool:
        if position + HEAD > end:
            return False
        head = bytearray(HEAD)
        size = v1.size_of(head, 0, position) if self.fill(head, position, HEAD) == HEAD else 0
        if not size or position + size > end:
            return False
        record = bytearray(size)
        with memoryview(record) as view:
            return (
                self.fill(record, position, size) == size
                and v1.crc32(view[8:], self.header.seed) == int.from_bytes(view[4:8], "little")
            )

    def zeros_from(self, position: int, end: int) -> int:
        """Where the zeros that reach up to `end` begin, not before `position`; `end` where there are none."""
        buffer = bytearray(CHUNK)
        zeros = bytes(CHUNK)
        while position < end:
            size = min(CHUNK, end - position)
            filled = self.fill(buffer, end - size, size)
            if filled < size or buffer[:size] != zeros[:size]:
                return end - size + len(buffer[:filled].rstrip(b"\0"))
            end -= size
        return position

    def forget_cached(self) -> None:
        """Have what follows read from the disk itself, not from the page cache."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
