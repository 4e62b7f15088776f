"""Reading what a worker says, which is whatever a hostile script made of it.

Every output is checked to be one well-formed JSON object in UTF-8, and stays bytes: it is never
decoded here, but what is later spliced into a request cannot break out of its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import compress, repeat
from operator import ne
from typing import Literal

import msgspec

from transformations.base import Failed, Outputs, Ran, Script
from transformations.sandbox import wire
from turnout.preview import MASK, spellings

__all__ = ["Fault", "fault", "lines", "masked", "outputs", "single", "text"]

SECRET = 4
"""Characters of the shortest credential that is masked: shorter ones are part of ordinary words."""


class Fault(msgspec.Struct):
    """Why none of a batch was run."""

    kind: Literal["error", "timeout", "memory"]
    message: str
    file: str
    line: int


class _Object(msgspec.Struct):
    """Any JSON object: decoding checks the syntax of all of it and keeps nothing."""


_check = msgspec.json.Decoder(_Object).decode
_faults = msgspec.json.Decoder(Fault)
_strings = msgspec.json.Decoder(list[str])


def outputs(blobs: list[bytes], script: Script, *, sound: bool = False) -> Ran:
    """The outputs of one event, checked; `sound` is what the worker says of them."""
    try:
        for blob in blobs:
            _check(blob)
            if not blob.isascii():
                str(blob, "utf-8")  # msgspec does not look into what it skips
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Failed(f"{script.file or script.name}: returned something that is not a JSON object")
    return Outputs(tuple(blobs), sound)


def single(
    blobs: Sequence[bytes], events: Sequence[bytes], codes: Sequence[int], script: Script, *,
    sound: bool = False,
) -> list[Ran]:
    """`outputs` of a whole batch whose events have one output each or, code 0, none, as most have: half the cost.

    An output that is the event as it was sent is as good as that: it needs no look.
    """
    sent = events if len(blobs) == len(events) else compress(events, codes)
    changed = list(compress(blobs, map(ne, blobs, sent)))
    try:
        deque(map(_check, changed), 0)
        if not all(map(bytes.isascii, changed)):
            str(b"\n".join(changed), "utf-8")
        made: Iterable[Ran] = map(Outputs, zip(blobs, strict=True), repeat(sound))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        made = [outputs([blob], script, sound=sound) for blob in blobs]
    if len(blobs) == len(events):
        return list(made)
    left = iter(made)
    return [next(left) if code else Outputs(()) for code in codes]


def fault(answer: bytes) -> Fault:
    """The payload of a FAULT frame; raises `wire.Garbled`."""
    try:
        found = _faults.decode(memoryview(answer)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise wire.Garbled("the worker's complaint cannot be read") from None
    found.message, found.file = _printable(found.message), _printable(found.file)
    return found


def lines(data: bytes) -> list[str]:
    """What a trial logged; raises `wire.Garbled`."""
    try:
        return _strings.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise wire.Garbled("the worker's log cannot be read") from None


def text(blob: bytes) -> str:
    """A reason for people: no control characters, bounded."""
    return _printable(blob[: wire.MAX_REASON].decode("utf-8", "replace"))


def masked(reason: str, script: Script) -> str:
    """A reason without the script's credentials, as they are and as errors quote them: it is stored and shown."""
    for spelled in _needles(tuple(script.credentials.values())):
        reason = reason.replace(spelled, MASK)
    return reason


@lru_cache(64)
def _needles(secrets: tuple[str, ...]) -> list[str]:
    """Longest first; a reason has no line breaks, and Python quotes in a way of its own."""
    plain = {one for secret in secrets for one in (secret, secret.strip()) if len(one) >= SECRET}
    found = plain | {_printable(one) for one in plain} | {repr(one)[1:-1] for one in plain} | set(spellings(plain))
    return sorted(found, key=len, reverse=True)


def _printable(said: str) -> str:
    return "".join(character if character.isprintable() else " " for character in said[: wire.MAX_REASON])
