"""Settings of the Customer.io destination, and the account that its audience has too."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr

from turnout import Basic, Settings

__all__ = ["BROWSER", "Account", "CustomerioSettings"]

_HOSTS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}
BROWSER = frozenset({
    "autoTrackDeviceAttributes", "blacklistedEvents", "connectionMode", "consentManagement", "datacenterEU",
    "eventFilteringOption", "ketchConsentPurposes", "oneTrustCookieCategories", "sendPageNameInSDK",
    "useNativeSDK", "whitelistedEvents",
})
"""What RudderStack keeps for its browser SDK, and filters that belong to the config here."""


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class Account(Settings):
    """A workspace, as the Track API knows it."""

    ignored: ClassVar = BROWSER

    site_id: str = Field(
        validation_alias=AliasChoices("site_id", "siteID", "siteId"),
        pattern=r"^[^:\x00-\x1f\x7f]+$",
        description="Site ID of the workspace (Settings, API Credentials, Track API Keys).",
        examples=["4f1c2a9d8b7e"],
    )
    api_key: SecretStr = Field(
        min_length=1, description="API key that belongs to the site ID.", examples=["${CUSTOMERIO_API_KEY}"]
    )
    region: Annotated[Literal["us", "eu"], BeforeValidator(_lower)] = Field(
        "us",
        validation_alias=AliasChoices("region", "datacenter"),
        description="Where the account is kept: `us` or `eu`. The US hosts redirect what is for the EU.",
        examples=["eu"],
    )

    def host(self) -> str:
        """The Track API of the region."""
        return _HOSTS[self.region]

    def auth(self) -> Basic:
        """What the Track API asks for."""
        return Basic(self.site_id, self.api_key.get_secret_value())


class CustomerioSettings(Account):
    """How events become calls."""

    api: Literal["v1", "v2"] = Field(
        "v1",
        description="`v1`: a call for each event, only groups and records in batches. `v2`: all of them in batches.",
        examples=["v2"],
    )
    device_event: str = Field(
        "",
        validation_alias=AliasChoices("device_event", "deviceTokenEventName"),
        description="Event that is tracked once a device has its push token; it registers the device, too.",
        examples=["Push Token Received"],
    )
    deduplicate: bool = Field(
        True,
        description="Give events an `id` that is the same on every attempt, by which Customer.io drops repeats.",
        examples=[False],
    )
    sync_mode: Annotated[Literal["upsert", "mirror"], BeforeValidator(_lower)] = Field(
        "upsert",
        description="What a deleted row of a warehouse does: nothing (`upsert`), or delete the person (`mirror`).",
        examples=["mirror"],
    )
    record_object: Annotated[Literal["person"], BeforeValidator(_lower)] = Field(
        "person",
        validation_alias=AliasChoices("record_object", "object"),
        description="What the rows of a warehouse are; people are the only kind there is.",
        examples=["person"],
    )
