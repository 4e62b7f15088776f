"""Format v1 of the local log's segments, as pure functions over bytes; docs/formats.md describes it.

A segment is a header block, two equal copies of one header (so that no single damaged bit costs more
than one record), then records back to back. Integers are little-endian. The crc is zlib's crc-32,
started from a value that only this segment knows, so bytes that a client sent, or that an older file
left on the disk, are never taken for a record.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from isal.isal_zlib import crc32

from dataplane.log.base import Record
from turnout.errors import FormatError

__all__ = [
    "BLOCK", "HEAD", "MAGIC", "MAX_RECORD", "RECORD_MAGIC", "VERSION", "Header", "NewerFormat", "Parts",
    "crc32", "encode", "pack_header", "parse", "read_header", "size_of",
]

VERSION = 1
MAGIC = b"TRNOUTLG"
RECORD_MAGIC = b"\xffR\xfe\x01"
"""Starts a record. 0xff and 0xfe occur in no UTF-8 text, so bodies give no false candidates."""
MAX_RECORD = 64 << 20
"""No record is larger, header included; bounds what a damaged length can make a reader allocate."""

_HEADER = struct.Struct("<8sHHIQQQ16sI4x")  # magic version size reserved base epoch created salt crc
_COVERED = _HEADER.size - 8
BLOCK = 2 * _HEADER.size
"""Bytes before the first record."""

_PREFIX = struct.Struct("<4sI")  # magic crc
_FIXED = struct.Struct("<QQIIII")  # position stamp envelope marks body reserved
_RECORD = struct.Struct("<4sIQQIIII")
HEAD = _RECORD.size
"""Bytes of a record before its envelope."""


Parts = tuple[bytes, bytes, bytes]
"""Envelope, marks and body of a record."""


class NewerFormat(FormatError):
    """Written by a later Turnout: whole, but not to be touched."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment says about itself. `created` is Unix nanoseconds; `base` the first position."""

    base: int
    epoch: int
    created: int
    salt: bytes

    @property
    def seed(self) -> int:
        """Where the crc of this segment's records starts."""
        return crc32(self.salt)


def pack_header(header: Header) -> bytes:
    """The header block of a segment, `BLOCK` bytes."""
    made = _HEADER.pack(
        MAGIC, VERSION, _HEADER.size, 0, header.base, header.epoch, header.created, header.salt, 0
    )
    made = made[:_COVERED] + struct.pack("<I4x", crc32(made[:_COVERED]))
    return made * 2


def read_header(block: bytes) -> Header:
    """The header of a segment, from either copy; raises `FormatError` where both are damaged or newer."""
    for start in (0, _HEADER.size):
        copy = block[start : start + _HEADER.size]
        if len(copy) < _HEADER.size:
            break
        magic, version, _, _, base, epoch, created, salt, crc = _HEADER.unpack(copy)
        if magic != MAGIC or crc != crc32(copy[:_COVERED]):
            continue
        if version > VERSION:
            raise NewerFormat(
                f"the log was written by a newer Turnout (format {version}, this one reads up to {VERSION}); "
                "start that version, or move the folder away"
            )
        return Header(base, epoch, created, salt)
    raise FormatError("the segment's header is damaged")


def encode(seed: int, position: int, stamp: int, parts: Parts) -> tuple[bytes, bytes, bytes, bytes]:
    """One record as buffers to be written in turn; nothing is copied."""
    envelope, marks, body = parts
    fixed = _FIXED.pack(position, stamp, len(envelope), len(marks), len(body), 0)
    crc = crc32(body, crc32(marks, crc32(envelope, crc32(fixed, seed))))
    return _PREFIX.pack(RECORD_MAGIC, crc) + fixed, envelope, marks, body


def size_of(header: bytes | bytearray, at: int, position: int) -> int:
    """Size of the record whose header stands at `at`, or 0 where none does; the crc is not looked at."""
    magic, _, where, _, envelope, marks, body, reserved = _RECORD.unpack_from(header, at)
    size: int = HEAD + envelope + marks + body
    return size if magic == RECORD_MAGIC and where == position and not reserved and size <= MAX_RECORD else 0


def parse(
    buffer: bytearray, filled: int, header: Header, position: int, records: list[Record] | None
) -> tuple[int, int]:
    """Take records out of `buffer[:filled]`, whose first byte is at `position`, into `records`.

    Returns the bytes they took, and the bytes the next record needs: 0 where what follows is no
    valid record, else more than are left in the buffer. With None they are only checked.
    """
    at = 0
    seed, epoch = header.seed, header.epoch
    unpack = _RECORD.unpack_from
    with memoryview(buffer) as view:
        while True:
            start = at + HEAD
            if start > filled:
                return at, HEAD
            magic, crc, where, stamp, envelope, marks, body, reserved = unpack(buffer, at)
            size = HEAD + envelope + marks + body
            if magic != RECORD_MAGIC or where != position or reserved or size > MAX_RECORD:
                return at, 0
            end = at + size
            if end > filled:
                return at, size
            with view[at + 8 : end] as covered:
                if crc32(covered, seed) != crc:
                    return at, 0
            position += size
            at = end
            if records is not None:
                second = start + envelope
                third = second + marks
                records.append(
                    Record(
                        where, position, epoch, stamp,
                        bytes(view[start:second]), bytes(view[second:third]), bytes(view[third:end]),
                    )
                )
