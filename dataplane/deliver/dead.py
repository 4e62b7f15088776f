"""Dead letters: given up, kept with payload, request and answer.

Payloads are in `data/dead/{segment}.dead`, each a header and frames of `length, crc, msgpack`; the
index is in the state file, written in the same transaction as the cursor. A frame without an index
row (a crash between the two) is never read.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from turnout.errors import FormatError

__all__ = ["DeadLetter", "DeadLetters"]

MAGIC = b"TODEAD\x01\x00"
_FRAME = struct.Struct("<II")
SEGMENT = 64 << 20


class DeadLetter(msgspec.Struct, frozen=True):
    """One dead letter. `request` is as sent, secrets masked; `answer` status, headers, start of body."""

    event: bytes
    options: bytes
    message_id: str
    attempts: int
    request: dict[str, object] | None = None
    answer: dict[str, object] | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeadLetter).decode


def pack(letter: DeadLetter) -> bytes:
    """A letter as bytes for `DeadLetters.append`."""
    return _encode(letter)


class DeadLetters:
    """Appends in one thread, reads from any."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        existing = [int(p.stem) for p in folder.glob("*.dead")]
        self._segment = max(existing, default=0)
        self._file = -1
        self._size = 0

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:08d}.dead"

    def _open(self) -> None:
        """A new segment at every start, so that a torn tail is never written behind."""
        if self._file >= 0:
            os.close(self._file)
        self._segment += 1
        self._file = os.open(self._path(self._segment), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(self._file, MAGIC)
        self._size = len(MAGIC)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def append(self, payloads: Sequence[bytes]) -> list[tuple[int, int, int]]:
        """Write and sync; where each stands: segment, offset, length."""
        if not payloads:
            return []
        if self._file < 0 or self._size > SEGMENT:
            self._open()
        places: list[tuple[int, int, int]] = []
        frames: list[bytes] = []
        at = self._size
        for payload in payloads:
            frames.append(_FRAME.pack(len(payload), zlib.crc32(payload)) + payload)
            places.append((self._segment, at, len(payload)))
            at += len(frames[-1])
        data = b"".join(frames)
        written = 0
        while written < len(data):
            written += os.pwrite(self._file, memoryview(data)[written:], self._size + written)
        os.fdatasync(self._file)
        self._size = at
        return places

    def read(self, segment: int, offset: int, length: int) -> DeadLetter:
        """The letter at a place; raises `FormatError` where its bytes are damaged or gone."""
        try:
            with self._path(segment).open("rb") as file:
                file.seek(offset)
                frame = file.read(_FRAME.size + length)
        except FileNotFoundError:
            raise FormatError("the dead letter's segment is gone") from None
        if len(frame) != _FRAME.size + length:
            raise FormatError("the dead letter is cut short")
        size, crc = _FRAME.unpack_from(frame)
        payload = frame[_FRAME.size :]
        if size != length or zlib.crc32(payload) != crc:
            raise FormatError("the dead letter is damaged")
        return _decode(payload)

    def close(self) -> None:
        """Close the open segment."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
