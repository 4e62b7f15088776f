"""Settings of the HTTP destination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, model_validator

from destinations.webhook.settings import RESERVED, has_user
from turnout import SecretUrl, Settings, values
from turnout.mapping import Body, name, source
from turnout.settings import BROWSER

__all__ = ["HttpSettings"]

_AUTH = {"noAuth": "none", "basicAuth": "basic", "bearerTokenAuth": "bearer", "apiKeyAuth": "header"}
_NEEDS = {"basic": "username", "bearer": "bearer_token", "header": "key_value"}


def _by_target(value: Any) -> Any:
    """`{to: from}`; RudderStack's list of `{from: …, to: …}` is read too, rows that are empty are left out."""
    if isinstance(value, list | tuple):
        if not all(isinstance(row, Mapping) and "to" in row for row in value):
            raise ValueError("must be a mapping of what it is called to where it comes from")
        value = {row["to"]: row.get("from", "") for row in value if row["to"] != ""}
    if not isinstance(value, Mapping):
        return value
    return {
        to: values.text(one) if isinstance(one, bool | int | float) else one
        for to, one in value.items() if one is not None and one != ""
    }


def _paths(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    rows = [row.get("path", "") if isinstance(row, Mapping) else row for row in value]
    return [values.text(row) if isinstance(row, int | float) else row for row in rows if row != ""]


def _texts(value: Mapping[str, Any]) -> Mapping[str, Any]:
    for to, one in value.items():
        name(to)
        source(one.get_secret_value() if isinstance(one, SecretStr) else one)
    return value


def _headers(value: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for to in value:
        header = name(to)
        if not header or not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in header):
            raise ValueError("a header name may hold letters, digits and - only")
        if header.lower() in RESERVED:
            raise ValueError(f"{header} is set by Turnout itself")
    return value


def _body(value: dict[str, str]) -> dict[str, str]:
    Body(value)
    return value


def _sources(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        source(one)
    return value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _auth(value: Any) -> Any:
    return _AUTH.get(value, value) if isinstance(value, str) else value


class HttpSettings(Settings):
    """Where requests go, what they are made of, and who they are from."""

    ignored: ClassVar = BROWSER

    api_url: SecretUrl = Field(
        description="Address of the API; user, password and query are never shown.",
        examples=["https://api.example.com/v1/guests"],
    )
    method: Annotated[Literal["POST", "PUT", "PATCH", "GET", "DELETE"], BeforeValidator(_upper)] = Field(
        "POST", description="GET and DELETE have no body.", examples=["PUT"]
    )
    format: Annotated[Literal["JSON", "FORM", "XML"], BeforeValidator(_upper)] = Field(
        "JSON", description="What the body is written as.", examples=["XML"]
    )
    path_params: Annotated[tuple[str, ...], BeforeValidator(_paths), AfterValidator(_sources)] = Field(
        (), description="What is added to the address, with `/` between: values of the event, or texts.",
        examples=[["$.userId", "visits"]],
    )
    query_params: Annotated[dict[str, str], BeforeValidator(_by_target), AfterValidator(_texts)] = Field(
        {}, description="Params by name, and where each comes from.", examples=[{"lang": "$.context.locale"}]
    )
    headers: Annotated[
        dict[str, SecretStr], BeforeValidator(_by_target), AfterValidator(_headers), AfterValidator(_texts)
    ] = Field(
        {}, description="Headers by name, and where each comes from; texts among them are never shown.",
        examples=[{"X-Team": "reception", "X-Guest": "$.userId"}],
    )
    body: Annotated[dict[str, str], BeforeValidator(_by_target), AfterValidator(_body)] = Field(
        {}, validation_alias=AliasChoices("body", "propertiesMapping", "properties_mapping"),
        description="The body's fields, and where each comes from; the event as it is where there are none.",
        examples=[{"$.guest.id": "$.userId", "$.rooms[*].number": "$.properties.rooms[*].id"}],
    )
    is_default_mapping: bool | None = Field(
        None, description="The body is the event as it is, whatever `body` says (true), or never (false).",
        examples=[True],
    )
    xml_root_key: str = Field("", description="Name of an XML document's outermost element.", examples=["visit"])
    auth: Annotated[Literal["none", "basic", "bearer", "header"], BeforeValidator(_auth)] = Field(
        "none", description="How requests say who they are from.", examples=["bearer"]
    )
    username: str = Field("", description="For `basic`.", examples=["turnout"])
    password: SecretStr = Field(SecretStr(""), description="For `basic`.", examples=["${API_PASSWORD}"])
    bearer_token: SecretStr = Field(SecretStr(""), description="For `bearer`.", examples=["${API_TOKEN}"])
    key_name: str = Field(
        "x-api-key", validation_alias=AliasChoices("key_name", "apiKeyName", "api_key_name"),
        description="For `header`: the header that holds the key.", examples=["x-api-key"],
    )
    key_value: SecretStr = Field(
        SecretStr(""), validation_alias=AliasChoices("key_value", "apiKeyValue", "api_key_value"),
        description="For `header`: the key.", examples=["${API_KEY}"],
    )
    is_batching_enabled: bool = Field(
        False, description="Send several events as one JSON array, where address, headers and params are the same.",
        examples=[True],
    )
    max_batch_size: int = Field(
        100, ge=1, le=1_000, description="Events in one request at most, with `is_batching_enabled`.", examples=[50]
    )

    def secrets(self) -> frozenset[str]:
        """The headers' texts too, of which the settings have expressions: `'key'` is sent, and echoed, as `key`."""
        sent = (source(one.get_secret_value()).constant for one in self.headers.values())
        return super().secrets() | {one for one in sent if isinstance(one, str) and one}

    @model_validator(mode="after")
    def _credentials(self) -> HttpSettings:
        needed = _NEEDS.get(self.auth)
        value = getattr(self, needed) if needed else "none"
        if not (value.get_secret_value() if isinstance(value, SecretStr) else value):
            raise ValueError(f"auth {self.auth} needs {needed}")
        header = {"none": "", "header": self.key_name}.get(self.auth, "authorization")
        if has_user(self.api_url) and "authorization" in (header.lower(), *(name.lower() for name in self.headers)):
            raise ValueError("api_url has a user, and there is an Authorization header: a request carries one of them")
        return self
