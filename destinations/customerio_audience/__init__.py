"""Customer.io audience: the rows of a warehouse as the members of a manual segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from destinations.customerio_audience.settings import AudienceSettings
from turnout import Context, Delivery, Destination, Event, Json, Kind, Request
from turnout.errors import Refused
from turnout.values import text

__all__ = ["CustomerioAudience"]

CALLS = {"insert": "add_customers", "update": "add_customers", "delete": "remove_customers"}
ID_TYPES = frozenset({"id", "email", "cio_id"})


class CustomerioAudience(Destination[AudienceSettings]):
    """Adds people to a manual segment, and removes them; a thousand at a time."""

    slug: ClassVar = "customerio_audience"
    names: ClassVar = ("Customer.io Audience", "CUSTOMERIO_AUDIENCE")
    kinds: ClassVar = frozenset({Kind.RECORD})
    delivery = Delivery(batch=1000, batch_bytes=500_000)
    settings_type: ClassVar = AudienceSettings

    def __init__(self, settings: AudienceSettings) -> None:
        super().__init__(settings)
        self.auth = settings.auth()
        segment = f"{settings.host()}/api/v1/segments/{settings.segment_id}"
        self._urls = {action: f"{segment}/{call}" for action, call in CALLS.items()}
        self._params = {name: {"id_type": name} for name in ID_TYPES}

    def request(self, event: Event, at: Context) -> Request:
        """One person in or out, by the one identifier of the row."""
        action = event.message.get("action")
        url = self._urls.get(action) if isinstance(action, str) else None
        if url is None:
            raise Refused("bad_field", "action is none of insert, update, delete")
        identifiers = event.message.get("identifiers")
        if not isinstance(identifiers, dict) or len(identifiers) != 1:
            raise Refused("bad_field", "identifiers must hold exactly one of id, email, cio_id")
        ((name, value),) = identifiers.items()
        if name not in ID_TYPES:
            raise Refused("bad_field", "the identifier is none of id, email, cio_id")
        ident = text(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
        if not ident or not ident.strip():
            raise Refused("bad_field", f"identifiers.{name} is empty, or neither text nor number")
        return Request("POST", url, Json({"ids": [ident]}), params=self._params[name])

    def merge(self, requests: Sequence[Request]) -> Request:
        """The people of several requests in one list."""
        ids = [request.body.value["ids"][0] for request in requests if isinstance(request.body, Json)]
        return replace(requests[0], body=Json({"ids": ids}))
