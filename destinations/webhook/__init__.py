"""Webhook: every event to an address of your own, as it is."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

import msgspec

from destinations.webhook.settings import RESERVED, WebhookSettings
from turnout import Context, Delivery, Destination, Event, Json, JsonArray, Request, codec
from turnout.lookups import traits
from turnout.values import without

__all__ = ["Webhook"]

FLAT_DEPTH = 20
"""Deeper objects are sent as JSON text in one parameter."""


class Webhook(Destination[WebhookSettings]):
    """POST, PUT or PATCH the whole event as JSON, or GET and DELETE with its properties as query."""

    slug: ClassVar = "webhook"
    names: ClassVar = ("Webhook",)
    delivery = Delivery(batch=1)
    settings_type: ClassVar = WebhookSettings

    def __init__(self, settings: WebhookSettings) -> None:
        super().__init__(settings)
        self._headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._set = frozenset(name.lower() for name in self._headers)
        self._secret = frozenset(self._headers)
        self._shown = frozenset(self._headers.items())
        self._asks = settings.method in ("GET", "DELETE")
        self._keyed = settings.idempotency_key and "idempotency-key" not in self._set
        self._url = settings.webhook_url.get_secret_value()

    def request(self, event: Event, at: Context) -> Request:
        """One request; the event is sent as it is, `context.ip` filled in where it is missing."""
        headers: Mapping[str, str] = self._headers
        url = self._url
        # What is merged into an array has the key of none: making it costs as much as the rest.
        if self._keyed and (at.delivery.batch <= 1 or self._asks) and event.message_id:
            headers = {**headers, "Idempotency-Key": at.id(event)}
        body = event.once(_body)
        if event.trusted:
            message, headers, url = _directed(body.value, headers, url)
            body = Json(message)
        if self._asks:
            source = traits(body.value) if event.kind == "identify" else body.value.get("properties")
            params = dict(_flat(source)) if isinstance(source, Mapping) else {}
            return Request(self.settings.method, url, headers=headers, params=params, secret=self._secret)
        return Request(self.settings.method, url, body, headers, secret=self._secret)

    def together(self, events: Sequence[Event], at: Context) -> Request | None:
        """What is not directed by its events goes to one address, as an array."""
        if self._asks or True in [event.trusted for event in events]:
            return None
        body = JsonArray.of([event.once(_body) for event in events])
        return Request(self.settings.method, self._url, body, self._headers, secret=self._secret)

    def group(self, request: Request) -> Hashable | None:
        """What goes to one address with one set of headers; an idempotency key names one event."""
        if not isinstance(request.body, Json):
            return None
        headers = request.headers
        shared = self._shown if headers is self._headers else frozenset(_shared(headers, self._set).items())
        return request.method, request.url, shared

    def merge(self, requests: Sequence[Request]) -> Request:
        """A JSON array of the events; it has the key of none of them."""
        merged = super().merge(requests)
        return replace(merged, headers=_shared(merged.headers, self._set))


def _shared(headers: Mapping[str, str], configured: frozenset[str]) -> Mapping[str, str]:
    if "idempotency-key" in configured:
        return headers
    return {name: value for name, value in headers.items() if name != "Idempotency-Key"}


def _body(event: Event) -> Json:
    """The bytes, and nothing else: they are all that is sent, and decoded events that are kept cost three times as
    much as decoding."""
    if event.sound and (data := _spliced(event.raw)) is not None:
        return Json.encoded(data)
    shared = event.decoded
    return Json.encoded(codec.dumps(_with_ip(event.read(), shared=shared)))


class _Context(msgspec.Struct, gc=False):
    ip: Any = msgspec.UNSET


class _Places(msgspec.Struct, gc=False):
    request_ip: str = ""
    context: _Context | msgspec.UnsetType | None = msgspec.UNSET


_places = msgspec.json.Decoder(_Places).decode
_CONTEXT = b'"context":'


@lru_cache(maxsize=1024)
def _encoded(ip: str) -> bytes:
    return b'"ip":' + codec.dumps(ip)


def _spliced(raw: bytes) -> bytes | None:
    """What encoding `_with_ip` of an event gives, from the bytes that encoding the event gives, in a quarter of the
    time (the ip stands first in its context); None where that is not so simple."""
    try:
        places = _places(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    ip, context = places.request_ip, places.context
    if not ip:
        return raw
    if context is msgspec.UNSET:
        return b'%b,"context":{%b}}' % (raw[:-1], _encoded(ip)) if raw.endswith(b"}") else None
    if context is None:
        return None
    if context.ip is not msgspec.UNSET:
        return raw if context.ip else None
    at = raw.find(_CONTEXT)
    if at < 0 or raw.rfind(_CONTEXT) != at:
        return None  # the name stands elsewhere too
    at += len(_CONTEXT) + 1
    start, rest = raw[:at], raw[at:]
    if not start.endswith(b"{") or not rest.startswith(b'"'):  # nothing is in it
        return None
    return b"%b%b,%b" % (start, _encoded(ip), rest)


def _with_ip(message: Mapping[str, Any], *, shared: bool = True) -> Mapping[str, Any]:
    """The event with `context.ip`, where it has none; changed in place where it is not `shared`: a copy costs as
    much as encoding it."""
    ip = message.get("request_ip")
    context = message.get("context")
    if not isinstance(ip, str) or not ip:
        return message
    if context is None:
        context = {}
    elif not isinstance(context, dict) or context.get("ip"):
        return message
    if shared or not isinstance(message, dict):
        return {**message, "context": {**context, "ip": ip}}
    message["context"] = context
    context["ip"] = ip
    return message


def _directed(
    message: Mapping[str, Any], headers: Mapping[str, str], url: str
) -> tuple[Mapping[str, Any], Mapping[str, str], str]:
    """What an event of a trusted source may say itself: `header`, `fullPath`, `appendPath`; what is obeyed leaves it.

    RudderStack takes these from everyone. A write key is public, so here they are plain data
    unless the source is marked `trusted`. What is no header or no address is dead when it is sent.
    """
    own, obeyed = message.get("header"), set[str]()
    if isinstance(own, Mapping):
        added = {k: v for k, v in own.items() if isinstance(v, str) and k.lower() not in RESERVED}
        headers = {**headers, **added}
        obeyed.add("header")
    beside = _said(message.get("integrations"))
    for name in ("fullPath", "appendPath"):
        path = message.get(name)
        if isinstance(path, str) and path:
            obeyed.add(name)
        else:
            path = beside.get(name)
        if isinstance(path, str) and path:
            url = path if name == "fullPath" else url + path
    return without(message, obeyed) if obeyed else message, headers, url


def _said(integrations: Any) -> Mapping[str, Any]:
    """What the integrations object says to webhooks, under the name in any case."""
    if isinstance(integrations, Mapping):
        for name, said in integrations.items():
            if isinstance(said, Mapping) and name.lower() == "webhook":
                return said
    return {}


def _flat(value: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Leaves as `a.b.c` and `list[0]`; null is left out, true and false are lower-case."""
    for key, item in value.items():
        yield from _leaf(f"{prefix}.{key}" if prefix else str(key), item, depth)


def _leaf(name: str, item: Any, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(item, Mapping) and depth < FLAT_DEPTH:
        yield from _flat(item, name, depth + 1)
    elif isinstance(item, list) and depth < FLAT_DEPTH:
        for i, inner in enumerate(item):
            yield from _leaf(f"{name}[{i}]", inner, depth + 1)
    elif isinstance(item, str):
        yield name, item
    elif item is not None:
        yield name, codec.dumps(item).decode()
