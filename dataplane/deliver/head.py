"""A request's head as bytes: pure, and nothing of the request can begin a line of its own in it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from yarl import URL

from dataplane.deliver.wire import Origin
from turnout import __version__
from turnout.errors import Refused

__all__ = ["Head", "Target", "head", "target"]

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")
"""What is not ASCII goes out as UTF-8: bytes that mean nothing to HTTP."""
_TARGET = re.compile(r"[\x21-\x7e]+")
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods whose request has no length where it has no body."""
_TYPED = frozenset({"POST", "PUT", "PATCH"})
_OURS = frozenset({"transfer-encoding", "te", "trailer", "upgrade", "http2-settings"})
"""What would change how a request or its answer is read."""
_ALWAYS = {
    "user-agent": f"User-Agent: Turnout/{__version__}",
    "accept": "Accept: */*",
    # Answers are small, and a packed one could unfold to anything.
    "accept-encoding": "Accept-Encoding: identity",
}


class Target(NamedTuple):
    """What requests of one method to one address have in common; `fields` are lines by name in small letters.

    `host` is for people.
    """

    origin: Origin
    host: str
    method: str
    line: str
    fields: Mapping[str, str]


class Head(NamedTuple):
    """A head but for the number in its last line, `Content-Length`; that of a request without a body is `whole`."""

    start: bytes
    whole: bytes


def target(method: str, url: URL, kind: str, host: str = "") -> Target:
    """Where to, for bodies of this Content-Type ("" for none), and who is meant if not who is there.

    Raises `Refused` for what is no HTTP.
    """
    method = method.upper()
    if not _TOKEN.fullmatch(method) or method == "CONNECT":
        raise Refused("bad_method", "the method is none of HTTP")
    asked = url.raw_path_qs
    if not _TARGET.fullmatch(asked) or not url.raw_host or not url.port:
        raise Refused("bad_url", "the address cannot be written as HTTP")
    fields = {"host": f"Host: {_sound('Host', host or url.host_port_subcomponent)}", **_ALWAYS}
    if kind or method in _TYPED:
        fields["content-type"] = f"Content-Type: {_sound('Content-Type', kind or 'application/octet-stream')}"
    if url.raw_user or url.raw_password:
        login = f"{url.user or ''}:{url.password or ''}".encode("latin-1")
        fields["authorization"] = f"Authorization: Basic {base64.b64encode(login).decode()}"
    origin = Origin(url.scheme == "https", url.raw_host, url.port)
    return Target(origin, f"{url.host}:{url.port}", method, f"{method} {asked} HTTP/1.1", fields)


def head(at: Target, headers: Mapping[str, str]) -> Head:
    """The head of a request with these headers, which replace ours; `Content-Length` is always ours.

    Raises `Refused` for what HTTP cannot carry.
    """
    fields = {**at.fields}
    for name, value in headers.items():
        small = _small(name)
        if small == "authorization" and small in at.fields:
            raise Refused("two_credentials", "the address has a user, and there is an Authorization header")
        fields[small] = f"{name}: {_sound(name, value)}"
    fields.pop("content-length", None)
    start = "\r\n".join((at.line, *fields.values(), "")).encode()
    whole = start if at.method in _BODILESS else start + b"Content-Length: 0\r\n"
    return Head(start + b"Content-Length: ", whole + b"\r\n")


@lru_cache(1_000)
def _small(name: str) -> str:
    """A header's name as names are compared."""
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise Refused("bad_header", "a header's name is none of HTTP")
    small = name.lower()
    if small in _OURS:
        raise Refused("bad_header", f"the header {name} cannot be set")
    return small


def _sound(name: str, value: str | None) -> str:
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise Refused("bad_header", f"the value of the header {name} has characters that HTTP cannot carry")
    return value
