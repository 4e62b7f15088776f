"""Cross-origin rules for browser SDKs.

The origin is reflected with credentials, since `*` breaks requests sent with `credentials:
include` and sendBeacon; requested headers are echoed, since retries add headers that no list
foresees; `Retry-After` is exposed, or a page cannot read it.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from dataplane.gateway.replies import NAMED

__all__ = ["allowed", "headers", "preflight"]

ORIGIN_LENGTH = 512
HEADERS_LENGTH = 2048
MAX_AGE = "7200"


def _printable(value: str, length: int) -> bool:
    # What cannot be sent back as a header is not reflected.
    return len(value) <= length and value.isascii() and value.isprintable()


def headers(origin: str | None) -> Mapping[str, str] | None:
    """The headers every answer to a page needs; None where the request came from no page."""
    if not origin or not _printable(origin, ORIGIN_LENGTH):
        return None
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "Retry-After",
        "Vary": "Origin",
    }


def preflight(request: web.Request) -> web.Response:
    """The answer to OPTIONS on any path. The key is not known yet, so every origin is allowed."""
    answer = dict(headers(request.headers.get("Origin")) or {})
    answer["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
    answer["Access-Control-Max-Age"] = MAX_AGE
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    if wanted and _printable(wanted, HEADERS_LENGTH):
        answer["Access-Control-Allow-Headers"] = wanted
    return web.Response(status=204, headers={**NAMED, **answer})


def allowed(origin: str, origins: frozenset[str]) -> bool:
    """Whether a source's `origins` (lower-case) name this one."""
    return origin.lower() in origins
