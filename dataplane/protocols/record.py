"""What goes into a log record beside the body: the envelope and the marks."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from functools import lru_cache
from struct import Struct

import msgspec
from xxhash import xxh3_64_intdigest

from dataplane.log.base import MARK, REFUSED
from turnout.errors import FormatError
from turnout.protocol import Envelope

__all__ = ["decode", "encode", "key_hash", "marks", "read_marks"]

encode = msgspec.msgpack.Encoder().encode
"""An `Envelope` as bytes (a msgpack array)."""

_decoder = msgspec.msgpack.Decoder(Envelope)


def decode(data: bytes) -> Envelope:
    """An envelope from bytes; raises `FormatError` where they are none."""
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise FormatError(f"an envelope cannot be read: {error}") from None


def key_hash(key: str) -> int:
    """The 64-bit hash of an order key; events of equal hashes keep their order."""
    return xxh3_64_intdigest(key.encode())


@lru_cache(maxsize=256)
def _layout(count: int) -> Struct:
    # `x` writes a zero: no flag is set.
    return Struct("<" + "xQ" * count)


def marks(keys: Sequence[str], refused: Container[int] | Iterable[int] = ()) -> bytes:
    """`MARK` bytes per event: flags, then the order key's hash; both 0 and REFUSED where refused."""
    digest = xxh3_64_intdigest
    packed = _layout(len(keys)).pack(*[digest(key.encode()) for key in keys])
    if not refused:
        return packed
    assert isinstance(refused, Iterable)
    changed = bytearray(packed)
    for index in refused:
        changed[index * MARK : (index + 1) * MARK] = bytes((REFUSED,)) + bytes(MARK - 1)
    return bytes(changed)


def read_marks(data: bytes) -> list[tuple[int, int]]:
    """`(flags, hash of the order key)` per event."""
    return list(Struct("<BQ").iter_unpack(data))
