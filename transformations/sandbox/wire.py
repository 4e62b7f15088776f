"""Frames between the pool and a worker: length-prefixed, one request in flight.

A frame is a little-endian `u32` length and a payload whose first byte is its kind. Events stay
bytes: a request carries lengths and then the events and their metadata, a reply one code per event,
the lengths of all outputs, and the outputs. Nothing here trusts the other side: `read_reply` checks
every number of a reply before it is used, since a worker runs hostile code.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "CHECK", "DONE", "ERROR", "EXIT_MEMORY", "FAULT", "HEADER", "LOAD", "MAX_ITEMS", "MAX_LOGS",
    "MAX_OUTPUT", "MAX_OUTPUTS", "MAX_REASON", "MAX_REPLY", "MAX_TOTAL", "MEMORY", "NOT_RUN", "RUN",
    "TIMEOUT", "TRIAL", "Garbled", "Reply", "frame", "read_reply", "read_request", "reply", "request",
]

HEADER = struct.Struct("<I")

# Kinds of requests.
LOAD = 0x4C
"""JSON: the script, its libraries, credentials and limits; not answered (the next request is)."""
CHECK = 0x43
"""Empty: did it load, and does its module run?"""
RUN = 0x52
"""Events to run; answered by DONE or FAULT."""

# Kinds of replies.
DONE = 0x44
FAULT = 0x46
"""JSON `{kind, file, line, message}`: nothing was run, the script itself is at fault."""

# Codes of one event in a DONE reply; zero and more is a number of outputs.
ERROR = -1
TIMEOUT = -2
MEMORY = -3
NOT_RUN = -4

TRIAL = 1
"""Flag of RUN: keep what the script logs."""

MAX_ITEMS = 200
MAX_OUTPUT = 1 << 20
MAX_OUTPUTS = 1000
MAX_TOTAL = 64 << 20
MAX_LOGS = 256 << 10
MAX_REASON = 2000
MAX_REPLY = MAX_TOTAL + MAX_OUTPUT + MAX_LOGS + (8 << 20)
EXIT_MEMORY = 71
"""Exit status of a worker that could not even report that memory ran out."""

_RUN = struct.Struct("<BBI")
_DONE = struct.Struct("<BII")


class Garbled(Exception):
    """A reply that no honest worker sends."""


@dataclass(slots=True)
class Reply:
    """A checked reply: per event its code, its outputs or reason; and what was logged (JSON)."""

    codes: Sequence[int]
    blobs: list[list[bytes]]
    logs: bytes = b""


def frame(kind: int, payload: bytes = b"") -> bytes:
    """A frame of one kind byte and a payload."""
    return HEADER.pack(len(payload) + 1) + bytes((kind,)) + payload


def request(events: Sequence[tuple[bytes, bytes]], flags: int = 0) -> bytes:
    """A RUN frame of (event, metadata) pairs."""
    lengths = [len(part) for pair in events for part in pair]
    size = _RUN.size + 4 * len(lengths) + sum(lengths)
    parts = [HEADER.pack(size), _RUN.pack(RUN, flags, len(events)), struct.pack(f"<{len(lengths)}I", *lengths)]
    parts.extend(part for pair in events for part in pair)
    return b"".join(parts)


def read_request(payload: bytes) -> tuple[int, list[memoryview], list[memoryview]]:
    """Flags, events and metadata of a RUN payload; sent by the parent, so it is believed."""
    _, flags, count = _RUN.unpack_from(payload)
    lengths = struct.unpack_from(f"<{2 * count}I", payload, _RUN.size)
    view = memoryview(payload)
    at = _RUN.size + 8 * count
    parts = []
    for length in lengths:
        parts.append(view[at:at + length])
        at += length
    return flags, parts[::2], parts[1::2]


def reply(codes: Sequence[int], blobs: Sequence[bytes], logs: bytes = b"") -> bytes:
    """A DONE frame; `blobs` are all outputs and reasons in the order of the codes."""
    lengths = struct.pack(f"<{len(codes)}i{len(blobs)}I", *codes, *map(len, blobs))
    size = _DONE.size + len(lengths) + sum(map(len, blobs)) + len(logs)
    return b"".join((HEADER.pack(size), _DONE.pack(DONE, len(codes), len(logs)), lengths, *blobs, logs))


def read_reply(payload: bytes | bytearray, count: int) -> Reply:
    """Take a DONE payload apart; raises `Garbled` unless all of it fits `count` events."""
    if len(payload) < _DONE.size:
        raise Garbled("the reply is cut short")
    kind, number, logs = _DONE.unpack_from(payload)
    at = _DONE.size
    if kind != DONE or number != count or logs > MAX_LOGS:
        raise Garbled(f"the reply is for {number} events, {count} were sent")
    if len(payload) < at + 4 * count:
        raise Garbled("the reply is cut short")
    codes = struct.unpack_from(f"<{count}i", payload, at)
    at += 4 * count
    if codes and (min(codes) < NOT_RUN or max(codes) > MAX_OUTPUTS):
        raise Garbled("the reply has an unknown code")
    held = [code if code >= 0 else int(code != NOT_RUN) for code in codes]
    total = sum(held)
    if len(payload) < at + 4 * total:
        raise Garbled("the reply is cut short")
    lengths = struct.unpack_from(f"<{total}I", payload, at)
    at += 4 * total
    if at + sum(lengths) + logs != len(payload) or max(lengths, default=0) > MAX_OUTPUT:
        raise Garbled("the reply's lengths do not add up")
    outputs: list[bytes] = []
    view = memoryview(payload)
    for length in lengths:
        outputs.append(bytes(view[at:at + length]))
        at += length
    blobs: list[list[bytes]] = []
    first = 0
    for number in held:
        blobs.append(outputs[first:first + number])
        first += number
    return Reply(codes, blobs, bytes(view[at:]))
