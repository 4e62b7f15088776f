"""Google Ads Enhanced Conversions: what is known of a buyer is added to a conversion, or its value is set right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from destinations.google_enhanced_conversions.mapping import adjustment
from destinations.google_enhanced_conversions.settings import GoogleEnhancedConversionsSettings
from turnout import Context, Delivery, Event, Json, Kind, Request, Verdict, filtered
from vendors.google_ads.ads import MOST, Ads, Asked
from vendors.google_ads.names import ACTION, Question
from vendors.google_ads.people import People

__all__ = ["GoogleEnhancedConversions"]

_PATH = ":uploadConversionAdjustments"


class GoogleEnhancedConversions(Ads[GoogleEnhancedConversionsSettings]):
    """track: an adjustment of the conversion with the event's order id."""

    slug: ClassVar = "google_enhanced_conversions"
    names: ClassVar = ("Google Ads Enhanced Conversions", "GOOGLE_ADWORDS_ENHANCED_CONVERSIONS")
    kinds: ClassVar = frozenset({Kind.TRACK})
    delivery = Delivery(batch=MOST, batch_bytes=5_000_000, concurrency=4)
    settings_type: ClassVar = GoogleEnhancedConversionsSettings

    def __init__(self, settings: GoogleEnhancedConversionsSettings) -> None:
        super().__init__(settings)
        self._people = People(hashed=settings.require_hash)
        self._conversions = {name.strip().lower(): name.strip() for name in settings.conversions}

    def request(self, event: Event, at: Context) -> Request | Verdict:
        """One adjustment; its action is looked up by the event's name."""
        message = event.message
        name = self._name(event)
        if name is None:
            return filtered("the event is not among `conversions`")
        made = adjustment(message, self._people)
        account = self.account(message)
        action = self.action(account, name)
        if isinstance(action, Verdict):
            return action
        made["conversionAction"] = action
        return self.post(account, _PATH, {"conversionAdjustments": [made], "partialFailure": True})

    def merge(self, requests: Sequence[Request]) -> Request:
        """One request for the adjustments of an account, each judged for itself."""
        if len(requests) == 1:
            return requests[0]
        bodies = [request.body.value for request in requests if isinstance(request.body, Json)]
        rows = [row for body in bodies for row in body["conversionAdjustments"]]
        return replace(requests[0], body=Json({"conversionAdjustments": rows, "partialFailure": True}))

    def asked(self, event: Event) -> Asked:
        """The action of the event's name."""
        name = self._name(event)
        return () if name is None else ((Question(self.account(event.message), ACTION), name),)

    def listed(self, kind: str) -> Sequence[str]:
        """Every event that is sent."""
        return tuple(self._conversions.values())

    def _name(self, event: Event) -> str | None:
        name = event.message.get("event")
        return self._conversions.get(name.strip().lower()) if isinstance(name, str) else None
