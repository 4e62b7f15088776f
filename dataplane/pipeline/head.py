"""The few fields of an event that the pipeline itself reads, without decoding the rest."""

from __future__ import annotations

from typing import Any

import msgspec

from turnout import codec
from turnout.errors import Refused

__all__ = ["EventHead", "Output", "output", "read"]

Id = str | int | float | None


class EventHead(msgspec.Struct, gc=False):
    """Heads as SDKs send them; ids may come as numbers, `integrations` stays bytes."""

    type: str | None = None
    messageId: Id = None
    anonymousId: Id = None
    userId: Id = None
    event: str | None = None
    timestamp: str | None = None
    originalTimestamp: str | None = None
    sentAt: str | None = None
    receivedAt: str | None = None
    request_ip: str | None = None
    integrations: msgspec.Raw = msgspec.Raw(b"")


_decode = msgspec.json.Decoder(EventHead).decode
class Output(msgspec.Struct, gc=False):
    """What an output of a transformation is routed by."""

    type: str | None = None
    integrations: msgspec.Raw = msgspec.Raw(b"")


_decode_output = msgspec.json.Decoder(Output).decode
_TEXT = ("type", "event", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "request_ip")
_IDS = ("messageId", "anonymousId", "userId")


def read(raw: bytes) -> EventHead:
    """Read the head of one event; a field of an unexpected type counts as absent.

    Raises `Refused` where the bytes are no JSON object at all.
    """
    try:
        return _decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return _slow(codec.loads(raw))


def output(raw: bytes) -> Output | EventHead:
    """The same of what a transformation made, of which less is asked."""
    try:
        return _decode_output(raw)
    except (msgspec.DecodeError, RecursionError):
        return _slow(codec.loads(raw))


def _slow(message: Any) -> EventHead:
    if not isinstance(message, dict):
        raise Refused("not_an_object", "the event is not a JSON object")
    fields: dict[str, Any] = {}
    for name in _TEXT:
        value = message.get(name)
        if isinstance(value, str):
            fields[name] = value
    for name in _IDS:
        value = message.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            fields[name] = value
    if "integrations" in message:
        fields["integrations"] = msgspec.Raw(codec.dumps(message["integrations"]))
    return EventHead(**fields)


def text(value: Id) -> str:
    """An id as text; "" where it is absent or empty."""
    return value if isinstance(value, str) else "" if value is None else str(value)
