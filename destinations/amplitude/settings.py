"""Settings of the Amplitude destination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr

from turnout import Names, Settings

__all__ = ["AmplitudeSettings"]


def _residency(value: Any) -> Any:
    """`eu`, `us` and RudderStack's `standard` and `EU`, in any case."""
    name = value.lower() if isinstance(value, str) else value
    return "us" if name == "standard" else name


def _by_platform(value: Any) -> Any:
    """RudderStack keeps this per platform of its SDKs (`{web: true}`); one that is true counts for all."""
    return any(one is True for one in value.values()) if isinstance(value, Mapping) else value


Switch = Annotated[bool, BeforeValidator(_by_platform)]


class AmplitudeSettings(Settings):
    """Which project, what becomes of traits, orders, pages and groups, and what counts as the device."""

    ignored: ClassVar[frozenset[str]] = frozenset({
        "trackAllPages", "trackCategorizedPages", "trackNamedPages", "attribution", "trackNewCampaigns", "sdkVersion",
        "eventUploadThreshold", "eventUploadPeriodMillis", "enableLocationListening", "trackSessionEvents",
        "proxyServerUrl", "deviceIdFromUrlParam", "forceHttps", "trackGclid", "trackReferrer", "trackUtmProperties",
        "saveParamsReferrerOncePerSession", "unsetParamsReferrerOnNewSession", "batchEvents", "useNativeSDK",
        "enablePageViewsAutoCapture", "enablePageUrlEnrichmentAutoCapture", "enableWebVitalsAutoCapture",
        "enableFileDownloadsAutoCapture", "enableFrustrationInteractionsAutoCapture", "connectionMode",
        "enableNetworkTrackingAutoCapture", "enableElementInteractionsAutoCapture", "oneTrustCookieCategories",
        "enableFormInteractionsAutoCapture", "consentManagement", "ketchConsentPurposes",
        "blacklistedEvents", "whitelistedEvents", "eventFilteringOption",
    })

    api_key: SecretStr = Field(
        min_length=1, description="API key of the project.", examples=["${AMPLITUDE_API_KEY}"]
    )
    api_secret: SecretStr | None = Field(
        None,
        description="Secret key of the project; only the deletion of users needs it.",
        examples=["${AMPLITUDE_SECRET_KEY}"],
    )
    residency_server: Annotated[Literal["us", "eu"], BeforeValidator(_residency)] = Field(
        "us", description="Where the project's data is kept: `us` (standard) or `eu`.", examples=["eu"]
    )
    group_type_trait: str = Field(
        "", description="Trait of a group event that holds the type of the group.", examples=["kind"]
    )
    group_value_trait: str = Field(
        "", description="Trait of a group event that holds the name of the group.", examples=["name"]
    )
    traits_to_increment: Names = Field(
        (), description="Traits of an identify that are added to the user's (`$add`).", examples=[["nights"]]
    )
    traits_to_set_once: Names = Field(
        (), description="Traits of an identify that are set once (`$setOnce`).", examples=[["first_visit"]]
    )
    traits_to_append: Names = Field(
        (), description="Traits of an identify that are put at the end of a list (`$append`).", examples=[["hotels"]]
    )
    traits_to_prepend: Names = Field(
        (), description="Traits of an identify that are put before a list (`$prepend`).", examples=[["recent"]]
    )
    enhanced_user_operations: bool = Field(
        True,
        validation_alias=AliasChoices("enableEnhancedUserOperations", "enableEnhncedUserOpertaions"),
        description="Put the other traits of an identify under `$set`: Amplitude wants operations apart.",
        examples=[False],
    )
    track_products_once: bool = Field(
        False, description="Leave the products of an order in its event, and send none of their own.", examples=[True]
    )
    track_revenue_per_product: bool = Field(
        False, description="Count revenue by the products of an order, not by the order.", examples=[True]
    )
    map_device_brand: bool = Field(
        False, description="`device_brand` is `context.device.brand`, not the manufacturer.", examples=[True]
    )
    context_places: bool = Field(
        True,
        description="A `city` and `country` in `context.traits` itself are the place of an event too.",
        examples=[False],
    )
    version_name: str = Field(
        "", description="`app_version` of events that bring none.", examples=["2.4.0"]
    )
    prefer_anonymous_id_for_device_id: Switch = Field(
        False, description="`device_id` is the anonymousId before `context.device.id`.", examples=[True]
    )
    use_advertising_id_for_device_id: Switch = Field(
        False, description="`device_id` is the advertising id, on Android.", examples=[True]
    )
    use_idfa_as_device_id: Switch = Field(
        False, description="`device_id` is the advertising id, on Apple's systems.", examples=[True]
    )
    use_user_defined_page_event_name: bool = Field(
        False, description="Name page events by `user_provided_page_event_string`.", examples=[True]
    )
    user_provided_page_event_string: str = Field(
        "", description="Name of a page event; empty: the page's own name.", examples=["Saw {{ properties.title }}"]
    )
    use_user_defined_screen_event_name: bool = Field(
        False, description="Name screen events by `user_provided_screen_event_string`.", examples=[True]
    )
    user_provided_screen_event_string: str = Field(
        "", description="Name of a screen event; empty: the screen's own name.", examples=["Saw {{ name }}"]
    )
    library: str = Field(
        "turnout", description="What Amplitude shows as the library that sent an event.", examples=["turnout"]
    )
