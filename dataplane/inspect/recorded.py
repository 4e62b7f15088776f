"""Calls that were recorded: what answers an adapter where nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, BeforeValidator

from turnout import codec
from turnout.auth import Login, OAuth2, Token, origin
from turnout.preview import describe
from turnout.request import Request, Response

__all__ = ["Call", "Members", "Network", "Sent", "text_of"]

Members = Annotated[dict[str, Any], BeforeValidator(lambda value: value or {})]
"""An object, which a peer leaves out, or writes as null, [] or "", where nothing is in it."""


class _Asked(BaseModel):
    params: Members = {}
    headers: Members = {}


class _Answered(BaseModel):
    status: int | None = None
    headers: Members = {}


class Call(BaseModel):
    """What of a recorded call must be as it is meant; all else in it may be anything."""

    request: _Asked
    response: _Answered | None = None


class _Body(BaseModel):
    JSON_ARRAY: Members = {}
    FORM: Members = {}
    XML: Members = {}
    GZIP: Members = {}


class Sent(BaseModel):
    """The same for a request that a peer made before."""

    headers: Members = {}
    params: Members = {}
    body: _Body | None = None


class Network:
    """Recorded calls. What is not among them is named in `missing`, and answered 200 so that the rest is seen."""

    def __init__(self, recorded: Sequence[Mapping[str, Any]] | None) -> None:
        self._calls = None if recorded is None else [(_asked(one["request"]), one) for one in recorded]
        self.missing = ""

    def token(self, auth: OAuth2 | Login) -> Token:
        """The token of a login that was recorded, however it was asked for, best at the same host; else `***`."""
        host = urlsplit(auth.token_url).hostname
        calls = [(asked, call) for asked, call in self._calls or () if "access_token" in _data(call)]
        for _, call in sorted(calls, key=lambda one: urlsplit(one[0][1]).hostname != host):
            return Token(str(_data(call)["access_token"]), base=origin(_data(call).get("instance_url")))
        return Token("***")

    def answer(self, request: Request) -> Response:
        """The answer that was recorded for the address: best with the same body, then with the same credentials."""
        if self._calls is None:
            return Response(200)
        address = _asked({"method": request.method, "url": request.url, "params": request.params})
        found = [one for asked, one in self._calls if asked == address]
        if not found:
            self.missing = self.missing or f"not recorded: {request.method} {request.url}"
            return Response(200)
        body = describe(request, masked=False)["body"]
        sent = next(iter(body.values()), None)
        same = [one for one in found if one["request"].get("data") == sent] or found
        ours = _credentials(request.headers)
        return _response(next((one for one in same if _credentials(one["request"].get("headers")) == ours), same[0]))


def _asked(request: Mapping[str, Any]) -> tuple[str, str, frozenset[tuple[str, str]]]:
    url = urlsplit(str(request.get("url", "")))
    params = {name: text_of(value) for name, value in (request.get("params") or {}).items()}
    query = frozenset({**dict(parse_qsl(url.query, keep_blank_values=True)), **params}.items())
    return str(request.get("method", "GET")).upper(), url._replace(query="").geturl().rstrip("/"), query


def _credentials(headers: Mapping[str, Any] | None) -> str | None:
    return next((text_of(v) for name, v in (headers or {}).items() if name.lower() == "authorization"), None)


def text_of(value: Any) -> str:
    """A text as it is, any other value as JSON."""
    return value if isinstance(value, str) else codec.dumps(value).decode()


def _data(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that a call was answered with; {} where it was no object."""
    answered = call.get("response")
    data = answered.get("data", answered.get("body")) if isinstance(answered, dict) else None
    return data if isinstance(data, dict) else {}


def _response(call: Mapping[str, Any]) -> Response:
    answered = call.get("response")
    if answered is None or "status" not in answered:
        return Response(0, error=str(call.get("error") or (answered or {}).get("code") or "no answer")[:200])
    data = answered.get("data", answered.get("body"))
    body = data.encode("utf-8", "replace") if isinstance(data, str) else b"" if data is None else codec.dumps(data)
    headers = {name: str(value) for name, value in (answered.get("headers") or {}).items()}
    return Response(int(answered["status"]), headers, body)
