"""What an adapter asks the engine to send, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from isal import igzip

from turnout import codec
from turnout.errors import Refused

__all__ = [
    "Body", "Checkpoint", "Form", "Json", "JsonArray", "Raw", "Record", "Request", "Response", "Xml", "asks_gzip",
    "packed",
]

_UNREAD: Any = object()


LARGEST = 64 << 10
"""Most bytes of a checkpoint's state. Events need not be in it: an exchange that goes on is given them again."""


class Json:
    """A JSON document as body; its value does not change once it is encoded."""

    __slots__ = ("_bytes", "_value")

    def __init__(self, value: Any) -> None:
        self._value = value
        self._bytes: bytes | None = None

    @classmethod
    def encoded(cls, data: bytes) -> Json:
        """A document that is encoded already, decoded where somebody looks at its value."""
        document = cls(_UNREAD)
        document._bytes = data
        return document

    @property
    def value(self) -> Any:
        """What it says; raises `Refused` where it was made of bytes that are no JSON."""
        if self._value is _UNREAD:
            assert self._bytes is not None
            self._value = codec.loads(self._bytes)
        return self._value

    @property
    def data(self) -> bytes:
        """Its bytes, made once: for its size and for its request."""
        if self._bytes is None:
            self._bytes = codec.dumps(self._value)
        return self._bytes

    def encode(self) -> tuple[bytes, str]:
        """Bytes and Content-Type."""
        return self.data, "application/json"

    def __eq__(self, other: object) -> bool:
        return self.value == other.value if isinstance(other, Json) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a value's, which may be a dict

    def __repr__(self) -> str:
        return f"Json(value={self.value!r})"


class JsonArray:
    """A JSON array as body, one item per event or part."""

    __slots__ = ("_bytes", "_items", "_values")

    def __init__(self, values: Sequence[Any]) -> None:
        self._values: Sequence[Any] | None = values
        self._items: Sequence[Json] = ()
        self._bytes: bytes | None = None

    @classmethod
    def of(cls, items: Sequence[Json]) -> JsonArray:
        """An array of documents, which are not encoded again."""
        array = cls(())
        array._values, array._items = None, items
        return array

    @property
    def items(self) -> Sequence[Json]:
        """A document for each value; those of `of` are the same, encoded at most once."""
        return self._items or [Json(value) for value in self.values]

    @property
    def values(self) -> Sequence[Any]:
        """What its items say."""
        if self._values is None:
            self._values = [item.value for item in self._items]
        return self._values

    def encode(self) -> tuple[bytes, str]:
        """Bytes and Content-Type."""
        if self._bytes is None:
            self._bytes = self._encoded()
        return self._bytes, "application/json"

    def _encoded(self) -> bytes:
        if self._items:
            return b"[%b]" % b",".join([item._bytes or item.data for item in self._items])
        return codec.dumps(list(self.values))

    def __eq__(self, other: object) -> bool:
        return self.values == other.values if isinstance(other, JsonArray) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as its values'

    def __repr__(self) -> str:
        return f"JsonArray(values={self.values!r})"


_QUOTES = {char: quote_plus(char) for char in ("%", "+", *map(chr, range(128))) if quote_plus(char) != char}
"""What a form cannot hold as it is, in ASCII; the two that quoting itself writes come first."""


def _quoted(value: str) -> str:
    """As `quote_plus`, in a sixth of its time: JSON in a form is long, and full of what is quoted."""
    if not value.isascii():
        return quote_plus(value, errors="replace")
    for char, quoted in _QUOTES.items():
        if char in value:
            value = value.replace(char, quoted)
    return value


@dataclass(frozen=True, slots=True)
class Form:
    """An urlencoded form; a list gives its key several times."""

    fields: Mapping[str, str | Sequence[str]]

    def encode(self) -> tuple[bytes, str]:
        """Bytes and Content-Type."""
        pairs = []
        for name, value in self.fields.items():
            quoted = _quoted(name)
            pairs += [f"{quoted}={_quoted(one)}" for one in ((value,) if isinstance(value, str) else value)]
        return "&".join(pairs).encode(), "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Xml:
    """An XML document, as text."""

    text: str

    def encode(self) -> tuple[bytes, str]:
        """Bytes and Content-Type."""
        return self.text.encode("utf-8", "replace"), "application/xml"


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that are sent as they are."""

    data: bytes
    content_type: str = "application/octet-stream"

    def encode(self) -> tuple[bytes, str]:
        """Bytes and Content-Type."""
        return self.data, self.content_type


Body = Json | JsonArray | Form | Xml | Raw


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header names are compared without case.

    A header `Content-Encoding: gzip` beside a body that is not `Raw` has it packed when it is sent; here, and
    to people, it stays what it says.

    `secret` names headers and params whose values are never shown or stored (case does not
    matter); values of the settings' secrets are masked wherever they stand, without being named.
    `events` are the indices, in the exchange's input, of the events it carries, one per item of a
    merged body; the default exchange fills it.
    """

    method: str
    url: str
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    secret: frozenset[str] = frozenset()
    events: tuple[int, ...] = ()


def packed(request: Request) -> tuple[bytes, str]:
    """The bytes of a request's body as they are sent, and their Content-Type; b"" where it has none.

    Packed with gzip where its `Content-Encoding` asks for that; a `Raw` body is packed already.
    """
    if request.body is None:
        return b"", ""
    data, kind = request.body.encode()
    if not isinstance(request.body, Raw) and asks_gzip(request.headers):
        # Level 1 packs events to a sixth in a quarter of the time of the next; no time inside: equal bytes.
        data = igzip.compress(data, 1, mtime=0)
    return data, kind


def asks_gzip(headers: Mapping[str, str]) -> bool:
    """Whether the headers say that the body is to be packed."""
    return any(name.lower() == "content-encoding" and text == "gzip" for name, text in headers.items())


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a Request.

    Where none came (network, timeout) `status` is 0 and `error` says what happened, without URL or
    payload. `permanent` then means that trying again cannot help: the address is refused by the
    egress rules, or the request cannot be written as HTTP. `cut` says that the body is not whole: it is
    longer than what is read (`Destination.answer_bytes`), or broke off, which `error` then says.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""
    permanent: bool = False
    cut: bool = False

    def header(self, name: str) -> str | None:
        """A header by name, without case."""
        wanted = name.lower()
        return next((v for k, v in self.headers.items() if k.lower() == wanted), None)

    def json(self) -> Any:
        """The body as JSON, or None where it is not."""
        try:
            return codec.loads(self.body)
        except Refused:
            return None


@dataclass(frozen=True, slots=True)
class Record:
    """One record for a tool that is not HTTP; `target` is its topic, key, bucket or file.

    `schema` names the schema by which the client is to pack the body, where the tool has such.
    """

    target: str
    key: bytes | None
    body: bytes
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of a long exchange that is durable before its next request: what `resume` is given.

    Plain JSON of at most `LARGEST` bytes. None says that there is nothing to go on from any more.
    """

    state: Any

    def plain(self) -> Any:
        """The state as it is read back; raises `Refused` where it is no JSON, or too large."""
        packed = codec.dumps(self.state)
        if len(packed) > LARGEST:
            raise Refused("checkpoint", f"its checkpoint has {len(packed):,} bytes, and {LARGEST:,} are the most")
        return codec.loads(packed)
