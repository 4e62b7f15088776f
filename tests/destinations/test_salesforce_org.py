"""What waits for an org: logging in, objects, limits, sessions that end, over TLS as in the real world."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from salesforce_api import Org as Server

from turnout import OAuth2, Response, Verdict, codec
from turnout.auth import Token, secrets
from turnout.errors import Fixable, Refused, Transient
from turnout.testing import FakeClock
from vendors.salesforce.errors import ROWS, RULES, refusal, row_verdict
from vendors.salesforce.login import Account, SoapLogin
from vendors.salesforce.org import Limit, Org

TLS = Path(__file__).parent / "tls"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
LOGIN = {"username": "mate@crew.example.com", "password": "a<b&c", "security_token": "T0K"}


@pytest.fixture
def server() -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.certificate.pem", TLS / "localhost.key.pem")
    with Server(tls=context) as made:
        made.home = f"https://localhost:{made.port}"
        yield made


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.verify = str(TLS / "localhost.certificate.pem")
        made.trust_env = False
        yield made


def org(server: Server, session: requests.Session, **given: Any) -> Org:
    account = Account.model_validate({**(given or LOGIN), "login_url": server.home})
    return Org(account, FakeClock(), session=session)


def test_an_object_is_described_with_what_may_be_written(server: Server, session: requests.Session) -> None:
    boat = org(server, session).describe("Boat__c")
    assert (boat.name, boat.createable) == ("Boat__c", True)
    hull, length, ident = boat.fields["Hull__c"], boat.fields["Length__c"], boat.fields["Id"]
    assert (hull.key, hull.length, hull.type) == (True, 40, "string")
    assert (length.key, length.type) == (False, "double")
    assert (ident.createable, ident.key) == (False, True)
    assert org(server, session).describe("Lead").fields["Rating"].choices == ("Hot",)


def test_limits_are_read_and_one_login_is_enough(server: Server, session: requests.Session) -> None:
    made = org(server, session)
    assert made.limits() == {"DailyApiRequests": Limit(15000, 14998)}
    made.describe("Lead")
    assert server.logins == 1


def test_a_session_that_ended_is_replaced_once(server: Server, session: requests.Session) -> None:
    made = org(server, session)
    made.limits()
    server.session = "00D-another"
    assert made.limits()
    assert server.logins == 2
    server.answer(401, json.dumps([{"errorCode": "INVALID_SESSION_ID", "message": "x"}]))
    server.answer(500, "<exceptionCode>INVALID_LOGIN</exceptionCode>")
    with pytest.raises(Fixable, match="INVALID_LOGIN"):
        made.limits()


@pytest.mark.parametrize("given", [
    {"client_id": "c", "client_secret": "s-9"}, {"client_id": "c", "refresh_token": "r-9"},
    {"client_id": "c", "username": "mate@crew.example.com", "private_key": rsa.generate_private_key(65537, 2048)
     .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()},
])  # fmt: skip
def test_every_way_to_log_in_works_for_what_waits_too(
    server: Server, session: requests.Session, given: dict[str, Any]
) -> None:
    assert org(server, session, **given).limits()
    given_session = {"access_token": server.session, "instance_url": server.home}
    assert org(server, session, **given_session).limits()


@pytest.mark.parametrize(("status", "body", "kind", "told"), [
    (404, [{"errorCode": "NOT_FOUND", "message": "secret words"}], Fixable, "HTTP 404 NOT_FOUND"),
    (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}], Transient, "REQUEST_LIMIT_EXCEEDED"),
    (503, "<html>", Transient, "HTTP 503"),
])
def test_what_the_org_refuses_is_told_by_its_code(
    server: Server, session: requests.Session, status: int, body: Any, kind: type[Exception], told: str
) -> None:
    made = org(server, session)
    made.limits()
    server.answer(status, json.dumps(body))
    with pytest.raises(kind, match=told) as caught:
        made.describe("Lead")
    assert "secret words" not in str(caught.value)


def test_an_org_that_is_not_there_may_be_later(server: Server, session: requests.Session) -> None:
    made = org(server, session)
    made.limits()
    server.__exit__(None, None, None)
    with pytest.raises(Transient):
        made.limits()
    with pytest.raises(Transient):
        org(server, session).limits()


def test_names_of_objects_are_names(server: Server, session: requests.Session) -> None:
    with pytest.raises(Refused):
        org(server, session).describe("../limits")


def test_adapters_do_not_load_what_waits() -> None:
    code = "import sys, destinations.salesforce; print([m for m in sys.modules if m.split('.')[0] in %r])"
    names = ("simple_salesforce", "requests", "zeep", "lxml")
    ran = subprocess.run([sys.executable, "-c", code % (names,)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(("more", "audience"), [
    ({}, "https://login.salesforce.com"), ({"sandbox": True}, "https://test.salesforce.com"),
    ({"login_url": "https://crew.my.salesforce.com"}, "https://login.salesforce.com"),
])
def test_a_signed_jwt_is_for_a_central_host_and_asked_where_the_login_is(more: Any, audience: str) -> None:
    given = {"private_key": "k", "client_id": "c", "username": "mate@crew.example.com", **more}
    auth = Account.model_validate(given).auth
    assert isinstance(auth, OAuth2)
    assert (auth.audience, auth.subject, auth.grant) == (audience, "mate@crew.example.com", "jwt_bearer")
    assert auth.token_url == f"{more.get('login_url', audience)}/services/oauth2/token"


# ---- login() of the SOAP API


SOAP = SoapLogin("https://login.salesforce.com", "mate@crew.example.com", "a<b&c")


@pytest.mark.parametrize(("status", "body", "outcome", "told"), [
    (500, "<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>", "pause", "HTTP 500 INVALID_LOGIN"),
    (500, "<exceptionCode>LOGIN_RATE_EXCEEDED</exceptionCode>", "retry", "LOGIN_RATE_EXCEEDED"),
    (503, "<html>", "retry", "HTTP 503"), (404, "<html>", "pause", "HTTP 404"), (200, "<html>", "retry", "without"),
    (200, "<sessionId>s</sessionId><serverUrl>nowhere</serverUrl>", "retry", "without"),
    (200, "<sessionId>a&#10;b</sessionId><serverUrl>https://x.example/a</serverUrl>", "retry", "without"),
])
def test_a_login_without_a_session_says_why(status: int, body: str, outcome: str, told: str) -> None:
    found = SOAP.token(Response(status, {}, body.encode()), NOW)
    assert isinstance(found, Verdict)
    assert str(found.outcome) == outcome
    assert told in found.reason


def test_no_answer_is_tried_again_and_a_forbidden_one_is_not() -> None:
    assert str(SOAP.token(Response(0, error="timeout"), NOW).outcome) == "retry"
    blocked = SOAP.token(Response(0, error="private", permanent=True), NOW)
    assert str(blocked.outcome) == "pause"


def test_a_session_comes_with_its_org_and_the_password_is_a_secret() -> None:
    body = "<serverUrl>https://crew.my.salesforce.com/services/Soap/u/59.0/x?a=1&amp;b</serverUrl><sessionId>s!1</sessionId>"
    found = SOAP.token(Response(200, {}, body.encode()), NOW)
    assert found == Token("s!1", base="https://crew.my.salesforce.com")
    assert {"a<b&c", "a&lt;b&amp;c"} <= secrets(SOAP)
    assert "a<b" not in repr(SOAP)


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs"], blacklist_characters="\ufffe\uffff"), max_size=40))
def test_whatever_a_password_is_it_stays_inside_its_element(password: str) -> None:
    from xml.etree import ElementTree

    body = SoapLogin("https://x.example", "mate", password).request(NOW).body
    assert body is not None
    tree = ElementTree.fromstring(body.encode()[0])
    (found,) = tree.iter("{urn:partner.soap.sforce.com}password")
    assert (found.text or "") == password


# ---- codes


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["errorCode", "statusCode", "errors", "fields", "message", "success"]), inner, max_size=4
    ),
    max_leaves=12,
))
def test_whatever_an_answer_holds_it_is_read_and_not_repeated(body: Any) -> None:
    found = refusal(Response(400, {}, codec.dumps(body)))
    assert found is None or str(found.outcome) in ("dead", "retry")
    assert str(row_verdict(body if isinstance(body, dict) else {}).outcome) in ("dead", "retry", "pause")


def test_rows_and_answers_are_told_alike() -> None:
    assert [(one.outcome, one.reason) for one in RULES[: len(ROWS)]] == [(one.outcome, one.reason) for one in ROWS]
    row = {"success": False, "errors": [{"statusCode": "STRING_TOO_LONG", "fields": ["Phone", "x y"], "message": "m"}]}
    assert row_verdict(row).reason == "HTTP 200: STRING_TOO_LONG (Phone): a text is longer than its field"
    odd = {"errors": [{"statusCode": "free text with ines@example.com"}]}
    assert "ines" not in row_verdict(odd).reason
    busy = {"errors": [{"statusCode": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": "T: UNABLE_TO_LOCK_ROW, x"}]}
    assert str(row_verdict(busy).outcome) == "retry"
