"""Segment files of dead letters and of refused events: payloads, found through an index elsewhere.

`{number, 8 digits}.{suffix}`, each an eight-byte magic (the seventh byte is the version) and frames of
`length, crc-32, payload`. A frame that no index row names (a crash between the two, a letter that is
gone) is never read. docs/formats.md has the layout.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dataplane.log.segments import sync_folder
from turnout.errors import FormatError

__all__ = ["SEGMENT", "Place", "Segments"]

_FRAME = struct.Struct("<II")
SEGMENT = 64 << 20
OVERHEAD = _FRAME.size
"""Bytes of a frame beside its payload."""


class Place(NamedTuple):
    """Where a payload stands: number of the segment, offset of its frame, bytes of the payload."""

    segment: int
    offset: int
    length: int


class Segments:
    """Appends and removes in one thread, reads from any. `limit` is the size at which a file is full."""

    def __init__(self, folder: Path, suffix: str, magic: bytes) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.limit = SEGMENT
        self._folder = folder
        self._suffix = suffix
        self._magic = magic
        self._number = max(self._numbers(), default=0)
        self._file = -1
        self._size = 0

    def _numbers(self) -> list[int]:
        return sorted(int(p.stem) for p in self._folder.glob(f"*.{self._suffix}") if p.stem.isdigit())

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.{self._suffix}"

    @property
    def active(self) -> int:
        """The segment that is written now; 0 where none is."""
        return self._number if self._file >= 0 else 0

    def sizes(self) -> dict[int, int]:
        """Bytes of every file, by number, those first that were written first: where processes were given up, numbers
        are in no order of time."""
        found: list[tuple[int, int, int]] = []
        for number in self._numbers():
            try:
                stat = self._path(number).stat()
            except FileNotFoundError:
                continue  # removed meanwhile
            found.append((stat.st_mtime_ns, number, stat.st_size))
        return {number: size for _, number, size in sorted(found)}

    def set_aside(self) -> Path | None:
        """Move every file into a folder that nothing reads or deletes; None where there is no file.

        For files of which nobody knows any more what in them is still a letter.
        """
        numbers = self._numbers()
        if not numbers:
            return None
        self.close()
        there = (int(p.name.rpartition("-")[2]) for p in self._folder.glob("lost-*") if p.name[5:].isdigit())
        aside = self._folder / f"lost-{max(there, default=0) + 1}"
        aside.mkdir(mode=0o700)
        for number in numbers:
            path = self._path(number)
            path.rename(aside / path.name)
        return aside

    def aside(self) -> dict[str, int]:
        """Bytes in each folder of files that were set aside, by its path."""
        return {
            str(folder): sum(file.stat().st_size for file in folder.iterdir())
            for folder in sorted(self._folder.glob("lost-*")) if folder.is_dir()
        }  # fmt: skip

    def _open(self) -> None:
        """A new segment at every start, so that a torn tail is never written behind."""
        self.close()
        number = self._number + 1
        file = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._number, self._file, self._size = number, file, len(self._magic)
        os.write(file, self._magic)
        sync_folder(self._folder)

    def append(self, payloads: Sequence[bytes]) -> list[Place]:
        """Write and sync; where each stands."""
        if not payloads:
            return []
        if self._file < 0 or self._size > self.limit:
            self._open()
        places: list[Place] = []
        frames: list[bytes] = []
        at = self._size
        for payload in payloads:
            frames.append(_FRAME.pack(len(payload), zlib.crc32(payload)) + payload)
            places.append(Place(self._number, at, len(payload)))
            at += len(frames[-1])
        data = b"".join(frames)
        written = 0
        while written < len(data):
            written += os.pwrite(self._file, memoryview(data)[written:], self._size + written)
        os.fdatasync(self._file)
        self._size = at
        return places

    def read(self, place: Place) -> bytes:
        """The payload at a place; raises `FormatError` where its bytes are damaged or gone."""
        found = self.read_all([place])[0]
        if isinstance(found, FormatError):
            raise found
        return found

    def read_all(self, places: Iterable[Place]) -> list[bytes | FormatError]:
        """The payloads at many places, in order; an error instead of one that cannot be read."""
        files: dict[int, int] = {}
        try:
            return [self._read(place, files) for place in places]
        finally:
            for file in files.values():
                os.close(file)

    def _read(self, place: Place, files: dict[int, int]) -> bytes | FormatError:
        file = files.get(place.segment)
        if file is None:
            try:
                file = os.open(self._path(place.segment), os.O_RDONLY)
            except FileNotFoundError:
                return FormatError("its segment is gone")
            files[place.segment] = file
            magic = os.pread(file, len(self._magic), 0)
            if magic[:6] == self._magic[:6] and magic[6:7] > self._magic[6:7]:
                return FormatError(f"{self._path(place.segment).name} was written by a newer Turnout")
        frame = os.pread(file, _FRAME.size + place.length, place.offset)
        if len(frame) != _FRAME.size + place.length:
            return FormatError("it is cut short")
        size, crc = _FRAME.unpack_from(frame)
        payload = frame[_FRAME.size :]
        if size != place.length or zlib.crc32(payload) != crc:
            return FormatError("it is damaged")
        return payload

    def remove(self, number: int) -> None:
        """Delete a segment; the active one is closed first."""
        if number == self.active:
            self.close()
        self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the active segment; the next append begins another."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
