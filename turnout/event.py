"""An event on its way to a destination."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from turnout import codec, paths
from turnout.errors import Refused

__all__ = ["Event", "Kind"]

T = TypeVar("T")
_NONE: Mapping[str, Any] = MappingProxyType({})


class Kind(StrEnum):
    """Types of the common SDK vocabulary; `record` is a warehouse row."""

    IDENTIFY = "identify"
    TRACK = "track"
    PAGE = "page"
    SCREEN = "screen"
    GROUP = "group"
    ALIAS = "alias"
    RECORD = "record"


class Event:
    """One event: its JSON as bytes, decoded at most once, on first use.

    `number` is the position that *sequence* gave it, `child` its place among the outputs of a
    transformation. `key` is the 64-bit hash of the order key: events of equal keys keep their
    order (0: no order is known). `options` is what the integrations object says to this
    destination. `kind` and `message_id` spare the decoding where they are known already. `source` is the id
    of the source in config.yaml; `trusted` says that it is marked so: only then may an event name a header or an
    address (a write key is public). `sound` says that `raw` is what encoding the message gives, so that it may be
    sent as it is. Adapters must not change `message`.
    """

    __slots__ = (
        "_id", "_kind", "_made", "_maker", "_message", "_more", "_raw", "child", "key", "number", "options", "sound",
        "source", "trusted",
    )  # fmt: skip

    def __init__(
        self,
        raw: bytes | None = None,
        message: Mapping[str, Any] | None = None,
        *,
        key: int = 0,
        number: int = 0,
        child: int = 0,
        source: str = "",
        options: Mapping[str, Any] | None = None,
        trusted: bool = False,
        kind: str | None = None,
        message_id: str | None = None,
        sound: bool = False,
    ) -> None:
        if raw is None and message is None:
            raise TypeError("an Event needs raw or message")
        self._raw = raw
        self._message = message
        self._kind = kind
        self._id = message_id
        self._maker: Callable[[Event], Any] | None = None
        self._made: Any = None
        self._more: dict[Callable[[Event], Any], Any] | None = None
        self.key = key
        self.number = number
        self.child = child
        self.source = source
        self.options: Mapping[str, Any] = options or _NONE
        self.trusted = trusted
        self.sound = sound

    @property
    def raw(self) -> bytes:
        """The event as UTF-8 JSON."""
        if self._raw is None:
            self._raw = codec.dumps(self._message)
        return self._raw

    @property
    def message(self) -> Mapping[str, Any]:
        """The decoded event; raises `Refused` where the bytes are no JSON object."""
        if self._message is None:
            self._message = self.read()
        return self._message

    def read(self) -> Mapping[str, Any]:
        """The message, and no longer kept than the caller does; raises as `message`."""
        if self._message is not None:
            return self._message
        assert self._raw is not None
        decoded = codec.loads(self._raw)
        if not isinstance(decoded, dict):
            raise Refused("not_an_object", "the event is not a JSON object")
        return decoded

    @property
    def decoded(self) -> bool:
        """Whether `message` is kept; else what `read` gives is the caller's own, to be changed."""
        return self._message is not None

    @property
    def kind(self) -> str:
        """The event's `type`, lower-cased; "" where it has none."""
        if self._kind is None:
            value = self.message.get("type")
            self._kind = value.lower() if isinstance(value, str) else ""
        return self._kind

    def once(self, make: Callable[[Event], T]) -> T:
        """What a function makes of this event, made once for all destinations that the event is for.

        `make` is pure, looks at nothing but the event's message, and is the same object at every call: a
        function of a module. What it raises is not remembered.
        """
        if self._maker is make:  # mostly there is one, and no need of a dict
            found: T = self._made
            return found
        if self._maker is None:
            made = self._made = make(self)
            self._maker = make
            return made
        more = self._more = self._more or {}
        if make not in more:
            more[make] = make(self)
        return more[make]  # type: ignore[no-any-return]  # what `make` made

    @property
    def message_id(self) -> str:
        """The event's `messageId` as text; "" where it has none or it is neither text nor number."""
        if self._id is None:
            value = self.message.get("messageId")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            self._id = value if isinstance(value, str) else str(value) if number else ""
        return self._id

    def get(self, path: str, default: Any = None) -> Any:
        """The value at `path` (see `turnout.paths`), or `default`."""
        return paths.get(self.message, path, default)

    def first(self, *choices: str, default: Any = None) -> Any:
        """The first value among paths that is present, not null and not empty."""
        return paths.first(self.message, *choices, default=default)

    def __repr__(self) -> str:
        return f"<Event {self.number}.{self.child} from {self.source!r}>"
