"""Which fields of an event are which properties of Mixpanel's, its name and its id.

Sources: https://docs.mixpanel.com/docs/data-structure/property-reference/default-properties and
https://docs.mixpanel.com/docs/data-structure/property-reference/reserved-properties.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from turnout import Context, Event
from turnout.errors import Refused
from turnout.fields import Field, Fields, Sections, getter, look
from turnout.lookups import IP
from turnout.paths import first
from turnout.values import millis, text

__all__ = [
    "DEVICE", "EVENT", "ORIGIN", "SCREEN", "context_traits", "insert_id", "ip", "millis_of",
    "named", "scalar", "user_agent", "utm",
]

context_traits: Final = getter("context.traits")
user_agent: Final = getter("context.userAgent")
_campaign: Final = getter("context.campaign")

LONGEST_ID: Final = 36
_BRACES: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_STRANGE: Final = re.compile(r"[^0-9A-Za-z-]")

SCREEN: Final = (Field("$screen_height", "height"), Field("$screen_width", "width"))
ORIGIN: Final = (
    Field("$initial_referrer", "initial_referrer"),
    Field("$initial_referring_domain", "initial_referring_domain"),
)
DEVICE: Final[Sections] = (
    ("network", Fields(Field("$carrier", "carrier"), Field("$wifi", "wifi"))),
    ("device", Fields(Field("$manufacturer", "manufacturer"), Field("$model", "model"))),
)
EVENT: Final[Sections] = (
    ("campaign", Fields(Field("campaign_id", "name"))),
    ("page", Fields(Field("$current_url", "url"), Field("$referrer", "referrer"), *ORIGIN)),
    ("screen", Fields(*SCREEN, Field("$screen_dpi", "density"))),
    ("library", Fields(Field("mp_lib", "name"))),
    ("app", Fields(
        Field("$app_name", "name"),
        Field("$app_namespace", "namespace"),
        Field("$app_build_number", "build"),
        Field("$app_version_string", "version"),
    )),
    *DEVICE,
    ("os", Fields(Field("$os", "name"), Field("$os_version", "version"))),
    ("location", Fields(Field("$latitude", "latitude"), Field("$longitude", "longitude"))),
)  # fmt: skip
"""Properties of an event."""


def ip(message: Mapping[str, Any]) -> Any:
    """Where the event came from; None where that is not known."""
    return look(message, IP)


def millis_of(message: Mapping[str, Any]) -> int | None:
    """When the event was, in milliseconds; None where neither of its times is one."""
    when = millis(message.get("timestamp"))
    return millis(message.get("originalTimestamp")) if when is None else when


def utm(message: Mapping[str, Any], properties: dict[str, Any]) -> None:
    """Add `utm_source` and the like, of every field of the campaign; its name is `utm_campaign`."""
    campaign = _campaign(message)
    if isinstance(campaign, Mapping):
        for name, value in campaign.items():
            if value is not None and value != "":
                properties["utm_campaign" if name == "name" else f"utm_{name}"] = value


def insert_id(event: Event, at: Context) -> str:
    """What Mixpanel drops repeats by: the end of the messageId, of letters, digits and hyphens.

    Events that are to count beside the one of their messageId have an id of their own: further outputs of
    a script, and those of a replay that is to be taken for new.
    """
    given = event.message.get("messageId")
    if given is None:
        return ""
    if not isinstance(given, str):
        raise Refused("bad_id", "messageId is not a text")
    return at.id(event) if event.child or at.salt else _STRANGE.sub("-", given[-LONGEST_ID:])


def named(template: str, message: Mapping[str, Any]) -> str:
    """A template's name for an event; what is missing leaves no gap."""

    def value(found: re.Match[str]) -> str:
        return scalar(first(message, found[1], f"properties.{found[1]}"))

    return " ".join(_BRACES.sub(value, template).split())


def scalar(value: Any) -> str:
    """An id or a name as text; "" where it is none, or an object."""
    return value if isinstance(value, str) else "" if isinstance(value, dict | list | bool) else text(value) or ""
