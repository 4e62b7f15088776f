"""Settings of the Braze destination."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from turnout import Settings

__all__ = ["BrazeSettings"]

_CENTER = re.compile(r"([a-z]{2})-([0-9]{2})")


def _center(value: Any) -> Any:
    """`us-03`, in any case."""
    name = value.strip().lower() if isinstance(value, str) else ""
    if not _CENTER.fullmatch(name):
        raise PydanticCustomError("center", "must be the name of the instance, such as US-03 or EU-01")
    return name


def _by_platform(value: Any) -> Any:
    """RudderStack may keep this per platform of its SDKs (`{web: true}`); one that is true counts for all."""
    return any(one is True for one in value.values()) if isinstance(value, Mapping) else value


class BrazeSettings(Settings):
    """Which workspace, who an anonymous user is, and what becomes of groups, nested traits and orders."""

    ignored: ClassVar[frozenset[str]] = frozenset({
        "appKey", "androidApiKey", "iOSApiKey", "webApiKey", "prefixProperties", "trackAnonymousUser",
        "useNativeSDK", "useNativeSDKToSend", "connectionMode", "enableBrazeLogging", "enablePushNotification",
        "allowUserSuppliedJavascript", "oneTrustCookieCategories", "ketchConsentPurposes", "consentManagement",
        "blacklistedEvents", "whitelistedEvents", "eventFilteringOption",
    })

    rest_api_key: SecretStr = Field(
        min_length=1,
        description="REST API key with the permissions users.track, users.identify, users.merge and, where they are "
        "used, subscription.status.set, users.export.ids and users.delete.",
        examples=["${BRAZE_REST_API_KEY}"],
    )
    data_center: Annotated[str, BeforeValidator(_center)] = Field(
        description="The instance of the workspace, as the dashboard's address says: `US-01` … `US-10`, `EU-01`, "
        "`EU-02`, `AU-01`, `ID-01`, `JP-01`, `KR-01`.",
        examples=["EU-01"],
    )
    plan: Literal["mau", "data_points"] = Field(
        "mau",
        description="What Braze bills: `mau` takes 75 attributes, events and purchases together in a request, which "
        "every plan takes; `data_points` 75 of each.",
        examples=["data_points"],
    )
    alias_label: str = Field(
        "anonymous_id", min_length=1, description="Label of the alias that an anonymousId is.", examples=["device"]
    )
    group_prefix: str = Field(
        "group_",
        description="A group event sets the attribute of this prefix and the groupId to true.",
        examples=["member_of_"],
    )
    enable_subscription_group_in_group_call: bool = Field(
        False,
        description="A group event sets the state of a subscription group instead of an attribute.",
        examples=[True],
    )
    enable_nested_array_operations: bool = Field(
        False,
        description="Traits with `add`, `update` and `remove` change items of an array of objects.",
        examples=[True],
    )
    use_ecommerce_recommended_events: bool = Field(
        True,
        description="Send products, carts and orders as Braze's recommended events. Off, `Order Completed` becomes "
        "purchases.",
        examples=[False],
    )
    purchase_properties: bool = Field(
        False,
        validation_alias=AliasChoices(
            "purchase_properties", "purchaseProperties",
            "sendPurchaseEventWithExtraProperties", "send_purchase_event_with_extra_properties",
        ),
        description="What else a product of an order says becomes the properties of its purchase.",
        examples=[True],
    )
    deduplicate: Annotated[bool, BeforeValidator(_by_platform)] = Field(
        False,
        validation_alias=AliasChoices("deduplicate", "supportDedup"),
        description="Ask Braze for the users' profiles and send only attributes that change; saves data points.",
        examples=[True],
    )
    partner: str = Field(
        "", description="The name of a technology partner that Braze counts this traffic for.", examples=["Harbour"]
    )

    def host(self) -> str:
        """Where the workspace's API is (https://www.braze.com/docs/api/basics/#endpoints)."""
        region, number = self.data_center.split("-")
        if region == "us" and number < "10":
            return f"https://rest.iad-{number}.braze.com"
        if region == "eu":
            return f"https://rest.fra-{number}.braze.eu"
        return f"https://rest.{self.data_center}.braze.com"
