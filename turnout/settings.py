"""The base of every destination's settings, and the types its fields are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    Secret,
    SecretStr,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from turnout.durations import Duration, Size
from turnout.preview import MASK, mask_url

__all__ = ["BROWSER", "Duration", "HookUrl", "Names", "Pairs", "SecretUrl", "Settings", "Size", "spellings"]


class SecretUrl(Secret[str]):
    """An `http` or `https` address that may carry credentials in its userinfo or query (in its path: `HookUrl`).

    Shown with both masked (`https://***@example.com/hook?token=***`); `get_secret_value()` is the
    address itself. Raises pydantic's `url` errors for what is no such address.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validated as text with a scheme and a host; the text is kept as it was written."""
        return core_schema.no_info_plain_validator_function(
            cls._parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        """A string in the JSON schema, marked as one not to be echoed."""
        return {"type": "string", "format": "uri", "writeOnly": True}

    @classmethod
    def _parse(cls, value: Any) -> SecretUrl:
        if isinstance(value, cls):
            return value
        text = value.get_secret_value() if isinstance(value, SecretStr | SecretUrl) else value
        if not isinstance(text, str):
            raise PydanticCustomError("url", "must be an address such as https://example.com/hook")
        try:
            parts = urlsplit(text)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            good = False
        if not good or any(c <= " " or c == "\x7f" for c in text):
            raise PydanticCustomError("url", "must be an address such as https://example.com/hook")
        return cls(text)

    def _display(self) -> str:
        return mask_url(self.get_secret_value())

    def parts(self) -> Iterator[str]:
        """The pieces that must not be shown: user, password, values of the query."""
        split = urlsplit(self.get_secret_value())
        yield from (piece for piece in (split.username, split.password) if piece)
        yield from (value for _, value in parse_qsl(split.query) if value)
        # As they are written too: an answer may repeat the address, in which a + is no space.
        yield from (raw for pair in split.query.split("&") if (raw := pair.partition("=")[2]))


class HookUrl(SecretUrl):
    """An address whose path is the credential, as that of a chat's incoming webhook: of it only the host is shown."""

    def _display(self) -> str:
        split = urlsplit(self.get_secret_value())
        return f"{split.scheme}://{split.hostname}/{MASK}"

    def parts(self) -> Iterator[str]:
        """The pieces that must not be shown: the path too."""
        yield from super().parts()
        path = urlsplit(self.get_secret_value()).path.strip("/")
        if path:
            yield path


def spellings(name: str, info: FieldInfo) -> Sequence[str]:
    """The other names a setting is read from."""
    found = info.validation_alias
    choices = found.choices if isinstance(found, AliasChoices) else [found or info.alias]
    return [choice for choice in choices if isinstance(choice, str) and choice != name]


def _names(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    found = [next(iter(one.values())) if isinstance(one, Mapping) and len(one) == 1 else one for one in value]
    return [one for one in found if one != ""]


def _pairs(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    found: dict[Any, Any] = {}
    for one in value:
        if not isinstance(one, Mapping) or "from" not in one or "to" not in one:
            raise PydanticCustomError("pairs", "must be a mapping, or a list of {from: …, to: …}")
        if one["from"] != "":
            found[one["from"]] = one["to"]
    return found


BROWSER = frozenset({
    "blacklistedEvents", "connectionMode", "consentManagement", "eventFilteringOption", "ketchConsentPurposes",
    "oneTrustCookieCategories", "useNativeSDK", "whitelistedEvents",
})
"""What RudderStack keeps with nearly every destination for its SDKs, and filters that belong to the config here."""

Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
"""A list of names; RudderStack's list of objects with one value each (`{eventName: …}`) is read too."""
Pairs = Annotated[dict[str, str], BeforeValidator(_pairs)]
"""A mapping of names to names; RudderStack's list of `{from: …, to: …}` is read too."""


class Settings(BaseModel):
    """Frozen, strict settings; every field has a description and an example.

    A field `webhook_url` is also read from RudderStack's `webhookUrl`; a peer's spelling that
    camelCase does not give is an `AliasChoices`. Secrets are `SecretStr`, addresses that may hold
    a token `SecretUrl`. A setting that is null or an empty text counts as not given. `ignored` are
    spellings of a peer that mean nothing to a server (switches of its browser SDK); they are taken
    and left out.
    """

    ignored: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        alias_generator=to_camel,
        loc_by_alias=False,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _given(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        must = {name for name, info in cls.model_fields.items() if info.is_required()}
        must |= {spelling for name in must for spelling in spellings(name, cls.model_fields[name])}
        return {
            k: v for k, v in value.items()
            if k not in cls.ignored and ((v is not None and v != "") or k in must)
        }

    def secrets(self) -> frozenset[str]:
        """Every secret value in here, at any depth: what no preview, log or stored request shows."""
        return frozenset(_secrets(self))


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, SecretUrl):
        yield from value.parts()
    elif isinstance(value, Secret | SecretStr):
        inner = value.get_secret_value()
        if isinstance(inner, str) and inner:
            yield inner
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _secrets(item)
