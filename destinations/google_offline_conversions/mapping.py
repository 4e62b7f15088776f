"""Click and call conversions from events, and what all kinds of conversions have in common.

Source: https://developers.google.com/google-ads/api/reference/rpc/v23/ClickConversion and …/CallConversion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from destinations.google_offline_conversions.settings import GoogleOfflineConversionsSettings
from turnout.errors import Refused
from turnout.fields import Field, Fields, finder
from turnout.lookups import products
from turnout.values import integer, number, text
from vendors.google_ads.people import People
from vendors.google_ads.times import stamp

__all__ = ["ORDER", "call", "click", "consent", "currency", "scalar", "when", "who", "worth"]

_CLICKS: Final = ("gclid", "gbraid", "wbraid")
_LEADING = re.compile(r"\s*(\d{1,18})")
_WORTHS: Final = tuple(finder(f"properties.{name}") for name in ("conversionValue", "revenue", "value"))
ORDER: Final = finder("properties.orderId", "properties.order_id")
_currency: Final = finder("properties.currency", "properties.currencyCode")
_converted: Final = finder("properties.conversionDateTime")
_occurred: Final = finder("timestamp", "originalTimestamp")
_caller: Final = finder("properties.callerId")
_called: Final = finder("properties.callStartDateTime")
_environment: Final = finder("properties.conversionEnvironment")
_source: Final = finder("properties.userIdentifierSource")
_SAID: Final = frozenset({"GRANTED", "DENIED", "UNSPECIFIED", "UNKNOWN"})


def scalar(value: Any) -> str:
    """A text or number as text; "" for anything else."""
    return "" if value is None or isinstance(value, dict | list | bool) else (text(value) or "")


def _leading(value: Any) -> int | None:
    """The number that a text begins with."""
    found = _LEADING.match(scalar(value))
    return int(found[1]) if found else None


def _scalar_or_none(value: Any) -> str | None:
    return scalar(value) or None


ATTRIBUTION: Final = Fields(
    Field("externalAttributionData.externalAttributionCredit", "properties.externalAttributionCredit", via=number),
    Field(
        "externalAttributionData.externalAttributionModel", "properties.externalAttributionModel", via=_scalar_or_none
    ),
)
CART: Final = Fields(
    Field("merchantId", "properties.merchantId", via=_leading),
    Field("feedCountryCode", "properties.feedCountryCode", via=_scalar_or_none),
    Field("feedLanguageCode", "properties.feedLanguageCode", via=_scalar_or_none),
    Field("localTransactionCost", "properties.localTransactionCost", via=number),
)
ITEM: Final = Fields(
    Field("productId", "product_id", "productId", "sku", via=_scalar_or_none),
    Field("quantity", "quantity", via=integer),
    Field("unitPrice", "price", via=number),
)


def click(message: Mapping[str, Any], settings: GoogleOfflineConversionsSettings, people: People) -> dict[str, Any]:
    """A click conversion without its action, consent and variables. Raises `Refused` where nothing tells the click."""
    made = ATTRIBUTION.fill(message)
    cart = CART.fill(message)
    if items := _items(message):
        cart["items"] = items
    if cart:
        made["cartData"] = cart
    _named(message, made)
    person = who(message, settings, people)
    if person:
        source = _source(message) or settings.user_identifier_source
        if source in ("FIRST_PARTY", "THIRD_PARTY"):
            person = {"userIdentifierSource": source, **person}
        made["userIdentifiers"] = [person]
    elif not any(name in made for name in _CLICKS):
        raise Refused("no_click", "neither gclid, gbraid, wbraid nor an e-mail address or phone number of the user")
    environment = _environment(message) or settings.conversion_environment
    if environment in ("APP", "WEB"):
        made["conversionEnvironment"] = environment
    _common(message, made)
    if order := scalar(ORDER(message)):
        made["orderId"] = order
    return made


def call(message: Mapping[str, Any]) -> dict[str, Any]:
    """A call conversion without its action, consent and variables. Raises `Refused` where the call is not named."""
    caller, start = scalar(_caller(message)), _called(message)
    if not caller or start is None:
        raise Refused("no_call", "properties.callerId and properties.callStartDateTime tell which call it was")
    made: dict[str, Any] = {"callerId": caller, "callStartDateTime": stamp(start, "properties.callStartDateTime")}
    _common(message, made)
    return made


def when(message: Mapping[str, Any]) -> str:
    """The time of the conversion: the event says it, or it is the time of the event."""
    given = _converted(message)
    if given is not None:
        return stamp(given, "properties.conversionDateTime")
    return stamp(_occurred(message), "timestamp")


def worth(message: Mapping[str, Any]) -> int | float | None:
    """The value of the conversion, the first property that is a number."""
    for find in _WORTHS:
        value = number(find(message))
        if value is not None:
            return value
    return None


def currency(message: Mapping[str, Any]) -> str:
    """The code of the currency; "" where the event names none."""
    return scalar(_currency(message))


def who(message: Mapping[str, Any], settings: GoogleOfflineConversionsSettings, people: People) -> dict[str, str]:
    """One identifier: the preferred, else the other; {} where there is neither."""
    email, phone = people.email, people.phone
    if settings.default_user_identifier == "phone":
        if found := phone(message):
            return {"hashedPhoneNumber": found}
        return {"hashedEmail": found} if (found := email(message)) else {}
    if found := email(message):
        return {"hashedEmail": found}
    return {"hashedPhoneNumber": found} if (found := phone(message)) else {}


def consent(options: Mapping[str, Any], settings: GoogleOfflineConversionsSettings) -> dict[str, str]:
    """As the integrations object of the event says (`consents`), else as the settings do."""
    given = options.get("consents")
    said = given if isinstance(given, dict) else {}
    data, ads = said.get("adUserData"), said.get("adPersonalization")
    return {
        "adUserData": data if isinstance(data, str) and data in _SAID else settings.user_data_consent,
        "adPersonalization": ads if isinstance(ads, str) and ads in _SAID else settings.personalization_consent,
    }


def _named(message: Mapping[str, Any], made: dict[str, Any]) -> None:
    """One id of the click: Google takes no two. gclid says most."""
    properties = message.get("properties")
    given = properties if isinstance(properties, dict) else {}
    found = {name: value for name in _CLICKS if (value := scalar(given.get(name)))}
    if "gclid" not in found and len(found) > 1:
        raise Refused("two_clicks", "the event has a gbraid and a wbraid: a click has one of them")
    for name, value in found.items():
        made[name] = value
        return


def _common(message: Mapping[str, Any], made: dict[str, Any]) -> None:
    made["conversionDateTime"] = when(message)
    value = worth(message)
    if value is not None:
        made["conversionValue"] = value
    if code := currency(message):
        made["currencyCode"] = code


def _items(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The products of the cart, else the one that the event is about."""
    rows: Sequence[Any] = products(message)
    if not rows:
        rows = [message.get("properties")]
    return [made for row in rows if "productId" in (made := ITEM.fill(row))]
