"""AWS Signature Version 4: the pure step from a request to a signed one."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from turnout.auth import SigV4
from turnout.hosts import normal_host
from turnout.request import Request

__all__ = ["sign"]

def sign(auth: SigV4, request: Request, now: datetime) -> Request:
    """The request signed for AWS; params become part of the address. `now` is the time of sending.

    Source: AWS, "Create a signed AWS API request" (Signature Version 4). Host, content type and every
    `x-amz-` header are signed, and for S3 the hash of the body is sent, too.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    data, kind = request.body.encode() if request.body is not None else (b"", "")
    digest = hashlib.sha256(data).hexdigest()
    host, url, path, query = _address(request, auth.service)
    headers = {name: text for name, text in request.headers.items() if name.lower() not in _OURS}
    if kind and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = kind
    headers["X-Amz-Date"] = stamp
    if auth.session_token:
        headers["X-Amz-Security-Token"] = auth.session_token
    if auth.service == "s3":
        headers["X-Amz-Content-Sha256"] = digest
    signed = {"host": host}
    for name, text in headers.items():
        low = name.lower()
        if low.startswith("x-amz-") or low == "content-type":
            signed[low] = " ".join(text.split())
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = "\n".join((request.method.upper(), path, query, lines, names, digest))
    scope = f"{stamp[:8]}/{auth.region}/{auth.service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{auth.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    proof = hmac.digest(key, text.encode(), "sha256").hex()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={auth.access_key}/{scope}, SignedHeaders={names}, Signature={proof}"
    )
    secret = request.secret | {"Authorization", "X-Amz-Security-Token"}
    return replace(request, url=url, params={}, headers=headers, secret=secret)


_OURS = frozenset({"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"})
_WIRE = "@:!$'()*,;=&+~"
"""What an HTTP client leaves as it is in a path, beside letters, digits and `-._`."""
_PORTS = {"http": 80, "https": 443}


def _address(request: Request, service: str) -> tuple[str, str, str, str]:
    """Host, address as sent, and the path and query that are signed.

    The path is signed as it is sent and encoded once more, but for S3, which signs what it means.
    """
    parts = urlsplit(request.url)
    host = normal_host(parts.hostname or "")  # as HTTP's Host header names it
    host = f"[{host}]" if ":" in host else host
    if parts.port is not None and parts.port != _PORTS.get(parts.scheme):
        host += f":{parts.port}"
    means = [unquote(piece) for piece in (parts.path or "/").split("/")]
    sent = "/".join(quote(piece, safe=_WIRE, errors="replace") for piece in means)
    path = "/".join(quote(piece, safe="~", errors="replace") for piece in means) if service == "s3" else quote(
        sent, safe="/~"
    )
    asked = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k not in request.params]
    pairs = sorted(
        (quote(k, safe="~", errors="replace"), quote(v, safe="~", errors="replace"))
        for k, v in (*asked, *request.params.items())
    )
    query = "&".join(f"{k}={v}" for k, v in pairs)
    return host, urlunsplit((parts.scheme, host, sent, query, "")), path, query
