"""Frames: what is written can be read, and nothing else is believed."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformations import replies
from transformations.base import Failed, Outputs, Script
from transformations.sandbox import wire

SCRIPT = Script("s", "", file="s.py")
ROWS = st.lists(st.one_of(
    st.lists(st.binary(max_size=20), max_size=4),
    st.tuples(st.sampled_from([wire.ERROR, wire.TIMEOUT, wire.MEMORY]), st.binary(max_size=20)),
    st.just(wire.NOT_RUN),
), max_size=20)


def written(rows: list[object], logs: bytes = b"") -> tuple[list[int], list[bytes], bytes]:
    codes, blobs = [], []
    for row in rows:
        if isinstance(row, list):
            codes.append(len(row))
            blobs += row
        elif isinstance(row, tuple):
            codes.append(row[0])
            blobs.append(row[1])
        else:
            codes.append(row)
    return codes, blobs, wire.reply(codes, blobs, logs)


@given(ROWS, st.binary(max_size=30))
def test_a_reply_is_read_as_it_was_written(rows: list[object], logs: bytes) -> None:
    codes, blobs, frame = written(rows, logs)
    assert wire.HEADER.unpack_from(frame) == (len(frame) - 4,)
    reply = wire.read_reply(frame[4:], len(rows))
    assert (list(reply.codes), reply.blobs, reply.logs) == (codes, blobs, logs)


@given(ROWS, st.integers(0, 300), st.binary(min_size=1, max_size=8), st.integers(-2, 2))
def test_a_damaged_reply_is_garbled_or_adds_up(rows: list[object], place: int, damage: bytes, more: int) -> None:
    payload = bytearray(written(rows)[2][4:])
    place = min(place, len(payload) - 1)
    payload[place:place + len(damage)] = damage
    try:
        reply = wire.read_reply(bytes(payload), len(rows) + more)
    except wire.Garbled:
        return
    assert len(reply.codes) == len(rows) + more
    assert sum(map(wire.held, reply.codes)) == len(reply.blobs)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_garbage_is_garbled(payload: bytes, count: int) -> None:
    try:
        wire.read_reply(payload, count)
    except wire.Garbled:
        return


@pytest.mark.parametrize("payload", [
    struct.pack("<BIIi", wire.DONE, 1, 0, 1001),
    struct.pack("<BIIi", wire.DONE, 1, 0, -5),
    struct.pack("<BIIiI", wire.DONE, 1, 0, 1, 2**32 - 1),
    struct.pack("<BIIiI", wire.DONE, 1, 0, 1, wire.MAX_OUTPUT + 1) + b"x" * (wire.MAX_OUTPUT + 1),
    struct.pack("<BIIi", wire.DONE, 1, 2**31, 0),
    struct.pack("<BII", wire.DONE, 2**32 - 1, 0),
    struct.pack("<BIIi", wire.LOAD, 1, 0, 0),
])
def test_numbers_beyond_their_bounds_are_garbled(payload: bytes) -> None:
    with pytest.raises(wire.Garbled):
        wire.read_reply(payload, 1)


@given(st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=10)), max_size=30), st.integers(0, 255))
def test_a_request_is_read_as_it_was_written(pairs: list[tuple[bytes, bytes]], flags: int) -> None:
    frame = wire.request([event for event, _ in pairs], [metadata for _, metadata in pairs], flags)
    read, events, metadata = wire.read_request(frame[4:])
    assert read == flags
    assert [(bytes(a), bytes(b)) for a, b in zip(events, metadata, strict=True)] == pairs
    assert [bytes(events[i]) for i in range(len(events))] == [event for event, _ in pairs]


@pytest.mark.parametrize("blob", [
    b"", b"{", b"[]", b'{"a":1}{"b":2}', b'{"a":1},{"b":2}', b'{"a":}', b"1", b"null", b'{"a":"\xff"}',
    b'{"a":"\xc3"}', b'{"a":1', b'{"a":NaN}', b"[" * 100_000,
])
def test_an_output_that_is_not_one_object_is_not_passed_on(blob: bytes) -> None:
    failed = Failed("s.py: returned something that is not a JSON object")
    good = b'{"good":"\xc3\xa9"}'
    assert replies.outputs([good, blob], SCRIPT) == failed
    sent = [b"{}"] * 4
    assert replies.single([good, blob, good], sent[:3], [1] * 3, SCRIPT) == [Outputs((good,)), failed, Outputs((good,))]
    ran = replies.single([good, blob, good], sent, [1, 1, 0, 1], SCRIPT)
    assert ran == [Outputs((good,)), failed, Outputs(()), Outputs((good,))]


def test_events_that_are_handed_back_and_events_that_are_dropped_keep_their_places() -> None:
    events = [b'{"n":%d}' % n for n in range(5)]
    ran = replies.single([events[0], b'{"m":1}', events[4]], events, [1, 0, 1, 0, 1], SCRIPT)
    assert [one.events for one in ran if isinstance(one, Outputs)] == [
        (events[0],), (), (b'{"m":1}',), (), (events[4],),
    ]  # fmt: skip


@given(st.binary(max_size=100))
def test_a_complaint_is_read_or_garbled_and_printable(data: bytes) -> None:
    try:
        fault = replies.fault(bytes((wire.FAULT,)) + data)
    except wire.Garbled:
        return
    assert fault.message.isprintable()


def test_reasons_have_no_control_characters_and_an_end() -> None:
    assert replies.text(b"a\n\x1b[31mb\xff") == "a  [31mb\ufffd"
    assert len(replies.text(b"x" * 10_000)) == wire.MAX_REASON
