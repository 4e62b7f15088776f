"""Facebook Conversions: events of websites, apps, shops and calls to a data set of Meta's Conversions API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from destinations.facebook_conversions.settings import FacebookConversionsSettings
from turnout import Context, Event, Kind, Request, Verdict
from vendors.meta.commerce import BASKET, Family, amount, currency_of
from vendors.meta.conversions import Conversions

__all__ = ["FacebookConversions"]


class FacebookConversions(Conversions[FacebookConversionsSettings]):
    """track by its name, page and screen as `PageView`."""

    slug: ClassVar = "facebook_conversions"
    names: ClassVar = ("Facebook Conversions", "FACEBOOK_CONVERSIONS", "FacebookConversions")
    kinds: ClassVar = frozenset({Kind.TRACK, Kind.PAGE, Kind.SCREEN})
    settings_type: ClassVar = FacebookConversionsSettings
    more: ClassVar = BASKET

    def __init__(self, settings: FacebookConversionsSettings) -> None:
        super().__init__(settings, settings.dataset_id)

    def request(self, event: Event, at: Context) -> Request | Verdict:
        """The event for the data set."""
        return self.tracked(event, at) if event.kind == "track" else self.viewed(event, at, "PageView")

    def source(self, message: Mapping[str, Any]) -> str:
        """As the settings say."""
        return self.settings.action_source

    def money(self, family: Family, properties: Mapping[str, Any], made: dict[str, Any]) -> None:
        """The value is the revenue, else `value`, of a product else its price; a purchase has one always."""
        names = ("revenue", "value", "price") if family is Family.PRODUCT else ("revenue", "value")
        for name in names:
            if (found := amount(properties.get(name), name)) is not None:
                made["value"] = found
                break
        else:
            if family is not Family.ORDER:
                return
            made["value"] = 0
        made["currency"] = currency_of(properties)
