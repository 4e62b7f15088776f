"""What a replay is: which stored events it takes, where they go, and how each is marked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dataplane.pipeline import head as heads
from dataplane.pipeline.numbered import Sequenced
from turnout import clock, codec
from turnout.errors import Fixable, Refused

__all__ = ["SAFE_RATE", "VERDICTS", "Definition", "Selection", "define", "marked", "rate_of"]

SAFE_RATE = 100.0
"""Events a second where nobody says otherwise; a destination with a `rate` of its own gets half of it."""
FILE_RATE = 10_000.0
MOST = 10_000
"""Most message ids, users, names or sources in one definition."""
NAMES = 1 << 20
"""Most bytes of all of them together: they are kept with the replay."""
VERDICTS = ("delivered", "filtered", "dead")


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was asked for, as JSON in the state file. `since` and `until` are texts of RFC 3339.

    An empty list takes everything; `archive` only what left the destination's full backlog; `rate` 0 is the
    safe one. `file` is an absolute path: then the events are written there, after the routing and
    transformations of `destination` where it is named.
    """

    destination: str = ""
    file: str = ""
    since: str = msgspec.field(default="", name="from")
    until: str = msgspec.field(default="", name="to")
    sources: list[str] = []
    events: list[str] = []
    users: list[str] = []
    message_ids: list[str] = []
    verdicts: list[str] = []
    archive: bool = False
    transform: bool = True
    rate: float = 0.0
    unordered: bool = False
    new_keys: bool = False

    @property
    def target(self) -> str:
        """How people name where it goes."""
        return self.file or self.destination


def define(asked: Mapping[str, Any]) -> Definition:
    """The definition in a JSON object; raises `Fixable` with what to change."""
    try:
        found = msgspec.convert(asked, Definition)
    except msgspec.ValidationError as error:
        raise Fixable(f"replay: {error}") from None
    for name, value in (("from", found.since), ("to", found.until)):
        if value and clock.parse(value) is None:
            raise Fixable(f"replay: {name} is no time such as 2026-11-23T09:30:00Z")
    if found.since and found.until and millis(found.since) >= millis(found.until):
        raise Fixable("replay: from is not before to")
    for rows in (found.sources, found.events, found.users, found.message_ids):
        if len(rows) > MOST:
            raise Fixable(f"replay: at most {MOST:,} names in one list")
    if len(msgspec.json.encode(found)) > NAMES:
        raise Fixable("replay: names of more than a megabyte; narrow it down with from and to instead")
    if unknown := [name for name in found.verdicts if name not in VERDICTS]:
        raise Fixable(f"replay: verdict is one of {', '.join(VERDICTS)}, not {unknown[0]}")
    if not found.destination and not found.file:
        raise Fixable("replay: name a destination, or a file to write to")
    if found.verdicts and not found.destination:
        raise Fixable("replay: a verdict is one of a destination; name it too")
    if found.archive and not found.destination:
        raise Fixable("replay: an archive is one of a destination; name it too")
    if found.archive and found.verdicts:
        raise Fixable("replay: what is in the archive has no verdict; leave one of them out")
    if not found.rate >= 0 or found.rate > 1e6:
        raise Fixable("replay: rate is a number of events a second, 0 for the safe one")
    return found


def millis(text: str) -> int:
    """Unix milliseconds of a time that `define` has taken."""
    moment = clock.parse(text)
    assert moment is not None
    return int(moment.timestamp() * 1000)


def rate_of(definition: Definition, own: float | None) -> float:
    """Events a second. `own` is the destination's own rate: a replay leaves its live traffic half."""
    if definition.rate:
        return definition.rate
    if definition.file:
        return FILE_RATE
    return min(SAFE_RATE, own / 2) if own else SAFE_RATE


class Selection:
    """Says of a stored event whether a definition takes it, from its head alone.

    `judged` says whether an event has one of the verdicts asked for; None where any verdict will do.
    """

    def __init__(
        self, definition: Definition, judged: Callable[[Sequenced], bool] | None = None
    ) -> None:
        self._since = millis(definition.since) if definition.since else 0
        self._until = millis(definition.until) if definition.until else 1 << 62
        self._sources = frozenset(definition.sources)
        self._events = frozenset(definition.events)
        self._users = frozenset(definition.users)
        self._ids = frozenset(definition.message_ids)
        self._judged = judged

    def takes(self, event: Sequenced) -> bool:
        """True where every condition holds; an event name is also the type of what has no name."""
        if not self._since <= event.received_at < self._until:
            return False
        if self._sources and event.source not in self._sources:
            return False
        if self._events and (event.head.event or event.kind) not in self._events:
            return False
        if self._users:
            head = event.head
            if heads.text(head.userId) not in self._users and heads.text(head.anonymousId) not in self._users:
                return False
        if self._ids and event.message_id not in self._ids:
            return False
        return self._judged is None or self._judged(event)


class _Outer(msgspec.Struct, gc=False):
    context: msgspec.Raw = msgspec.Raw(b"")


class _Inner(msgspec.Struct, gc=False):
    turnout: msgspec.Raw = msgspec.Raw(b"")


_outer = msgspec.json.Decoder(_Outer).decode
_inner = msgspec.json.Decoder(_Inner).decode


def marked(raw: bytes, ident: int, at: str) -> bytes:
    """The event with `context.turnout.replay = {"id", "at"}`; `at` is when the replay was begun.

    Written behind the event's last field, like everything the server adds: no other byte changes.
    What the client sent as `context.turnout` is replaced. An event whose context is no object keeps
    it, and stays without the mark.
    """
    mark = codec.dumps({"replay": {"id": ident, "at": at}})
    try:
        context = bytes(_outer(raw).context).strip()
        if context in (b"", b"null"):
            context = b"{}"
        if not context.startswith(b"{"):
            return raw
        if bytes(_inner(context).turnout) == mark:
            return raw
    except (msgspec.DecodeError, RecursionError):
        return _slowly(raw, ident, at)
    return _behind(raw, b'"context":' + _behind(context, b'"turnout":' + mark))


def _behind(text: bytes, field: bytes) -> bytes:
    """A JSON object with one more field at its end; the last of two equal names wins in every parser."""
    body = text.rstrip()[:-1].rstrip()
    return body + (b"" if body.strip() == b"{" else b",") + field + b"}"


def _slowly(raw: bytes, ident: int, at: str) -> bytes:
    """For what only the slow decoder takes (lone surrogates)."""
    try:
        message = codec.loads(raw)
    except Refused:
        return raw
    if not isinstance(message, dict):
        return raw
    context = message.get("context")
    if context is not None and not isinstance(context, dict):
        return raw
    message["context"] = {**(context or {}), "turnout": {"replay": {"id": ident, "at": at}}}
    return codec.dumps(message)
