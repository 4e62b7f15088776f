"""How an SDK's request becomes events, and how stored bytes become them again.

The gateway reads only what it must (`parse`), the log keeps the body as received, and *sequence*
takes the events out of it later (`split`). Both are pure and in `dataplane/protocols/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from typing import Protocol as TypingProtocol

import msgspec

__all__ = ["Envelope", "Head", "Limits", "Parsed", "Protocol", "Route", "Unit", "order_key"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request, in bytes and events; checked before the work they bound."""

    body: int = 4 << 20
    decompressed: int = 8 << 20
    events: int = 5_000
    event: int = 128 << 10


@dataclass(frozen=True, slots=True)
class Route:
    """A path of a protocol. `kind` is the event type the path fixes, "" for a batch."""

    path: str
    kind: str = ""


class Envelope(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the server adds to a request; stored beside the body, as a msgpack array.

    New fields go to the end with a default (format rule: readers of old records see it).
    `received_at` is Unix milliseconds. `slow` says that the fast decoder refused the body.
    `refused` maps an event's index to `[code, message]`. `anonymous_id` came in a header and is
    the anonymousId of the events that have neither id. `unread` says that the body could not be
    taken apart: it counts as one refused event, the whole of it.
    """

    source: str
    protocol: str
    kind: str
    received_at: int
    ip: str
    sent_at: str = ""
    slow: bool = False
    refused: dict[int, tuple[str, str]] = {}
    trusted: bool = False
    anonymous_id: str = ""
    unread: bool = False


class Head(msgspec.Struct, gc=False):
    """The few fields of an event that the data plane reads itself. Ids may come as numbers."""

    type: str | None = None
    messageId: str | int | float | None = None
    anonymousId: str | int | float | None = None
    userId: str | int | float | None = None


def order_key(anonymous_id: str, user_id: str, message_id: str) -> str:
    """The order key of an event as received: anonymousId, else userId, else messageId (rule 3)."""
    return anonymous_id or user_id or message_id


@dataclass(slots=True)
class Parsed:
    """What `parse` found: one order key per event ("" where it has none or was refused)."""

    keys: Sequence[str]
    refused: dict[int, tuple[str, str]] = field(default_factory=dict)
    sent_at: str = ""
    slow: bool = False


@dataclass(slots=True)
class Unit:
    """One event taken out of a stored body: its JSON object as bytes, and where it stands."""

    raw: bytes
    offset: int
    length: int


class Protocol(TypingProtocol):
    """One family of SDKs."""

    name: ClassVar[str]
    routes: ClassVar[tuple[Route, ...]]
    oversize: ClassVar[int]
    """Status for a body above the limit: 413, or 400 where an SDK repeats a 413 for ever."""

    def parse(
        self, body: bytes, route: Route, limits: Limits, *, trusted: bool = False, anonymous_id: str = ""
    ) -> Parsed:
        """Read the heads of a decompressed body.

        Raises `Refused` where the body cannot be taken apart; a body of which every event is
        refused is returned with its reasons. `anonymous_id` stands in for events with neither id;
        `trusted` sources may send what a public key may not (records).
        """
        ...

    def split(self, envelope: Envelope, body: bytes) -> list[Unit]:
        """The events of a stored body, in order, refused ones included; must agree with `parse`."""
        ...
