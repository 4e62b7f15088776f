"""Facebook Pixel, from the server: the same events as its script in a browser, to Meta's Conversions API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from destinations.facebook_pixel.settings import FacebookPixelSettings
from turnout import Context, Event, Kind, Request, Verdict, filtered
from turnout.fields import finder
from turnout.values import flat
from vendors.meta.commerce import Family, amount, currency_of
from vendors.meta.conversions import Conversions

__all__ = ["FacebookPixel"]

_CHANNELS: Final = {"web": "website", "mobile": "app"}
_title: Final = finder("name", "properties.name")
_WORTH: Final = {Family.LISTING: "value", Family.SEARCH: "value", Family.ORDER: "revenue", Family.CHECKOUT: "revenue"}
"""The property that is the value of an event of a family."""


class FacebookPixel(Conversions[FacebookPixelSettings]):
    """track, page and screen; identify with `advanced_mapping`."""

    slug: ClassVar = "facebook_pixel"
    names: ClassVar = ("Facebook Pixel", "FACEBOOK_PIXEL", "FacebookPixel", "FB Pixel")
    kinds: ClassVar = frozenset({Kind.IDENTIFY, Kind.TRACK, Kind.PAGE, Kind.SCREEN})
    settings_type: ClassVar = FacebookPixelSettings

    def __init__(self, settings: FacebookPixelSettings) -> None:
        super().__init__(settings, settings.pixel_id)
        self._product = settings.value_field_identifier.removeprefix("properties.")

    def request(self, event: Event, at: Context) -> Request | Verdict:
        """The event for the pixel."""
        if event.kind == "track":
            return self.tracked(event, at)
        if event.kind == "identify":
            if not self.settings.advanced_mapping:
                return filtered("identify is sent with advanced_mapping only")
            return self.sent(event, at, "identify", {})
        name = _title(event.message)
        if self.settings.standard_page_call or not isinstance(name, str):
            return self.viewed(event, at, "PageView")
        return self.viewed(event, at, f"Viewed {event.kind} {name}")

    def source(self, message: Mapping[str, Any]) -> str:
        """By the channel."""
        channel = message.get("channel")
        return _CHANNELS.get(channel, "other") if isinstance(channel, str) else "other"

    def properties(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Flat: Meta's pages on custom conversions and audiences show the first level only."""
        given = super().properties(message)
        return flat(given) if any(isinstance(value, dict | list) for value in given.values()) else given

    def money(self, family: Family, properties: Mapping[str, Any], made: dict[str, Any]) -> None:
        """The value is the property that belongs to the family, 0 where it is missing; of others, the revenue."""
        if family is Family.PLAIN:
            revenue = amount(properties.get("revenue"), "revenue")
            if revenue is not None:
                made["value"] = revenue
                made.pop("revenue", None)
            return
        name = self._product if family is Family.PRODUCT else _WORTH[family]
        made["value"] = amount(properties.get(name), name) or 0
        made["currency"] = currency_of(properties)
        if family is Family.PRODUCT:
            made.setdefault("content_name", "")
