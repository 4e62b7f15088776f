"""Settings of the Mixpanel destination."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, SecretStr, model_validator

from turnout import Duration, Names, Settings

__all__ = ["MixpanelSettings"]


class MixpanelSettings(Settings):
    """Which project, whose users are merged how, and what becomes of some properties."""

    # Switches of the browser SDK, lists of events that config.yaml has words of its own for, and two keys of
    # before: Mixpanel takes the project token where it took the API secret.
    ignored: ClassVar = frozenset({
        "apiKey", "apiSecret", "blacklistedEvents", "connectionMode", "consentManagement", "consolidatedPageCalls",
        "crossSubdomainCookie", "eventFilteringOption", "ignoreDnt", "ketchConsentPurposes",
        "oneTrustCookieCategories", "people", "peopleProperties", "persistence", "persistenceName",
        "persistenceType", "prefixProperties", "secureCookie", "sessionReplayPercentage", "setAllTraitsByDefault",
        "sourceName", "superProperties", "trackCategorizedPages", "trackNamedPages", "useNativeSDK",
        "whitelistedEvents",
    })

    token: SecretStr = Field(description="Token of the project.", examples=["${MIXPANEL_TOKEN}"])
    data_residency: Literal["us", "eu", "in"] = Field(
        "us", description="Where the project's data is kept.", examples=["eu"]
    )
    identity_merge_api: Literal["simplified", "original"] = Field(
        "simplified",
        description="How the project merges users; it is in the project's settings, and new ones have `simplified`.",
        examples=["original"],
    )
    strict_mode: bool = Field(
        True,
        description="Let Mixpanel check each event and name those it refuses; without it they are lost in silence.",
        examples=[False],
    )
    service_account_user_name: str = Field(
        "", description="User of a service account that may import, in place of the token.",
        examples=["importer.a1b2c3.mp-service-account"],
    )
    service_account_secret: SecretStr | None = Field(
        None, description="Secret of the service account.", examples=["${MIXPANEL_SERVICE_SECRET}"]
    )
    project_id: str = Field(
        "", coerce_numbers_to_str=True, description="Id of the project; a service account needs it.",
        examples=["2195193"],
    )
    group_key_settings: Names = Field(
        (), description="Group keys of the project; a group event's trait of that name is the group's id.",
        examples=[["company"]],
    )
    set_once_properties: Names = Field(
        (), description="Traits of an identify that are set where the profile has none; `address.city` looks inside.",
        examples=[["first_seen", "address.city"]],
    )
    union_properties: Names = Field(
        (), description="Traits whose values are added to a list of the profile, each once.", examples=[["interests"]]
    )
    append_properties: Names = Field(
        (), description="Traits whose value is appended to a list of the profile.", examples=[["visited_ports"]]
    )
    prop_increments: Names = Field(
        (), description="Properties of a track whose number is added to the profile's.", examples=[["nights"]]
    )
    event_increments: Names = Field(
        (), description="Names of track events that the profile counts.", examples=[["Room Booked"]]
    )
    use_new_mapping: bool = Field(
        True, description="Send names as Mixpanel's `$first_name` and `$last_name`; else `$firstName`, `$lastName`.",
        examples=[False],
    )
    drop_traits_in_track_event: bool = Field(
        False, description="Leave the user's traits out of track events.", examples=[True]
    )
    use_user_defined_page_event_name: bool = Field(
        False, description="Name page events by `user_defined_page_event_template`, else `Loaded a Page`.",
        examples=[True],
    )
    user_defined_page_event_template: str = Field(
        "Viewed {{ category }} {{ name }} page",
        description="Name of a page event; a name in braces is a field of the event or a property.",
        examples=["Saw {{ name }}"],
    )
    use_user_defined_screen_event_name: bool = Field(
        False, description="Name screen events by `user_defined_screen_event_template`, else `Loaded a Screen`.",
        examples=[True],
    )
    user_defined_screen_event_template: str = Field(
        "Viewed {{ category }} {{ name }} screen",
        description="Name of a screen event; a name in braces is a field of the event or a property.",
        examples=["Opened {{ name }}"],
    )
    max_age: Duration | None = Field(
        None, description="Refuse events that are older; Mixpanel takes any since 1971.", examples=["1825d"]
    )
    user_deletion_api: Literal["engage", "task"] = Field(
        "engage", description="To forget a user, delete the profile (`engage`), or the events too (`task`).",
        examples=["task"],
    )
    gdpr_api_token: SecretStr | None = Field(
        None, description="OAuth token of a person who may delete data; `user_deletion_api: task` needs it.",
        examples=["${MIXPANEL_GDPR_TOKEN}"],
    )

    compliance_type: Literal["GDPR", "CCPA"] = Field(
        "GDPR", description="The law that a deletion by task is for.", examples=["CCPA"]
    )

    @model_validator(mode="after")
    def _whole(self) -> MixpanelSettings:
        account = (self.service_account_user_name, self.service_account_secret, self.project_id)
        if any(account[:2]) and not all(account):
            raise ValueError(
                "a service account needs service_account_user_name, service_account_secret and project_id"
            )
        if ":" in self.service_account_user_name:
            raise ValueError("service_account_user_name holds a colon, which ends a user name")
        if self.user_deletion_api == "task" and self.gdpr_api_token is None:
            raise ValueError("user_deletion_api: task needs gdpr_api_token")
        return self
