"""Settings of the Google Ads Enhanced Conversions destination."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from turnout import Names
from vendors.google_ads.settings import AdsSettings

__all__ = ["GoogleEnhancedConversionsSettings"]


class GoogleEnhancedConversionsSettings(AdsSettings):
    """Which account, which events, and how people are hashed."""

    conversions: Names = Field(
        (),
        validation_alias=AliasChoices("conversions", "listOfConversions", "list_of_conversions"),
        description="Names of events that are sent; each is the name of a conversion action of the account, too.",
        examples=[["Room Booked"]],
    )
    require_hash: bool = Field(
        True,
        description="Hash e-mail addresses, phone numbers, names and streets; `false` where events hold hashes.",
        examples=[False],
    )
