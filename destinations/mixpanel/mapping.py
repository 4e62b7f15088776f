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
from turnout.fields import Field, Fields, getter
from turnout.lookups import IP
from turnout.paths import first
from turnout.values import text

__all__ = [
    "DEVICE", "EVENT", "ORIGIN", "SCREEN", "context_traits", "insert_id", "named", "scalar", "user_agent", "utm",
]

context_traits: Final = getter("context.traits")
user_agent: Final = getter("context.userAgent")
_campaign: Final = getter("context.campaign")

LONGEST_ID: Final = 36
_BRACES: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_STRANGE: Final = re.compile(r"[^0-9A-Za-z-]")

SCREEN: Final = (
    Field("$screen_height", "context.screen.height"),
    Field("$screen_width", "context.screen.width"),
)
ORIGIN: Final = (
    Field("$initial_referrer", "context.page.initial_referrer"),
    Field("$initial_referring_domain", "context.page.initial_referring_domain"),
)
DEVICE: Final = (
    Field("$carrier", "context.network.carrier"),
    Field("$manufacturer", "context.device.manufacturer"),
    Field("$model", "context.device.model"),
    Field("$wifi", "context.network.wifi"),
    Field("$os", "context.os.name"),
)

EVENT: Final = Fields(
    Field("ip", IP),
    Field("campaign_id", "context.campaign.name"),
    Field("$current_url", "context.page.url"),
    Field("$referrer", "context.page.referrer"),
    *SCREEN,
    Field("$screen_dpi", "context.screen.density"),
    Field("mp_lib", "context.library.name"),
    *ORIGIN,
    Field("$app_name", "context.app.name"),
    Field("$app_namespace", "context.app.namespace"),
    Field("$app_build_number", "context.app.build"),
    Field("$app_version_string", "context.app.version"),
    *DEVICE,
    Field("$os_version", "context.os.version"),
    Field("$latitude", "context.location.latitude"),
    Field("$longitude", "context.location.longitude"),
)
"""Properties of an event."""


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
