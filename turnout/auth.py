"""How a destination's requests prove who sends them: what an adapter names, and the pure steps behind it.

An adapter sets `self.auth` in its `__init__`; its requests stay without it, and whoever sends them adds
it. Nothing here asks, waits or reads a clock.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote_plus

from turnout import codec
from turnout import verdict as verdicts
from turnout.clock import retry_after
from turnout.errors import Fixable
from turnout.request import Form, Request, Response
from turnout.verdict import Verdict

__all__ = [
    "Auth", "Basic", "Bearer", "Header", "Login", "OAuth2", "Query", "SigV4", "Token", "apply", "bearer",
    "origin", "ready", "secrets", "shown", "token_of", "token_request",
]

JWT_LIFE = 120
"""Seconds an assertion is good for: Salesforce takes at most three minutes, Google an hour."""
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_BAD = re.compile(r"[\x00-\x1f\x7f]")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ADDRESS = re.compile(r"https?://(\[[0-9a-fA-F:.]+\](:\d+)?|[^\s/?#\[\]]+)([/?]\S*)?")
_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?(?=[/?]|\Z)")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Basic:
    """User and password (RFC 7617); tools that take an API key alone mostly want it as the user."""

    user: str = field(repr=False)
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        _clean(user=self.user, password=self.password)
        if ":" in self.user:
            raise Fixable("the user of HTTP Basic holds a colon, which would end it")


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token that does not expire, in `Authorization: Bearer`."""

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        _clean(token=self.token)


@dataclass(frozen=True, slots=True)
class Header:
    """A key in a header of the tool's own; `value` is all of it, with its scheme where it has one."""

    name: str
    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Fixable("the name of the header with the key is not one of HTTP")
        _clean(value=self.value)


@dataclass(frozen=True, slots=True)
class Query:
    """A key in a param of the address."""

    name: str
    value: str = field(repr=False)

    def __post_init__(self) -> None:
        _text(value=self.value)


@dataclass(frozen=True, slots=True)
class OAuth2:
    """An access token that is asked for at `token_url`, and again before it expires (RFC 6749, 7523).

    `extra` are further fields of that request (`audience`, `resource`). `style` says where client id and
    secret go; `scheme` is the word before the token. `base` is the field of the answer with the address that
    requests go to, where the endpoint says it (Salesforce's `instance_url`): they then name their path alone,
    "/services/data". For `jwt_bearer`, `private_key` is an RSA key as PEM,
    `issuer` the client id where empty, `audience` the token's address where empty.
    """

    token_url: str = field(repr=False)
    client_id: str
    client_secret: str = field(default="", repr=False)
    grant: Literal["client_credentials", "refresh_token", "jwt_bearer"] = "client_credentials"
    refresh_token: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    subject: str = field(default="", repr=False)
    audience: str = field(default="", repr=False)
    scope: str = ""
    extra: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    style: Literal["body", "basic"] = "body"
    scheme: str = "Bearer"
    base: str = ""

    def __post_init__(self) -> None:
        _clean(client_id=self.client_id, client_secret=self.client_secret, scheme=self.scheme)
        _text(token_url=self.token_url, refresh_token=self.refresh_token, private_key=self.private_key)
        if not _ADDRESS.fullmatch(self.token_url):
            raise Fixable("the address of the token endpoint must be one such as https://login.example.com/token")
        if self.grant == "refresh_token" and not self.refresh_token:
            raise Fixable("the grant refresh_token needs a refresh token")
        if self.grant == "jwt_bearer" and not self.private_key:
            raise Fixable("the grant jwt_bearer needs a private key")


@dataclass(frozen=True, slots=True)
class SigV4:
    """AWS Signature Version 4: every request is signed, at the time it is sent."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str
    service: str
    session_token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        _clean(access_key=self.access_key, secret_key=self.secret_key, session_token=self.session_token)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. Without `expires_at` it is good until a tool refuses it.

    `refresh_token` is set where the endpoint gave one, which then stands for the one it was asked with;
    `base` where it said where requests go, as `https://host`.
    """

    value: str = field(repr=False)
    expires_at: datetime | None = None
    refresh_token: str | None = field(default=None, repr=False)
    base: str = ""


class Login:
    """A session that is asked for in a tool's own way, as OAuth 2 has none for it. Subclasses are frozen
    dataclasses, and as pure as adapters; the session is kept, shown and replaced as an access token is.
    """

    token_url: str
    scheme: str = "Bearer"

    def request(self, now: datetime) -> Request:
        """What asks for a session."""
        raise NotImplementedError

    def token(self, response: Response, now: datetime) -> Token | Verdict:
        """The session of an answer, or what its lack means for the events that wait for it."""
        raise NotImplementedError

    def secrets(self) -> frozenset[str]:
        """Values that nobody may see."""
        raise NotImplementedError


Static = Basic | Bearer | Header | Query
Auth = Static | OAuth2 | SigV4 | Login


def _text(**values: object) -> None:
    """Settings hold secrets as `SecretStr`, and adapters easily pass one on as it is."""
    for name, value in values.items():
        if not isinstance(value, str):
            kind = type(value).__name__
            raise Fixable(
                f"the {name.replace('_', ' ')} must be text, not {kind}; of a SecretStr take get_secret_value()"
            )


def _clean(**values: str) -> None:
    """A key from a file often ends in a line break, which no header can hold."""
    _text(**values)
    for name, value in values.items():
        if _BAD.search(value):
            raise Fixable(f"the {name.replace('_', ' ')} holds a line break or another control character")


# ---- onto a request


def apply(auth: Static, request: Request) -> Request:
    """The request with the credentials; their header or param is named in `Request.secret`."""
    if isinstance(auth, Query):
        params = {**request.params, auth.name: auth.value}
        return replace(request, params=params, secret=request.secret | {auth.name})
    if isinstance(auth, Header):
        return _with(request, auth.name, auth.value)
    if isinstance(auth, Bearer):
        return _with(request, "Authorization", f"Bearer {auth.token}")
    return _with(request, "Authorization", f"Basic {_pair(auth.user, auth.password)}")


def bearer(auth: OAuth2 | Login, request: Request, token: Token) -> Request:
    """The request with an access token; one that names its path alone goes to the token's `base`."""
    made = _with(request, "Authorization", f"{auth.scheme} {token.value}")
    return replace(made, url=token.base + made.url) if token.base and made.url.startswith("/") else made


def shown(auth: Auth | None, request: Request) -> Request:
    """The request as people see it: with the header or param of its credentials, to be masked by `describe`."""
    if auth is None:
        return request
    if isinstance(auth, OAuth2 | Login):
        return bearer(auth, request, Token("***"))
    if isinstance(auth, SigV4):
        request = _with(request, "X-Amz-Security-Token", "***") if auth.session_token else request
        return _with(request, "Authorization", "AWS4-HMAC-SHA256 ***")
    return apply(auth, request)


def secrets(auth: Auth) -> frozenset[str]:
    """Values that nobody may see, as they stand in the settings and as they are sent."""
    found: set[str]
    if isinstance(auth, Login):
        found = set(auth.secrets())
    elif isinstance(auth, Basic):
        found = {auth.password or auth.user, _pair(auth.user, auth.password)}
    elif isinstance(auth, Bearer):
        found = {auth.token}
    elif isinstance(auth, Header):
        found = {auth.value, auth.value.rpartition(" ")[2]}
    elif isinstance(auth, Query):
        found = {auth.value}
    elif isinstance(auth, SigV4):
        found = {auth.access_key, auth.secret_key, auth.session_token}
    else:
        found = {
            auth.client_secret, auth.refresh_token, auth.private_key,
            _credentials(auth) if auth.client_secret else "",
        }
    return frozenset(found - {""})


def _with(request: Request, name: str, value: str) -> Request:
    low = name.lower()
    headers = {known: text for known, text in request.headers.items() if known.lower() != low}
    headers[name] = value
    return replace(request, headers=headers, secret=request.secret | {name})


def _pair(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode("utf-8", "replace")).decode()


# ---- access tokens


def token_request(auth: OAuth2 | Login, now: datetime) -> Request:
    """The request for an access token; raises `Fixable` where the private key cannot be used."""
    if isinstance(auth, Login):
        return auth.request(now)
    fields: dict[str, str] = {"grant_type": auth.grant}
    headers = {"Accept": "application/json"}
    if auth.grant == "jwt_bearer":
        fields = {"grant_type": JWT_BEARER, "assertion": _assertion(auth, now)}
    elif auth.grant == "refresh_token":
        fields["refresh_token"] = auth.refresh_token
    if auth.scope and auth.grant != "jwt_bearer":
        fields["scope"] = auth.scope
    if auth.client_secret or auth.grant != "jwt_bearer":
        if auth.style == "basic":
            headers["Authorization"] = f"Basic {_credentials(auth)}"
        else:
            fields |= {"client_id": auth.client_id}
            fields |= {"client_secret": auth.client_secret} if auth.client_secret else {}
    secret = frozenset({"Authorization"}) if auth.style == "basic" else frozenset[str]()
    return Request("POST", auth.token_url, Form({**fields, **auth.extra}), headers=headers, secret=secret)


def token_of(response: Response, now: datetime, base: str = "") -> Token | Verdict:
    """The token of an answer, or what its lack means for the events that wait for it.

    `base` is the field with the address that requests go to, where one is to be there.
    A refusal pauses the destination; no answer, 408, 425, 429, 5xx and what is no answer of a token
    endpoint are tried again. The reason repeats nothing of the answer but its error code.
    """
    status = response.status
    if status == 0:
        reason = f"no access token: {response.error or 'no answer'}"
        return verdicts.pause(reason) if response.permanent else verdicts.retry(reason)
    said = response.json()
    answer = said if isinstance(said, Mapping) else {}
    value, code = answer.get("access_token"), answer.get("error")
    told = f"no access token: the token endpoint answered HTTP {status}"
    if isinstance(code, str) and _CODE.fullmatch(code):
        told += f" {code}"
    if status in (408, 425, 429) or status >= 500:
        return verdicts.retry(told, after=retry_after(response.header("Retry-After"), now))
    if not 200 <= status < 300 or (value is None and code is not None):
        return verdicts.pause(told)
    if not isinstance(value, str) or not value or _BAD.search(value):
        return verdicts.retry(f"{told} without a token")
    place = origin(answer.get(base)) if base else ""
    if base and not place:
        return verdicts.retry(f"{told} without the address of {base}")
    renewed = answer.get("refresh_token")
    return Token(
        value, _expiry(answer.get("expires_in"), now), renewed if isinstance(renewed, str) and renewed else None, place
    )


def origin(address: Any) -> str:
    """Scheme, host and port of an address, `https://host`; "" where it is none, or holds credentials."""
    found = _ORIGIN.match(address) if isinstance(address, str) else None
    return found[0] if found else ""


def _expiry(value: Any, now: datetime) -> datetime | None:
    """When a token ends; some endpoints give the number as text, and what is none says nothing."""
    try:
        seconds = float(value)
        return now + timedelta(seconds=seconds) if seconds > 0 else None
    except (TypeError, ValueError, OverflowError):
        return None


def _credentials(auth: OAuth2) -> str:
    """Client id and secret for HTTP Basic, each form-encoded before (RFC 6749 §2.3.1)."""
    return _pair(quote_plus(auth.client_id, errors="replace"), quote_plus(auth.client_secret, errors="replace"))


def ready(auth: Auth | None) -> None:
    """Raise `Fixable` where what the credentials need is missing: a package, a key that can be read."""
    if isinstance(auth, OAuth2) and auth.grant == "jwt_bearer":
        _key(auth.private_key)


def _assertion(auth: OAuth2, now: datetime) -> str:
    """A signed JWT (RFC 7523, RS256)."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    key = _key(auth.private_key)
    issued = int(now.timestamp())
    claims = {
        "iss": auth.issuer or auth.client_id, "sub": auth.subject, "aud": auth.audience or auth.token_url,
        "scope": auth.scope, "iat": issued, "exp": issued + JWT_LIFE,
    }  # fmt: skip
    parts = {"alg": "RS256", "typ": "JWT"}, {name: value for name, value in claims.items() if value != ""}
    signed = b".".join(_url64(codec.dumps(part)) for part in parts)
    return (signed + b"." + _url64(key.sign(signed, PKCS1v15(), SHA256()))).decode()


def _key(pem: str) -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ModuleNotFoundError as error:
        raise Fixable(
            "signing with a private key needs the package cryptography: pip install 'turnout[jwt]'"
        ) from error
    try:
        # In JSON and in an environment variable the line breaks of a PEM file are often written as \n.
        key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError) as error:
        raise Fixable("the private key cannot be read: it must be an RSA key as PEM, without a passphrase") from error
    if not isinstance(key, RSAPrivateKey):
        raise Fixable("the private key must be an RSA key")
    return key


def _url64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
