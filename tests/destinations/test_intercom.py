"""Intercom against a server as strict as its REST API: contacts found, made, in conflict; companies, tags, deletion."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from destinations import registry
from destinations.intercom import Intercom
from destinations.intercom.mapping import contact, event_of, user
from destinations.intercom.settings import IntercomSettings
from destinations.rudderstack import slug_of
from turnout import Context, Event, Request, Response, User, codec
from turnout.auth import apply
from turnout.testing import DestinationContract, FakeClock, Received, Tool, drive
from turnout.testing.driving import drive_forget

NOW = FakeClock().now()
FIELDS = {
    "external_id", "email", "phone", "name", "avatar", "role", "owner_id", "last_seen_at", "signed_up_at",
    "unsubscribed_from_emails", "custom_attributes",
}
ATTRIBUTES = {"branch", "card_colour"}


class Api(Tool):
    """Credentials, required fields and attributes as the API has them; keeps contacts, companies and tags.

    `lagging`: contacts are there, and a search does not know them yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.contacts: dict[str, dict[str, Any]] = {}
        self.companies: dict[str, str] = {}
        self.members: set[tuple[str, str]] = set()
        self.tags: list[tuple[str, str]] = []
        self.events: list[dict[str, Any]] = []
        self.lagging = self.archived = False

    def answered(self, asked: Received) -> tuple[int, Any] | tuple[int, Any, Mapping[str, str]]:
        if asked.headers.get("authorization") != "Bearer tok-31":
            return error(401, "unauthorized", "Access Token Invalid")
        if asked.headers.get("accept") != "application/json":
            return error(406, "media_type_not_acceptable", "Accept")
        parts = asked.path.strip("/").split("/")
        body = asked.json() if asked.body else {}
        if asked.headers.get("intercom-version") == "1.4":
            return self._users(asked, parts, body)
        match (asked.method, *parts):
            case ("POST", "contacts", "search"):
                return self._search(body["query"])
            case ("POST", "contacts"):
                return self._create(body)
            case ("PUT", "contacts", ident) if ident in self.contacts:
                problem = unknown(body)
                return problem or (200, self.contacts[ident] | body)
            case ("DELETE", "contacts", ident):
                gone = self.contacts.pop(ident, None)
                return (200, {"id": ident, "deleted": True}) if gone else error(404, "not_found", "User Not Found")
            case ("POST", "companies"):
                if not body.get("company_id"):
                    return error(400, "parameter_not_found", "company_id")
                ident = self.companies.setdefault(body["company_id"], f"k-{len(self.companies)}")
                return unknown(body, set(body)) or (200, {"type": "company", "id": ident})
            case ("GET", "companies"):
                found = self.companies.get(asked.query["company_id"])
                return (200, {"id": found}) if found else error(404, "company_not_found", "Company Not Found")
            case ("POST", "contacts", who, "companies") if who in self.contacts:
                self.members.add((who, body["id"]))
                return 200, {"id": body["id"]}
            case ("DELETE", "contacts", who, "companies", what):
                if (who, what) not in self.members:
                    return error(404, "company_not_found", "Company Not Found")
                self.members.discard((who, what))
                return 200, {"id": what}
            case ("POST", "tags"):
                self.tags += [(body["name"], one["id"]) for one in body["companies"]]
                return 200, {"type": "tag", "id": "t-1"}
            case ("POST", "events"):
                return self._event(body)
        return error(404, "not_found", "Resource Not Found")

    def _search(self, query: dict[str, Any]) -> tuple[int, Any]:
        if query["operator"] not in ("AND", "OR") or not query["value"]:
            return error(400, "parameter_invalid", "query")
        for one in query["value"]:
            if one["field"] not in FIELDS and not one["field"].startswith("custom_attributes."):
                return error(400, "invalid_field", one["field"])
        how = all if query["operator"] == "AND" else any
        rows = [
            row for row in self.contacts.values()
            if how(row.get(one["field"]) == one["value"] for one in query["value"]) and not self.lagging
        ]
        return 200, {"type": "list", "total_count": len(rows), "data": rows}

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        if not body.keys() & {"external_id", "email", "role"}:
            return error(400, "parameter_not_found", "one of email, external_id, role")
        for row in self.contacts.values():
            if any(body.get(name) and row.get(name) == body[name] for name in ("external_id", "email")):
                kind = "An archived" if self.archived else "A"
                return error(409, "conflict", f"{kind} contact matching those details exists with id={row['id']}")
        problem = unknown(body)
        if problem:
            return problem
        ident = f"c{len(self.contacts)}"
        self.contacts[ident] = {**body, "id": ident, "type": "contact"}
        return 200, self.contacts[ident]

    def _event(self, body: dict[str, Any]) -> tuple[int, Any]:
        if not body.get("event_name") or not isinstance(body.get("created_at"), int):
            return error(400, "parameter_not_found", "event_name and created_at")
        for value in (body.get("metadata") or {}).values():
            if isinstance(value, list) or (isinstance(value, dict) and not {"amount", "url"} & value.keys()):
                return error(400, "parameter_invalid", "metadata")
        known = [row for row in self.contacts.values() if row.get("external_id") == body.get("user_id")]
        if not known:
            return error(404, "not_found", "User Not Found")
        self.events.append(body)
        return 202, b""

    def _users(self, asked: Received, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        match (asked.method, *parts):
            case ("POST", "users"):
                if not body.get("user_id") and not body.get("email"):
                    return error(400, "parameter_not_found", "user_id or email")
                ident = f"u-{body.get('user_id') or body['email']}"
                self.contacts[ident] = {**self.contacts.get(ident, {}), **body, "id": ident}
                return 200, self.contacts[ident]
            case ("GET", "users"):
                query = asked.query
                ident = f"u-{query.get('user_id') or query['email']}"
                found = self.contacts.get(ident)
                return (200, found) if found else error(404, "not_found", "User Not Found")
            case ("POST", "user_delete_requests"):
                self.contacts.pop(body["intercom_user_id"])
                return 200, {"id": body["intercom_user_id"]}
            case ("POST", "companies" | "tags" | "events"):
                return 200, {"id": "k-1"}
        return error(404, "not_found", "Resource Not Found")


def error(status: int, code: str, message: str) -> tuple[int, Any]:
    return status, {"type": "error.list", "request_id": "r-1", "errors": [{"code": code, "message": message}]}


def unknown(body: Mapping[str, Any], fields: set[str] = FIELDS) -> tuple[int, Any] | None:
    """Custom attributes have to be made before, and hold no objects."""
    own = body.get("custom_attributes") or {}
    if set(body) - fields or set(own) - ATTRIBUTES or any(isinstance(one, dict | list) for one in own.values()):
        return error(400, "parameter_invalid", "Custom attribute does not exist")
    return None


class TestIntercom(DestinationContract):
    destination = Intercom

    def looks_up(self, request: Request) -> bool:
        return request.method == "GET" or request.url.endswith("/contacts/search")


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        yield server


def made(**settings: Any) -> Intercom:
    adapter = registry.build("intercom", {"access_token": "tok-31", **settings})
    assert isinstance(adapter, Intercom)
    return adapter


def at(adapter: Intercom) -> Context:
    return Context(NOW, adapter.delivery)


def event(number: int = 0, options: Mapping[str, Any] | None = None, **fields: Any) -> Event:
    message = {
        "type": "identify", "messageId": f"m-{number}", "userId": "reader-7", "timestamp": "2026-01-02T03:00:00.000Z",
        "traits": {"email": "ines@example.com", "branch": "Alfama"}, **fields,
    }
    return Event(message=message, key=7, source="web", options=options)


def group(**fields: Any) -> Event:
    traits = {"name": "City Library", "branch": "Alfama", "tags": ["public", "old"]}
    return event(type="group", **{"groupId": "library-3", "traits": traits, **fields})


def outcomes(api: Api, adapter: Intercom, *events: Event) -> list[str]:
    return [str(one.outcome) for one in api.deliver(adapter, events, at(adapter))]


def last(api: Api) -> tuple[str, str]:
    return api.received[-1].method, api.received[-1].path


# ---- contacts


def test_a_contact_is_made_once_and_then_updated(api: Api) -> None:
    adapter = made()
    again = event(1, traits={"email": "ines@example.com", "card": {"colour": "green"}})
    assert outcomes(api, adapter, event(), again) == ["delivered", "delivered"]
    assert len(api.contacts) == 1
    assert [(one.method, one.path) for one in api.received] == [
        ("POST", "/contacts/search"), ("POST", "/contacts"), ("POST", "/contacts/search"), ("PUT", "/contacts/c0"),
    ]
    assert api.received[-1].json()["custom_attributes"] == {"card_colour": "green"}
    assert {one.headers["host"] for one in api.received} == {"api.intercom.io"}


@pytest.mark.parametrize("match", ["any", "email"])
def test_an_id_that_changed_stays_one_contact_and_an_address_too(api: Api, match: str) -> None:
    adapter = made(match=match)
    moved = event(1, userId="reader-8")
    assert outcomes(api, adapter, event(), moved) == ["delivered", "delivered"]
    assert last(api) == ("PUT", "/contacts/c0")
    assert api.received[-1].json()["external_id"] == "reader-8"


def test_of_several_contacts_the_one_with_the_id_is_taken(api: Api) -> None:
    api.contacts = {
        "c8": {"id": "c8", "email": "ines@example.com"}, "c9": {"id": "c9", "external_id": "reader-7"},
    }
    assert outcomes(api, made(), event()) == ["delivered"]
    assert last(api) == ("PUT", "/contacts/c9")


def test_a_contact_that_the_search_does_not_know_yet_is_updated(api: Api) -> None:
    adapter = made()
    api.lagging = True
    assert outcomes(api, adapter, event(), event(1)) == ["delivered", "delivered"]
    assert last(api) == ("PUT", "/contacts/c0")
    api.archived = True
    found = api.deliver(adapter, [event(2)], at(adapter))
    assert str(found[0].outcome) == "dead"
    assert "409" in found[0].reason
    assert last(api) == ("POST", "/contacts")


@pytest.mark.parametrize(("lookup", "traits", "field", "value"), [
    ("phone", {"phone": "+351210000000"}, "phone", "+351210000000"),
    ("external_id", {"external_id": "old-7"}, "external_id", "old-7"),
    ("userId", {}, "external_id", "reader-7"),
    ("branch", {"branch": "Alfama"}, "custom_attributes.branch", "Alfama"),
    ("custom_attributes.branch", {"branch": "Alfama"}, "custom_attributes.branch", "Alfama"),
    ("phone", {}, "external_id", "reader-7"),
    (7, {}, "external_id", "reader-7"),
])
def test_the_field_to_search_by_can_be_named(
    api: Api, lookup: Any, traits: dict[str, Any], field: str, value: str
) -> None:
    assert outcomes(api, made(), event(options={"lookup": lookup}, traits=traits)) == ["delivered"]
    search = api.received[0].json()["query"]
    assert search["value"] == [{"field": field, "operator": "=", "value": value}]


def test_a_contact_made_after_a_lookup_has_what_it_was_looked_up_by(api: Api) -> None:
    traits = {"email": "a@example.com", "external_id": "old-7"}
    only = event(options={"lookup": "external_id"}, userId=None, traits=traits)
    assert outcomes(api, made(), only) == ["delivered"]
    assert api.contacts["c0"]["external_id"] == "old-7"


def test_attributes_that_the_workspace_does_not_know_make_the_event_dead(api: Api) -> None:
    assert outcomes(api, made(), event(traits={"email": "a@example.com", "fines": 3})) == ["dead"]


# ---- companies


def test_a_group_is_a_company_with_its_member_and_tags(api: Api) -> None:
    adapter = made()
    assert outcomes(api, adapter, event(), group()) == ["delivered", "delivered"]
    assert api.members == {("c0", "k-0")}
    assert api.tags == [("public", "k-0"), ("old", "k-0")]
    assert outcomes(api, adapter, group()) == ["delivered"], "twice does no harm"
    assert len(api.companies) == 1


def test_a_group_whose_member_is_not_known_is_a_company(api: Api) -> None:
    assert outcomes(api, made(), group(userId=None), group(userId="nobody")) == ["delivered", "delivered"]
    assert api.companies == {"library-3": "k-0"}
    assert not api.members
    assert not api.contacts


def test_the_address_of_a_group_stands_in_for_a_member_that_is_not_named(api: Api) -> None:
    adapter = made()
    traits = {"email": "ines@example.com", "name": "City Library"}
    assert outcomes(api, adapter, event(), group(userId=None, traits=traits)) == ["delivered", "delivered"]
    assert api.members == {("c0", "k-0")}
    company = next(one.json() for one in api.received if one.path == "/companies")
    assert "custom_attributes" not in company


def test_a_company_is_left_before_the_contact_is_updated(api: Api) -> None:
    adapter = made()
    leaves = event(1, traits={"email": "ines@example.com", "company": {"id": "library-3", "remove": True}})
    assert outcomes(api, adapter, event(), group(), leaves) == ["delivered"] * 3
    assert not api.members
    assert last(api) == ("PUT", "/contacts/c0")
    assert outcomes(api, adapter, leaves) == ["dead"], "it is in no such company any more"


@pytest.mark.parametrize("company", [{"id": "no-such", "remove": True}, {"name": "City Library", "remove": True}])
def test_a_company_that_cannot_be_left_makes_the_event_dead(api: Api, company: dict[str, Any]) -> None:
    leaves = event(1, traits={"email": "ines@example.com", "company": company})
    assert outcomes(api, made(), event(), leaves) == ["delivered", "dead"]


def test_a_company_of_an_identify_is_no_attribute_and_joins_nothing(api: Api) -> None:
    joins = event(traits={"email": "ines@example.com", "company": {"id": "library-3"}})
    assert outcomes(api, made(), joins) == ["delivered"]
    assert not api.companies


# ---- events and rows


def test_an_event_needs_somebody_whom_intercom_knows(api: Api) -> None:
    adapter = made()
    lent = event(1, type="track", event="Book Borrowed", traits=None, properties={"loan": {"days": 21}, "desks": ["e"]})
    assert outcomes(api, adapter, lent) == ["dead"]
    assert outcomes(api, adapter, event(), lent) == ["delivered", "delivered"]
    assert api.events[0]["metadata"] == {"loan_days": 21, "desks_0": "e"}


def test_rows_make_change_and_delete_contacts(api: Api) -> None:
    adapter = made()

    def row(action: str, **fields: Any) -> Event:
        message = {"type": "record", "action": action, "identifiers": {"email": "ines@example.com"}, "fields": fields}
        return Event(message=message, key=1, trusted=True)

    assert outcomes(api, adapter, row("update", name="Ines")) == ["dead"]
    assert outcomes(api, adapter, row("delete")) == ["filtered"]
    assert outcomes(api, adapter, row("insert", name="Ines"), row("insert", name="I.")) == ["delivered"] * 2
    assert outcomes(api, adapter, row("update", name="Ines P.")) == ["delivered"]
    assert api.received[-1].json() == {"name": "Ines P."}
    assert outcomes(api, adapter, row("DELETE")) == ["delivered"]
    assert not api.contacts
    assert outcomes(api, adapter, row("touch")) == ["dead"]
    assert outcomes(api, adapter, Event(message={"type": "record", "action": "insert", "identifiers": {}})) == ["dead"]


def test_version_one_takes_the_same_events_as_users(api: Api) -> None:
    adapter = made(api_version="v1", region="eu")
    lent = event(1, type="track", event="Book Borrowed")
    assert outcomes(api, adapter, event(), lent, group()) == ["delivered"] * 3
    assert [one.path for one in api.received] == ["/users", "/events", "/companies", "/users", "/tags", "/tags"]
    assert {one.headers["host"] for one in api.received} == {"api.eu.intercom.io"}
    assert api.contacts["u-reader-7"]["companies"] == [{"company_id": "library-3", "name": "City Library"}]


# ---- answers


def test_a_wrong_token_pauses_and_nothing_more_is_sent(api: Api) -> None:
    adapter = made(access_token="old")
    assert outcomes(api, adapter, event(), event(1), group()) == ["pause"] * 3
    assert len(api.received) == 1


def test_a_window_that_is_used_up_stops_the_rest_until_it_ends() -> None:
    adapter = made()
    for told, after in ({"Retry-After": "9"}, 9), ({"X-RateLimit-Reset": "1767323055"}, 10), (
        {"X-RateLimit-Reset": "1"}, 1
    ), ({"X-RateLimit-Reset": "9999999999"}, 60), ({"X-RateLimit-Reset": "soon"}, None), ({}, None):
        found, sent = drive(adapter, [event(), event(1)], at(adapter), lambda _, h=told: Response(429, h))
        assert [(str(one.outcome), one.after) for one in found] == [("retry", after)] * 2
        assert len(sent) == 1


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("status", [0, 408, 500, 503])
def test_an_event_that_fails_at_any_step_is_tried_again_whole(api: Api, step: int, status: int) -> None:
    adapter, calls = made(), 0
    outcomes(api, adapter, event())

    def answer(request: Request) -> Response:
        nonlocal calls
        calls += 1
        if calls == step + 1:
            return Response(status, error="" if status else "h: no answer")
        assert adapter.auth is not None
        return api.send(apply(adapter.auth, request))

    found, sent = drive(adapter, [group()], at(adapter), answer)
    assert (str(found[0].outcome), len(sent)) == ("retry", step + 1)
    assert outcomes(api, adapter, group()) == ["delivered"]
    assert api.members == {("c0", "k-0")}


@pytest.mark.parametrize(("body", "cut", "outcome"), [(b"", False, "dead"), (b'{"id": "k', True, "retry")])
def test_a_company_whose_answer_names_none_is_not_called_delivered(body: bytes, cut: bool, outcome: str) -> None:
    adapter = made()
    found, _ = drive(adapter, [group(userId=None)], at(adapter), lambda _: Response(200, {}, body, cut=cut))
    assert str(found[0].outcome) == outcome


def test_a_search_that_broke_off_makes_no_contact() -> None:
    adapter = made()
    found, sent = drive(adapter, [event()], at(adapter), lambda _: Response(200, {}, b'{"data": [', cut=True))
    assert (str(found[0].outcome), len(sent)) == ("retry", 1)


# ---- deletion


def test_a_user_is_forgotten_wherever_he_is_found(api: Api) -> None:
    adapter = made()
    api.contacts = {
        "c8": {"id": "c8", "email": "ines@example.com"}, "c9": {"id": "c9", "external_id": "reader-7"},
        "c0": {"id": "c0"},
    }
    assert forgotten(api, adapter, User("reader-7", "ines@example.com")) == "delivered"
    assert list(api.contacts) == ["c0"]
    assert forgotten(api, adapter, User("reader-7", "ines@example.com")) == "filtered"
    assert forgotten(api, adapter, User(anonymous_id="a-55")) == "filtered"
    assert forgotten(api, made(access_token="old"), User("reader-7")) == "pause"


def test_a_user_of_version_one_is_forgotten(api: Api) -> None:
    adapter = made(api_version="v1")
    outcomes(api, adapter, event())
    assert forgotten(api, adapter, User("reader-7")) == "delivered"
    assert not api.contacts
    assert forgotten(api, adapter, User(email="ines@example.com")) == "filtered"


def forgotten(api: Api, adapter: Intercom, user: User) -> str:
    assert adapter.auth is not None

    def sent(request: Request) -> Response:
        return api.send(apply(adapter.auth, request))

    return str(drive_forget(adapter, [user], at(adapter), sent)[0][0].outcome)


# ---- settings, and any event


@pytest.mark.parametrize(("given", "region"), [
    ("standard", "us"), ("US", "us"), ("Europe", "eu"), ("eu", "eu"), ("Australia", "au"), ("AU", "au"),
])
def test_rudderstacks_names_are_read(given: str, region: str) -> None:
    config = {"apiKey": "tok-32", "apiServer": given, "sendAnonymousId": True, "appId": "x", "useNativeSDK": True}
    adapter = Intercom(IntercomSettings.model_validate(config))
    assert adapter.settings.region == region
    assert adapter.settings.access_token.get_secret_value() == "tok-32"
    assert slug_of("INTERCOM_V2") == ("intercom", {"match": "email"})


@pytest.mark.parametrize("settings", [
    {"access_token": ""}, {"access_token": None}, {"region": "mars"}, {"region": 7}, {"api_version": "v3"},
    {"match": "id"},
])
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made(**settings)


def test_a_company_without_an_id_has_one_of_its_name() -> None:
    def companies(company: Any) -> Any:
        return user({"userId": "reader-7", "traits": {"company": company}}, "reader-7", True).get("companies")

    (one,), (same,), (other,) = companies({"name": "A"}), companies("A"), companies({"name": "B"})
    assert one == same
    assert re.fullmatch("[0-9a-f]{32}", one["company_id"])
    assert one["company_id"] != other["company_id"]
    assert companies({"industry": "Culture"}) == []
    assert companies({"id": 7, "remove": True}) == [{"company_id": "7", "remove": True}]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=6), JSON, max_size=5))
def test_attributes_and_metadata_are_always_flat(found: dict[str, Any]) -> None:
    own = contact({"traits": found}, "reader-7").get("custom_attributes", {})
    metadata = event_of({"event": "Read", "properties": found}, "reader-7", "", None, False).get("metadata", {})
    for flat in (own, metadata):
        for value in flat.values():
            assert not isinstance(value, list)
            assert not isinstance(value, dict) or {"amount", "currency"} <= set(value) or {"url", "value"} <= set(value)
    assert codec.loads(codec.dumps(own)) == own
    plain = {name for name, value in found.items() if not isinstance(value, dict | list)}
    assert plain <= set(metadata), "nothing that can be sent is lost"
