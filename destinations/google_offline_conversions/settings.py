"""Settings of the Google Ads Offline Conversions destination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from turnout import Pairs
from vendors.google_ads.settings import AdsSettings

__all__ = ["Consent", "GoogleOfflineConversionsSettings"]

Consent = Literal["GRANTED", "DENIED", "UNSPECIFIED"]
Way = Literal["click", "call", "store"]


def _ways(value: Any) -> Any:
    """By event one kind of conversion or several; RudderStack's list of `{from, to}` may name an event twice."""
    if isinstance(value, Mapping):
        return {name: [ways] if isinstance(ways, str) else ways for name, ways in value.items()}
    if not isinstance(value, list | tuple):
        return value
    made: dict[str, list[Any]] = {}
    for one in value:
        if not isinstance(one, Mapping) or not isinstance(one.get("from"), str) or "to" not in one:
            raise PydanticCustomError("ways", "must be a mapping, or a list of {from: …, to: …}")
        if one["from"] and one["to"] not in made.setdefault(one["from"], []):
            made[one["from"]].append(one["to"])
    return made


def _upper(value: Any) -> Any:
    return value.strip().upper() if isinstance(value, str) else value


def _source(value: Any) -> Any:
    """RudderStack's form leaves the name of an identifier here at times, which says nothing of its source."""
    name = _upper(value)
    return "NONE" if name in ("EMAIL", "PHONE", "UNSPECIFIED") else name


class GoogleOfflineConversionsSettings(AdsSettings):
    """Which account, which event is which conversion, and how people are named."""

    conversion_types: Annotated[dict[str, tuple[Way, ...]], BeforeValidator(_ways)] = Field(
        {},
        validation_alias=AliasChoices(
            "conversion_types", "conversionTypes", "eventsToOfflineConversionsTypeMapping",
        ),
        description="By event: `click`, `call` or `store`, or a list of them.",
        examples=[{"Room Booked": "click", "Stay Paid": ["store", "call"]}],
    )
    conversion_names: Pairs = Field(
        {},
        validation_alias=AliasChoices("conversion_names", "conversionNames", "eventsToConversionsNamesMapping"),
        description="By event: the name of its conversion action in the account.",
        examples=[{"Room Booked": "Bookings"}],
    )
    custom_variables: Pairs = Field(
        {},
        description="Properties, and the names of the account's custom variables for them (click and call).",
        examples=[{"floor": "room_floor"}],
    )
    default_user_identifier: Literal["email", "phone"] = Field(
        "email", description="What a person is found by; the other one where it is missing.", examples=["phone"]
    )
    hash_user_identifier: bool = Field(
        True,
        description="Hash e-mail addresses, phone numbers, names and streets; `false` where events hold hashes.",
        examples=[False],
    )
    hash_form: Literal["google", "rudderstack"] = Field(
        "google",
        description="How values are written before they are hashed: by Google's rules (phone numbers as E.164, no "
        "points before gmail.com), or only trimmed and in lower case, as RudderStack has them.",
        examples=["rudderstack"],
    )
    user_identifier_source: Annotated[Literal["FIRST_PARTY", "THIRD_PARTY", "NONE"], BeforeValidator(_source)] = Field(
        "NONE",
        validation_alias=AliasChoices("user_identifier_source", "userIdentifierSource", "UserIdentifierSource"),
        description="Who collected what a person is found by, unless the event says so; `none` leaves it out.",
        examples=["FIRST_PARTY"],
    )
    conversion_environment: Annotated[Literal["APP", "WEB", "NONE"], BeforeValidator(_upper)] = Field(
        "NONE",
        description="Where click conversions happen, unless the event says so; `none` leaves it out.",
        examples=["WEB"],
    )
    user_data_consent: Annotated[Consent, BeforeValidator(_upper)] = Field(
        "UNSPECIFIED", description="Consent to sending user data for ads, unless the event says.", examples=["GRANTED"]
    )
    personalization_consent: Annotated[Consent, BeforeValidator(_upper)] = Field(
        "UNSPECIFIED", description="Consent to personalised ads, unless the event says.", examples=["DENIED"]
    )
    validate_only: bool = Field(
        False, description="Store conversions are checked by Google and not counted.", examples=[True]
    )
