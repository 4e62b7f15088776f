"""Format v1, byte by byte: these tests build files from docs/formats.md, never with the code they test."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from partition_files import fill, read_all, segments, small

from dataplane.log import format as v1
from dataplane.log.local import open_reader, open_writer
from turnout.errors import FormatError

SALT = bytes(range(16))


def sample_header(version: int = 1, base: int = 0, epoch: int = 7) -> bytes:
    covered = struct.pack("<8sHHIQQQ16s", b"TRNOUTLG", version, 64, 0, base, epoch, 1_700_000_000_000_000_000, SALT)
    return (covered + struct.pack("<II", zlib.crc32(covered), 0)) * 2


def sample_record(position: int, stamp: int, envelope: bytes, marks: bytes, body: bytes) -> bytes:
    covered = struct.pack("<QQIIII", position, stamp, len(envelope), len(marks), len(body), 0)
    covered += envelope + marks + body
    return b"\xffR\xfe\x01" + struct.pack("<I", zlib.crc32(covered, zlib.crc32(SALT))) + covered


def sample() -> bytes:
    first = sample_record(0, 111, b"one", bytes(9), b'{"a":1}')
    return sample_header() + first + sample_record(len(first), 222, b"two", bytes(18), b"")


async def test_a_segment_of_version_1_is_read_and_continued(tmp_path: Path) -> None:
    (tmp_path / f"{0:020d}.log").write_bytes(sample())
    writer = open_writer(tmp_path, small())
    assert writer.health().head == len(sample()) - 128
    await writer.append(b"", b"", b"new")
    await writer.close()
    one, two, new = read_all(tmp_path)
    assert (one.position, one.epoch, one.stamp, one.envelope, one.marks, one.body) == (
        0, 7, 111, b"one", bytes(9), b'{"a":1}',
    )
    assert (two.position, two.end, two.stamp, two.count, two.body) == (one.end, len(sample()) - 128, 222, 2, b"")
    assert (new.position, new.epoch) == (two.end, 8)


async def test_what_is_written_is_version_1(tmp_path: Path) -> None:
    await fill(tmp_path, [b"body"])
    data = segments(tmp_path)[0].read_bytes()
    magic, version, size, zero, base, epoch, _, salt, crc = struct.unpack_from("<8sHHIQQQ16sI", data)
    assert (magic, version, size, zero, base, epoch) == (b"TRNOUTLG", 1, 64, 0, 0, 1)
    assert crc == zlib.crc32(data[:56])
    assert data[:64] == data[64:128]
    mark, crc, position, _, envelope, marks, body, zero = struct.unpack_from("<4sIQQIIII", data, 128)
    assert (mark, position, envelope, marks, body, zero) == (b"\xffR\xfe\x01", 0, 8, 9, 4, 0)
    assert crc == zlib.crc32(data[136:], zlib.crc32(salt))
    assert data[168:] == b"envelope" + bytes(9) + b"body"


def test_a_newer_version_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / f"{0:020d}.log"
    path.write_bytes(sample_header(version=2))
    with pytest.raises(FormatError, match="newer Turnout"):
        open_writer(tmp_path, small())
    assert path.read_bytes() == sample_header(version=2), "not to be touched"


def test_a_reader_refuses_a_newer_version_too(tmp_path: Path) -> None:
    (tmp_path / f"{0:020d}.log").write_bytes(sample_header(version=2) + b"whatever")
    reader = open_reader(tmp_path)
    reader._head.position = 8
    with pytest.raises(FormatError, match="newer Turnout"):
        reader.read(0)
    reader.close()


def test_a_newer_head_is_refused(tmp_path: Path) -> None:
    (tmp_path / "head").write_bytes(b"TRNHEAD2".ljust(4096, b"\0"))
    with pytest.raises(FormatError, match="newer Turnout"):
        open_writer(tmp_path, small())


@given(bit=st.integers(0, 128 * 8 - 1))
def test_one_flipped_bit_leaves_the_header_readable(bit: int) -> None:
    block = bytearray(sample_header())
    block[bit // 8] ^= 1 << bit % 8
    assert v1.read_header(bytes(block)) == v1.read_header(sample_header())


def test_bytes_of_a_client_are_never_a_record() -> None:
    """A body that holds a whole record, right in every field but the secret salt, is not taken for one."""
    inner = sample_record(300, 1, b"", b"", b"forged")
    buffer = bytearray(inner)
    other = v1.Header(0, 7, 0, b"\1" * 16)
    assert v1.parse(buffer, len(buffer), other, 300, []) == (0, 0)
    mine = v1.Header(0, 7, 0, SALT)
    assert v1.parse(buffer, len(buffer), mine, 301, []) == (0, 0), "nor where it stands elsewhere"
    assert v1.parse(buffer, len(buffer), mine, 300, []) == (len(buffer), v1.HEAD)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), cut=st.integers(0, 200))
def test_parsing_takes_any_bytes(data: bytes, cut: int) -> None:
    buffer = bytearray(sample()[128:][:cut] + data)
    taken, need = v1.parse(buffer, len(buffer), v1.Header(0, 7, 0, SALT), 0, [])
    assert 0 <= taken <= len(buffer)
    assert need == 0 or taken + need > len(buffer)
