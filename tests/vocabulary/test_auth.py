"""The pure half of credentials: onto requests, token requests and answers, signatures."""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr
from yarl import URL

from turnout import (
    Basic,
    Bearer,
    Form,
    Header,
    Json,
    Login,
    OAuth2,
    Outcome,
    Query,
    Raw,
    Request,
    Response,
    SigV4,
    Verdict,
)
from turnout.auth import (
    Auth,
    Token,
    apply,
    bearer,
    origin,
    ready,
    secrets,
    shown,
    token_of,
    token_request,
)
from turnout.errors import Fixable
from turnout.preview import curl, describe
from turnout.sigv4 import sign
from turnout.testing.fake_clock import START

POST = Request("POST", "https://api.example/v1", Json({"a": 1}), headers={"authorization": "mine", "X-A": "b"})
CC = OAuth2("https://login.example/token", "id", "s3cret-value")


def pem(key: Any) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(("auth", "header", "value"), [
    (Basic("ada", "pa:ss é"), "Authorization", "Basic " + base64.b64encode("ada:pa:ss é".encode()).decode()),
    (Basic("key"), "Authorization", "Basic a2V5Og=="),
    (Bearer("tok"), "Authorization", "Bearer tok"),
    (Header("X-Api-Key", "kkk"), "X-Api-Key", "kkk"),
    (Header("authorization", "Klaviyo-API-Key kkk"), "authorization", "Klaviyo-API-Key kkk"),
])  # fmt: skip
def test_static_kinds_set_their_header_once(auth: Any, header: str, value: str) -> None:
    made = apply(auth, POST)
    same = [text for name, text in made.headers.items() if name.lower() == header.lower()]
    assert same == [value]
    assert made.headers["X-A"] == "b"
    assert header in made.secret
    assert POST.headers["authorization"] == "mine", "the request of the adapter is left alone"


def test_a_key_in_the_query() -> None:
    made = apply(Query("appKey", "kkk"), Request("GET", "https://api.example/?x=1", params={"a": "b"}))
    assert made.params == {"a": "b", "appKey": "kkk"}
    assert describe(made)["params"] == {"a": "b", "appKey": "***"}


AUTHS: list[Auth] = [
    Basic("hidden-user", "hidden-pass"), Bearer("hidden-token"), Header("X-Key", "hidden-key"),
    Query("k", "hidden-key"), OAuth2("https://t.example/?k=hidden", "id", "hidden-secret", "refresh_token", "hidden-rt",
                                     extra={"x": "hidden-extra"}),
    SigV4("hidden-access", "hidden-sk", "eu-west-1", "firehose", "hidden-session"),
]  # fmt: skip


@pytest.mark.parametrize("auth", AUTHS, ids=lambda a: type(a).__name__)
def test_credentials_are_in_no_repr_and_no_preview(auth: Auth) -> None:
    assert "hidden" not in repr(auth)
    made = shown(auth, POST)
    assert made != POST
    assert "***" in str(describe(made))
    for text in (str(describe(made)), curl(made)):
        assert "hidden" not in text
        assert not any(secret in text for secret in secrets(auth))
    assert all("hidden" in one or base64.b64decode(one + "==") for one in secrets(auth))
    assert secrets(auth)


@pytest.mark.parametrize("make", [
    lambda: Bearer("tok\n"), lambda: Basic("a:b"), lambda: Basic("a", "b\r\n"), lambda: Header("X Y", "v"),
    lambda: Header("X", "v\n"), lambda: OAuth2("https://t/", "id", grant="refresh_token"),
    lambda: OAuth2("https://t/", "id", grant="jwt_bearer"), lambda: SigV4("a", "b\n", "r", "s"),
    lambda: OAuth2("", "id"), lambda: OAuth2("http://[/", "id"), lambda: OAuth2("ftp://t.example/", "id"),
])  # fmt: skip
def test_what_no_header_can_hold_is_said_before_anything_is_sent(make: Any) -> None:
    with pytest.raises(Fixable):
        make()


@pytest.mark.parametrize("make", [
    Bearer, lambda key: Basic("user", key), lambda key: Header("X-Key", key), lambda key: Query("k", key),
    lambda key: OAuth2("https://t.example/", "id", key), lambda key: SigV4("a", key, "r", "s"),
    lambda key: OAuth2("https://t.example/", "id", grant="refresh_token", refresh_token=key),
    lambda key: OAuth2("https://t.example/", "id", grant="jwt_bearer", private_key=key), lambda key: OAuth2(key, "id"),
])  # fmt: skip
def test_a_secret_that_was_not_taken_out_is_said_and_not_shown(make: Any) -> None:
    with pytest.raises(Fixable, match=r"must be text, not SecretStr.*get_secret_value\(\)") as caught:
        make(SecretStr("hidden-key"))
    assert "hidden" not in str(caught.value)


# ---- token requests


def form(request: Request) -> dict[str, str]:
    assert request.body is not None
    return dict(parse_qsl(request.body.encode()[0].decode(), keep_blank_values=True))


def test_client_credentials_in_the_body() -> None:
    asked = token_request(OAuth2("https://t.example/", "id", "s", scope="a b", extra={"audience": "x"}), START)
    assert (asked.method, asked.url) == ("POST", "https://t.example/")
    assert form(asked) == {
        "grant_type": "client_credentials", "client_id": "id", "client_secret": "s", "scope": "a b", "audience": "x",
    }  # fmt: skip


def test_client_credentials_in_the_header_are_form_encoded_first() -> None:
    asked = token_request(OAuth2("https://t.example/", "i d", "s:é", style="basic"), START)
    assert form(asked) == {"grant_type": "client_credentials"}
    assert base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")) == b"i+d:s%3A%C3%A9"
    assert describe(asked)["headers"]["Authorization"] == "***"


def test_refresh_token() -> None:
    asked = token_request(OAuth2("https://t.example/", "id", grant="refresh_token", refresh_token="rt"), START)
    assert form(asked) == {"grant_type": "refresh_token", "client_id": "id", "refresh_token": "rt"}


@pytest.mark.parametrize("escaped", [False, True])
def test_jwt_bearer_is_signed_and_says_who_for_whom_and_how_long(escaped: bool) -> None:
    key = pem(RSA).replace("\n", "\\n") if escaped else pem(RSA)
    auth = OAuth2("https://t.example/token", "", grant="jwt_bearer", private_key=key, issuer="svc@x.example",
                  subject="ada", scope="s1 s2")  # fmt: skip
    asked = form(token_request(auth, START))
    assert asked["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert set(asked) == {"grant_type", "assertion"}
    head, claims, proof = asked["assertion"].split(".")
    RSA.public_key().verify(_decoded(proof), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    assert json.loads(_decoded(head)) == {"alg": "RS256", "typ": "JWT"}
    issued = int(START.timestamp())
    assert json.loads(_decoded(claims)) == {
        "iss": "svc@x.example", "sub": "ada", "aud": "https://t.example/token", "scope": "s1 s2",
        "iat": issued, "exp": issued + 120,
    }  # fmt: skip


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("key", ["nonsense", pem(ec.generate_private_key(ec.SECP256R1()))])
def test_a_key_that_cannot_sign_is_said_without_showing_it(key: str) -> None:
    with pytest.raises(Fixable, match="private key") as caught:
        ready(OAuth2("https://t/", "id", grant="jwt_bearer", private_key=key))
    assert key not in str(caught.value)
    ready(OAuth2("https://t/", "id", grant="jwt_bearer", private_key=pem(RSA)))
    ready(CC)
    ready(None)


# ---- answers


def answer(status: int, body: Any = None, **headers: str) -> Token | Verdict:
    return token_of(Response(status, headers, json.dumps(body).encode() if body is not None else b""), START)


@pytest.mark.parametrize(("life", "seconds"), [(3600, 3600), ("90", 90), (None, None), ("soon", None), (1e300, None)])
def test_a_token_and_when_it_ends(life: Any, seconds: int | None) -> None:
    found = answer(200, {"access_token": "at", "expires_in": life, "refresh_token": "rt"})
    assert isinstance(found, Token)
    assert (found.value, found.refresh_token) == ("at", "rt")
    assert found.expires_at == (None if seconds is None else START + timedelta(seconds=seconds))
    assert "at" not in repr(found).replace("expires_at", "").replace("datetime", "")


@pytest.mark.parametrize(("status", "body", "outcome"), [
    (400, {"error": "invalid_grant", "error_description": "secret s3cret-value"}, Outcome.PAUSE),
    (401, {"error": "invalid_client"}, Outcome.PAUSE), (403, None, Outcome.PAUSE), (404, "text", Outcome.PAUSE),
    (302, None, Outcome.PAUSE), (200, {"error": "bad_verification_code"}, Outcome.PAUSE),
    (500, None, Outcome.RETRY), (503, {"error": "temporarily_unavailable"}, Outcome.RETRY),
    (408, None, Outcome.RETRY), (429, None, Outcome.RETRY), (200, None, Outcome.RETRY), (200, {}, Outcome.RETRY),
    (200, {"access_token": 7}, Outcome.RETRY), (200, {"access_token": "a\r\nb"}, Outcome.RETRY),
    (200, ["access_token"], Outcome.RETRY),
])  # fmt: skip
def test_no_token_pauses_or_waits(status: int, body: Any, outcome: Outcome) -> None:
    found = answer(status, body)
    assert isinstance(found, Verdict)
    assert found.outcome is outcome
    assert f"HTTP {status}" in found.reason
    assert "s3cret" not in found.reason
    if isinstance(body, dict) and "error" in body:
        assert body["error"] in found.reason


def test_an_error_code_that_is_none_is_not_repeated() -> None:
    found = answer(400, {"error": "no: client id=id secret=s3cret-value"})
    assert isinstance(found, Verdict)
    assert "s3cret" not in found.reason


def test_no_answer_waits_and_a_refused_address_pauses() -> None:
    assert answer(429, None, **{"Retry-After": "7"}).after == 7
    lost = token_of(Response(0, error="t: no answer within 1 s"), START)
    blocked = token_of(Response(0, error="t: a private address", permanent=True), START)
    assert isinstance(lost, Verdict)
    assert isinstance(blocked, Verdict)
    assert (lost.outcome, blocked.outcome) == (Outcome.RETRY, Outcome.PAUSE)


@given(st.binary(max_size=200), st.integers(200, 599))
def test_any_answer_is_a_token_or_a_verdict(body: bytes, status: int) -> None:
    assert isinstance(token_of(Response(status, {}, body), START), Verdict)


def test_the_scheme_stands_before_the_token() -> None:
    auth = OAuth2("https://t/", "id", scheme="Zoho-oauthtoken")
    assert bearer(auth, POST, Token("at")).headers["Authorization"] == "Zoho-oauthtoken at"


# ---- AWS: values published by AWS, in its Signature Version 4 test suite and in its documentation of S3 and IAM

SUITE = SigV4("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service")
S3 = SigV4("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1", "s3")
IAM = SigV4(SUITE.access_key, SUITE.secret_key, "us-east-1", "iam")
THEN = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BUCKET = "https://examplebucket.s3.amazonaws.com/"


@pytest.mark.parametrize(("auth", "now", "request_", "signature"), [
    (SUITE, THEN, Request("GET", "https://example.amazonaws.com/"),
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    (SUITE, THEN, Request("GET", "https://example.amazonaws.com/?Param2=value2", params={"Param1": "value1"}),
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    (SUITE, THEN, Request("POST", "https://example.amazonaws.com/"),
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    (SUITE, THEN, Request("POST", "https://example.amazonaws.com", Form({"Param1": "value1"})),
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    (IAM, THEN, Request("GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
                        headers={"content-type": "application/x-www-form-urlencoded; charset=utf-8"}),
     "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"),
    (S3, datetime(2013, 5, 24, tzinfo=UTC), Request("GET", BUCKET + "?lifecycle"),
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    (S3, datetime(2013, 5, 24, tzinfo=UTC), Request("GET", BUCKET, params={"max-keys": "2", "prefix": "J"}),
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
], ids=range(7))  # fmt: skip
def test_signatures_are_those_that_aws_published(auth: SigV4, now: datetime, request_: Request, signature: str) -> None:
    made = sign(auth, request_, now)
    assert made.headers["Authorization"].rpartition("Signature=")[2] == signature


def test_a_signed_request_carries_what_was_signed() -> None:
    auth = SigV4("ak", "hidden-sk", "eu-west-1", "s3", "hidden-session")
    asked = Request("PUT", "https://b.s3.example:8443/a b", Raw(b"x", "text/plain"), {"X-Amz-Acl": "private"})
    made = sign(auth, asked, START)
    assert made.headers["X-Amz-Date"] == "20260102T030405Z"
    assert made.headers["X-Amz-Security-Token"] == "hidden-session"
    assert made.headers["X-Amz-Content-Sha256"] == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    names = "content-type;host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-security-token"
    assert f"SignedHeaders={names}," in made.headers["Authorization"]
    assert "hidden" not in str(describe(made))
    assert sign(auth, made, START).headers == made.headers


@given(st.text(max_size=20), st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=8), max_size=3))
def test_what_is_signed_is_what_the_client_sends(path: str, params: dict[str, str]) -> None:
    clean = "".join(c for c in path if not 0xD800 <= ord(c) < 0xE000).replace("/.", "/")
    clean = clean.lstrip("./")
    asked = Request("GET", "https://h.example/" + quote(clean, safe="/"), params=params)
    made = sign(SUITE, asked, THEN)
    wire = URL(made.url)
    assert wire.raw_path == urlsplit(made.url).path
    assert unquote(wire.raw_path) == "/" + clean
    assert dict(wire.query.items()) == {
        k.encode("utf-8", "replace").decode(): v.encode("utf-8", "replace").decode() for k, v in params.items()
    }


def test_what_is_signed_is_the_host_that_its_header_names() -> None:
    plain, dotted = (sign(SUITE, Request("GET", f"https://{host}/a"), THEN) for host in ("h.example", "H.example."))
    assert dotted == plain


# ---- where requests go, as the token endpoint says


ORG = OAuth2("https://login.example/token", "id", "s3cret-value", base="instance_url")


def said(**body: Any) -> Token | Verdict:
    return token_of(Response(200, {}, json.dumps({"access_token": "t-1", **body}).encode()), START, "instance_url")


def test_a_path_alone_goes_where_the_token_endpoint_said() -> None:
    token = said(instance_url="https://crew.example/ignored?x=1")
    assert isinstance(token, Token)
    assert token.base == "https://crew.example"
    assert bearer(ORG, Request("GET", "/v1/boats?x=1"), token).url == "https://crew.example/v1/boats?x=1"
    assert bearer(ORG, Request("GET", "https://other.example/v1"), token).url == "https://other.example/v1"
    assert shown(ORG, Request("GET", "/v1/boats")).url == "/v1/boats", "nobody knows it before the login"


@pytest.mark.parametrize("place", [None, "", 7, "crew.example", "ftp://crew.example", "https://ada:pw@crew.example",
                                   "https://crew.example\\.evil.example", "https://crew.example#x", "https:///x"])
def test_a_token_without_its_address_is_asked_for_again(place: Any) -> None:
    found = said(instance_url=place)
    assert isinstance(found, Verdict)
    assert found.outcome == Outcome.RETRY
    assert "instance_url" in found.reason


def test_an_origin_may_have_an_underscore_in_its_host() -> None:
    assert origin("https://acme_eu.example.com/services") == "https://acme_eu.example.com"



@given(st.text(max_size=40) | st.text("a0.:?/@#[]\\", max_size=9), st.text(max_size=40))
@example("0?", "")
@example("a/b", "")
def test_an_origin_is_a_host_alone(host: str, path: str) -> None:
    address = f"https://{host}/{path}"
    found = origin(address)
    assert not set(found.removeprefix("https://")) & set("/?#@ ")
    if found and "[" not in found:  # where urlsplit may raise
        assert address.startswith(found)
        assert address[len(found)] in "/?", "all of the host, and nothing of what follows"
        assert urlsplit(address).netloc == found.removeprefix("https://")


@dataclass(frozen=True, slots=True)
class Badge(Login):
    """A login that no standard has."""

    token_url: str = "https://gate.example/in"
    word: str = field(default="s3cret-word", repr=False)

    def request(self, now: datetime) -> Request:
        return Request("POST", self.token_url, Raw(self.word.encode()))

    def token(self, response: Response, now: datetime) -> Token | Verdict:
        return Token(response.body.decode(), base="https://boats.example")

    def secrets(self) -> frozenset[str]:
        return frozenset({self.word, ""})


def test_a_login_of_a_tools_own_is_asked_shown_and_hidden_like_a_token() -> None:
    auth = Badge()
    assert token_request(auth, START) == Request("POST", auth.token_url, Raw(b"s3cret-word"))
    assert secrets(auth) == {"s3cret-word"}
    assert shown(auth, POST).headers["Authorization"] == "Bearer ***"
    ready(auth)
    token = auth.token(Response(200, {}, b"session-7"), START)
    assert isinstance(token, Token)
    made = bearer(auth, Request("GET", "/boats"), token)
    assert (made.url, made.headers["Authorization"]) == ("https://boats.example/boats", "Bearer session-7")
