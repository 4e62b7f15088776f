"""HubSpot against a server as strict as its APIs: look-ups, batches of records, events, both generations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from destinations import registry
from destinations.hubspot import Hubspot
from destinations.hubspot.known import pages, search
from destinations.hubspot.mapping import contact, named
from destinations.rudderstack import slug_of
from turnout import Bearer, Context, Event, Request, Response, User, codec
from turnout.auth import apply
from turnout.testing import DestinationContract, FakeClock, Received, Tool, drive
from turnout.testing.driving import drive_forget

NOW = FakeClock().now()
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]+")


class TestHubspot(DestinationContract):
    destination = Hubspot

    def looks_up(self, request: Request) -> bool:
        return "/properties" in request.url or request.url.endswith("/search")


class Account(Tool):
    """An account with contacts and boats. `unique` are properties with one record for a value."""

    types: ClassVar[Mapping[str, str]] = {
        "email": "string", "firstname": "string", "lastname": "string", "phone": "string", "city": "string",
        "member_number": "string", "joined": "date", "berths": "number", "newsletter": "bool",
        "sails": "enumeration", "zip": "string",
    }  # fmt: skip

    def __init__(self, unique: tuple[str, ...] = (), says_unique: bool = True, **chosen: Any) -> None:
        super().__init__(**chosen)
        self.unique, self.says_unique = unique, says_unique
        self.records: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.gone: list[str] = []

    def answered(self, asked: Received) -> tuple[int, Any]:
        path = asked.path
        if path == "/v1/event":
            wanted = {"_a", "_n"} <= set(asked.query) and "hapikey" not in asked.query
            return (200, "") if wanted else (400, "")
        if asked.headers.get("authorization") != "Bearer t-1" and asked.query.get("hapikey") != "k-1":
            return 401, {"status": "error", "category": "INVALID_AUTHENTICATION"}
        if path == "/properties/v1/contacts/properties":
            return 200, [{"name": name, "type": kind} for name, kind in self.types.items()]
        if path == "/events/v3/send":
            return self._event(asked.json())
        if path == "/contacts/v1/contact/batch/":
            return self._legacy(asked.json())
        if path == "/crm/v3/objects/contacts/gdpr-delete":
            self.gone.append(asked.json()["objectId"])
            return 204, ""
        kind, _, step = path.removeprefix("/crm/v3/").partition("/")
        if kind == "properties":
            if step == "submarines":
                return 404, {"category": "OBJECT_NOT_FOUND"}
            rows = [{"name": name, "type": kind, "hasUniqueValue": name in self.unique}
                    for name, kind in self.types.items()]
            return 200, {"results": rows if self.says_unique else []}
        if kind == "associations":
            return self._associated(asked.json()["inputs"])
        _, _, step = step.partition("/")
        if step == "search":
            return self._search(asked)
        inputs = asked.json()["inputs"]
        if not 0 < len(inputs) <= 100:
            return 400, {"category": "VALIDATION_ERROR", "message": "inputs"}
        return {"batch/create": self._create, "batch/update": self._update, "batch/upsert": self._upsert}[step](inputs)

    def _event(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        good = body["eventName"].startswith("pe4711_") and body.keys() & {"email", "utk", "objectId"}
        if not good or not all(isinstance(value, str | int | float) for value in body["properties"].values()):
            return 400, {"category": "VALIDATION_ERROR"}
        self.events.append(dict(body))
        return 204, ""

    def _legacy(self, rows: Any) -> tuple[int, Any]:
        bad = [n for n, row in enumerate(rows) if not ADDRESS.fullmatch(row["email"])]
        if bad or len(rows) > 1000:
            return 400, {"status": "error", "failureMessages": [{"index": n} for n in bad]}
        for row in rows:
            assert all(set(one) == {"property", "value"} for one in row["properties"])
            self.records[str(len(self.records))] = {"email": row["email"]}
        return 202, ""

    def _associated(self, inputs: Any) -> tuple[int, Any]:
        if any(set(one) != {"from", "to", "type"} for one in inputs):
            return 400, {"category": "VALIDATION_ERROR"}
        return 201, {"status": "COMPLETE", "results": inputs}

    def _search(self, asked: Received) -> tuple[int, Any]:
        body = asked.json()
        filters = [one for group in body["filterGroups"] for one in group["filters"]]
        values = {value for one in filters for value in one["values"]}
        if len(asked.body) > 3000 or any(len(one["values"]) > 100 for one in filters) or any(
            value != value.lower() for value in values
        ):
            return 400, {"category": "VALIDATION_ERROR", "message": "query"}
        found = [
            {"id": ident, "properties": {name: held.get(name) for name in body["properties"]}}
            for ident, held in self.records.items()
            if any(set(str(held.get(one["propertyName"], "")).lower().split(";")) & set(one["values"])
                   for one in filters)
        ]
        start = int(body.get("after", 0))
        page: dict[str, Any] = {"total": len(found), "results": found[start : start + body["limit"]]}
        if start + body["limit"] < len(found):
            page["paging"] = {"next": {"after": str(start + body["limit"])}}
        return 200, page

    def _wrong(self, properties: Mapping[str, Any]) -> bool:
        email = properties.get("email", "a@example.com")
        scalars = all(isinstance(value, str | int | float | bool) for value in properties.values())
        return not scalars or not ADDRESS.fullmatch(email) or not properties.keys() <= self.types.keys()

    def _create(self, inputs: Any) -> tuple[int, Any]:
        if any(self._wrong(one["properties"]) for one in inputs):
            return 400, {"category": "VALIDATION_ERROR"}
        emails = [one["properties"]["email"] for one in inputs if "email" in one["properties"]]
        if len(set(emails)) < len(emails) or {held.get("email") for held in self.records.values()} & set(emails):
            return 409, {"category": "CONFLICT", "message": "Contact already exists"}
        return 201, {"status": "COMPLETE", "results": [self._kept(one["properties"]) for one in inputs]}

    def _update(self, inputs: Any) -> tuple[int, Any]:
        ids = [one["id"] for one in inputs]
        if len(set(ids)) < len(ids) or any(self._wrong(one["properties"]) for one in inputs):
            return 400, {"category": "VALIDATION_ERROR", "message": "Duplicate IDs found in batch input"}
        for one in inputs:
            self.records[one["id"]].update(one["properties"])
        return 200, {"status": "COMPLETE", "results": [{"id": ident} for ident in ids]}

    def _upsert(self, inputs: Any) -> tuple[int, Any]:
        ids, traces = ({one[name] for one in inputs} for name in ("id", "objectWriteTraceId"))
        texts = all(isinstance(one["id"], str) and one["idProperty"] in self.unique for one in inputs)
        if len(ids) < len(inputs) or len(traces) < len(inputs) or not texts:
            return 400, {"category": "VALIDATION_ERROR"}
        results, errors = [], []
        for one in inputs:
            if self._wrong(one["properties"]):
                context = {"objectWriteTraceId": [one["objectWriteTraceId"]]}
                errors.append({"status": "error", "category": "VALIDATION_ERROR", "context": context})
                continue
            field = one["idProperty"]
            known = next((i for i, held in self.records.items() if str(held.get(field)) == one["id"]), None)
            results.append(self._kept({field: one["id"], **one["properties"]}, known))
        return (207 if errors else 200), {"results": results, **({"errors": errors} if errors else {})}

    def _kept(self, properties: Mapping[str, Any], ident: str | None = None) -> dict[str, Any]:
        ident = ident or str(501 + len(self.records))
        self.records.setdefault(ident, {}).update(properties)
        return {"id": ident, "properties": dict(properties)}


@pytest.fixture
def account() -> Iterator[Account]:
    with Account(unique=("email", "member_number")) as server:
        yield server


@pytest.fixture
def searched() -> Iterator[Account]:
    """An account in which no property is unique, so that everything is searched for."""
    with Account() as server:
        yield server


def made(**settings: Any) -> Hubspot:
    adapter = registry.build("hubspot", {"access_token": "t-1", **settings})
    assert isinstance(adapter, Hubspot)
    return adapter


def at(adapter: Hubspot) -> Context:
    return Context(NOW, adapter.delivery)


def event(number: int = 0, key: int = 0, **fields: Any) -> Event:
    traits = {"email": f"u{number}@example.com", "firstname": f"U {number}"}
    message = {"type": "identify", "messageId": f"m-{number}", "traits": traits, **fields}
    return Event(message=message, key=key or number + 1, number=number, source="web")


def row(number: int, kind: str = "contacts", field: str = "email", **traits: Any) -> Event:
    external = {"type": f"HS-{kind}", "identifierType": field, "id": f"u{number}@example.com"}
    return event(number, traits=traits, context={"mappedToDestination": True, "externalId": [external]})


def outcomes(found: Any) -> list[str]:
    return [str(one.outcome) for one in found]


def paths(server: Tool) -> list[str]:
    return [one.path.rpartition("v3/objects/")[2] for one in server.received]


# ---- contacts


def test_contacts_are_upserted_where_the_property_is_unique(account: Account) -> None:
    adapter = made()
    found = account.deliver(adapter, [event(n) for n in range(150)], at(adapter))
    assert outcomes(found) == ["delivered"] * 150
    assert paths(account) == [
        "/properties/v1/contacts/properties", "/crm/v3/properties/contacts", "contacts/batch/upsert",
        "contacts/batch/upsert",
    ]  # fmt: skip
    assert len(account.records) == 150


def test_contacts_are_searched_for_where_it_is_not(searched: Account) -> None:
    searched.records = {"77": {"email": "U1@example.com"}, "78": {"email": "u9@example.com"}}
    adapter = made()
    found = searched.deliver(adapter, [event(n) for n in range(3)], at(adapter))
    assert outcomes(found) == ["delivered"] * 3
    assert paths(searched)[2:] == ["contacts/search", "contacts/batch/create", "contacts/batch/update"]
    assert searched.records["77"]["firstname"] == "U 1"
    assert len(searched.records) == 4


def test_a_search_keeps_to_its_limits_and_is_read_to_its_end(searched: Account) -> None:
    searched.records = {str(n): {"email": f"u{n}@example.com"} for n in range(100)}
    adapter = made()
    found = searched.deliver(adapter, [event(n) for n in range(200)], at(adapter))
    assert outcomes(found) == ["delivered"] * 200
    assert len(searched.records) == 200
    assert paths(searched).count("contacts/search") > 2


def test_a_page_that_is_not_the_last_is_followed(searched: Account) -> None:
    searched.records = {str(n): {"phone": "12"} for n in range(120)}
    adapter = made(lookup_field="phone")
    (found,) = searched.deliver(adapter, [event(traits={"phone": 12})], at(adapter))
    assert (str(found.outcome), "120 records" in found.reason) == ("dead", True)
    assert paths(searched).count("contacts/search") == 2


def test_several_events_of_a_contact_are_one_item_and_the_last_wins(account: Account, searched: Account) -> None:
    first, then = {"email": "ines@example.com", "firstname": "I", "city": "Ribe"}, {"email": "Ines@example.com",
                                                                                     "firstname": "Ines"}
    for server in (account, searched):
        adapter = made()
        events = [event(3, 1, traits=first), event(4, 1, traits=then), event(5)]
        assert outcomes(server.deliver(adapter, events, at(adapter))) == ["delivered"] * 3
        (ines,) = (held for held in server.records.values() if held["email"].lower() == "ines@example.com")
        assert (ines["firstname"], ines["city"]) == ("Ines", "Ribe")
        assert len(server.received[-1].json()["inputs"]) == 2


def test_only_refused_records_of_a_batch_are_dead(account: Account) -> None:
    account.types = {"email": "string", "newsletter": "bool"}
    adapter = made()
    events = [row(n, **({"colour": "red"} if n in (1, 4) else {})) for n in range(6)]
    found = account.deliver(adapter, events, at(adapter))
    assert outcomes(found) == ["delivered", "dead", "delivered", "delivered", "dead", "delivered"]
    assert paths(account).count("contacts/batch/upsert") == 1


def test_all_events_of_a_refused_record_are_dead(account: Account) -> None:
    adapter = made()
    events = [row(1, firstname="Ines"), row(1, colour="red"), row(2, firstname="Tom")]
    assert outcomes(account.deliver(adapter, events, at(adapter))) == ["dead", "dead", "delivered"]


def test_a_batch_that_is_refused_as_a_whole_is_taken_apart(searched: Account) -> None:
    adapter = made()
    events = [row(n, **({"colour": "red"} if n == 2 else {"city": "Ribe"})) for n in range(8)]
    found = searched.deliver(adapter, events, at(adapter))
    assert outcomes(found) == ["delivered"] * 2 + ["dead"] + ["delivered"] * 5


def test_a_contact_is_found_by_its_further_addresses_and_keeps_its_first(searched: Account) -> None:
    for make in (event, row):
        searched.records = {"77": {"email": "old@example.com", "hs_additional_emails": "x@example.com;u1@example.com"}}
        adapter = made()
        events = [event(1), event(2)] if make is event else [row(1, firstname="U 1"), row(2, firstname="U 2")]
        assert outcomes(searched.deliver(adapter, events, at(adapter))) == ["delivered"] * 2
        assert searched.records["77"]["email"] == "old@example.com"
        assert searched.records["77"]["firstname"] == "U 1"
        assert len(searched.records) == 2


def test_more_than_one_record_is_nobody(searched: Account) -> None:
    searched.records = {"77": {"phone": "12"}, "78": {"phone": "12"}}
    adapter = made(lookup_field="phone")
    events = [event(1, traits={"phone": 12, "city": "Ribe"}), event(2, traits={"phone": "13"})]
    found = searched.deliver(adapter, events, at(adapter))
    assert outcomes(found) == ["dead", "delivered"]
    assert "2 records of contacts have this phone" in found[0].reason


def test_a_contact_that_a_search_does_not_show_yet_is_tried_again(searched: Account) -> None:
    adapter = made()
    searched.records = {"77": {"email": "u1@example.com"}}
    searched._search = lambda asked: (200, {"total": 0, "results": []})
    found = searched.deliver(adapter, [event(1), event(2)], at(adapter))
    assert outcomes(found) == ["retry", "delivered"]
    assert found[0].after == 30


def test_values_are_as_their_property_wants_them(account: Account) -> None:
    adapter = made()
    traits = {
        "email": "ines@example.com", "Joined": "2026-01-02T13:14:15Z", "berths": 3, "newsletter": True, "zip": 8000,
        "sails": ["jib", "spinnaker"], "unknown": 1, "city": {"name": "Ribe"}, "member_number": "", "lastname": None,
    }  # fmt: skip
    assert outcomes(account.deliver(adapter, [event(1, traits=traits)], at(adapter))) == ["delivered"]
    assert account.records["501"] == {
        "email": "ines@example.com", "joined": 1767312000000, "berths": 3, "newsletter": True, "zip": "8000",
        "sails": "jib;spinnaker",
    }  # fmt: skip


def test_where_the_legacy_address_is_gone_the_newer_one_tells_the_types(account: Account) -> None:
    account.answer(404)
    adapter = made()
    assert outcomes(account.deliver(adapter, [event(1, traits={"email": "a@example.com", "zip": 8000, "odd": 1})],
                                    at(adapter))) == ["delivered"]
    assert account.records["501"] == {"email": "a@example.com", "zip": "8000"}


def test_properties_that_say_themselves_whether_they_are_unique_are_asked_for_once(account: Account) -> None:
    rows = [{"name": "email", "type": "string", "hasUniqueValue": True}]
    account.answer(200, codec.dumps(rows))
    adapter = made()
    assert outcomes(account.deliver(adapter, [event(1), row(2)], at(adapter))) == ["delivered"] * 2
    assert paths(account) == ["/properties/v1/contacts/properties", "contacts/batch/upsert"]


@pytest.mark.parametrize("email", ["ines", "ines@", 7, ["ines@example.com", "tom@example.com"], "a b@example.com"])
def test_what_is_no_address_is_not_sent(account: Account, email: Any) -> None:
    for field in ("email", "member_number"):
        adapter = made(lookup_field=field)
        one = event(1, traits={"email": email, "member_number": "7315"})
        assert outcomes(account.deliver(adapter, [one], at(adapter))) == ["dead"]
    assert not account.records


# ---- trouble


def test_a_wrong_token_pauses_and_nothing_more_is_sent(account: Account) -> None:
    adapter = made(access_token="old", events=[{"event": "Boat Rented", "name": "pe4711_boat_rented"}])
    track = event(2, type="track", event="Boat Rented")
    found = account.deliver(adapter, [event(1), track, event(3, type="track", event="Other")], at(adapter))
    assert outcomes(found) == ["pause", "pause", "filtered"]
    assert len(account.received) == 1


@pytest.mark.parametrize("place", [0, 1, 2])
def test_after_a_429_nothing_more_is_sent(place: int) -> None:
    adapter, sent = made(), 0

    def answer(request: Request) -> Response:
        nonlocal sent
        sent += 1
        return Response(429, {"Retry-After": "7"}) if sent > place else Response(200, {}, b"[]")

    events = [event(1), row(2, "boats"), row(3, "sails"), event(4, type="track", event="Boat Rented")]
    found, requests = drive(adapter, events, at(adapter), answer)
    assert len(requests) == place + 1
    assert outcomes(found) == ["retry"] * 3 + ["filtered"]
    assert {one.after for one in found[:3]} == {7.0}


def test_a_question_without_an_answer_is_about_whom_it_was_asked_for(account: Account) -> None:
    adapter = made(events=[{"event": "Boat Rented", "name": "pe4711_boat_rented"}])
    track = {"type": "track", "event": "Boat Rented", "traits": {"email": "u1@example.com"}}
    events = [row(1, "submarines"), event(2), event(1, **track)]
    events[2].key = events[0].key
    found = account.deliver(adapter, events, at(adapter))
    assert outcomes(found) == ["dead", "delivered", "delivered"]
    assert "asked before writing" in found[0].reason
    account.answer(503)
    assert outcomes(account.deliver(adapter, [event(1), event(1, **track)], at(adapter))) == ["retry", "retry"]


@pytest.mark.parametrize("answer", [
    Response(200, {}, b"<html>"), Response(200, {}, b'[{"name"', cut=True, error="broke off"),
])
def test_an_answer_that_cannot_be_read_tells_nothing(answer: Response) -> None:
    adapter = made()
    found, sent = drive(adapter, [event(1)], at(adapter), lambda _: answer)
    assert (outcomes(found), len(sent)) == (["retry"], 1)


@pytest.mark.parametrize(("body", "expected"), [
    ({"results": [{"id": "1"}], "errors": [{"category": "VALIDATION_ERROR"}]}, ["dead", "dead"]),
    ({"results": [{"id": "1"}], "errors": [{"context": {"objectWriteTraceId": "2"}}]}, ["delivered", "dead"]),
    ({"results": [], "errors": [{"context": {"objectWriteTraceId": ["2"]}, "category": "RATE_LIMITS"}]},
     ["delivered", "retry"]),
    ({"results": [], "errors": ["odd"]}, ["dead", "dead"]),
    ({}, ["dead", "dead"]),
    ([], ["dead", "dead"]),
])
def test_what_an_answer_leaves_open_is_not_called_delivered(body: Any, expected: list[str]) -> None:
    adapter = made()

    def answer(request: Request) -> Response:
        if "/batch/" in request.url:
            return Response(207, {}, codec.dumps(body))
        return Response(200, {}, codec.dumps([{"name": "email", "type": "string", "hasUniqueValue": True}]))

    found, _ = drive(adapter, [event(1), event(2)], at(adapter), answer)
    assert outcomes(found) == expected


def test_a_user_waits_behind_an_event_that_failed(account: Account) -> None:
    adapter = made(events=[{"event": "boat rented", "name": "pe4711_boat_rented"}])
    track = event(2, 2, type="track", event="Boat Rented", traits={"email": "u1@example.com"})

    def answer(request: Request) -> Response:
        return Response(503) if "/batch/" in request.url else account.send(apply(Bearer("t-1"), request))

    found, sent = drive(adapter, [event(1, 2), track], at(adapter), answer)
    assert outcomes(found) == ["retry", "retry"]
    assert sent[-1].url.endswith("/upsert")


# ---- rows


def test_rows_are_records_of_any_object(searched: Account) -> None:
    searched.records = {"88": {"email": "u2@example.com"}}
    adapter = made()
    found = searched.deliver(adapter, [row(1, "boats", city="Ribe"), row(2, "boats", city="Nyborg")], at(adapter))
    assert outcomes(found) == ["delivered"] * 2
    assert paths(searched)[2:] == ["boats/search", "boats/batch/create", "boats/batch/update"]
    assert searched.records["88"]["city"] == "Nyborg"
    assert searched.records["502"] == {"city": "Ribe", "email": "u1@example.com"}


def test_rows_connect_records(account: Account) -> None:
    adapter = made(do_association=True)
    external = {
        "type": "HS-association", "fromObjectType": "HS-boats", "toObjectType": "contacts",
        "associationTypeId": "owner",
    }
    context = {"mappedToDestination": True, "externalId": [external]}
    events = [event(n, traits={"from": {"id": n}, "to": {"id": 9}}, context=context) for n in range(2)]
    events.append(event(3, traits={"from": {"id": 1}}, context=context))
    found = account.deliver(adapter, events, at(adapter))
    assert outcomes(found) == ["delivered", "delivered", "dead"]
    assert account.received[-1].path == "/crm/v3/associations/boats/contacts/batch/create"
    assert account.received[-1].json()["inputs"][1] == {"from": {"id": 1}, "to": {"id": 9}, "type": "owner"}


@pytest.mark.parametrize(("external", "reason"), [
    ({"type": "HS-contacts", "id": "1"}, "identifierType and id"),
    ({"type": "HS-contacts", "identifierType": "email", "id": {}}, "identifierType and id"),
    ({"type": "HS-..", "identifierType": "email", "id": "1"}, "names no object"),
    ({"type": "HS-", "identifierType": "email", "id": "1"}, "no entry"),
    ({"type": "other", "identifierType": "email", "id": "1"}, "no entry"),
    ({"type": "HS-association", "id": "1"}, "fromObjectType"),
])
def test_a_row_names_its_record(external: Any, reason: str) -> None:
    adapter = made(do_association=True)
    one = event(1, context={"mappedToDestination": True, "externalId": [external]})
    found, _ = drive(adapter, [one], at(adapter), lambda _: Response(200))
    assert outcomes(found) == ["dead"]
    assert reason in found[0].reason


def test_an_object_cannot_leave_its_place_in_the_address() -> None:
    adapter = made()
    (request,) = adapter.verdict(row(1, "a/../../x?y#z"), at(adapter))
    assert request.url == "https://api.hubapi.com/crm/v3/objects/a%2F..%2F..%2Fx%3Fy%23z/batch/upsert"


# ---- events


def test_custom_events_are_sent_one_by_one(account: Account) -> None:
    adapter = made(events=[{"rsEventName": "Boat Rented", "hubspotEventName": "pe4711_boat_rented",
                            "eventProperties": [{"from": "days", "to": "rental_days"}]}])
    track = {"type": "track", "event": " boat rented", "properties": {"days": 3, "tags": ["a"], "utk": 12}}
    found = account.deliver(adapter, [event(1, **track), event(2, **track)], at(adapter))
    assert outcomes(found) == ["delivered"] * 2
    assert [one["email"] for one in account.events] == ["u1@example.com", "u2@example.com"]
    assert account.events[0]["properties"] == {"rental_days": 3}
    assert account.events[0]["utk"] == "12"
    assert account.events[0]["uuid"] != account.events[1]["uuid"]


def test_a_name_of_rudderstack_means_its_behaviour() -> None:
    slug, implied = slug_of("HS")
    assert (slug, implied["api"], implied["authorization"]) == ("hubspot", "legacy", "api_key")
    adapter = made(
        authorizationType="newPrivateAppApi", apiVersion="newApi", lookupField="phone", hubID="4711", apiKey="",
        doAssociation=True, hubspotEvents=[{"rsEventName": "", "hubspotEventName": "x"}], useNativeSDK=False,
    )
    assert adapter.settings.lookup_field == "phone"
    assert adapter.settings.do_association


# ---- the legacy APIs


def test_the_legacy_apis(account: Account) -> None:
    adapter = registry.build("hubspot", {"api_key": "k-1", "api": "legacy", "hub_id": "4711"})
    assert isinstance(adapter, Hubspot)
    events = [event(n) for n in range(150)]
    events += [event(151, type="track", event="Boat Rented"), event(152, traits={"firstname": "Nobody"})]
    found = account.deliver(adapter, events, at(adapter))
    assert outcomes(found) == ["delivered"] * 151 + ["dead"]
    assert [one.path for one in account.received] == [
        "/properties/v1/contacts/properties", "/contacts/v1/contact/batch/", "/v1/event",
    ]  # fmt: skip
    assert account.received[-1].query["email"] == "u151@example.com"


def test_a_legacy_batch_is_taken_apart(account: Account) -> None:
    adapter = made(api="legacy")
    events = [event(n, traits={"email": "odd" if n == 5 else f"u{n}@example.com"}) for n in range(8)]
    assert outcomes(account.deliver(adapter, events, at(adapter))) == ["delivered"] * 5 + ["dead"] + ["delivered"] * 2


def test_a_legacy_event_needs_the_number_of_the_account() -> None:
    adapter = made(api="legacy")
    found, _ = drive(adapter, [event(1, type="track", event="A")], at(adapter), lambda _: Response(200))
    assert (outcomes(found), "hub_id" in found[0].reason) == (["dead"], True)


# ---- the rest


@pytest.mark.parametrize("settings", [
    {"access_token": "t", "api_key": "k"},
    {}, {"access_token": ""}, {"access_token": "t", "authorization": "api_key"}, {"access_token": "t", "api": "v9"},
    {"api_key": "k", "authorizationType": "newPrivateAppApi"}, {"access_token": "t", "region": "mars"},
])
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        registry.build("hubspot", settings)


def test_contacts_are_deleted_by_their_address(account: Account) -> None:
    adapter = made()
    assert adapter.auth is not None
    users = [User(user_id="u-7"), User(email="ines@example.com")]
    found, sent = drive_forget(adapter, users, at(adapter), lambda _: Response(204))
    assert outcomes(found) == ["filtered", "delivered"]
    assert [one.url.rpartition("/")[2] for one in sent] == ["gdpr-delete"]


@given(st.text(max_size=40))
def test_names_of_properties_are_lower_case_without_white_space(trait: str) -> None:
    name = named(trait)
    assert not re.search(r"\s", name)
    assert named(name) == name


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)


@given(st.dictionaries(st.text(max_size=12), SCALARS | st.lists(SCALARS, max_size=3) | st.just({"a": 1}), max_size=8))
def test_a_contact_has_only_what_the_account_has(traits: dict[str, Any]) -> None:
    found = contact({"traits": {**traits, "Berths": 2}}, {"berths": "number", "joined": "date"})
    standard = {"email", "firstname", "lastname", "phone", "address", "city", "country", "state", "zip", "company",
                "jobtitle"}
    assert found.keys() <= {"berths", "joined"} | standard
    assert not any(isinstance(value, dict | list) for value in found.values())


@given(st.lists(st.text(min_size=1, max_size=400), max_size=250, unique=True))
def test_every_value_is_in_one_search_within_its_limits(values: list[str]) -> None:
    for field in ("email", "phone"):
        parts = list(pages(field, values))
        assert [value for part in parts for value in part] == values
        for part in parts:
            assert 0 < len(part) <= 100
            assert len(part) == 1 or len(codec.dumps(search(field, part, "10000"))) <= 3000
