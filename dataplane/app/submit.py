"""Events sent to the running gateway, through its public port like any client's."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from dataplane.config import Config
from turnout import codec
from turnout.errors import Fixable, Refused, Unavailable
from turnout.spelling import meant, unknown

__all__ = ["Reply", "local_url", "submit", "write_key"]

_KINDS = frozenset(("identify", "track", "page", "screen", "group", "alias"))


@dataclass(frozen=True, slots=True)
class Reply:
    """What the gateway answered; `body` is its JSON, or its text where it is none."""

    status: int
    body: Any


def write_key(config: Config, source: str | None) -> tuple[str, str]:
    """Id and newest write key of a source; None takes the only or first enabled one."""
    if source is None:
        enabled = [name for name, found in config.sources.items() if found.enabled]
        if not enabled:
            raise Fixable("no source is enabled: add one under `sources:` in the configuration")
        source = enabled[0]
    if source not in config.sources:
        raise Fixable(unknown("source", source, config.sources))
    return source, config.sources[source].keys[0]


def local_url(url: str) -> str:
    """The gateway's URL as this machine reaches it, also when it listens on every address."""
    parts = urlsplit(url)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(parts.hostname or "", "")  # noqa: S104 - compared, not bound
    return urlunsplit(parts._replace(netloc=f"{host}:{parts.port}")) if host else url


async def submit(config: Config, url: str, source: str | None, body: bytes) -> Reply:
    """Send one event (an object with a `type`) or several (an array or an object with `batch`).

    Raises `Fixable` where the body is not that, `Unavailable` where the gateway does not answer.
    """
    _, key = write_key(config, source)
    path, body = _shape(body)
    connector = aiohttp.TCPConnector(ssl=_trust(config))
    timeout = aiohttp.ClientTimeout(total=30)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.post(
                local_url(url) + path, data=body, allow_redirects=False,
                headers={"Content-Type": "application/json", "Authorization": aiohttp.encode_basic_auth(key, "")},
            ) as response,
        ):
            text = await response.read()
            return Reply(response.status, _json(text))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unavailable(f"the gateway at {url} does not answer ({type(error).__name__})") from None


def _shape(body: bytes) -> tuple[str, bytes]:
    found = codec.loads(body)
    if isinstance(found, list):
        return "/v1/batch", codec.dumps({"batch": found})
    if not isinstance(found, dict):
        raise Fixable("an event is a JSON object; several are an array or one object a line")
    if "batch" in found:
        return "/v1/batch", body
    kind = found.get("type")
    if not isinstance(kind, str) or kind.lower() not in _KINDS:
        known = ", ".join(sorted(_KINDS))
        if kind is None:
            raise Fixable(f"the event needs a `type`: {known}")
        raise Fixable(f"the event's `type` is none of {known}{meant(str(kind), _KINDS)}")
    return f"/v1/{kind.lower()}", body


def _trust(config: Config) -> ssl.SSLContext | bool:
    """Trust the gateway's own certificate, whatever name it is for: it is this machine."""
    if config.server.tls is None:
        return True
    context = ssl.create_default_context(cafile=str(config.server.tls.certificate))
    context.check_hostname = False
    return context


def _json(text: bytes) -> Any:
    try:
        return codec.loads(text)
    except Refused:
        return text.decode("utf-8", "replace")
