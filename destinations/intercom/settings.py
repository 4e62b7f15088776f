"""Settings of the Intercom destination."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr

from turnout.settings import BROWSER, Settings

__all__ = ["IntercomSettings"]

_HOSTS = {
    "us": "https://api.intercom.io", "eu": "https://api.eu.intercom.io", "au": "https://api.au.intercom.io",
}
_REGIONS = {"standard": "us", "europe": "eu", "australia": "au"}


def _region(value: Any) -> Any:
    """`us`, `eu`, `au` and RudderStack's `standard`, `Europe`, `Australia`, in any case."""
    name = value.strip().lower() if isinstance(value, str) else value
    return _REGIONS.get(name, name) if isinstance(name, str) else name


class IntercomSettings(Settings):
    """Which workspace, by which API, and how its contacts are found."""

    ignored: ClassVar = BROWSER | {
        "appId", "appID", "collectContext", "mobileApiKeyAndroid", "mobileApiKeyIOS", "object", "rudderAccountId",
        "syncMode",
    }

    access_token: SecretStr = Field(
        min_length=1,
        validation_alias=AliasChoices("apiKey", "api_key", "access_token", "accessToken"),
        description="Access token of an app of the workspace (Developer Hub, Authentication), or that of OAuth.",
        examples=["${INTERCOM_ACCESS_TOKEN}"],
    )
    api_version: Literal["v1", "v2"] = Field(
        "v2",
        description="`v2`: contacts, version 2.10 of the REST API. `v1`: users, version 1.4, which is retired.",
        examples=["v1"],
    )
    region: Annotated[Literal["us", "eu", "au"], BeforeValidator(_region)] = Field(
        "us",
        validation_alias=AliasChoices("region", "apiServer"),
        description="Where the workspace is kept: `us`, `eu` or `au`.",
        examples=["eu"],
    )
    match: Literal["any", "email"] = Field(
        "any",
        description="How a contact is found: by userId or e-mail address (`any`), or by the address alone where "
        "there is one (`email`).",
        examples=["email"],
    )
    send_anonymous_id: bool = Field(
        False, description="Where there is no userId, take the anonymousId for it.", examples=[True]
    )
    update_last_request_at: bool = Field(
        True, description="`v1` only: an identify counts as a visit of the user.", examples=[False]
    )

    def host(self) -> str:
        """The REST API of the region."""
        return _HOSTS[self.region]
