"""The HTTP dialects of RudderStack's and Segment's SDKs: one event or `{"batch": [...]}`.

A typed pass over the body reads only what the gateway must know (type and ids). Whatever that
pass does not take is looked at event by event, so that one bad event never costs its siblings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from dataplane.protocols import lenient
from turnout import codec
from turnout.errors import Refused
from turnout.protocol import Envelope, Limits, Parsed, Route, Unit, order_key

__all__ = ["Rudder"]

KINDS = frozenset(("identify", "track", "page", "screen", "group", "alias"))
TRUSTED_KINDS = KINDS | {"record"}
SHORT = {"i": "identify", "t": "track", "p": "page", "s": "screen", "g": "group", "a": "alias"}
BATCHES = ("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch")
BLANKS = b" \t\r\n"
Id = str | int | float | None
Reason = tuple[str, str]
Found = tuple[bytes, Reason | None]
"""The bytes of an event, and why they cannot be taken where they cannot."""


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    anonymousId: str | None = None
    userId: str | None = None


class _Batch(msgspec.Struct, gc=False):
    batch: list[_Event]
    sentAt: Any = None


class _Raws(msgspec.Struct, gc=False):
    batch: list[msgspec.Raw]
    sentAt: Any = None


class _Ids(msgspec.Struct, gc=False):
    messageId: Id = None
    anonymousId: Id = None
    userId: Id = None
    previousId: Id = None
    groupId: Id = None


class _Typed(_Ids, gc=False):
    type: str | None = None


class _TooMany(Exception):
    """More events than a request may carry."""


class _Counted(msgspec.Struct, gc=False):
    """An event that is only counted; the decoder calls `__post_init__` for each."""

    left: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _Counted.left -= 1
        if _Counted.left < 0:
            raise _TooMany


class _Crowd(msgspec.Struct, gc=False):
    batch: list[_Counted | tuple[None, ...] | str | int | float | bool | None]


_event = msgspec.json.Decoder(_Event)
_crowd = msgspec.json.Decoder(_Crowd)
_batch = msgspec.json.Decoder(_Batch)
_raws = msgspec.json.Decoder(_Raws)
_ids = msgspec.json.Decoder(_Ids)
_typed = msgspec.json.Decoder(_Typed)


class Rudder:
    """RudderStack's and Segment's SDKs; the type a path names wins over the event's own."""

    name: ClassVar[str] = "rudder"
    oversize: ClassVar[int] = 413
    routes: ClassVar[tuple[Route, ...]] = (
        *(Route(f"/v1/{kind}", kind) for kind in sorted(KINDS)),
        *(Route(f"/v1/{short}", kind) for short, kind in SHORT.items()),
        *(Route(path) for path in BATCHES),
    )

    def parse(
        self, body: bytes, route: Route, limits: Limits, *, trusted: bool = False, anonymous_id: str = ""
    ) -> Parsed:
        """Read the heads of a decompressed body; see `turnout.protocol.Protocol`."""
        if not body.isascii():  # msgspec passes over bad bytes in fields it does not read
            _check_utf8(body)
        try:
            if route.kind:
                return _one(body, route.kind, limits, anonymous_id)
            return _many(body, limits, TRUSTED_KINDS if trusted else KINDS, anonymous_id)
        except RecursionError:
            raise Refused("too_deep", "the JSON is nested too deeply") from None

    def split(self, envelope: Envelope, body: bytes) -> list[Unit]:
        """The events of a stored body, in the order and number of `parse`, refused ones included.

        Where the body took the slow path the bytes are encoded anew and stand nowhere in it: offset
        and length are 0.
        """
        if envelope.unread:
            return [Unit(body, 0, len(body))]
        if envelope.slow:
            found, _ = _lenient(body, envelope.kind)
            return [Unit(raw, 0, 0) for raw, _ in found]
        if envelope.kind:
            raw = body.strip(BLANKS)
            return [Unit(raw, body.find(raw), len(raw))]
        try:
            raws = _raws.decode(body).batch
        except RecursionError:
            # `parse` stood on a shallower stack; a reader without one agrees with it.
            return [Unit(body[start:end], start, end - start) for start, end in lenient.spans(body, "batch")]
        return _located(raws, body)


def _check_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Refused("invalid_utf8", f"the body is not UTF-8 (byte {error.start})") from None


def _one(body: bytes, kind: str, limits: Limits, anonymous_id: str) -> Parsed:
    if len(body) <= limits.event:  # else it is refused for its size, unread
        try:
            event = _event.decode(body)
        except msgspec.ValidationError:
            pass  # valid JSON of another shape, which `judge` names
        except msgspec.DecodeError:
            found, _ = _lenient(body, kind)
            return _Judge(kind, KINDS, limits, anonymous_id).all(found, "", slow=True)
        else:
            key = event.anonymousId or event.userId
            if key:
                return Parsed((key,))
    return _judged(_Judge(kind, KINDS, limits, anonymous_id), body, [(body, None)], "")


def _many(body: bytes, limits: Limits, kinds: frozenset[str], anonymous_id: str) -> Parsed:
    if body.count(b",") >= limits.events:
        _check_crowd(body, limits)
    try:
        batch = _batch.decode(body)
    except msgspec.DecodeError:
        pass  # judged below, event by event
    else:
        _check_number(len(batch.batch), limits)
        keys = [event.anonymousId or event.userId or "" for event in batch.batch]
        if (
            "" not in keys
            and {event.type for event in batch.batch} <= kinds
            and (len(body) <= limits.event or _longest(body) <= limits.event)
        ):
            return Parsed(keys, {}, _stamp(batch.sentAt))
    judge = _Judge("", kinds, limits, anonymous_id)
    try:
        raws = _raws.decode(body)
    except msgspec.ValidationError:
        raise Refused("invalid_batch", "the body must be an object whose `batch` is an array") from None
    except msgspec.DecodeError:
        found, sent_at = _lenient(body, "", limits)
        return judge.all(found, sent_at, slow=True)
    _check_number(len(raws.batch), limits)
    return _judged(judge, body, [(bytes(raw), None) for raw in raws.batch], _stamp(raws.sentAt))


def _judged(judge: _Judge, body: bytes, found: list[Found], sent_at: str) -> Parsed:
    """Judge events as they stand in the body; where a string in one is no Unicode, by the slow path."""
    try:
        return judge.all(found, sent_at, slow=False)
    except msgspec.DecodeError:
        found, sent_at = _lenient(body, judge.kind, judge.limits)
        return judge.all(found, sent_at, slow=True)


def _check_number(events: int, limits: Limits) -> None:
    if not events:
        raise Refused("empty_batch", "the batch has no events")
    if events > limits.events:
        raise Refused("too_many_events", f"a request may carry {limits.events} events")


def _check_crowd(body: bytes, limits: Limits) -> None:
    """Stop at the first event too many, before all of them are made: millions of `{}` fit a body."""
    _Counted.left = limits.events
    try:
        found = len(_crowd.decode(body).batch)
    except _TooMany:
        found = limits.events + 1
    except msgspec.DecodeError:
        return  # no JSON, or arrays among the events: counted where that is looked into
    if found > limits.events:
        _check_number(found, limits)


def _longest(body: bytes) -> int:
    return max(map(len, _raws.decode(body).batch))


def _stamp(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 64 else ""


def _lenient(body: bytes, kind: str, limits: Limits | None = None) -> tuple[list[Found], str]:
    """The events of a body by the slow path: clean JSON, and why one cannot be taken."""
    value = lenient.read(body)
    if kind:
        return [_encoded(value)], ""
    batch = value.get("batch") if isinstance(value, dict) else None
    if not isinstance(batch, list):
        raise Refused("invalid_batch", "the body must be an object whose `batch` is an array")
    if limits is not None:
        _check_number(len(batch), limits)
    return [_encoded(event) for event in batch], _stamp(value.get("sentAt"))


def _encoded(event: Any) -> Found:
    try:
        return lenient.encode(event), None
    except Refused as error:
        return b"null", (error.code, error.message)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Decides event by event, with a reason where one is refused; `kind` is "" for a batch."""

    kind: str
    kinds: frozenset[str]
    limits: Limits
    anonymous_id: str

    def all(self, found: list[Found], sent_at: str, slow: bool) -> Parsed:
        keys: list[str] = []
        parsed = Parsed(keys, {}, sent_at, slow)
        for index, (raw, unencodable) in enumerate(found):
            key = ""
            if unencodable is not None:
                parsed.refused[index] = unencodable
            else:
                try:
                    key = self.key(raw)
                except Refused as error:
                    parsed.refused[index] = (error.code, error.message)
            keys.append(key)
        return parsed

    def key(self, raw: bytes) -> str:
        """The order key of one event; raises `Refused` where it is not taken."""
        kind = self.kind
        if len(raw) > self.limits.event:
            raise Refused("event_too_large", f"an event may have {self.limits.event} bytes")
        if raw.lstrip(BLANKS)[:1] != b"{":
            raise Refused("not_an_object", "an event must be a JSON object")
        head: _Ids
        try:
            if kind:
                head = _ids.decode(raw)
            else:
                head = typed = _typed.decode(raw)
                kind = (typed.type or "").lower()
        except msgspec.ValidationError as error:
            # Its text names types and the path, never a value.
            raise Refused("invalid_field", str(error)) from None
        if kind not in self.kinds:
            raise Refused("unknown_type", f"`type` must be one of {', '.join(sorted(self.kinds))}")
        key = order_key(_text(head.anonymousId), _text(head.userId), "") or self.anonymous_id
        if key:
            return key
        if kind == "record":
            return _row(raw)
        own = head.previousId if kind == "alias" else head.groupId if kind == "group" else None
        if not _text(own):
            raise Refused("missing_id", "an event needs an anonymousId or a userId")
        return order_key("", "", _text(head.messageId)) or _text(own)


def _row(raw: bytes) -> str:
    """The order key of a warehouse row that names no user: what identifies the row, so that what happens to it
    stays in order."""
    found = codec.loads(raw).get("identifiers")
    if not isinstance(found, dict) or not found:
        raise Refused("missing_id", "a record needs identifiers, an anonymousId or a userId")
    return "record:" + codec.dumps(dict(sorted(found.items()))).decode()


def _text(value: Id) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _located(raws: list[msgspec.Raw], body: bytes) -> list[Unit]:
    """Units with their places: elements follow one another, mostly one comma apart."""
    units: list[Unit] = []
    place = 0
    for item in raws:
        raw = bytes(item)
        if not body.startswith(raw, place):
            place = body.find(raw, place)  # the same bytes earlier are as good
        units.append(Unit(raw, place, len(raw)))
        place += len(raw) + 1
    return units
