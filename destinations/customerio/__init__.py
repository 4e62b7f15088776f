"""Customer.io: people, what they do, their devices, and the objects they belong to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from destinations.customerio.mapping import REGISTERS, Entity, entity, record
from destinations.customerio.settings import CustomerioSettings
from destinations.customerio.track import call
from turnout import (
    Context,
    Delivery,
    Destination,
    Event,
    Json,
    Kind,
    Request,
    Response,
    Verdict,
    dead,
    delivered,
    per_item,
)
from turnout.errors import Refused
from turnout.fields import look
from turnout.lookups import TIMESTAMP
from turnout.paths import get
from turnout.values import millis

__all__ = ["Customerio"]

ENTITY_BYTES = 32 * 1024
"""Largest entity of a batch."""
_AROUND = len(b'{"batch":[]}')
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LAST_MILLI = 1 << 48


class Customerio(Destination[CustomerioSettings]):
    """The Track API: v1 with a call for each event, or v2 with all of them in batches."""

    slug: ClassVar = "customerio"
    names: ClassVar = ("Customer.io", "Customer IO", "CUSTOMERIO", "Customer.io (Actions)", "Actions Customerio")
    delivery = Delivery(batch=1000, batch_bytes=500_000)
    settings_type: ClassVar = CustomerioSettings

    def __init__(self, settings: CustomerioSettings) -> None:
        super().__init__(settings)
        self.auth = settings.auth()
        self._host = settings.host()
        self._batch = f"{self._host}/api/v2/batch"
        self._calls = settings.api == "v1"
        own = settings.device_event
        self._registers = REGISTERS | {own} if own else REGISTERS
        if self._calls:  # what is sent one by one gains nothing by waiting for others
            fewer = replace(type(self).delivery, batch=20, linger=timedelta(milliseconds=100))
            self.delivery = fewer

    def request(self, event: Event, at: Context) -> Request | Verdict:
        """One call, or one entity of a batch."""
        message, kind = event.message, event.kind
        if kind == Kind.RECORD:
            made = record(message, self.settings.sync_mode == "mirror")
            return made if isinstance(made, Verdict) else self._batched(made)
        made = entity(message, kind, self._registers)
        if self.settings.deduplicate and "name" in made:
            ident = _ulid(event, at)
            if ident:
                made["id"] = ident
        if self._calls and kind != Kind.GROUP:
            return call(self._host, made, message.get("properties"))
        return self._batched(made)

    def _batched(self, made: Entity) -> Request:
        body = Json({"batch": [made]})
        if len(body.encode()[0]) - _AROUND > ENTITY_BYTES:
            raise Refused("too_large", f"Customer.io takes no more than {ENTITY_BYTES:,} bytes of one event")
        return Request("POST", self._batch, body)

    def group(self, request: Request) -> Hashable | None:
        """Entities travel together, calls of v1 alone."""
        return self._batch if request.url == self._batch else None

    def merge(self, requests: Sequence[Request]) -> Request:
        """The entities of several requests in one."""
        if len(requests) == 1:
            return requests[0]
        return replace(requests[0], body=Json({"batch": [_entity(request) for request in requests]}))

    def verdicts(self, request: Request, response: Response, at: Context) -> Sequence[Verdict]:
        """A 207 names the entities that are refused; all others were taken."""
        if response.status != 207:
            return super().verdicts(request, response, at)
        rows = get(response.json(), "errors", None)
        rest = delivered(207) if isinstance(rows, list) else dead("HTTP 207 without a list of errors", 207)
        return per_item(rows, len(request.events), _refused, index="batch_index", rest=rest)


def _entity(request: Request) -> Any:
    assert isinstance(request.body, Json)
    return request.body.value["batch"][0]


def _refused(row: Mapping[str, Any]) -> Verdict:
    return dead("HTTP 207: Customer.io refuses this event", 207)


def _ulid(event: Event, at: Context) -> str:
    """An id that is the same on every attempt, as a ULID: its time is that of the event, for good."""
    when = millis(look(event.message, TIMESTAMP))
    if when is None or not 0 <= when < _LAST_MILLI or not event.message_id:
        return ""
    number = when << 80 | int(at.id(event).replace("-", "")[-20:], 16)
    return "".join([_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5)])
