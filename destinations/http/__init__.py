"""HTTP: requests of your own making to any API."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from destinations.http.settings import HttpSettings
from destinations.http.xml import xml
from turnout import Basic, Bearer, Context, Delivery, Destination, Event, Form, Header, Json, Request, Xml, values
from turnout.auth import Auth
from turnout.errors import Refused
from turnout.mapping import Body, Source, name, source

__all__ = ["Http"]

_UNESCAPED = "!'()*~"
"""What JavaScript's encodeURIComponent leaves as it is, beside letters, digits, `-`, `.` and `_`."""


class Http(Destination[HttpSettings]):
    """One request for every event, or one for several: address, params, headers and body by mappings."""

    slug: ClassVar = "http"
    names: ClassVar = ("HTTP Webhook", "HTTP")
    settings_type: ClassVar = HttpSettings

    def __init__(self, settings: HttpSettings) -> None:
        super().__init__(settings)
        self.auth = _auth(settings)
        self._url, self._query = _address(settings)
        self._path = tuple(source(text) for text in settings.path_params)
        self._params, self._plain = _texts(settings.query_params)
        shown = {to: one.get_secret_value() for to, one in settings.headers.items()}
        self._headers, self._fixed = _texts(shown)
        self._secret = frozenset(self._fixed)
        self._bodiless = settings.method in ("GET", "DELETE")
        whole = settings.is_default_mapping
        self._body = None if whole or (whole is None and not settings.body) else Body(settings.body)
        self._arrays = settings.is_batching_enabled and (self._bodiless or settings.format == "JSON")
        if self._arrays:
            own = Delivery(batch=settings.max_batch_size)
            self.delivery = own

    def request(self, event: Event, at: Context) -> Request:
        """One request. Raises `Refused` where a param of the address, or a header's text, is missing or none."""
        message = event.message
        url = self._placed(message) if self._path else self._url
        params = _filled(self._params, self._plain, message, "param")
        headers = _filled(self._headers, self._fixed, message, "header")
        if self._bodiless:
            return Request(self.settings.method, url, None, headers, params, self._secret)
        made = message if self._body is None else self._body.made(message)
        return Request(self.settings.method, url, self._written(made), headers, params, self._secret)

    def group(self, request: Request) -> Hashable | None:
        """Where batches are asked for: one address, one set of headers and params."""
        if not self._arrays:
            return None
        if request.body is None:
            return request.method, request.url, _sorted(request.headers), _sorted(request.params)
        return super().group(request)

    def merge(self, requests: Sequence[Request]) -> Request:
        """A JSON array; requests that have no body are the same, and one of them is enough."""
        return requests[0] if requests[0].body is None else super().merge(requests)

    def _placed(self, message: Any) -> str:
        parts = [self._url.rstrip("/")]
        for place, one in enumerate(self._path, 1):
            if one.constant is not None:
                parts.append(quote(_constant(one), safe=f"/{_UNESCAPED}"))
                continue
            found = _text(one.find(message), f"part {place} of the path")
            if found is None or found == "":
                wanted = self.settings.path_params[place - 1]
                raise Refused("missing_field", f"part {place} of the path is missing: {wanted}")
            if found in (".", ".."):
                raise Refused("path", f"part {place} of the path would lead elsewhere")
            parts.append(quote(found, safe=_UNESCAPED, errors="replace"))
        return "/".join(parts) + self._query

    def _written(self, made: Any) -> Json | Form | Xml:
        if self.settings.format == "JSON":
            return Json(made)
        if self.settings.format == "XML":
            return Xml(xml(made, self.settings.xml_root_key))
        if not isinstance(made, Mapping):
            raise Refused("mapping", "a list is no form")
        return Form({key: text for key, value in made.items() if (text := values.text(value)) is not None})


def _auth(settings: HttpSettings) -> Auth | None:
    if settings.auth == "basic":
        return Basic(settings.username, settings.password.get_secret_value())
    if settings.auth == "bearer":
        return Bearer(settings.bearer_token.get_secret_value())
    return Header(settings.key_name, settings.key_value.get_secret_value()) if settings.auth == "header" else None


def _address(settings: HttpSettings) -> tuple[str, str]:
    """The address, and its query apart where something is put before it."""
    url = settings.api_url.get_secret_value()
    if not settings.path_params:
        return url, ""
    split = urlsplit(url)
    return split._replace(query="", fragment="").geturl(), f"?{split.query}" if split.query else ""


def _texts(mappings: Mapping[str, str]) -> tuple[tuple[tuple[str, Source], ...], dict[str, str]]:
    """Those that need a message, and those that are always the same."""
    found = [(name(to), source(text)) for to, text in mappings.items()]
    fixed = {to: _constant(one) for to, one in found if one.constant is not None}
    return tuple((to, one) for to, one in found if to not in fixed), fixed


def _constant(one: Source) -> str:
    return one.written or values.text(one.constant) or ""


def _filled(
    sources: Sequence[tuple[str, Source]], fixed: Mapping[str, str], message: Any, what: str
) -> Mapping[str, str]:
    if not sources:
        return fixed
    made = dict(fixed)
    for to, one in sources:
        text = _text(one.find(message), f"{what} {to}")
        if text is not None:
            made[to] = text
    return made


def _text(value: Any, what: str) -> str | None:
    if isinstance(value, dict | list):
        raise Refused("mapping", f"{what} is {'a list' if isinstance(value, list) else 'an object'}, and no text")
    return values.text(value)


def _sorted(pairs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(pairs.items()))
