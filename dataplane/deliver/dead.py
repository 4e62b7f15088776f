"""What is kept of a dead letter and of a refused event, as payloads of segments."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dataplane.deliver.segments import Segments

__all__ = ["KEPT", "DeadLetter", "RefusedLetter", "dead_segments", "pack", "refused_segments", "unpack_dead",
           "unpack_refused"]

KEPT = 256 << 10
"""Most bytes kept of a refused event, which may have been refused for its size."""


class DeadLetter(msgspec.Struct, frozen=True):
    """One dead letter. `request` is as sent, secrets masked; `answer` status, headers, start of body.

    `parts` is how many outputs its event had at this destination (0: not known), of which this is one.
    """

    event: bytes
    options: bytes
    message_id: str
    attempts: int
    request: dict[str, object] | None = None
    answer: dict[str, object] | None = None
    parts: int = 0


class RefusedLetter(msgspec.Struct, frozen=True):
    """One refused event: the first `KEPT` bytes as received, of `size` in all, and how it came."""

    event: bytes
    size: int
    protocol: str
    kind: str


pack = msgspec.msgpack.Encoder().encode
unpack_dead = msgspec.msgpack.Decoder(DeadLetter).decode
unpack_refused = msgspec.msgpack.Decoder(RefusedLetter).decode


def dead_segments(data: Path) -> Segments:
    """The segments of dead letters in a data folder."""
    return Segments(data / "dead", "dead", b"TODEAD\x01\x00")


def refused_segments(data: Path) -> Segments:
    """The segments of refused events in a data folder."""
    return Segments(data / "refused", "refused", b"TOREFU\x01\x00")
