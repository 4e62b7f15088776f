"""Salesforce against an org as strict as the real one: leads, contacts, rows, collections, and who is found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from salesforce_api import HOST, Org, tokens, value_of

from dataplane.deliver.rehearsal import rehearse
from destinations import registry
from destinations.rudderstack import ACCOUNTS, slug_of
from destinations.salesforce import Salesforce
from destinations.salesforce.mapping import custom, fields_of
from turnout import Context, Event, Response, Verdict, codec
from turnout.auth import bearer
from turnout.errors import Refused
from turnout.testing import DestinationContract, FakeClock, drive
from turnout.testing.driving import drive_forget
from turnout.user import User
from vendors.salesforce import soql

NOW = FakeClock().now()
LOGIN = {"username": "mate@crew.example.com", "password": "a<b&c", "security_token": "T0K"}


class TestSalesforce(DestinationContract):
    destination = Salesforce


@pytest.fixture
def org() -> Iterator[Org]:
    with Org() as server:
        yield server


def made(**settings: Any) -> Salesforce:
    adapter = registry.build("salesforce", {**LOGIN, **settings})
    assert isinstance(adapter, Salesforce)
    return adapter


def at(adapter: Salesforce, **delivery: Any) -> Context:
    return Context(NOW, replace(adapter.delivery, **delivery))


def person(number: int, email: str = "", **fields: Any) -> Event:
    traits = {"email": email or f"p{number}@example.com", "name": f"Ada {number}", "company": "Hulls"}
    message = {"type": "identify", "messageId": f"m-{number}", "userId": f"u-{number}", "traits": traits, **fields}
    return Event(message=message, key=number + 1, source="web")


def row(number: int, action: str = "insert", *, key: int = 0, by: dict[str, Any] | None = None, **fields: Any) -> Event:
    by = by or {"Hull__c": f"PT-{number}"}
    message = {"type": "record", "messageId": f"r-{number}", "action": action, "identifiers": by, "fields": fields}
    return Event(message=message, key=key or 1000 + number, source="warehouse", trusted=True)


def outcomes(found: Sequence[Verdict]) -> list[str]:
    return [str(one.outcome) for one in found]


def calls(org: Org) -> list[str]:
    return [f"{one.method} {one.path.removeprefix('/services/data/v59.0/')}" for one in org.received[1:]]


# ---- one event alone


def test_an_unknown_address_becomes_a_lead_and_the_next_event_updates_it(org: Org) -> None:
    adapter = made()
    assert outcomes(org.deliver(adapter, [person(1)], at(adapter))) == ["delivered"]
    later = person(1, traits={"email": "P1@example.com", "title": "Skipper", "company": "Hulls", "name": "Ada 1"})
    assert outcomes(org.deliver(adapter, [later], at(adapter))) == ["delivered"]
    ((ident, lead),) = org.records["Lead"].items()
    assert lead["Title"] == "Skipper"
    assert calls(org) == ["GET query/", "POST sobjects/Lead", "GET query/", f"POST sobjects/Lead/{ident}"]
    assert org.logins == 1, "a session is kept"
    assert {one.headers["host"] for one in org.received[1:]} == {HOST.removeprefix("https://")}


def test_placeholders_are_for_new_records_alone(org: Org) -> None:
    adapter = made()
    org.put("Lead", Email="p1@example.com", LastName="Marlow", Company="Blue Hulls")
    events = [person(n, traits={"email": f"p{n}@example.com"}) for n in (1, 2)]
    assert outcomes(org.deliver(adapter, events, at(adapter))) == ["delivered"] * 2
    there, new = org.records["Lead"].values()
    assert (there["LastName"], there["Company"]) == ("Marlow", "Blue Hulls")
    assert (new["LastName"], new["Company"]) == ("n/a", "n/a")
    always = made(placeholders="always")
    org.deliver(always, events[:1], at(always))
    assert there["Company"] == "n/a"


@pytest.mark.parametrize("use", [True, False])
def test_a_converted_lead_is_its_contact_where_that_is_wanted(org: Org, use: bool) -> None:
    contact = org.put("Contact", LastName="Old")
    org.put("Lead", Email="p1@example.com", IsConverted=True, ConvertedContactId=contact, LastName="x", Company="y")
    adapter = made(use_contact_id=use)
    place = {"city": "Porto"}
    traits = {"email": "p1@example.com", "name": "Ada 1", "company": "Hulls", "address": place}
    (found,) = org.deliver(adapter, [person(1, traits=traits)], at(adapter))
    if use:
        assert found.outcome == "delivered"
        assert org.records["Contact"][contact]["MailingCity"] == "Porto"
        assert org.records["Contact"][contact]["LastName"] == "1"
    else:
        assert found.outcome == "dead"
        assert "CANNOT_UPDATE_CONVERTED_LEAD" in found.reason


def test_of_several_leads_one_that_is_not_converted_is_written(org: Org) -> None:
    contact = org.put("Contact", LastName="Old")
    org.put("Lead", Email="p1@example.com", IsConverted=True, ConvertedContactId=contact, LastName="x", Company="y")
    lead = org.put("Lead", Email="p1@example.com", LastName="x", Company="y")
    adapter = made()
    assert outcomes(org.deliver(adapter, [person(1)], at(adapter))) == ["delivered"]
    assert org.records["Lead"][lead]["LastName"] == "1"


def test_search_finds_what_query_finds_and_never_more(org: Org) -> None:
    adapter = made(lookup="search", collections=False)
    org.put("Lead", Email="p1@example.com", LastName="x", Company="y")
    assert outcomes(org.deliver(adapter, [person(1)], at(adapter))) == ["delivered"]
    assert outcomes(org.deliver(adapter, [person(2, "*@example.com")], at(adapter))) == ["delivered"]
    assert sorted(lead["Email"] for lead in org.records["Lead"].values()) == ["*@example.com", "p1@example.com"]


def test_search_compares_what_the_index_finds(org: Org) -> None:
    adapter = made(lookup="search", collections=False, object="Boat__c")
    org.put("Boat__c", Name="Gaivota", Hull__c="PT-1 old")
    there = org.put("Boat__c", Name="Gaivota", Hull__c="PT-1")
    assert outcomes(org.deliver(adapter, [row(1, Harbour__c="Porto")], at(adapter))) == ["delivered"]
    assert org.records["Boat__c"][there]["Harbour__c"] == "Porto"
    org.put("Boat__c", Hull__c="pt-1")
    (found,) = org.deliver(adapter, [row(1)], at(adapter))
    assert found.reason == "2 records of Boat__c have this Hull__c"


def test_a_preview_shows_the_look_up_and_what_a_new_record_gets() -> None:
    adapter = made()
    shown = rehearse(adapter, person(1), at(adapter))
    assert [one["method"] for one in shown["requests"]] == ["GET", "POST"]
    assert shown["requests"][0]["headers"]["Authorization"] == "***"
    assert shown["requests"][1]["body"]["json"]["Email"] == "p1@example.com"


def test_two_look_ups_are_never_under_way_at_once_with_query() -> None:
    """Of two at once with the same address, each would find no lead and make one."""
    assert made().delivery.concurrency == made(collections=False).delivery.concurrency == 1


# ---- many at once


def test_four_hundred_people_are_nine_calls_and_each_has_its_own_verdict(org: Org) -> None:
    adapter = made()
    for n in range(0, 400, 2):
        org.put("Lead", Email=f"p{n}@example.com", LastName="Old", Company="y")
    org.codes = {"p7@example.com": "DUPLICATES_DETECTED", "p8@example.com": "UNABLE_TO_LOCK_ROW"}
    events = [person(n) for n in range(400)]
    found = org.deliver(adapter, events, at(adapter, batch=400))
    assert [n for n, one in enumerate(found) if one.outcome != "delivered"] == [7, 8]
    assert (str(found[7].outcome), str(found[8].outcome)) == ("dead", "retry")
    assert "DUPLICATES_DETECTED" in found[7].reason
    assert len(org.records["Lead"]) == 399
    assert all(lead["LastName"] != "Old" for lead in org.records["Lead"].values() if lead["Email"] != "p8@example.com")
    kinds = [one.split("?")[0] for one in calls(org)]
    assert kinds.count("POST composite/sobjects") == kinds.count("PATCH composite/sobjects") == 2
    assert len(kinds) <= 9
    assert all(len(one.query.get("q", "")) < 10_000 for one in org.received)


def test_two_events_of_one_person_are_two_rounds_and_one_lead(org: Org) -> None:
    adapter = made()
    one, other = person(1), person(2, "P1@EXAMPLE.com", traits={"email": "P1@EXAMPLE.com", "name": "Bo Two"})
    found = org.deliver(adapter, [one, other, person(3)], at(adapter))
    assert outcomes(found) == ["delivered"] * 3
    assert [lead["LastName"] for lead in org.records["Lead"].values()] == ["Two", "3"]
    assert len([one for one in calls(org) if one.startswith("GET")]) == 1, "what was made just now is known"


def test_a_field_that_the_org_has_not_kills_its_event_alone(org: Org) -> None:
    adapter = made()
    events = [person(n) for n in range(20)]
    events[13] = person(13, traits={"email": "p13@example.com", "shoe size": 44})
    found = org.deliver(adapter, events, at(adapter))
    assert [n for n, one in enumerate(found) if one.outcome == "dead"] == [13]
    assert found[13].reason.startswith("HTTP 400: INVALID_FIELD")
    assert len(org.records["Lead"]) == 19


def test_rows_of_a_warehouse_are_upserted_and_deleted_together(org: Org) -> None:
    adapter = made(object="Boat__c")
    org.put("Boat__c", Hull__c="PT-3", Name="Old")
    rows = [row(n, Name=f"Boat {n}", Length__c=n + 0.5) for n in range(5)]
    assert outcomes(org.deliver(adapter, rows, at(adapter))) == ["delivered"] * 5
    assert sorted(one["Name"] for one in org.records["Boat__c"].values()) == [f"Boat {n}" for n in range(5)]
    assert calls(org) == ["PATCH composite/sobjects/Boat__c/Hull__c"]
    idents = list(org.records["Boat__c"])
    gone = [row(n, "delete", by={"Id": ident}) for n, ident in enumerate([*idents[:3], "a0100000000000X"])]
    assert outcomes(org.deliver(adapter, gone, at(adapter))) == ["delivered"] * 4
    assert calls(org)[1:] == ["DELETE composite/sobjects"]
    alone = [row(9, "delete", by={"Name": "Boat 4"}), row(10, "delete", by={"Name": "Boat 77"})]
    assert outcomes(org.deliver(adapter, alone, at(adapter))) == ["delivered", "filtered"]
    assert [one["Name"] for one in org.records["Boat__c"].values()] == ["Boat 2"]


def test_a_row_twice_in_a_batch_is_written_in_order(org: Org) -> None:
    adapter = made(object="Boat__c")
    rows = [row(1, Name="First", key=7), row(1, "update", Name="Second", key=8), row(2, Name="Other")]
    assert outcomes(org.deliver(adapter, rows, at(adapter))) == ["delivered"] * 3
    assert sorted(one["Name"] for one in org.records["Boat__c"].values()) == ["Other", "Second"]


def test_a_row_that_is_deleted_and_comes_back_is_made_anew(org: Org) -> None:
    adapter = made(object="Boat__c")
    org.put("Boat__c", Name="Gaivota", Harbour__c="Faro")
    by = {"Name": "Gaivota"}
    rows = [row(1, "delete", by=by), row(2, "insert", by=by, Harbour__c="Porto")]
    assert outcomes(org.deliver(adapter, rows, at(adapter))) == ["delivered"] * 2
    assert [one["Harbour__c"] for one in org.records["Boat__c"].values()] == ["Porto"]


def test_a_number_where_the_org_has_a_text_spoils_no_other_look_up(org: Org) -> None:
    adapter = made(object="Boat__c")
    org.put("Boat__c", Name="Gaivota")
    rows = [row(1, by={"Name": "Gaivota"}, Harbour__c="Porto"), row(2, by={"Name": 7}, Harbour__c="Faro")]
    found = org.deliver(adapter, rows, at(adapter))
    assert outcomes(found) == ["delivered", "dead"]
    assert "INVALID_FIELD" in found[1].reason


def test_collections_off_is_a_call_for_each(org: Org) -> None:
    adapter = made(collections=False)
    assert adapter.delivery.batch == 1
    assert outcomes(org.deliver(adapter, [person(1), person(2)], at(adapter, batch=50))) == ["delivered"] * 2
    assert calls(org) == ["GET query/", "POST sobjects/Lead"] * 2


def test_a_user_waits_behind_an_event_that_failed(org: Org) -> None:
    adapter = made()
    org.codes = {"p1@example.com": "UNABLE_TO_LOCK_ROW"}
    events = [person(1), person(1, "other@example.com"), person(2)]
    found = org.deliver(adapter, events, at(adapter))
    assert outcomes(found) == ["retry", "retry", "delivered"]
    assert [lead["Email"] for lead in org.records["Lead"].values()] == ["p2@example.com"]


def test_used_up_requests_stop_the_rest_and_nothing_is_lost(org: Org) -> None:
    adapter = made()
    org.deliver(adapter, [person(0)], at(adapter))
    org.answer(403, json.dumps([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "used up"}]))
    before = len(org.received)
    found = org.deliver(adapter, [person(n) for n in (1, 2)], at(adapter, batch=1))
    assert (str(found[0].outcome), found[0].status, found[0].after) == ("retry", 429, 300.0)
    assert outcomes(found) == ["retry"] * 2
    assert len(org.received) == before + 1


def test_a_session_that_ended_is_replaced_and_the_call_made_again(org: Org) -> None:
    adapter = made()
    org.deliver(adapter, [person(0)], at(adapter))
    org.session = "00D-another-session"
    assert outcomes(org.deliver(adapter, [person(1)], at(adapter))) == ["delivered"]
    assert org.logins == 2
    assert len(org.records["Lead"]) == 2


def test_a_look_up_that_says_nothing_makes_no_record(org: Org) -> None:
    adapter = made()
    for answer in (Response(200, {}, b"<html>"), Response(200, {}, b"{}"), Response(200, {}, b'{"records": 7}')):
        found, sent = drive(adapter, [person(1)], at(adapter), lambda _, a=answer: a)
        assert outcomes(found) == ["dead"]
        assert len(sent) == 1
    cut = Response(200, {}, b'{"records": []}', cut=True, error="the connection broke")
    assert outcomes(drive(adapter, [person(1)], at(adapter), lambda _: cut)[0]) == ["retry"]


def test_pages_of_a_query_are_read_and_no_other_address(org: Org) -> None:
    adapter = made()
    lead = {"Id": "00Q1", "Email": "p1@example.com", "IsConverted": False, "ConvertedContactId": None}

    def answers(page: str) -> list[str]:
        given = iter([
            Response(200, {}, codec.dumps({"records": [], "done": False, "nextRecordsUrl": page})),
            Response(200, {}, codec.dumps({"records": [lead], "done": True})), Response(204), Response(204),
        ])
        _, sent = drive(adapter, [person(1)], at(adapter), lambda _: next(given))
        return [one.url for one in sent]

    assert answers("/services/data/v59.0/query/01g5e-2000")[1:] == [
        "/services/data/v59.0/query/01g5e-2000", "/services/data/v59.0/sobjects/Lead/00Q1",
    ]
    assert answers("//evil.example/query/x")[1] == "/services/data/v59.0/sobjects/Lead"


@pytest.mark.parametrize("rows", [[], [{"success": True}], ["odd", "odd"], {"id": "x"}, None])
def test_what_a_collections_answer_leaves_open_is_not_called_delivered(rows: Any) -> None:
    adapter = made(object="Boat__c")
    answer = Response(200, {}, codec.dumps(rows))
    found, _ = drive(adapter, [row(1), row(2)], at(adapter), lambda _: answer)
    assert outcomes(found) == ["delivered" if rows and rows == [{"success": True}] else "dead", "dead"]


@pytest.mark.parametrize(("settings", "grant"), [
    ({"client_id": "c", "client_secret": "s-9", "login_url": HOST}, "client_credentials"),
    ({"client_id": "c", "refresh_token": "r-9"}, "refresh_token"),
])
def test_other_ways_to_log_in(org: Org, settings: dict[str, Any], grant: str) -> None:
    adapter = registry.build("salesforce", settings)
    assert outcomes(org.deliver(adapter, [person(1)], Context(NOW, adapter.delivery))) == ["delivered"]
    assert grant in org.received[0].body.decode()
    wrong = registry.build("salesforce", {**settings, "client_secret": "no", "refresh_token": "no"})
    (found,) = org.deliver(wrong, [person(1)], Context(NOW, wrong.delivery))
    assert "invalid_grant" in found.reason


# ---- forgetting


def forgotten(org: Org, adapter: Salesforce, *users: User) -> list[str]:
    token = adapter.auth.token(org.send(adapter.auth.request(NOW)), NOW)
    sent = lambda asked: org.send(bearer(adapter.auth, asked, token))  # noqa: E731
    return outcomes(drive_forget(adapter, users, at(adapter), sent)[0])


@pytest.mark.parametrize("settings", [{}, {"lookup": "search", "collections": False}])
def test_leads_and_contacts_of_a_person_are_deleted_and_nobody_elses(org: Org, settings: dict[str, Any]) -> None:
    for email in ("p1@example.com", "P1@example.com", "p2@example.com"):
        org.put("Lead", Email=email, LastName="x", Company="y")
    org.put("Contact", Email="p1@example.com", LastName="x")
    users = User(email="P1@EXAMPLE.com"), User(user_id="u-9"), User(email="nobody@example.com"), User(email="*'")
    assert forgotten(org, made(**settings), *users) == ["delivered", "filtered", "delivered", "delivered"]
    assert [lead["Email"] for lead in org.records["Lead"].values()] == ["p2@example.com"]
    assert org.records["Contact"] == {}


def test_what_is_not_deleted_is_said(org: Org) -> None:
    adapter = made()
    org.put("Lead", Email="p1@example.com", LastName="x", Company="y")
    users = User(email="p1@example.com"), User(email="p2@example.com")
    lead = {"Id": "00Q1", "Email": "p1@example.com"}
    for said, wanted in (([{"success": False, "errors": [{"statusCode": "DELETE_FAILED"}]}], "dead"), ({}, "dead")):
        given = iter([{"records": [lead]}, {"records": []}, said])
        found, _ = drive_forget(adapter, users, at(adapter), lambda _, g=given: Response(200, {}, codec.dumps(next(g))))
        assert outcomes(found) == [wanted, "delivered"]
    found, _ = drive_forget(adapter, users, at(adapter), lambda _: Response(503))
    assert outcomes(found) == ["retry", "retry"]


# ---- nobody gets out of a literal


VALUES = st.one_of(
    st.text(max_size=60), st.booleans(), st.integers(-(10**17), 10**17), st.floats(-1e9, 1e9),
    st.sampled_from(["' OR Name != '", "\\", "\\'", "x\\' OR 1=1 --", "') LIMIT 1", "\u2028'", "\x00'", "'" * 200]),
)


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_a_value_is_one_token_of_a_query_and_says_what_it_said(values: list[Any]) -> None:
    text = soql.select("Lead", ("Id",), soql.where(("Email",), [(one,) for one in values]))
    words = list(tokens(text))
    assert words[:6] == ["SELECT", "Id", "FROM", "Lead", "WHERE", "Email"]
    assert words[-5:] == [")", "ORDER", "BY", "CreatedDate", ","][:5] or words[-4:] == ["BY", "CreatedDate", ",", "Id"]
    inner = words[8 : words.index("ORDER", len(words) - 5) - 1]
    assert len(inner) == 2 * len(values) - 1
    for said, meant in zip(inner[::2], values, strict=True):
        found = value_of(said)
        assert found == meant or (isinstance(meant, float) and abs(found - meant) < 1e-6)


@given(st.lists(st.text(min_size=1, max_size=250), max_size=60), st.integers(1, 40))
def test_every_key_is_in_one_query_that_fits_an_address(values: list[str], most: int) -> None:
    keys = [(one,) for one in values]
    found = list(soql.batches(("Email",), keys, most))
    assert [key for batch in found for key in batch] == keys
    for batch in found:
        query = soql.select("Lead", ("Id", "Email"), soql.where(("Email",), batch))
        assert 0 < len(batch) <= most
        assert len(quote_plus(query)) <= 10_200
    if len(found) > 1 and max(map(len, values)) < 20 and most == 40:
        assert len(found[0]) > 30, "no more queries than are needed"


@given(st.one_of(st.text(max_size=40), st.sampled_from(["Lead WHERE", "a__b__c", "Lead--", "Lead,User", "x__c"])))
def test_a_name_is_letters_digits_and_underscores_or_none(text: str) -> None:
    try:
        found = soql.name(text)
    except Refused:
        return
    assert found == text
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


@given(st.text(min_size=1, max_size=60))
def test_whatever_an_address_is_only_its_own_lead_is_looked_for(email: str) -> None:
    adapter = made()
    result = adapter.verdict(person(1, email), at(adapter))
    if not email.strip():
        return
    assert isinstance(result, list), result
    words = list(tokens(result[0].params["q"]))
    assert value_of(words[words.index("IN") + 2]) == email.strip()
    assert words[words.index("IN") + 3 :] == [")", "ORDER", "BY", "CreatedDate", ",", "Id"]


@given(st.text(min_size=1, max_size=60))
def test_any_id_is_one_segment_of_the_address(ident: str) -> None:
    adapter = made(object="Boat__c")
    for by, before in (("Id", ""), ("Hull__c", "Hull__c/")):
        result = adapter.verdict(row(1, by={by: ident}), at(adapter))
        if not isinstance(result, list):
            assert not ident.strip(".")
            continue
        path = result[0].url.removeprefix(f"/services/data/v59.0/sobjects/Boat__c/{before}")
        assert not set("/?#") & set(path)
        assert unquote(path) == ident


# ---- fields


@given(st.text(max_size=40))
def test_a_custom_field_has_a_name_that_salesforce_takes_or_none(key: str) -> None:
    name = custom(key)
    assert not name or soql.name(name) == name or key.endswith("c")
    assert not name or name.endswith(("__c", "__pc"))


@pytest.mark.parametrize(("name", "traits", "fields"), [
    ("Lead", {"name": "Cher"}, {"LastName": "Cher"}),
    ("Lead", {"name": "Ana Maria Lopez"}, {"FirstName": "Ana", "LastName": "Maria Lopez"}),
    ("Lead", {"name": "A B", "lastName": "C"}, {"FirstName": "A", "LastName": "C"}),
    ("Lead", {"status": "active", "Status": "Open"}, {"status__c": "active", "Status": "Open"}),
    ("Lead", {"city": "Faro", "address": {"city": "Porto", "zip": "4"}}, {"City": "Faro", "PostalCode": "4"}),
    ("Lead", {"tier__c": 1, "Ns__Tier__c": 2, "": 3, "7up": 4}, {"tier__c": 1, "Ns__Tier__c": 2, "x7up__c": 4}),
    ("Contact", {"company": "x", "country": "PT", "birthday": "1990-01-02"},
     {"MailingCountry": "PT", "Birthdate": "1990-01-02"}),
    ("Account", {"name": "Hulls", "employees": 4, "address": {"city": "Porto"}},
     {"Name": "Hulls", "NumberOfEmployees": 4, "BillingCity": "Porto"}),
    ("Boat__c", {"Name": "Gaivota", "length": 9}, {"Name": "Gaivota", "length__c": 9}),
    ("Opportunity", {"StageName": "Won", "attributes": {"type": "User"}}, {"StageName": "Won"}),
])
def test_traits_become_the_fields_they_mean(name: str, traits: dict[str, Any], fields: dict[str, Any]) -> None:
    assert fields_of(name, traits, {"traits": traits}) == fields


def test_a_record_never_says_of_itself_which_object_it_is() -> None:
    adapter = made(map_property=False)
    traits = {"email": "p1@example.com", "Attributes": {"type": "User"}, "attributes": {"type": "User"}}
    events = [person(n, traits={**traits, "email": f"p{n}@example.com"}) for n in (1, 2)]
    answers = iter([Response(200, {}, b'{"records": []}'), Response(200, {}, b"[]")])
    _, sent = drive(adapter, events, at(adapter), lambda _: next(answers))
    records = sent[1].body.value["records"]
    assert [one["attributes"] for one in records] == [{"type": "Lead"}] * 2
    assert "Attributes" not in records[0]


@pytest.mark.parametrize(("event", "needs"), [
    (person(1, traits={"email": 7}), "email"),
    (person(1, traits={"email": "x" * 300}), "255 characters"),
    (person(1, context={"externalId": [{"type": "Salesforce-Lead", "id": ".."}]}), "dots alone"),
    (person(1, context={"externalId": [{"type": "Salesforce-Lead/x", "id": "1"}]}), "letters, digits"),
    (person(1, context={"externalId": [{"type": "Salesforce-Lead", "id": {"a": 1}}]}), "a text or a number"),
    (person(1, context={"externalId": [{"type": "Salesforce-Lead", "id": "1", "identifierType": "a b"}]}), "letters"),
    (row(1, "touch"), "insert, update, delete"),
    (row(1, by={"Hull__c": ""}), "identifiers"),
    (row(1, by={"Name": ["a"]}), "a text, a number or a boolean"),
    (row(1, **{"No Field": 1}), "letters, digits"),
])
def test_what_salesforce_would_refuse_is_not_sent(event: Event, needs: str) -> None:
    adapter = made()
    found, sent = drive(adapter, [event], at(adapter), lambda _: Response(200))
    assert outcomes(found) == ["dead"]
    assert needs in found[0].reason
    assert not sent


@pytest.mark.parametrize("settings", [
    {"username": ""}, {"password": None}, {"object": "Lead WHERE"}, {"api_version": "59"}, {"lookup": "guess"},
    {"login_url": "http://crew.my.salesforce.com"}, {"login_url": "https://crew.my.salesforce.com/x"},
    {"access_token": "t"}, {"private_key": "k"}, {"refresh_token": "r"}, {"password": "a\nb"},
    {"username": "", "client_id": "c", "client_secret": "s"},
])
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made(**settings)


def test_names_of_rudderstack_mean_its_behaviour() -> None:
    for name in ("SALESFORCE", "SALESFORCE_OAUTH", "SALESFORCE_OAUTH_SANDBOX"):
        slug, implied = slug_of(name)
        assert slug == "salesforce"
        assert (implied["lookup"], implied["collections"], implied["placeholders"]) == ("search", False, "always")
        assert ACCOUNTS[name] == (("access_token", "instance_url") if "OAUTH" in name else ())
    adapter = registry.build("salesforce", {
        "userName": "a", "password": "b", "initialAccessToken": "c", "mapProperty": False, "useContactId": True,
        "sandbox": True, "connectionMode": "cloud",
    })
    assert adapter.auth.token_url.startswith("https://test.salesforce.com/")
