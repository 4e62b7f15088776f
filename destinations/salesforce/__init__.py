"""Salesforce: people as leads and contacts, and rows of a warehouse as records of any object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from destinations.salesforce import answers, calls, mapping
from destinations.salesforce.calls import Api, Row, Write
from destinations.salesforce.deletion import FORGETS, deletion
from destinations.salesforce.rounds import Rounds
from destinations.salesforce.settings import SalesforceSettings
from turnout import (
    Context,
    Delivery,
    Destination,
    Event,
    Kind,
    Request,
    Response,
    Verdict,
    delivered,
    filtered,
    judge,
)
from turnout.destination import Exchange
from turnout.errors import Refused
from turnout.fields import getter
from turnout.lookups import EMAIL, external_ids, mapped, traits
from turnout.rules import decide
from turnout.user import User
from vendors.salesforce import errors, soql

__all__ = ["Salesforce"]

TYPE: Final = "salesforce-"
"""Before the object in the type of an external id, in any case."""
_EMAILS: Final = tuple(map(getter, (*EMAIL, "traits.Email", "context.traits.Email")))


class Salesforce(Destination[SalesforceSettings]):
    """identify to a lead, a contact or the object that an external id names; record to the object of the settings."""

    slug: ClassVar = "salesforce"
    names: ClassVar = ("Salesforce", "SALESFORCE", "SFDC")
    kinds: ClassVar = frozenset({Kind.IDENTIFY, Kind.RECORD})
    # One exchange at a time: of two at once with the same address, each would find no lead and make one.
    delivery = Delivery(batch=200, batch_bytes=4_000_000, concurrency=1)
    settings_type: ClassVar = SalesforceSettings
    rules: ClassVar = errors.RULES
    answer_bytes: ClassVar = 1 << 20
    forgets: ClassVar = FORGETS

    def __init__(self, settings: SalesforceSettings) -> None:
        super().__init__(settings)
        self.auth = settings.auth
        if not settings.collections:
            # The index that is searched is minutes behind whatever waits for whatever.
            self.delivery = Delivery(concurrency=1 if settings.lookup == "query" else 4)
        self._api = Api(
            settings.base, settings.api_version, settings.lookup, duplicates=settings.allow_duplicates
        )
        self._query = settings.lookup == "query"
        self._objects = frozenset(one.lower() for one in settings.objects)
        self._missing = mapping.MISSING if settings.map_property else {}

    # What is sent

    def request(self, event: Event, at: Context) -> Sequence[Request]:
        """The calls of an event that is alone; where a record is looked for, those if there is none yet."""
        write = self._write(event)
        api = self._api
        if write.find:
            asked = api.look(write, [write.key])
            if write.delete:
                return [asked]
            return [asked, api.single(Row("create", write.object, {**write.fresh, **write.fields}))]
        if write.external:
            way: calls.Way = "delete" if write.delete else "upsert"
            return [api.single(Row(way, write.object, write.fields, external=write.external, value=write.key[0]))]
        return [api.single(Row("delete" if write.delete else "update", write.object, write.fields, id=write.id))]

    def exchange(self, events: Sequence[Event], at: Context, resume: Any | None = None) -> Exchange:
        """In rounds: look-ups, then writes."""
        return Rounds(self, self._api, events, [self._planned(event, at) for event in events], at).steps()

    def _planned(self, event: Event, at: Context) -> Write | Verdict:
        if event.kind not in self.kinds:
            return filtered("salesforce takes no events of this type")
        try:
            return self._write(event)
        except Exception as error:  # noqa: BLE001 -- as in `verdict`
            return self.failed(error)

    def _write(self, event: Event) -> Write:
        """What an event asks for; raises `Refused` where that cannot be."""
        if event.kind == Kind.RECORD:
            return self._record(event.message)
        message = event.message
        given = traits(message)
        for one in external_ids(message):
            kind = one.get("type")
            if isinstance(kind, str) and kind[: len(TYPE)].lower() == TYPE:
                return self._named(message, given, one, kind[len(TYPE) :], trusted=event.trusted)
        return self._person(message, given)

    def _named(
        self, message: Mapping[str, Any], given: Mapping[str, Any], one: Mapping[str, Any], name: str, *, trusted: bool
    ) -> Write:
        """The record that an external id of the event names."""
        name, value, by = soql.name(name), one.get("id"), one.get("identifierType")
        if not trusted and name.lower() not in self._objects:
            raise Refused("object", "the object of context.externalId is not among objects, which anyone may name")
        if value is None or value == "":
            raise Refused("missing_field", "id, of the external id of Salesforce, is missing")
        raw = not self.settings.map_property or mapped(message)
        fields = mapping.plain(given) if raw else mapping.fields_of(name, given, message)
        fields = {key: item for key, item in fields.items() if item is not None}
        fresh = {} if raw else self._missing.get(name, {})
        if self.settings.placeholders == "always":
            fields = {**fresh, **fields}
        if not isinstance(by, str) or by.lower() in ("", "id"):
            return Write(name, fields, id=calls.segment(value))
        by = soql.name(by)
        return self._known_by(name, {by: value}, {**fields, by: value}, fresh)

    def _person(self, message: Mapping[str, Any], given: Mapping[str, Any]) -> Write:
        """A lead or a contact, found by e-mail."""
        name = self.settings.object
        if name not in mapping.MISSING:
            raise Refused("missing_field", f"context.externalId with an id of type Salesforce-{name} is missing")
        email = mapping.found(message, _EMAILS)
        if not isinstance(email, str) or not email.strip():
            raise Refused("missing_field", "traits.email or context.traits.email is missing")
        email = email.strip()
        soql.literal(email)
        contact: Callable[[], Mapping[str, Any]] | None = None
        fresh: Mapping[str, Any] = {}
        if self.settings.map_property and not mapped(message):
            fields = mapping.fields_of(name, given, message)
            fields["Email"] = email
            fresh = self._missing[name]
            if self.settings.placeholders == "always":
                fields = {**fresh, **fields}
            if name == "Lead" and self.settings.use_contact_id:
                contact = partial(mapping.fields_of, "Contact", {**given, "email": email}, message)
        else:
            fields = {key: item for key, item in mapping.plain(given).items() if item is not None}
            contact = partial(dict, fields) if self.settings.use_contact_id else None
        return Write(name, fields, find=("Email",), key=(email,), fresh=fresh, contact=contact, one=False)

    def _record(self, message: Mapping[str, Any]) -> Write:
        """A row of a warehouse; what is null there is emptied here."""
        action, row, by = message.get("action"), message.get("fields"), message.get("identifiers")
        if action not in ("insert", "update", "delete"):
            raise Refused("bad_action", "action is none of insert, update, delete")
        if not isinstance(by, dict) or not by or any(one is None or one == "" for one in by.values()):
            raise Refused("missing_field", "identifiers, what the row is known by, are missing")
        if not isinstance(row, dict) and action != "delete":
            raise Refused("missing_field", "fields, the row itself, are missing")
        fields = {soql.name(key): item for key, item in mapping.plain(row or {}).items()}
        own = next((value for key, value in by.items() if key.lower() == "id"), None)
        if own is not None:
            return Write(self.settings.object, fields, id=calls.segment(own), delete=action == "delete")
        return self._known_by(self.settings.object, by, {**fields, **by}, {}, delete=action == "delete")

    def _known_by(
        self, name: str, by: Mapping[str, Any], fields: Mapping[str, Any], fresh: Mapping[str, Any], *,
        delete: bool = False,
    ) -> Write:
        """One custom field is an external id of Salesforce, which writes by it; by others a record is looked for."""
        find, key = tuple(soql.name(one) for one in by), tuple(by.values())
        if len(find) == 1 and find[0].lower().endswith("__c") and self._query:
            return Write(name, fields, external=find[0], key=(calls.segment(key[0]),), fresh=fresh, delete=delete)
        if len(find) > 1 and not self._query:
            raise Refused("identifiers", "lookup: search finds a record by one identifier; lookup: query by several")
        for one in key:
            soql.literal(one)
        return Write(name, fields, find=find, key=key, fresh=fresh, delete=delete)

    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        """Leads and contacts with their e-mail addresses are deleted."""
        return deletion(self._api, users, lambda response: self.judge(response, at))

    # What answers mean

    def judge(self, response: Response, at: Context) -> Verdict:
        """The table of Salesforce's codes, then the code itself as the reason, then the house's table."""
        return decide(self.rules, response, at.now) or errors.refusal(response) or judge(response, at.now)

    def verdicts(self, request: Request, response: Response, at: Context) -> Sequence[Verdict]:
        """A collection is answered with a row per record, in order; what is to be deleted and is not there is gone."""
        delete = request.method == "DELETE"
        if response.status == 200 and "/composite/sobjects" in request.url:
            return answers.rows(response, len(request.events), delete=delete)
        if delete and response.status == 404:
            return [delivered(404)] * len(request.events)
        return super().verdicts(request, response, at)
