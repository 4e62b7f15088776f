"""Settings that the destinations of the Google Ads API share, and the account that an event is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from turnout import Bearer, OAuth2, Settings
from turnout.errors import Refused
from turnout.fields import getter
from turnout.settings import BROWSER

__all__ = ["TOKEN_URL", "Account", "AdsSettings", "account_of"]

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 -- an address
_PLAIN = re.compile(r"[A-Za-z0-9_.]{1,64}")
_DIGITS = re.compile(r"\d{1,20}")
_FROM_EVENT = re.compile(
    r"""\{\{\s*(?:(?:event|message)\.)?([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\s*(?:\|\|\s*(?:"([^"]*)"|'([^']*)')\s*)?\}\}"""
)
Consent = Literal["GRANTED", "DENIED", "UNSPECIFIED"]


class Account(NamedTuple):
    """The account that conversions go to, and the manager account that the credentials belong to ("" for none)."""

    customer: str
    login: str = ""


def _number(value: Any) -> Any:
    """The number of an account without its hyphens, or a place in the event."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise PydanticCustomError("customer", "must be the number of an account, such as 123-456-7890")
    text = value.strip()
    if text.startswith("{{"):
        if not _FROM_EVENT.fullmatch(text):
            raise PydanticCustomError(
                "customer", 'must be a number or a path such as {{{{ context.account || "123-456-7890" }}}}'
            )
        return text
    plain = text.replace("-", "").replace(" ", "")
    if not _PLAIN.fullmatch(plain):
        raise PydanticCustomError("customer", "must be the number of an account, such as 123-456-7890")
    return plain


Customer = Annotated[str, BeforeValidator(_number)]


class AdsSettings(Settings):
    """Which account, and the credentials of whoever may upload to it."""

    ignored: ClassVar[frozenset[str]] = BROWSER | {
        "", "authStatus", "eventDelivery", "eventDeliveryTS", "isCustomerAllowed", "rudderAccountId",
        "rudderDeleteAccountId",
    }

    customer_id: Customer = Field(
        description="Number of the Google Ads account, or a path into the event that gives it.",
        examples=["123-456-7890"],
    )
    login_customer_id: Customer = Field(
        "",
        description="Number of the manager account through which the credentials reach it.",
        examples=["987-654-3210"],
    )
    sub_account: bool | None = Field(
        None,
        description="Whether the account is under a manager account; unset: where `login_customer_id` is given.",
        examples=[True],
    )
    developer_token: SecretStr = Field(
        min_length=1,
        description="Developer token of the API Center of a manager account.",
        examples=["${GOOGLE_ADS_DEVELOPER_TOKEN}"],
    )
    client_id: str = Field(
        "",
        description="Client id of an OAuth client of the Google Cloud project.",
        examples=["123-abc.apps.googleusercontent.com"],
    )
    client_secret: SecretStr | None = Field(
        None, description="Client secret of the same.", examples=["${GOOGLE_CLIENT_SECRET}"]
    )
    refresh_token: SecretStr | None = Field(
        None,
        description="Refresh token of a user with access to the account, for the scope `adwords`.",
        examples=["${GOOGLE_ADS_REFRESH_TOKEN}"],
    )
    access_token: SecretStr | None = Field(
        None,
        description="An access token in place of the three; it ends after an hour, so it is for trying things out.",
        examples=["${GOOGLE_ADS_ACCESS_TOKEN}"],
    )
    api_version: str = Field(
        "v23",
        pattern=r"^v\d{1,3}$",
        description="Version of the Google Ads API; Google retires one about a year after it came.",
        examples=["v23"],
    )

    @model_validator(mode="after")
    def _complete(self) -> AdsSettings:
        if self.access_token is None and not (self.client_id and self.client_secret and self.refresh_token):
            raise PydanticCustomError(
                "credentials", "needs client_id, client_secret and refresh_token (or an access_token for a try)"
            )
        if self.sub_account and not self.login_customer_id:
            raise PydanticCustomError("login", "sub_account needs login_customer_id, the number of the manager account")
        return self

    def credentials(self) -> OAuth2 | Bearer:
        """A refresh token where all of it is there, else the access token."""
        if self.client_id and self.client_secret and self.refresh_token:
            return OAuth2(
                TOKEN_URL, self.client_id, self.client_secret.get_secret_value(), grant="refresh_token",
                refresh_token=self.refresh_token.get_secret_value(),
            )
        assert self.access_token is not None
        return Bearer(self.access_token.get_secret_value())

    def fixed(self) -> bool:
        """Whether every event is for the same account."""
        return not self.customer_id.startswith("{{") and not self.login_customer_id.startswith("{{")


def account_of(settings: AdsSettings) -> Callable[[Mapping[str, Any]], Account]:
    """A function of the message: the account of an event. It raises `Refused` where the event names none."""
    below = bool(settings.login_customer_id) if settings.sub_account is None else settings.sub_account
    login = settings.login_customer_id if below else ""
    if settings.fixed() or (not login.startswith("{{") and not settings.customer_id.startswith("{{")):
        same = Account(settings.customer_id, login)
        return lambda _: same
    customer, manager = _found("customer_id", settings.customer_id), _found("login_customer_id", login)
    return lambda message: Account(customer(message), manager(message))


def _found(name: str, value: str) -> Callable[[Mapping[str, Any]], str]:
    match = _FROM_EVENT.fullmatch(value)
    if match is None:
        return lambda _: value
    find, default = getter(match[1]), (match[2] or match[3] or "").replace("-", "")

    def find_number(message: Mapping[str, Any]) -> str:
        given = find(message)
        if given is None or given == "":
            given = default
        text = str(given).replace("-", "") if isinstance(given, str | int) and not isinstance(given, bool) else ""
        if not _DIGITS.fullmatch(text):
            raise Refused("no_account", f"{name}: the event has no number of an account at {match[1]}")
        return text

    return find_number


