"""Content-Encoding: the quick way and the bounded way agree on every body."""

from __future__ import annotations

import gzip

from hypothesis import example, given
from hypothesis import strategies as st

from dataplane.gateway.encoding import MOST, decoded
from turnout.errors import Refused

DATA = b'{"userId":"u","event":"Order Completed"}' * 3
ONE = gzip.compress(DATA, mtime=0)


def outcome(body: bytes, limit: int) -> bytes | str:
    try:
        return decoded(body, "gzip", limit, 413)
    except Refused as error:
        return error.code


@given(
    data=st.binary(max_size=200),
    members=st.integers(1, 3),
    cut=st.integers(0, 30),
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=2),
    behind=st.sampled_from([b"", bytes(8), b"junk", ONE[:5], ONE[-4:]]),
)
@example(DATA, 1, 0, [(len(ONE) - 6, 1)], b"")  # a checksum that does not fit, and the right length
@example(DATA, 2, 0, [], b"")  # two equal members: the last length fits the first
@example(b"", 1, 0, [], b"")
def test_the_quick_way_takes_what_the_bounded_way_takes(
    data: bytes, members: int, cut: int, flips: list[tuple[int, int]], behind: bytes
) -> None:
    body = bytearray(gzip.compress(data, mtime=0) * members)
    body = body[: len(body) - cut]
    for at, mask in flips:
        if at < len(body):
            body[at] ^= mask
    whole = bytes(body) + behind
    bounded = outcome(whole, max(1, min(len(whole) * MOST - 1, 4096)))  # below what the quick way asks for
    assert outcome(whole, 1 << 30) == bounded
