"""A conversion adjustment from an event.

Source: https://developers.google.com/google-ads/api/reference/rpc/v23/ConversionAdjustment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from turnout.errors import Refused
from turnout.fields import finder
from turnout.lookups import USER_AGENT
from turnout.values import number, text
from vendors.google_ads.people import People
from vendors.google_ads.times import stamp

__all__ = ["adjustment"]

_TYPES: Final = ("ENHANCEMENT", "RESTATEMENT", "RETRACTION")
_kind: Final = finder("properties.adjustmentType", "properties.adjustment_type")
_order: Final = finder("properties.orderId", "properties.order_id")
_gclid: Final = finder("properties.gclid")
_converted: Final = finder("properties.conversionDateTime", "properties.conversion_date_time")
_adjusted: Final = finder("properties.adjustmentDateTime", "properties.adjustment_date_time")
_occurred: Final = finder("timestamp", "originalTimestamp")
_value: Final = finder("properties.adjustedValue", "properties.adjusted_value")
_currency: Final = finder("properties.currency", "properties.currencyCode", "properties.currency_code")
_agent: Final = finder(USER_AGENT)


def adjustment(message: Mapping[str, Any], people: People) -> dict[str, Any]:
    """The adjustment without its conversion action. Raises `Refused` where Google would want more."""
    kind = _type(message)
    made: dict[str, Any] = {}
    pair = _pair(message)
    if pair:
        made["gclidDateTimePair"] = pair
    order = _scalar(_order(message))
    if order:
        made["orderId"] = order
    elif kind == "ENHANCEMENT" or not pair:
        raise Refused("no_order", "properties.orderId is missing: it tells which conversion is meant")
    if kind != "RETRACTION" and (worth := _worth(message)):
        made["restatementValue"] = worth
    elif kind == "RESTATEMENT":
        raise Refused("no_value", "properties.adjustedValue is missing: a restatement needs the new value")
    when = _adjusted(message)
    if when is not None:
        made["adjustmentDateTime"] = stamp(when, "properties.adjustmentDateTime")
    elif kind != "ENHANCEMENT":
        made["adjustmentDateTime"] = stamp(_occurred(message), "timestamp")
    if kind == "ENHANCEMENT":
        _who(message, people, made)
    made["adjustmentType"] = kind
    return made


def _type(message: Mapping[str, Any]) -> str:
    given = _kind(message)
    kind = given.strip().upper() if isinstance(given, str) else "ENHANCEMENT" if given is None else ""
    if kind not in _TYPES:
        raise Refused("no_type", f"properties.adjustmentType is none of {', '.join(_TYPES)}")
    return kind


def _pair(message: Mapping[str, Any]) -> dict[str, str] | None:
    """The click and the time of its conversion, where both are known."""
    gclid, when = _scalar(_gclid(message)), _converted(message)
    if not gclid or when is None:
        return None
    return {"gclid": gclid, "conversionDateTime": stamp(when, "properties.conversionDateTime")}


def _worth(message: Mapping[str, Any]) -> dict[str, Any] | None:
    given = _value(message)
    if given is None:
        return None
    value = number(given)
    if value is None:
        raise Refused("no_number", "properties.adjustedValue is no number")
    currency = _scalar(_currency(message))
    return {"adjustedValue": value, "currencyCode": currency} if currency else {"adjustedValue": value}


def _who(message: Mapping[str, Any], people: People, made: dict[str, Any]) -> None:
    agent = _scalar(_agent(message))
    if agent:
        made["userAgent"] = agent
    found: list[dict[str, Any]] = []
    if email := people.email(message):
        found.append({"hashedEmail": email})
    if phone := people.phone(message):
        found.append({"hashedPhoneNumber": phone})
    address = people.address(message)
    if any(name.startswith("hashed") for name in address):
        found.append({"addressInfo": address})
    if not found:
        raise Refused("no_person", "nobody to be matched: an e-mail address, a phone number or a name is needed")
    made["userIdentifiers"] = found


def _scalar(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list | bool) else (text(value) or "")
