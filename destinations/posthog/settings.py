"""Settings of the PostHog destination."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, model_validator

from turnout import SecretUrl, Settings
from turnout.settings import BROWSER

__all__ = ["PosthogSettings"]

CLOUD = "https://us.i.posthog.com"


def _address(value: Any) -> Any:
    """A host alone is one of the Internet."""
    return f"https://{value.strip()}" if isinstance(value, str) and "://" not in value else value


class PosthogSettings(Settings):
    """Which project, where it is, and how groups are told."""

    ignored: ClassVar = BROWSER | {
        "autocapture", "capturePageView", "disableCookie", "disableSessionRecording", "enableLocalStoragePersistence",
        "flushAt", "flushInterval", "personProfiles", "propertyBlackList", "xhrHeaders",
    }

    api_key: SecretStr = Field(
        min_length=1,
        validation_alias=AliasChoices("apiKey", "teamApiKey"),
        description="API key of the project (`phc_…`).",
        examples=["${POSTHOG_API_KEY}"],
    )
    host: Annotated[SecretUrl, BeforeValidator(_address)] = Field(
        SecretUrl(CLOUD),
        validation_alias=AliasChoices("host", "yourInstance", "endpoint"),
        description="Where events are taken: of PostHog Cloud in the US, in the EU, or of an instance of your own.",
        examples=["https://eu.i.posthog.com"],
    )
    use_v2_group: bool = Field(
        True,
        description="Tell groups as PostHog's group analytics wants it; off, as PostHog's first versions did.",
        examples=[False],
    )
    group_type: str = Field(
        "", description="Type of groups whose traits have no `groupType`.", examples=["company"]
    )
    rudderstack_fields: bool = Field(
        False,
        description="Send the fields that RudderStack sends, and no others.",
        examples=[True],
    )
    personal_api_key: SecretStr | None = Field(
        None,
        description="Personal API key that may write persons (`phx_…`); only the deletion of users needs it.",
        examples=["${POSTHOG_PERSONAL_API_KEY}"],
    )
    project_id: str = Field(
        "", coerce_numbers_to_str=True, pattern=r"^\d*$",
        description="Id of the project; only the deletion of users needs it.", examples=["31415"],
    )
    delete_events: bool = Field(
        True, description="Delete a forgotten user's events and recordings too.", examples=[False]
    )

    @model_validator(mode="after")
    def _whole(self) -> PosthogSettings:
        if (self.personal_api_key is None) != (not self.project_id):
            raise ValueError("the deletion of users needs both personal_api_key and project_id")
        return self
