"""A tool that wants credentials of every kind, as a plug-in would bring it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr

from turnout import (
    Auth,
    Basic,
    Bearer,
    Context,
    Delivery,
    Destination,
    Event,
    Header,
    Json,
    OAuth2,
    Query,
    Request,
    Settings,
    SigV4,
)


class KeyedSettings(Settings):
    url: str = Field(description="Where to.", examples=["https://x.example/"])
    token_url: str = Field("", description="Where tokens are.", examples=["https://x.example/token"])
    kind: Literal[
        "basic", "bearer", "header", "query", "sigv4", "client_credentials", "refresh_token", "jwt_bearer"
    ] = Field(description="Which.", examples=["basic"])
    base: str = Field("", description="Where the token says.", examples=["instance_url"])
    secret: SecretStr = Field(description="The secret.", examples=["${SECRET}"])


class Keyed(Destination[KeyedSettings]):
    slug: ClassVar = "keyed"
    names: ClassVar = ("Keyed",)
    delivery = Delivery()
    settings_type: ClassVar = KeyedSettings

    def __init__(self, settings: KeyedSettings) -> None:
        super().__init__(settings)
        self.auth = _auth(settings, settings.secret.get_secret_value())

    def request(self, event: Event, at: Context) -> Request:
        return Request("POST", self.settings.url, Json(event.message))


def _auth(settings: KeyedSettings, secret: str) -> Auth:
    oauth: dict[str, Any] = {
        "client_credentials": {"client_secret": secret}, "refresh_token": {"refresh_token": secret},
        "jwt_bearer": {"private_key": secret, "issuer": "svc@x.example"},
    }  # fmt: skip
    if settings.kind in oauth:
        return OAuth2(settings.token_url, "client", grant=settings.kind, base=settings.base, **oauth[settings.kind])
    static: dict[str, Auth] = {
        "basic": Basic("ada", secret), "bearer": Bearer(secret), "header": Header("X-Key", secret),
        "query": Query("key", secret), "sigv4": SigV4("AKID", secret, "eu-west-1", "firehose"),
    }  # fmt: skip
    return static[settings.kind]
