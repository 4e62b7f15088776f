"""Store conversions: a job with data about all of them, and an operation for each.

Source: https://developers.google.com/google-ads/api/docs/conversions/upload-store-sales-transactions,
https://developers.google.com/google-ads/api/reference/rpc/v23/StoreSalesMetadata and …/TransactionAttribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.google_offline_conversions.mapping import ORDER, currency, scalar, when, who, worth
from destinations.google_offline_conversions.settings import GoogleOfflineConversionsSettings
from turnout.errors import Refused
from turnout.fields import finder
from turnout.values import number
from vendors.google_ads.people import People

__all__ = ["job", "operation"]

_loyalty: Final = finder("properties.loyaltyFraction", "properties.loyalty_fraction")
_uploaded: Final = finder(
    "properties.transactionUploadFraction", "properties.transaction_upload_fraction"
)
_key: Final = finder("properties.custom_key", "properties.customKey")
_store: Final = finder("properties.store_code", "properties.storeCode")
MICROS: Final = 1_000_000


def job(message: Mapping[str, Any]) -> dict[str, Any]:
    """What the job says of the shop's sales; fractions that the event does not name are 1, which is all of them."""
    made: dict[str, Any] = {
        "loyaltyFraction": _fraction(_loyalty(message), "loyaltyFraction"),
        "transactionUploadFraction": _fraction(_uploaded(message), "transactionUploadFraction"),
    }
    if key := scalar(_key(message)):
        made["customKey"] = key
    return {"type": "STORE_SALES_UPLOAD_FIRST_PARTY", "storeSalesMetadata": made}


def _fraction(value: Any, name: str) -> int | float:
    if value is None:
        return 1
    found = number(value)
    if found is None or not 0 < found <= 1:
        raise Refused("no_fraction", f"properties.{name} must be above 0, and at most 1")
    return found


def operation(
    message: Mapping[str, Any], settings: GoogleOfflineConversionsSettings, people: People, action: str
) -> dict[str, Any]:
    """A sale and its buyer, without the consent. Raises `Refused` where amount or currency are missing."""
    value, code = worth(message), currency(message)
    if value is None or not code:
        raise Refused("no_amount", "a store conversion needs a number in properties.revenue, and properties.currency")
    sale: dict[str, Any] = {
        "transactionAmountMicros": round(value * MICROS), "currencyCode": code, "transactionDateTime": when(message),
        "conversionAction": action,
    }
    if store := scalar(_store(message)):
        sale["storeAttribute"] = {"storeCode": store}
    if order := scalar(ORDER(message)):
        sale["orderId"] = order
    if custom := _custom(message):
        sale["customValue"] = custom
    person: dict[str, Any] = dict(who(message, settings, people))
    if not person and (address := people.address(message)):
        person = {"addressInfo": address}
    return {"transactionAttribute": sale, "userIdentifiers": [person] if person else []}


def _custom(message: Mapping[str, Any]) -> str:
    """The value of the custom variable: the property that `custom_key` names."""
    key, properties = _key(message), message.get("properties")
    return scalar(properties.get(key)) if isinstance(key, str) and isinstance(properties, dict) else ""
