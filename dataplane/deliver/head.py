"""A request's head as bytes: pure, and nothing of the request can begin a line of its own in it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import NamedTuple

from yarl import URL

from dataplane.deliver.wire import Origin
from turnout import __version__
from turnout.errors import Refused

__all__ = ["Head", "label", "rendered"]

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
    "user-agent": ("User-Agent", f"Turnout/{__version__}"),
    "accept": ("Accept", "*/*"),
    # Answers are small, and a packed one could unfold to anything.
    "accept-encoding": ("Accept-Encoding", "identity"),
}


class Head(NamedTuple):
    """Where to, and all but the number of the last line, `Content-Length`.

    `host` is for people. A request without a body is `whole` as it is.
    """

    origin: Origin
    host: str
    method: str
    start: bytes
    whole: bytes


def rendered(method: str, url: URL, headers: Mapping[str, str], kind: str) -> Head:
    """The head of a request whose body, where it has one, is of this Content-Type (unless `headers` say another).

    A header that is given replaces ours; `Content-Length` is always ours. Raises `Refused` for what HTTP
    cannot carry.
    """
    method = method.upper()
    if not _TOKEN.fullmatch(method) or method == "CONNECT":
        raise Refused("bad_method", "the method is none of HTTP")
    target = url.raw_path_qs
    if not _TARGET.fullmatch(target) or not url.raw_host or not url.port:
        raise Refused("bad_url", "the address cannot be written as HTTP")
    fields = {"host": ("Host", str(url.host_port_subcomponent)), **_ALWAYS}
    if kind or method in _TYPED:
        fields["content-type"] = ("Content-Type", kind or "application/octet-stream")
    for name, value in headers.items():
        fields[_known(name)] = name, value
    fields.pop("content-length", None)
    if url.raw_user or url.raw_password:
        if "authorization" in fields:
            raise Refused("two_credentials", "the address has a user, and there is an Authorization header")
        login = f"{url.user or ''}:{url.password or ''}".encode("latin-1")
        fields["authorization"] = "Authorization", f"Basic {base64.b64encode(login).decode()}"
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {_sound(name, value)}" for name, value in fields.values())]
    start = "\r\n".join(lines).encode() + b"\r\n"
    whole = start if method in _BODILESS else start + b"Content-Length: 0\r\n"
    origin = Origin(url.scheme == "https", url.raw_host, url.port)
    return Head(origin, label(url), method, start + b"Content-Length: ", whole + b"\r\n")


def label(url: URL) -> str:
    """Host and port, for people."""
    return f"{url.host}:{url.port}" if url.port else str(url.host)


def _known(name: str) -> str:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise Refused("bad_header", "a header's name is none of HTTP")
    small = name.lower()
    if small in _OURS:
        raise Refused("bad_header", f"the header {name} cannot be set")
    return small


def _sound(name: str, value: str) -> str:
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise Refused("bad_header", f"the value of the header {name} has characters that HTTP cannot carry")
    return value
