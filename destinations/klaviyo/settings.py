"""Settings of the Klaviyo destination."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr

from turnout import Settings
from turnout.settings import BROWSER

__all__ = ["KlaviyoSettings"]


def _channels(value: Any) -> Any:
    """One name, several, or RudderStack's objects of one (`{consent: email}`); empty ones do not count."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        return value
    names = [next(iter(one.values())) if isinstance(one, dict) and len(one) == 1 else one for one in given]
    return [name.strip().lower() if isinstance(name, str) else name for name in names if name != ""]


class KlaviyoSettings(Settings):
    """Which account and API, whom a profile belongs to, and what it is subscribed to."""

    ignored: ClassVar = BROWSER | {"additionalPageInfo", "publicApiKey", "sendPageAsTrack"}

    private_api_key: SecretStr = Field(
        min_length=1, description="Private API key of the account (`pk_…`).", examples=["${KLAVIYO_PRIVATE_KEY}"]
    )
    api_version: Literal["v1", "v2", "v3"] = Field(
        "v3",
        description="Revision of the API: `v1` is 2023-02-22, `v2` 2024-10-15, `v3` 2026-04-15.",
        examples=["v2"],
    )
    list_id: str = Field(
        "", description="List that profiles are subscribed to where an identify names none.", examples=["XyZ123"]
    )
    consent: Annotated[tuple[Literal["email", "sms"], ...], BeforeValidator(_channels)] = Field(
        (), description="Channels that a subscription is for, where the event names none.", examples=[["email", "sms"]]
    )
    enforce_email_as_primary: bool = Field(
        False,
        description="Know a profile by e-mail address and phone number only; the userId becomes its property `_id`.",
        examples=[True],
    )
    flatten_properties: bool = Field(
        False, description="Send nested traits and properties flat, `address.city`.", examples=[True]
    )
    normalize_phones: bool = Field(
        True, description="Leave spaces, hyphens, points and brackets out of phone numbers.", examples=[False]
    )
    update_created: bool = Field(
        False, description="With `v1`, send a profile again that was just created.", examples=[True]
    )
