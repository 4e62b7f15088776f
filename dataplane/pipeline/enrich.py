"""What the server adds to an event: receivedAt, request_ip, timestamp, messageId, rudderId.

The event's bytes are kept and the additions are written behind its last field; a field that the
client sent too then stands twice, and every JSON parser we hand it to takes the last one.
Source of the formulas: rudder-server's stamping (receivedAt - (sentAt - originalTimestamp);
rudderId = MD5 of `userId:anonymousId` as a UUID).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b, md5

from dataplane.pipeline.head import EventHead, text
from turnout import clock, codec

__all__ = ["Stamp", "enrich", "generated_id", "rudder_id"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What all events of one request share. `kind` is the type its path fixes, "" for a batch;
    `anonymous_id` came in a header and is that of events that have neither id."""

    received: datetime
    received_text: str
    ip: str
    sent_at: str
    kind: str
    trusted: bool
    anonymous_id: str = ""


@lru_cache(maxsize=1024)
def _parsed(value: str) -> datetime | None:
    return clock.parse(value)


_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def _uuid(hexdigest: str) -> str:
    h = hexdigest
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:32]}"


@lru_cache(maxsize=4096)
def rudder_id(user_id: str, anonymous_id: str) -> str:
    """RudderStack's id of a person: the MD5 of `userId:anonymousId` in the form of a UUID."""
    joined = f"{user_id}:{anonymous_id}".encode("utf-8", "replace")
    return _uuid(md5(joined, usedforsecurity=False).hexdigest())


@lru_cache(maxsize=1024)
def _request_ip(ip: str) -> bytes:
    return b',"request_ip":' + codec.dumps(ip)


def generated_id(secret: bytes, number: int) -> str:
    """The messageId of an event that came without one: the same at every reading of the log."""
    return _uuid(blake2b(number.to_bytes(8, "little"), key=secret, digest_size=16).hexdigest())


def enrich(raw: bytes, head: EventHead, stamp: Stamp, message_id: str) -> bytes:
    """The event with the server's fields, as JSON bytes. `message_id` is its id, sent or generated.

    When it happened is the event's own valid `timestamp`, else what its two stamps say beside the server's clock.
    """
    received, received_text, ip = stamp.received, stamp.received_text, stamp.ip
    if stamp.trusted:
        own = _parsed(head.receivedAt) if head.receivedAt else None
        if own is not None:
            received, received_text = own, clock.iso(own)
        ip = head.request_ip or ip
    original = _parsed(head.originalTimestamp) if head.originalTimestamp else None
    sent = _parsed(head.sentAt) if head.sentAt else None
    shared = _parsed(stamp.sent_at) if sent is None and stamp.sent_at else None
    happened = _parsed(head.timestamp) if head.timestamp else None
    if happened is None:
        happened = clock.corrected(received, sent if head.sentAt else shared, original)
    user_id, anonymous_id = text(head.userId), text(head.anonymousId)
    given = stamp.anonymous_id if not user_id and not anonymous_id else ""
    added = (
        f'"receivedAt":"{received_text}","timestamp":"{clock.iso(happened)}"'
        f',"rudderId":"{rudder_id(user_id, anonymous_id or given)}"'
    ).encode()
    if given:
        added += b',"anonymousId":' + codec.dumps(given)
    if ip:
        added += _request_ip(ip)
    if head.messageId != message_id:
        added += b',"messageId":' + codec.dumps(message_id)
    if original is None:
        added += f',"originalTimestamp":"{received_text}"'.encode()
    if sent is None:
        added += f',"sentAt":"{clock.iso(shared) if shared else received_text}"'.encode()
    kind = stamp.kind or (head.type or "").lower()
    if kind != head.type:
        added += b',"type":' + codec.dumps(kind)
    body = raw[:-1].rstrip()
    return b"%b%b}" % (body, added) if body == b"{" else b"%b,%b}" % (body, added)
