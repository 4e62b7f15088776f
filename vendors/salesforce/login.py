"""Ways to log in to an org of Salesforce, and the settings that name them.

A session answers where the org lives, so requests name their path alone: `/services/data/v59.0/…`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape
from typing import Any, Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from pydantic import AliasChoices, Field, SecretStr, model_validator

from turnout import OAuth2, Settings, pause, retry
from turnout.auth import Auth, Bearer, Login, Token, origin
from turnout.clock import retry_after
from turnout.request import Raw, Request, Response
from turnout.verdict import Verdict

__all__ = ["SOAP", "Account", "SoapLogin"]

SOAP: Final = "/services/Soap/u/59.0"
"""Partner API of a version that has `login()`: Salesforce ends with 65.0 what 31.0 to 64.0 have."""
_SESSION: Final = re.compile(rb"<sessionId>([^<>]{1,4096})</sessionId>")
_SERVER: Final = re.compile(rb"<serverUrl>([^<>]{1,2048})</serverUrl>")
_CODE: Final = re.compile(rb"<(?:\w+:)?exceptionCode>([A-Z][A-Z0-9_]{2,60})</")
_LATER: Final = frozenset({"LOGIN_RATE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"})
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_ENVELOPE: Final = (
    '<?xml version="1.0" encoding="utf-8"?><env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/">'
    '<env:Body><login xmlns="urn:partner.soap.sforce.com"><username>{user}</username><password>{password}</password>'
    "</login></env:Body></env:Envelope>"
)


@dataclass(frozen=True, slots=True)
class SoapLogin(Login):
    """`login()` of the SOAP API: user, password and the security token that is written behind it.

    A session without `expires_at`: it lasts as long as it is used, and a 401 says that it ended.
    Source: SOAP API Developer Guide, "login()".
    """

    host: str
    username: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def token_url(self) -> str:  # type: ignore[override]  # read-only here: it is made of the host
        """The address that is asked."""
        return self.host + SOAP

    def request(self, now: datetime) -> Request:
        """The call of `login()`."""
        text = _ENVELOPE.format(user=escape(self.username), password=escape(self.password))
        return Request("POST", self.token_url, Raw(text.encode(), "text/xml; charset=UTF-8"), {"SOAPAction": "login"})

    def token(self, response: Response, now: datetime) -> Token | Verdict:
        """The session and the instance's address, or why there is none; a fault is told by its code."""
        status = response.status
        if status == 0:
            reason = f"no session: {response.error or 'no answer'}"
            return pause(reason) if response.permanent else retry(reason)
        code = _CODE.search(response.body)
        told = f"no session: login() answered HTTP {status}{' ' + code[1].decode() if code else ''}"
        if code and code[1].decode() not in _LATER:
            return pause(told)
        if not 200 <= status < 300:
            later = status in (408, 425, 429) or status >= 500
            after = retry_after(response.header("Retry-After"), now)
            return retry(told, after=after) if later else pause(told)
        session, server = _SESSION.search(response.body), _SERVER.search(response.body)
        value = unescape(session[1].decode("utf-8", "replace")) if session else ""
        base = origin(unescape(server[1].decode("utf-8", "replace"))) if server else ""
        if not value or not base or _CONTROLS.search(value):
            return retry(f"{told} without a session")
        return Token(value, base=base)

    def secrets(self) -> frozenset[str]:
        """The password, as it is and as XML has it."""
        return frozenset({self.password, escape(self.password)})


class Account(Settings):
    """Which org, and who logs in; the ways are tried in the order of `auth`."""

    login_url: str = Field(
        "", description="Where to log in: My Domain of the org. Client credentials need it.",
        examples=["https://acme.my.salesforce.com"],
    )
    sandbox: bool = Field(
        False, description="A sandbox: log in at `test.salesforce.com`, or say so in a signed JWT.", examples=[True]
    )
    username: str = Field(
        "", description="User who logs in, by password or as the subject of a signed JWT.",
        examples=["turnout@acme.example.com"], validation_alias=AliasChoices("username", "userName"),
    )
    password: SecretStr | None = Field(None, description="Password of the user.", examples=["${SALESFORCE_PASSWORD}"])
    security_token: SecretStr | None = Field(
        None, description="Security token of the user; not needed from addresses that the org trusts.",
        examples=["${SALESFORCE_SECURITY_TOKEN}"],
        validation_alias=AliasChoices("security_token", "securityToken", "initialAccessToken"),
    )
    client_id: str = Field(
        "", description="Consumer key of the connected app.", examples=["3MVG9example"],
        validation_alias=AliasChoices("client_id", "clientId", "consumerKey"),
    )
    client_secret: SecretStr | None = Field(
        None, description="Consumer secret of the connected app.", examples=["${SALESFORCE_CLIENT_SECRET}"],
        validation_alias=AliasChoices("client_secret", "clientSecret", "consumerSecret"),
    )
    refresh_token: SecretStr | None = Field(
        None, description="Refresh token that the connected app was given.", examples=["${SALESFORCE_REFRESH_TOKEN}"]
    )
    private_key: SecretStr | None = Field(
        None, description="RSA key as PEM whose certificate the connected app has; signs a JWT for `username`.",
        examples=["${SALESFORCE_PRIVATE_KEY}"],
    )
    access_token: SecretStr | None = Field(
        None, description="A session that exists, with `instance_url`: for a try, since it ends within hours.",
        examples=["${SALESFORCE_ACCESS_TOKEN}"],
    )
    instance_url: str = Field(
        "", description="Where the session of `access_token` lives.", examples=["https://acme.my.salesforce.com"],
        validation_alias=AliasChoices("instance_url", "instanceUrl"),
    )

    @model_validator(mode="after")
    def _one_way(self) -> Account:
        for name in ("login_url", "instance_url"):
            given = getattr(self, name)
            if given and (origin(given) != given.rstrip("/") or urlsplit(given).scheme != "https"):
                raise ValueError(f"{name} is an address such as https://acme.my.salesforce.com, without a path")
        if self.access_token is not None and not self.instance_url:
            raise ValueError("access_token needs instance_url")
        if self.private_key is not None and not (self.client_id and self.username):
            raise ValueError("private_key needs client_id and username")
        if self.refresh_token is not None and not self.client_id:
            raise ValueError("refresh_token needs client_id")
        if self._app() and not self.login_url:
            raise ValueError("client credentials need login_url: the org's My Domain")
        if not (self._ready() or self._app() or (self.username and self.password is not None)):
            raise ValueError(
                "no way to log in: username and password, client_id and client_secret with login_url, or one of"
                " private_key, refresh_token, access_token"
            )
        if _CONTROLS.search(self.username + _plain(self.password) + _plain(self.security_token)):
            raise ValueError("username, password or security_token holds a line break or another control character")
        return self

    def _ready(self) -> bool:
        return any(one is not None for one in (self.access_token, self.private_key, self.refresh_token))

    def _app(self) -> bool:
        return not self._ready() and bool(self.client_id) and self.client_secret is not None and not self.username

    @property
    def auth(self) -> Auth:
        """A given session, a signed JWT, a refresh token, client credentials, user and password: the first there is."""
        if self.access_token is not None:
            return Bearer(self.access_token.get_secret_value())
        central = f"https://{'test' if self.sandbox else 'login'}.salesforce.com"
        host = origin(self.login_url) or central
        given: dict[str, Any] = {"client_secret": _plain(self.client_secret), "base": "instance_url"}
        if self.private_key is not None:
            # The audience is one of the two central hosts, wherever it is asked (Help: "OAuth 2.0 JWT Bearer Flow").
            given |= {"grant": "jwt_bearer", "private_key": _plain(self.private_key)}
            given |= {"subject": self.username, "audience": central}
        elif self.refresh_token is not None:
            given |= {"grant": "refresh_token", "refresh_token": _plain(self.refresh_token)}
        elif not self._app():
            return SoapLogin(host, self.username, _plain(self.password) + _plain(self.security_token))
        return OAuth2(f"{host}/services/oauth2/token", self.client_id, **given)

    @property
    def base(self) -> str:
        """What comes before a path: "" where the login says it."""
        return self.instance_url.rstrip("/") if self.access_token is not None else ""


def _plain(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
