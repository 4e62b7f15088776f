"""Settings of the Google Analytics 4 destination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from destinations.ga4.names import event_name
from turnout import Names, Settings
from turnout.errors import Refused
from turnout.mapping import Body

__all__ = ["EventMapping", "GA4Settings"]


def _mode(value: Any) -> Any:
    """RudderStack keeps the mode per platform of its SDKs (`{web: hybrid}`); one that is hybrid counts for all."""
    modes = value.values() if isinstance(value, Mapping) else [value]
    return "hybrid" if "hybrid" in modes else "cloud"


def _properties(value: Any) -> Any:
    """Rows `{from, to}` as RudderStack has them, as a mapping of places in the request to paths of the event."""
    if not isinstance(value, list):
        return value
    rows = [row for row in value if isinstance(row, Mapping) and row.get("from") and row.get("to")]
    return {row["to"]: row["from"] for row in rows}


def _mappings(value: Any) -> Any:
    """Without the empty rows that a form leaves."""
    if not isinstance(value, list):
        return value
    return [
        row for row in value
        if not isinstance(row, Mapping) or row.get("rsEventName") or row.get("event")
    ]  # fmt: skip


class EventMapping(BaseModel):
    """A track event and the request that is made of it: `properties` are mappings as `turnout.mapping` has them."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True)

    event: str = Field(validation_alias=AliasChoices("event", "rsEventName"))
    name: str = Field(validation_alias=AliasChoices("name", "destEventName"))
    properties: Annotated[dict[str, str], BeforeValidator(_properties)] = Field(
        {}, validation_alias=AliasChoices("properties", "eventProperties")
    )

    @model_validator(mode="after")
    def _legal(self) -> EventMapping:
        Body(self.properties)
        try:
            event_name(self.name)
        except Refused as error:
            raise ValueError(f"name: {error.message}") from None
        return self


class GA4Settings(Settings):
    """Which stream, whose ids count, what of the user is sent, and own mappings of events."""

    # Switches of RudderStack's browser SDK, its lists of events, and what its OAuth account found the stream by.
    ignored: ClassVar[frozenset[str]] = frozenset({
        "accountId", "account", "blacklistedEvents", "blockPageViewEvent", "capturePageView", "configData",
        "consentManagement", "dataStream", "dataStreamId", "debugView", "eventDelivery", "eventDeliveryTS",
        "eventFilteringOption", "extendPageViewParams", "ketchConsentPurposes", "oneTrustCookieCategories",
        "overrideClientAndSessionId", "overrideClientAndSessionIds", "property", "rudderAccountId",
        "sdkBaseUrl", "sendUserId", "serverContainerUrl", "useNativeSDK", "useNativeSDKToSend", "whitelistedEvents",
    })  # fmt: skip

    api_secret: SecretStr = Field(
        min_length=1, description="Measurement Protocol API secret of the stream.", examples=["${GA4_API_SECRET}"]
    )
    client_type: Literal["gtag", "firebase"] = Field(
        "gtag",
        validation_alias=AliasChoices("clientType", "typesOfClient"),
        description="Kind of stream: `gtag` is a website's, `firebase` an app's.",
        examples=["firebase"],
    )
    measurement_id: str = Field("", description="Measurement id of a website's stream.", examples=["G-8XK2PLB4TD"])
    firebase_app_id: str = Field(
        "", description="Firebase app id of an app's stream.", examples=["1:20240501:android:8f3c"]
    )
    region: Literal["global", "eu"] = Field(
        "global", description="Where Google collects: `eu` or anywhere.", examples=["eu"]
    )
    debug_mode: bool = Field(
        False,
        description="Have Google's validation server check events. It keeps none: for trying out only.",
        examples=[True],
    )
    connection_mode: Annotated[Literal["cloud", "hybrid"], BeforeValidator(_mode)] = Field(
        "cloud",
        description="`hybrid`: Google's own tag is on the site, and its client and session id come with events.",
        examples=["hybrid"],
    )
    events_mapping: Annotated[tuple[EventMapping, ...], BeforeValidator(_mappings)] = Field(
        (),
        description="Track events with a request of their own, path by path; several for one event are sent in order.",
        examples=[[{
            "event": "Room Booked", "name": "purchase",
            "properties": {"events[0].params.transaction_id": "$.properties.booking"},
        }]],
    )  # fmt: skip
    pii_properties_to_ignore: Names = Field(
        ("email", "phone", "firstName", "lastName", "first_name", "last_name"),
        description="Properties and traits that are not sent; Google's terms forbid what names a person.",
        examples=[["email", "phone", "nickname"]],
    )
    send_user_data: bool = Field(
        False,
        description="Send e-mail, phone, name and address hashed as `user_data`, of events with a userId.",
        examples=[True],
    )
    send_ip: bool = Field(
        False, description="Send the user's IP address, from which Google tells the place.", examples=[True]
    )
    fit_limits: bool = Field(
        True,
        description="Cut names, texts and numbers of parameters to Google's limits, past which it drops them.",
        examples=[False],
    )
    whole_seconds: bool = Field(False, description="Send times without fractions of a second.", examples=[True])

    property_id: str = Field(
        "", coerce_numbers_to_str=True, pattern=r"^\d*$", examples=["318204417"],
        description="Number of the property; only the deletion of users needs it.",
    )
    service_account: SecretStr | None = Field(
        None,
        description="JSON key of a service account that may edit the property; only the deletion of users needs it.",
        examples=["${GA4_SERVICE_ACCOUNT}"],
    )

    @model_validator(mode="after")
    def _stream(self) -> GA4Settings:
        wanted = "measurement_id" if self.client_type == "gtag" else "firebase_app_id"
        if not getattr(self, wanted):
            raise ValueError(f"{wanted} is missing: a {self.client_type} stream is named by it")
        return self
