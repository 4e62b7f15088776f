"""Settings that the destinations of the Conversions API share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from turnout import Names, Pairs, Settings
from turnout.settings import BROWSER
from vendors.meta.users import NameRules

__all__ = ["ActionSource", "ConversionsSettings"]

ActionSource = Literal[
    "app", "business_messaging", "chat", "email", "other", "phone_call", "physical_store", "system_generated",
    "website",
]
"""Where an event happened, in Meta's words."""


def _denied(value: Any) -> Any:
    """A mapping of names to whether they are hashed, a list of names, or RudderStack's list of objects."""
    if not isinstance(value, list | tuple):
        return value
    found: dict[str, Any] = {}
    for one in value:
        if isinstance(one, Mapping):
            name = one.get("blacklistPiiProperties", one.get("property"))
            hashed = one.get("blacklistPiiHash", one.get("hash", False))
        else:
            name, hashed = one, False
        if not isinstance(name, str):
            raise PydanticCustomError("denied", "must be a mapping of names to true (hash) or false (leave out)")
        if name:
            found[name] = hashed or False
    return found


class ConversionsSettings(Settings):
    """Credentials, privacy, and which of Meta's events an event is."""

    ignored: ClassVar[frozenset[str]] = BROWSER | {
        "autoConfig", "eventCustomProperties", "legacyConversionPixelId", "useUpdatedMapping",
    }

    access_token: SecretStr = Field(
        min_length=1, description="Access token of a system user who may send to it.", examples=["${META_ACCESS_TOKEN}"]
    )
    events_to_events: Pairs = Field(
        {}, description="Your names of events, and Meta's for them.", examples=[{"Room Booked": "Purchase"}]
    )
    category_to_content: Pairs = Field(
        {}, description="Categories, and the `content_type` of what is in them.", examples=[{"suites": "hotel"}]
    )
    blacklist_pii_properties: Annotated[dict[str, bool], BeforeValidator(_denied)] = Field(
        {},
        description="Properties that are left out (`false`), or sent as their SHA-256 only (`true`).",
        examples=[{"email": True, "passport": False}],
    )
    whitelist_pii_properties: Names = Field(
        (), description="Properties that are sent although they name a person.", examples=[["city"]]
    )
    limited_data_usage: bool = Field(
        False,
        validation_alias=AliasChoices("limitedDataUsage", "limitedDataUSage"),
        description="Hand on `context.dataProcessingOptions`: options, country, state.",
        examples=[True],
    )
    remove_external_id: bool = Field(
        False, description="Send no `external_id` (the hashed user id).", examples=[True]
    )
    test_destination: bool = Field(
        False, description="Send events to Meta's test tool, with `test_event_code`.", examples=[True]
    )
    test_event_code: str = Field("", description="Code of the test tool.", examples=["TEST4711"])
    name_rules: NameRules = Field(
        "meta",
        description="How names are hashed: as Meta asks, or as RudderStack does (the whole name first, as written).",
        examples=["rudderstack"],
    )
    trust_hashed: bool = Field(
        False,
        description="Take the option `hashed` at its word: what names a person goes out as it is, hashed or not.",
        examples=[True],
    )
    bare_standard_events: bool = Field(
        True, description="Send standard events that have no properties too.", examples=[False]
    )
    api_version: str = Field(
        "v25.0", pattern=r"^v\d{1,3}\.\d$", description="Version of the Graph API.", examples=["v25.0"]
    )
