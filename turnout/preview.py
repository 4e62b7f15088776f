"""What a request looks like to people: in `turnout preview`, dead letters, explain and the console.

Pure, and the one place where secrets are masked: what is not masked here is shown.
"""

from __future__ import annotations

import shlex
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, urlencode, urlsplit, urlunsplit

from turnout import codec
from turnout.errors import Refused
from turnout.request import Form, Json, JsonArray, Raw, Record, Request, Xml, asks_gzip

__all__ = ["MASK", "curl", "describe", "describe_record", "mask", "mask_url", "spellings"]

MASK = "***"
HEADERS = frozenset({
    "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "apikey",
    "x-auth-token", "x-access-token", "access-token", "x-amz-security-token",
})
"""Headers that are masked whoever set them."""
PARAMS = frozenset({
    "access_token", "api_key", "api_secret", "apikey", "auth_token", "client_secret", "hapikey", "key",
    "password", "secret", "sig", "signature", "token",
})
"""Params that are masked whoever set them."""
SHORTEST = 6
"""A secret shorter than this is masked by the name of its header or param only: as a value it would
take half the text with it, and it hides nothing that cannot be guessed."""
_URL_SAFE = str.maketrans("+/", "-_")


def mask_url(url: str) -> str:
    """The URL with userinfo, the values of its query and its fragment masked; names stay."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return MASK
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    user = f"{MASK}@" if "@" in parts.netloc else ""
    query = "&".join(_pair(pair) for pair in parts.query.split("&") if pair)
    fragment = MASK if parts.fragment else ""
    return urlunsplit((parts.scheme, f"{user}{host}{port}", parts.path, query, fragment))


def _pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if not equals:
        return MASK  # `?token` alone is as likely a value as a name
    return f"{name}={MASK if value else ''}"


def mask(value: Any, secrets: Collection[str]) -> Any:
    """The value with every secret in it replaced, in keys and items, however it is written (see `spellings`)."""
    needles = spellings(secrets)
    return _mask(value, needles, 0) if needles else value


def spellings(secrets: Collection[str]) -> list[str]:
    """How secrets of some length may stand in a text, longest first: plain, percent-encoded, in JSON, in base64."""
    found: set[str] = set()
    for secret in secrets:
        if len(secret) >= SHORTEST:
            found |= _spelled(secret)
    return sorted(found, key=len, reverse=True)


@lru_cache(maxsize=64)
def _spelled(secret: str) -> frozenset[str]:
    inner = codec.dumps(secret.encode("utf-8", "replace").decode())[1:-1].decode()
    packed = {text for one in {secret, inner} for text in _packed(one)}
    return frozenset(text for one in {secret, *packed} for text in _written(one)) | {inner, inner.replace("/", "\\/")}


def _written(text: str) -> set[str]:
    """A text as it is, in an address, in a form, as a path (in which a slash stays), and in JSON that escapes it."""
    return {
        text, quote(text, safe="", errors="replace"), quote_plus(text, errors="replace"), quote(text, errors="replace"),
        text.replace("/", "\\/"),
    }  # fmt: skip


def _packed(text: str) -> Iterator[str]:
    """What every base64 of something that holds a text has in it, in both alphabets.

    Three bytes are four characters, so it begins at one of three places; the characters at its ends that hold
    bits of what stands beside it are left out.
    """
    data = text.encode("utf-8", "replace")
    for before in range(3):
        whole = b64encode(bytes(before) + data).decode()
        inner = whole[before + (before > 0) : (before + len(data)) * 8 // 6]
        yield inner
        yield inner.translate(_URL_SAFE)


def _mask(value: Any, needles: Sequence[str], depth: int) -> Any:
    if isinstance(value, str):
        for needle in needles:
            if needle in value:
                value = value.replace(needle, MASK)
        return value
    if depth > codec.DEPTH:
        return MASK
    if isinstance(value, Mapping):
        return {
            (_mask(k, needles, depth) if isinstance(k, str) else k):
                _mask(v, needles, depth + 1)
            for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [_mask(item, needles, depth + 1) for item in value]
    return value


def describe(request: Request, secrets: Collection[str] = (), *, masked: bool = True) -> dict[str, Any]:
    """The request as plain JSON values, secrets masked.

    `{"method", "url", "params": {}, "headers": {}, "body": {"json" | "json_array" | "form" | "xml" |
    "raw": …}, "events": [index…]}`; `body` is {} where there is none. `secrets` are the values that
    the destination's settings hold (`Settings.secrets()`), masked wherever they stand. With
    `masked=False` nothing is hidden: only for comparing in tests, never for showing.
    """
    made: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        "params": dict(request.params),
        "headers": dict(request.headers),
        "body": _body(request),
        "events": list(dict.fromkeys(request.events)),
    }
    if not masked:
        return made
    named = {name.lower() for name in request.secret}
    made["url"] = mask_url(request.url)
    made["params"] = {k: MASK if k.lower() in named | PARAMS else v for k, v in request.params.items()}
    made["headers"] = {k: MASK if k.lower() in named | HEADERS else v for k, v in request.headers.items()}
    shown: dict[str, Any] = mask(made, secrets)
    return shown


def describe_record(record: Record, secrets: Collection[str] = ()) -> dict[str, Any]:
    """A record as plain JSON values: `{"target", "key", "body", "schema"?}`; the body as JSON where it is."""
    try:
        body = codec.loads(record.body)
    except Refused:
        body = record.body.decode("utf-8", "replace")
    key = None if record.key is None else record.key.decode("utf-8", "replace")
    told = {"target": record.target, "key": key, "body": body}
    shown: dict[str, Any] = mask(told | ({"schema": record.schema} if record.schema else {}), secrets)
    return shown


def _body(request: Request) -> dict[str, Any]:
    body = request.body
    if body is None:
        return {}
    if isinstance(body, Json):
        return {"json": body.value}
    if isinstance(body, JsonArray):
        return {"json_array": list(body.values)}
    if isinstance(body, Form):
        return {"form": {k: v if isinstance(v, str) else list(v) for k, v in body.fields.items()}}
    if isinstance(body, Xml):
        return {"xml": body.text}
    return {"raw": body.data.decode("utf-8", "replace")}


def curl(request: Request, secrets: Collection[str] = ()) -> str:
    """A command line that sends the same request, secrets masked (to be filled in by hand)."""
    shown = describe(request, secrets)
    url = shown["url"]
    if shown["params"]:
        url += ("&" if "?" in url else "?") + urlencode(shown["params"], safe="*", errors="replace")
    words = ["curl", "-X", request.method, url]
    headers = {name.lower(): (name, value) for name, value in shown["headers"].items()}
    if not isinstance(request.body, Raw) and asks_gzip(request.headers):
        del headers["content-encoding"]  # the line has the body as text
    if request.body is not None:
        kind, value = next(iter(shown["body"].items()))
        default = "application/json" if kind.startswith("json") else ""
        if kind == "form":
            value = urlencode(value, doseq=True, safe="*", errors="replace")
            default = "application/x-www-form-urlencoded"
        headers.setdefault("content-type", ("Content-Type", default or request.body.encode()[1]))
        words += ["--data-raw", value if isinstance(value, str) else codec.dumps(value).decode()]
    for name, text in headers.values():
        words += ["-H", f"{name}: {text}"]
    return shlex.join(words)
