"""What events hold, under HubSpot's names.

Source: https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide (properties of contacts),
https://developers.hubspot.com/docs/api-reference/legacy/events/send-event-data/guide (default properties of
events), https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide (types), and
https://www.rudderstack.com/docs/destinations/streaming-destinations/hubspot/cloud-mode/new-api/ (sources).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from turnout import values
from turnout.fields import Field, Fields
from turnout.lookups import FIRST_NAME, LAST_NAME, PHONE, traits

__all__ = ["CONTACT", "EVENT", "PLACES", "WHO", "contact", "named", "plain", "scalar"]

PLACES: Final = ("traits", "context.traits", "properties")
_SPACE = re.compile(r"\s+")
_DAY = 86_400_000
_SPENT = frozenset({"companyname", "first_name", "last_name", "position"})
"""Traits that are standard properties by another name."""
_TEXTS = frozenset({"string", "enumeration", "phone_number"})


def _anywhere(*names: str) -> tuple[str, ...]:
    return tuple(f"{place}.{name}" for place in PLACES for name in names)


def _property(*names: str) -> tuple[str, ...]:
    """`elementId` and `hsElementId`, as RudderStack documents them."""
    return tuple(f"properties.{one}" for name in names for one in (name, f"hs{name[0].upper()}{name[1:]}"))


CONTACT: Final = Fields(
    Field("email", _anywhere("email")),
    Field("firstname", FIRST_NAME, "properties.firstname"),
    Field("lastname", LAST_NAME, "properties.lastname"),
    Field("phone", PHONE),
    Field("address", _anywhere("address.street")),
    Field("city", _anywhere("address.city")),
    Field("country", _anywhere("address.country")),
    Field("state", _anywhere("address.state")),
    Field("zip", _anywhere("address.postalcode", "address.postalCode", "address.zip")),
    Field("company", _anywhere("company.name"), "traits.companyName", "context.traits.companyName"),
    Field("jobtitle", "traits.position", "context.traits.position"),
)
"""Standard properties of a contact. Other traits are properties by their own name."""

WHO: Final = Fields(
    Field("utk", "traits.utk", "context.traits.utk", "properties.utk", via=values.text),
    Field("email", "traits.email", "context.traits.email", via=values.text),
    Field("objectId", "traits.objectId", "context.traits.objectId", "properties.objectId", via=values.text),
    Field("occurredAt", "properties.occurred_at", "timestamp", "originalTimestamp"),
)
"""Whose a custom event is, and when it was."""

EVENT: Final = Fields(
    Field("hs_asset_description", _property("assetDescription")),
    Field("hs_asset_type", _property("assetType")),
    Field("hs_campaign_id", "properties.campaignId"),
    Field("hs_city", _anywhere("address.city")),
    Field("hs_country", _anywhere("address.country")),
    Field("hs_device_name", "context.device.name"),
    Field("hs_element_class", _property("elementClass")),
    Field("hs_element_id", _property("elementId")),
    Field("hs_element_text", _property("elementText")),
    Field("hs_language", _property("language"), "context.locale"),
    Field("hs_link_href", _property("linkHref")),
    Field("hs_operating_system", "context.os.name"),
    Field("hs_operating_version", "context.os.version"),
    Field("hs_page_content_type", _property("pageContentType")),
    Field("hs_page_id", _property("pageId")),
    Field("hs_page_title", "context.page.title", _property("pageTitle")),
    Field("hs_page_url", "context.page.url", _property("pageUrl")),
    Field("hs_parent_module_id", _property("parentModuleId")),
    Field("hs_referrer", "context.page.referrer", _property("referrer")),
    Field("hs_region", _anywhere("address.state", "address.region")),
    Field("hs_screen_height", "context.screen.height"),
    Field("hs_screen_width", "context.screen.width"),
    Field("hs_touchpoint_source", _property("touchpointSource")),
    Field("hs_tracking_name", _property("trackingName")),
    Field("hs_user_agent", "context.userAgent"),
    Field("hs_utm_campaign", "context.campaign.name"),
    Field("hs_utm_content", "context.campaign.content"),
    Field("hs_utm_medium", "context.campaign.medium"),
    Field("hs_utm_source", "context.campaign.source"),
    Field("hs_utm_term", "context.campaign.term"),
)
"""Properties that every custom event has in HubSpot."""


def named(trait: str) -> str:
    """A trait's name as HubSpot's properties are named: lower case, `_` for white space."""
    return _SPACE.sub("_", trait.strip()).lower()


def scalar(value: Any) -> bool:
    """Whether a value is a text that is not empty, or a number."""
    return (isinstance(value, str) and value != "") or (
        isinstance(value, int | float) and not isinstance(value, bool)
    )


def contact(message: Mapping[str, Any], types: Mapping[str, str] | None) -> dict[str, Any]:
    """Properties of a contact: the standard ones, and traits that the account has a property for.

    `types` are those of the account's properties; with None nothing is known of them, and every trait is taken.
    """
    found = CONTACT.fill(message)
    for trait, value in traits(message).items():
        name = named(trait)
        if name not in found and (name in types if types is not None else name not in _SPENT):
            found[name] = value
    known: Mapping[str, str] = types or {}
    made = {}
    for name, value in found.items():
        typed = _typed(value, known.get(name, ""))
        if typed is not None and typed != "":
            made[name] = typed
    return made


def plain(value: Any) -> Any:
    """A value of an event's property: objects and lists as JSON text, since HubSpot takes texts and numbers."""
    return values.text(value) if isinstance(value, dict | list) else value


def _typed(value: Any, kind: str) -> Any:
    """A value as its property's type wants it; None for an object, and for a list of such."""
    if type(value) is str:
        return _midnight(value) if kind == "date" else value
    if isinstance(value, dict) or value is None:
        return None
    if isinstance(value, list):
        parts = [values.text(one) for one in value if not isinstance(one, dict | list) and one is not None]
        return ";".join(part for part in parts if part)
    if kind == "date":
        return _midnight(value)
    return values.text(value) if kind in _TEXTS else value


def _midnight(value: Any) -> Any:
    """A date as HubSpot keeps it: milliseconds of its midnight, UTC. What is none is left to HubSpot to refuse."""
    when = values.millis(value)
    return value if when is None else when - when % _DAY
