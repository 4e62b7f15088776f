"""What an adapter asks the engine to send, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from isal import igzip

from turnout import codec
from turnout.errors import Refused

__all__ = [
    "Body", "Checkpoint", "Form", "Json", "JsonArray", "Raw", "Record", "Request", "Response", "Xml", "asks_gzip",
    "packed",
]


LARGEST = 64 << 10
"""Most bytes of a checkpoint's state. Events need not be in it: an exchange that goes on is given them again."""


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON document as body; its value does not change once it is encoded."""

    value: Any
    _bytes: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def encode(self) -> tuple[bytes, str]:
        """Bytes and Content-Type."""
        if self._bytes is None:  # encoded once, for its size and for its request
            object.__setattr__(self, "_bytes", codec.dumps(self.value))
        assert self._bytes is not None
        return self._bytes, "application/json"


@dataclass(frozen=True, slots=True)
class JsonArray:
    """A JSON array as body, one item per event or part."""

    values: Sequence[Any]
    _items: Sequence[Json] = field(default=(), init=False, repr=False, compare=False)

    @classmethod
    def of(cls, items: Sequence[Json]) -> JsonArray:
        """An array of documents, which are not encoded again."""
        array = cls([item.value for item in items])
        object.__setattr__(array, "_items", items)
        return array

    @property
    def items(self) -> Sequence[Json]:
        """A document for each value; those of `of` are the same, encoded at most once."""
        return self._items or [Json(value) for value in self.values]

    def encode(self) -> tuple[bytes, str]:
        """Bytes and Content-Type."""
        if self._items:
            return b"[" + b",".join([item.encode()[0] for item in self._items]) + b"]", "application/json"
        return codec.dumps(list(self.values)), "application/json"


@dataclass(frozen=True, slots=True)
class Form:
    """An urlencoded form; a list gives its key several times."""

    fields: Mapping[str, str | Sequence[str]]

    def encode(self) -> tuple[bytes, str]:
        """Bytes and Content-Type."""
        text = urlencode(self.fields, doseq=True, errors="replace")
        return text.encode(), "application/x-www-form-urlencoded"


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
    egress rules, or the request cannot be written as HTTP. With a status, `error` means that the
    body was cut short.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""
    permanent: bool = False

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
    """One record for a tool that is not HTTP; `target` is its topic, key, bucket or file."""

    target: str
    key: bytes | None
    body: bytes


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
