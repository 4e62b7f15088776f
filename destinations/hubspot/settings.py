"""Settings of the HubSpot destination."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, model_validator

from turnout import Pairs, Settings
from turnout.settings import BROWSER

__all__ = ["HubspotSettings", "Occurrence"]

_PEERS = {
    "newApi": "v3", "legacyApi": "legacy", "newPrivateAppApi": "private_app", "legacyApiKey": "api_key",
}
"""RudderStack's words for ours."""


def _ours(value: Any) -> Any:
    return _PEERS.get(value, value) if isinstance(value, str) else value


class Occurrence(Settings):
    """A custom event of HubSpot that an event becomes."""

    event: str = Field(
        "", validation_alias=AliasChoices("event", "rsEventName"),
        description="Name of the event.", examples=["Boat Rented"],
    )  # fmt: skip
    name: str = Field(
        "", validation_alias=AliasChoices("name", "hubspotEventName"),
        description="Its full name in HubSpot.", examples=["pe4711_boat_rented"],
    )  # fmt: skip
    properties: Pairs = Field(
        {}, validation_alias=AliasChoices("properties", "eventProperties"),
        description="Properties of the event, and what they are called in HubSpot.",
        examples=[{"days": "rental_days"}],
    )  # fmt: skip


class HubspotSettings(Settings):
    """Which account, how contacts are found, and which events are sent."""

    ignored: ClassVar[frozenset[str]] = BROWSER | {"eventDelivery", "eventDeliveryTS"}

    access_token: SecretStr | None = Field(
        None, description="Access token of a private app.", examples=["${HUBSPOT_ACCESS_TOKEN}"]
    )
    api_key: SecretStr | None = Field(
        None,
        description="API key of the account (`hapikey`), which HubSpot gives to nobody any more.",
        examples=["${HUBSPOT_API_KEY}"],
    )
    authorization: Annotated[Literal["private_app", "api_key"] | None, BeforeValidator(_ours)] = Field(
        None,
        validation_alias=AliasChoices("authorization", "authorizationType"),
        description="Which of the two is used, where both are set: `private_app` or `api_key`.",
        examples=["private_app"],
    )
    api: Annotated[Literal["v3", "legacy"], BeforeValidator(_ours)] = Field(
        "v3",
        validation_alias=AliasChoices("api", "apiVersion"),
        description="`v3`, or `legacy`: contacts by the Contacts API v1, events by the tracking pixel.",
        examples=["v3"],
    )
    hub_id: str = Field(
        "",
        validation_alias=AliasChoices("hub_id", "hubID", "hubId"),
        description="Number of the account; events of the legacy API need it.",
        examples=["4711"],
    )
    region: Literal["us", "eu"] = Field(
        "us", description="Where the account is kept; it only matters to events of the legacy API.", examples=["eu"]
    )
    lookup_field: str = Field(
        "email",
        description="Property by which a contact is found: the trait of that name, else the e-mail address.",
        examples=["customer_number"],
    )
    events: tuple[Occurrence, ...] = Field(
        (),
        validation_alias=AliasChoices("events", "hubspotEvents"),
        description="Custom events of HubSpot and the events that become them; of `v3` all others are filtered.",
        examples=[[{"event": "Boat Rented", "name": "pe4711_boat_rented", "properties": {"days": "rental_days"}}]],
    )
    do_association: bool = Field(
        False, description="Take rows of a warehouse that connect records (`HS-association`).", examples=[True]
    )
    event_ids: bool = Field(
        True, description="Give custom events a `uuid` that is the same on every attempt.", examples=[False]
    )

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        if self.authorization is None and self.access_token and self.api_key:
            raise ValueError("access_token and api_key are both set: remove api_key (or say which in authorization)")
        if self.token() is None and self.key() is None:
            needed = "api_key" if self.authorization == "api_key" else "access_token"
            raise ValueError(f"{needed} is needed")
        return self

    def token(self) -> str | None:
        """The access token, where it is what is used."""
        used = self.authorization != "api_key" and self.access_token is not None
        return self.access_token.get_secret_value() if used and self.access_token else None

    def key(self) -> str | None:
        """The API key, where it is what is used."""
        used = self.authorization == "api_key" or (self.authorization is None and self.access_token is None)
        return self.api_key.get_secret_value() if used and self.api_key else None
