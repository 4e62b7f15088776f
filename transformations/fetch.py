"""What scripts may ask of `fetch` and `geolocation`: their arguments read, without reaching out.

Arguments come from hostile code. The sentences are those that scripts written for RudderStack know.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlsplit

from transformations.base import Script
from turnout.hosts import normal_host

__all__ = ["Fetch", "Unasked", "allowed", "matches", "private", "read_address", "read_fetch"]

MAX_URL = 8_192
MAX_BODY = 1 << 20
MAX_HEADERS = 32 << 10
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset((
    "connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "te", "trailer",
    "transfer-encoding", "upgrade",
))  # fmt: skip
"""Headers that say where a request goes and where it ends: with `Host` a script would reach, behind the same
front, a host that is not on its list; with a wrong length, the next request on the connection."""
_NO_HOST = re.compile(r"[^0-9a-z._:\-\x80-\U0010ffff]")
"""Characters that no name has: a look-up may end at them (`::1%.example.com`), the list of hosts does not."""
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Unasked(Exception):
    """The arguments cannot be used; the message is for the script."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request of a script. `host` is in its normal form; `options` is what was given, for look-ups."""

    url: str
    host: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def read_fetch(args: Sequence[Any]) -> Fetch:
    """`fetch(url, {method, headers, body})`; raises `Unasked`."""
    url = args[0] if args else None
    if not isinstance(url, str) or not url:
        raise Unasked("fetch url is required")
    options = args[1] if len(args) > 1 and isinstance(args[1], dict) else {}
    try:
        parts = urlsplit(url[: MAX_URL + 1])
        host, _ = normal_host(parts.hostname or ""), parts.port
    except ValueError:
        raise Unasked("fetch url is not valid") from None
    if parts.scheme not in ("http", "https"):
        raise Unasked("invalid protocol, only http and https are supported")
    if not host or _NO_HOST.search(host) or len(url) > MAX_URL:
        raise Unasked("fetch url is not valid")
    method = str(options.get("method") or "GET").upper()
    if method not in METHODS:
        raise Unasked(f"fetch method must be one of {', '.join(sorted(METHODS))}")
    return Fetch(url, host, method, _headers(options.get("headers")), _body(options.get("body")), options)


def _headers(given: Any) -> dict[str, str]:
    """Headers without those that are not a script's to say, which are left out as browsers do."""
    if not isinstance(given, dict):
        return {}
    found = {str(name): str(value) for name, value in given.items() if value is not None}
    if any("\n" in part or "\r" in part or "\0" in part for pair in found.items() for part in pair):
        raise Unasked("fetch headers must not contain line breaks")
    if any(not _TOKEN.fullmatch(name) for name in found):
        raise Unasked("fetch headers have a name that is none")
    if sum(len(name) + len(value) for name, value in found.items()) > MAX_HEADERS:
        raise Unasked(f"fetch headers are larger than {MAX_HEADERS:,} characters")
    return {name: value for name, value in found.items() if not _ours(name.lower())}


def _ours(name: str) -> bool:
    return name in _OURS or name.startswith("proxy-")


def _body(given: Any) -> bytes | None:
    if given is None:
        return None
    raw = (given if isinstance(given, str) else json.dumps(given, separators=(",", ":"))).encode("utf-8", "replace")
    if len(raw) > MAX_BODY:
        raise Unasked(f"fetch body is larger than {MAX_BODY:,} bytes")
    return raw


def allowed(request: Fetch, script: Script) -> None:
    """Hold a request to the hosts that are named for its script; raises `Unasked`."""
    if not matches(request.host, script.reach.hosts):
        raise Unasked(f"{request.host} is not among the hosts that {script.name} may fetch from")


def matches(host: str, patterns: Sequence[str]) -> bool:
    """Whether a host is on a list of names; `*.example.com` is every name below, not itself."""
    return any(
        host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]) and len(host) > len(pattern) - 1)
        for pattern in patterns
    )


def private(host: str) -> bool:
    """Whether a name says by itself that it is not public; what it resolves to is looked at on connect."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def read_address(args: Sequence[Any]) -> str:
    """`geolocation(ip)`; raises `Unasked`."""
    given = args[0] if args else None
    try:
        address = ipaddress.ip_address(given) if isinstance(given, str) else _not_an_address()
    except ValueError:
        return _not_an_address()
    return str(address).partition("%")[0]  # a scope (fe80::1%eth0) is of the machine that said it


def _not_an_address() -> NoReturn:
    raise Unasked("invalid ip address")
