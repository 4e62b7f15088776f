"""HubSpot: contacts, records of any object, what connects them, and custom events."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from destinations.hubspot.answers import TRACE, Inputs, judged, merged
from destinations.hubspot.inquiry import API, Inquiry, stops
from destinations.hubspot.known import Found, Known
from destinations.hubspot.mapping import EVENT, WHO, contact, plain, scalar
from destinations.hubspot.rows import Target, address, association, contact_target, row, row_target
from destinations.hubspot.settings import HubspotSettings
from turnout import (
    Bearer,
    Context,
    Delivery,
    Destination,
    Event,
    Json,
    Kind,
    Outcome,
    Request,
    Response,
    Rule,
    User,
    Verdict,
    dead,
    filtered,
    retry,
    values,
)
from turnout.destination import UNSENT, Exchange
from turnout.errors import Refused
from turnout.fields import getter
from turnout.lookups import external_id, mapped, traits

__all__ = ["Hubspot"]

LEGACY = f"{API}/contacts/v1/contact/batch/"
EVENTS = f"{API}/events/v3/send"
FORGET = f"{API}/crm/v3/objects/contacts/gdpr-delete"
TRACK = {"us": "https://track.hubspot.com/v1/event", "eu": "https://track-eu1.hubspot.com/v1/event"}
MOST = 100
"""Records of a batch."""
_MONEY = [getter(f"properties.{name}") for name in ("revenue", "value", "total")]


class Hubspot(Destination[HubspotSettings]):
    """The CRM v3 API and custom events, or the legacy APIs; records are looked up, then written in batches."""

    slug: ClassVar = "hubspot"
    names: ClassVar = ("HubSpot", "HS")
    kinds: ClassVar = frozenset({Kind.IDENTIFY, Kind.TRACK})
    delivery = Delivery(batch=MOST, batch_bytes=3_000_000, concurrency=4)
    settings_type: ClassVar = HubspotSettings
    atomic: ClassVar = True
    forgets: ClassVar = 1
    answer_bytes: ClassVar = 8 << 20  # an account's properties with all their options
    rules: ClassVar = (
        Rule("pause", "the token lacks a scope", status=403, path="category", values=("MISSING_SCOPES",)),
        Rule("retry", "HubSpot has locked what is written for a moment", status=423, after=5),
        Rule("throttle", "the account's calls of today are used up", status=429, path="policyName", values=("DAILY",),
             after=3600),
        Rule("throttle", "too many calls", status=429, after=10),
        Rule("retry", "HubSpot moves the account", status=477, after=600),
    )

    def __init__(self, settings: HubspotSettings) -> None:
        super().__init__(settings)
        token = settings.token()
        if token is not None:
            self.auth = Bearer(token)
        # Not `Query`, which goes with every request: the address that legacy events go to wants no key.
        self._key = {"hapikey": settings.key() or ""} if token is None else {}
        self._known = Known()
        self._legacy = settings.api == "legacy"
        self._names = {
            one.event: (one.name, [(getter(f"properties.{name}"), to) for name, to in one.properties.items()])
            for one in settings.events if one.event and one.name
        }
        self._lower = {name.strip().lower(): made for name, made in self._names.items()}
        if self._legacy:
            self.delivery = replace(type(self).delivery, batch=1000)

    # ---- what is sent

    def request(self, event: Event, at: Context) -> Request | Verdict:
        """A batch of one record, or an event; without an exchange, as if every record were found by its value."""
        message = event.message
        if event.kind == Kind.TRACK:
            return self._pixel(message) if self._legacy else self._occurred(event, at)
        if mapped(message):
            return self._row(event)
        if self._legacy:
            return self._contact(message)
        target = contact_target(message, self.settings.lookup_field)
        made = contact(message, self._known.types)
        if target.field != "email" and "email" in made:
            address(made["email"])
        return self._known.why_not(target) or self._record(event, target, made)

    def _row(self, event: Event) -> Request | Verdict:
        """A row of a warehouse: its traits are the object's own properties already."""
        message = event.message
        found = row(message)
        connects = association(message, found)
        if connects is not None:
            if not self.settings.do_association:
                return filtered("rows that connect records are off: see do_association")
            return self._asked("POST", API + connects.path, Inputs.one(connects.item))
        target = row_target(found)
        why = self._known.why_not(target)
        if why is not None:
            return why
        said = traits(message)
        existing = self._found(target)
        # An address that is only a further one of the contact must not become the first.
        named = {target.field: found["id"]} if existing is not None and existing.own else {}
        return self._record(event, target, {**said, **named}, existing)

    def _found(self, target: Target) -> Found | None:
        """The records with a value that need not be unique; None where HubSpot finds the record by itself."""
        unique = self._known.unique.get(target.kind)
        if unique is None or target.field in unique:
            return None
        return self._known.records.get(target.key(), Found())

    def _record(
        self, event: Event, target: Target, properties: dict[str, Any], existing: Found | None = None
    ) -> Request | Verdict:
        existing = self._found(target) if existing is None else existing
        where = f"{API}/crm/v3/objects/{target.kind}/batch"
        item: dict[str, Any] = {"properties": properties}
        if existing is None:
            trace = str(event.number) if not event.child else f"{event.number}.{event.child}"
            item = {"id": target.value, "idProperty": target.field, **item, TRACE: trace}
            return self._asked("POST", f"{where}/upsert", Inputs.one(item, target.key()))
        if len(existing.ids) > 1:
            return dead(f"{len(existing.ids)} records of {target.kind} have this {target.field}: it must be one")
        if not existing.ids:
            return self._asked("POST", f"{where}/create", Inputs.one(item, target.key()))
        if not existing.own:
            properties.pop("email", None)
        item["id"] = existing.ids[0]
        return self._asked("POST", f"{where}/update", Inputs.one(item, existing.ids[0]))

    def _contact(self, message: Mapping[str, Any]) -> Request | Verdict:
        """A contact for the Contacts API v1, by e-mail address."""
        made = contact(message, self._known.types)
        email = made.pop("email", None)
        if not scalar(email):
            raise Refused("missing_field", "the legacy API needs an e-mail address")
        rows = [{"property": name, "value": value} for name, value in made.items()]
        if self._known.refused is not None:
            return self._known.refused
        return self._asked("POST", LEGACY, Json([{"email": email, "properties": rows}]))

    def _occurred(self, event: Event, at: Context) -> Request | Verdict:
        """A custom event, of those that the settings name."""
        message = event.message
        name = message.get("event")
        if not isinstance(name, str) or not name.strip():
            raise Refused("missing_field", "event is missing, or no text")
        chosen = self._names.get(name) or self._lower.get(name.strip().lower())
        if chosen is None:
            return filtered("no custom event of HubSpot is named for this event: see events")
        who = {name: value for name, value in WHO.fill(message).items() if scalar(value)}
        if not who.keys() & {"email", "utk", "objectId"}:
            raise Refused("missing_field", "an event needs an email, utk or objectId among its traits")
        properties = EVENT.fill(message)
        for find, to in chosen[1]:
            value = find(message)
            if value is not None and value != "":
                properties[to] = value
        made = {**who, "eventName": chosen[0], "properties": {to: plain(value) for to, value in properties.items()}}
        if self.settings.event_ids and event.message_id:
            made["uuid"] = at.id(event)
        return self._asked("POST", EVENTS, Json(made))

    def _pixel(self, message: Mapping[str, Any]) -> Request | Verdict:
        """An event of the legacy API: everything is in the address."""
        name = message.get("event")
        if not isinstance(name, str) or not name:
            raise Refused("missing_field", "event is missing, or no text")
        if not self.settings.hub_id:
            raise Refused("missing_setting", "events of the legacy API need hub_id")
        said: dict[str, Any] = {
            "_a": self.settings.hub_id, "_n": name, "id": external_id(message, "hubspotId"),
            "_m": next((value for find in _MONEY if scalar(value := find(message))), None),
            **contact(message, self._known.types),
        }
        params = {name: text for name, value in said.items() if value is not None and (text := values.text(value))}
        return self._known.refused or Request("GET", TRACK[self.settings.region], params=params)

    def _asked(self, method: str, url: str, body: Json | None = None, events: Sequence[int] = ()) -> Request:
        return Request(method, url, body, params=self._key, secret=frozenset(self._key), events=tuple(events))

    # ---- batches

    def group(self, request: Request) -> Hashable | None:
        """Records of one address travel together, events alone."""
        return (request.url, *request.params.values()) if "/batch" in request.url else None

    def limit(self, request: Request, at: Context) -> int:
        """Contacts of the legacy API by the thousand, all else by the hundred."""
        return at.delivery.batch if request.url == LEGACY else min(MOST, at.delivery.batch)

    def merge(self, requests: Sequence[Request]) -> Request:
        """The records of several requests in one, each once."""
        if len(requests) == 1:
            return requests[0]
        if requests[0].url != LEGACY:
            return replace(requests[0], body=merged(requests))
        bodies = [request.body for request in requests]
        return replace(requests[0], body=Json([one for body in bodies if isinstance(body, Json) for one in body.value]))

    def verdicts(self, request: Request, response: Response, at: Context) -> Sequence[Verdict]:
        """Of a batch of records, item by item."""
        if 200 <= response.status < 300 and "/crm/v3/" in request.url and "/batch/" in request.url:
            return judged(request, response)
        body = request.body
        conflict = response.status == 409 and isinstance(body, Inputs) and len(body.keys) == 1
        if conflict and isinstance(body, Inputs) and request.url.endswith("/create"):
            key = body.keys[0]
            if isinstance(key, Target) and key.field == "email":
                again = retry("HTTP 409: a search does not show this new contact yet", status=409, after=30)
                return [again] * len(request.events)
        return super().verdicts(request, response, at)

    # ---- what is looked up

    def exchange(self, events: Sequence[Event], at: Context, resume: Any | None = None) -> Exchange:
        """Ask which properties there are, which are unique, and which records exist; then write as usual."""
        inquiry = Inquiry(self._asked, lambda response: self._trouble(response, at))
        informed = copy.copy(self)
        informed._known = inquiry.known
        places = [i for i, event in enumerate(events) if self._asks(event)]
        targets: dict[Target, list[int]] = {}
        for i in places:
            target = self._target(events[i])
            if target is not None:
                targets.setdefault(target.key(), []).append(i)
        if places:
            yield from inquiry.learn(places, targets)
        refused = inquiry.known.refused
        if refused is not None and stops(refused):
            waits = replace(refused, reason=f"{UNSENT}{refused.reason}", status=None)
            made = [informed.verdict(event, at) for event in events]
            return [one if isinstance(one, Verdict) else waits for one in made]
        return (yield from super(Hubspot, informed).exchange(events, at))

    def _asks(self, event: Event) -> bool:
        """Whether an event says something of a record."""
        try:
            return event.kind == Kind.IDENTIFY or (self._legacy and event.kind == Kind.TRACK)
        except Refused:
            return False

    def _target(self, event: Event) -> Target | None:
        """The record that an event has to be looked up for."""
        try:
            if event.kind != Kind.IDENTIFY:
                return None
            if not mapped(event.message):
                return None if self._legacy else contact_target(event.message, self.settings.lookup_field)
            found = row(event.message)
            return row_target(found) if association(event.message, found) is None else None
        except Refused:
            return None  # it dies of the same in `request`

    def _trouble(self, response: Response, at: Context) -> Verdict | None:
        """Why an answer to a question tells nothing; None where it does. An empty one says that there is nothing."""
        verdict = self.judge(response, at)
        if verdict.outcome is not Outcome.DELIVERED:
            return replace(verdict, reason=f"{verdict.reason} (asked before writing)")
        if response.cut or (response.body and response.json() is None):
            status = response.status
            return retry(f"HTTP {status}: what was asked before writing cannot be read", status=status)
        return None

    # ---- users

    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        """Delete a contact for good by its e-mail address; HubSpot takes no new one with it either."""
        found = []
        for user in users:
            if not user.email:
                found.append(filtered("no email"))
                continue
            response = yield self._asked("POST", FORGET, Json({"objectId": user.email, "idProperty": "email"}))
            assert response is not None
            found.append(self.judge(response, at))
        return found
