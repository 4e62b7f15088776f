"""Settings of the Braze destination."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from turnout import SecretUrl, Settings

__all__ = ["BrazeSettings"]

_CENTERS = (
    *(f"us-0{number}" for number in range(1, 9)), "us-10", "eu-01", "eu-02", "au-01", "id-01", "jp-01", "kr-01",
)  # fmt: skip
"""https://www.braze.com/docs/user_guide/administer/personal/sdk_endpoints/"""


def _center(value: Any) -> Any:
    """`us-03`, in any case."""
    name = value.strip().lower() if isinstance(value, str) else ""
    if name and name not in _CENTERS:
        near = get_close_matches(name[:20], _CENTERS, n=1)
        hint = f"did you mean {near[0].upper()}?" if near else "such as US-03 or EU-01"
        said = "must be the name of an instance ({hint}); a new one's address goes into `endpoint`"
        raise PydanticCustomError("center", said, {"hint": hint})
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
        "",
        description="The instance of the workspace, as the dashboard's address says: `US-01` … `US-10`, `EU-01`, "
        "`EU-02`, `AU-01`, `ID-01`, `JP-01`, `KR-01`.",
        examples=["EU-01"],
    )
    endpoint: SecretUrl | None = Field(
        None,
        description="Address of the workspace's REST API, for an instance that is not listed above.",
        examples=["https://rest.us-11.braze.com"],
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

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.data_center and self.endpoint is None:
            raise ValueError("data_center is needed: the name of the instance, such as US-03 or EU-01")
        return self

    def host(self) -> str:
        """Where the workspace's API is (https://www.braze.com/docs/api/basics/#endpoints)."""
        if self.endpoint is not None:
            return self.endpoint.get_secret_value().rstrip("/")
        region, number = self.data_center.split("-")
        if region == "us" and number < "10":
            return f"https://rest.iad-{number}.braze.com"
        if region == "eu":
            return f"https://rest.fra-{number}.braze.eu"
        return f"https://rest.{self.data_center}.braze.com"
