"""Frames between the pool and a worker: length-prefixed, one request in flight.

A frame is a little-endian `u32` length and a payload whose first byte is its kind. Events stay
bytes: a request carries lengths and then the events and their metadata, a reply one code per event,
the lengths of all outputs, and the outputs. Nothing here trusts the other side: `read_reply` checks
every number of a reply before it is used, since a worker runs hostile code.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import overload

__all__ = [
    "ASK", "CHECK", "DONE", "ERROR", "EXIT_MEMORY", "FAULT", "HEADER", "LOAD", "LOADING", "MAX_ASK",
    "MAX_ASKED", "MAX_ASKS", "MAX_ITEMS", "MAX_LOGS",
    "MAX_OUTPUT", "MAX_OUTPUTS", "MAX_REASON", "MAX_REPLY", "MAX_TELL", "MAX_TOTAL", "MEMORY", "NOT_RUN", "RUN", "TELL",
    "TIMEOUT", "TRIAL", "Garbled", "Reply", "Slices", "frame", "held", "read_reply", "read_request", "reply", "request",
]

HEADER = struct.Struct("<I")

# Kinds of requests.
LOAD = 0x4C
"""JSON: the script, its libraries, credentials and limits; not answered (the next request is)."""
CHECK = 0x43
"""Empty: did it load, and does its module run?"""
RUN = 0x52
"""Events to run; answered by DONE or FAULT."""

TELL = 0x54
"""JSON: answers to what an ASK asked."""

# Kinds of replies.
ASK = 0x41
"""JSON `[{id, verb, args}]`: the script wants something of the parent; its run goes on after a TELL."""
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
MAX_ASKS = 1000
"""Questions of one run."""
MAX_ASK = 4 << 20
"""Bytes of questions asked at once."""
MAX_ASKED = 64 << 20
"""Bytes of questions of one run."""
MAX_TELL = 32 << 20
"""Bytes of answers told at once."""
MAX_OUTPUT = 1 << 20
MAX_OUTPUTS = 1000
MAX_TOTAL = 16 << 20
"""Bytes of all outputs of one reply, and so of one event."""
MAX_LOGS = 256 << 10
MAX_REASON = 2000
MAX_REPLY = MAX_TOTAL + MAX_OUTPUT + MAX_LOGS + (8 << 20)
LOADING = 2.0
"""Seconds a script has to load, or its own timeout where that is shorter."""
EXIT_MEMORY = 71
"""Exit status of a worker that could not even report that memory ran out."""

_RUN = struct.Struct("<BBI")
_DONE = struct.Struct("<B?II")


class Garbled(Exception):
    """A reply that no honest worker sends."""


@dataclass(slots=True)
class Reply:
    """A checked reply: per event its code, then all outputs and reasons in that order; logs (JSON); whether the
    worker says that all outputs are `sound` (`transformations.base.Outputs`)."""

    codes: Sequence[int]
    blobs: list[bytes]
    logs: bytes = b""
    sound: bool = False


def frame(kind: int, payload: bytes = b"") -> bytes:
    """A frame of one kind byte and a payload."""
    return HEADER.pack(len(payload) + 1) + bytes((kind,)) + payload


def request(events: Sequence[bytes], metadata: Sequence[bytes], flags: int = 0) -> bytes:
    """A RUN frame: as many pieces of metadata as events."""
    lengths = struct.pack(f"<{2 * len(events)}I", *map(len, events), *map(len, metadata))
    body = b"".join((_RUN.pack(RUN, flags, len(events)), lengths, *events, *metadata))
    return HEADER.pack(len(body)) + body


def read_request(payload: bytes) -> tuple[int, Slices, Slices]:
    """Flags, events and metadata of a RUN payload; sent by the parent, so it is believed."""
    _, flags, count = _RUN.unpack_from(payload)
    lengths = struct.unpack_from(f"<{2 * count}I", payload, _RUN.size)
    ends = list(accumulate(lengths, initial=_RUN.size + 8 * count))
    view = memoryview(payload)
    return flags, Slices(view, ends[:count + 1]), Slices(view, ends[count:])


class Slices(Sequence[memoryview]):
    """Pieces of one buffer, cut when asked for."""

    __slots__ = ("_ends", "_view")

    def __init__(self, view: memoryview = memoryview(b""), ends: Sequence[int] = (0,)) -> None:  # noqa: B008  # empty, immutable
        self._view = view
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[memoryview]:
        view = self._view
        return (view[start:end] for start, end in pairwise(self._ends))

    @overload
    def __getitem__(self, place: int) -> memoryview: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[memoryview]: ...
    def __getitem__(self, place: int | slice) -> memoryview | Sequence[memoryview]:
        if isinstance(place, slice):
            return list(self)[place]
        return self._view[self._ends[place]:self._ends[place + 1]]


def reply(codes: Sequence[int], blobs: Sequence[bytes], logs: bytes = b"", *, sound: bool = False) -> bytes:
    """A DONE frame; `blobs` are all outputs and reasons in the order of the codes."""
    lengths = struct.pack(f"<{len(codes)}i{len(blobs)}I", *codes, *map(len, blobs))
    size = _DONE.size + len(lengths) + sum(map(len, blobs)) + len(logs)
    return b"".join((HEADER.pack(size), _DONE.pack(DONE, sound, len(codes), len(logs)), lengths, *blobs, logs))


def read_reply(payload: bytes, count: int) -> Reply:
    """Take a DONE payload apart; raises `Garbled` unless all of it fits `count` events."""
    if len(payload) < _DONE.size:
        raise Garbled("the reply is cut short")
    kind, sound, number, logs = _DONE.unpack_from(payload)
    at = _DONE.size
    if kind != DONE or number != count or logs > MAX_LOGS:
        raise Garbled(f"the reply is for {number} events, {count} were sent")
    if len(payload) < at + 4 * count:
        raise Garbled("the reply is cut short")
    codes = struct.unpack_from(f"<{count}i", payload, at)
    at += 4 * count
    if codes and (min(codes) < NOT_RUN or max(codes) > MAX_OUTPUTS):
        raise Garbled("the reply has an unknown code")
    total = sum(map(held, codes)) if codes and min(codes) < 0 else sum(codes)
    if len(payload) < at + 4 * total:
        raise Garbled("the reply is cut short")
    lengths = struct.unpack_from(f"<{total}I", payload, at)
    if max(lengths, default=0) > MAX_OUTPUT:
        raise Garbled("an output is too large")
    ends = list(accumulate(lengths, initial=at + 4 * total))
    if ends[-1] + logs != len(payload):
        raise Garbled("the reply's lengths do not add up")
    return Reply(codes, [payload[start:end] for start, end in pairwise(ends)], payload[ends[-1]:], sound)


def held(code: int) -> int:
    """How many blobs an event of this code has: its outputs, or one reason."""
    return code if code >= 0 else int(code != NOT_RUN)
