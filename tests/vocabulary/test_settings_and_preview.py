"""Secrets are masked wherever a person looks, and only there."""

from __future__ import annotations

import json
import shlex
from base64 import b64decode, b64encode, urlsafe_b64encode
from datetime import timedelta
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, SecretStr, ValidationError

from turnout import Duration, Form, HookUrl, Json, JsonArray, Raw, Record, Request, SecretUrl, Settings, Size, Xml
from turnout.preview import MASK, curl, describe, describe_record, mask, mask_url

STEADY = settings(deadline=None, derandomize=True)
"""The same cases on every run, however busy the machine."""


class Nested(Settings):
    token: SecretStr = Field(SecretStr("nested-mark"))


class Everything(Settings):
    """One field of each kind."""

    web_url: SecretUrl
    api_key: SecretStr = Field(SecretStr(""))
    more: dict[str, SecretStr] = Field({})
    keys: list[SecretStr] = Field([])
    nested: Nested = Field(Nested())
    size: Size = Field(1)
    wait: Duration = Field(timedelta(0))


FULL = Everything.model_validate({
    "webUrl": "https://user-mark:pw-mark@h.example:8443/a/b?x=query-mark&empty=&flag#frag",
    "apiKey": "key-mark", "more": {"A": "map-mark"}, "keys": ["list-mark"], "size": "2MB", "wait": "15m",
})


def test_settings_show_no_secret_and_know_them_all() -> None:
    for shown in (repr(FULL), str(FULL), FULL.model_dump_json(), str(FULL.model_dump(mode="json"))):
        assert "-mark" not in shown
    assert FULL.secrets() == {
        "user-mark", "pw-mark", "query-mark", "key-mark", "map-mark", "list-mark", "nested-mark"
    }
    assert str(FULL.web_url) == "https://***@h.example:8443/a/b?x=***&empty=&***#***"
    assert FULL.web_url.get_secret_value().endswith("#frag")
    assert (FULL.size, FULL.wait) == (2_000_000, timedelta(minutes=15))
    assert Everything.model_json_schema()["properties"]["webUrl"]["format"] == "uri"


def test_of_a_hook_only_the_host_is_shown() -> None:
    class Hooked(Settings):
        url: HookUrl

    for query in ("", "?wait=true"):
        hook = Hooked.model_validate({"url": f"https://chat.example.com:8443/services/T1/path-mark{query}"})
        assert str(hook.url) == "https://chat.example.com/***"
        assert "-mark" not in repr(hook) + hook.model_dump_json()
        asked = Request("POST", hook.url.get_secret_value(), Json({}))
        assert "-mark" not in str(describe(asked, hook.secrets())) + curl(asked, hook.secrets())
    with pytest.raises(ValidationError):
        Hooked.model_validate({"url": "chat.example.com/services"})


@pytest.mark.parametrize(
    "url", ["", "h.example", "//h.example", "ftp://h.example", "http://", "http://:80", "http://h:99999", 7,
            None, "http://h.exa mple", "http://h\r\n.example", "http://[::1"],
)
def test_what_is_no_address_is_refused_without_being_shown(url) -> None:
    with pytest.raises(ValidationError, match="must be an address such as") as caught:
        Everything.model_validate({"web_url": url})
    assert caught.value.errors()[0]["loc"] == ("web_url",)


@pytest.mark.parametrize(
    "fields", [{"size": "many"}, {"size": -1}, {"size": True}, {"wait": "soon"}, {"x": 1}]
)
def test_settings_are_strict(fields) -> None:
    with pytest.raises(ValidationError):
        Everything.model_validate({"web_url": "http://h/", **fields})


@STEADY
@given(st.text() | st.from_regex(r"https?://[^/]{0,20}(/[^?]*)?(\?.*)?"))
def test_any_url_can_be_masked(url) -> None:
    mask_url(url)


PLACES = st.sampled_from(["user", "param", "body", "header", "form"])


@STEADY
@given(st.text("abc12/&=+ü", min_size=6, max_size=20), PLACES)
def test_a_secret_is_masked_wherever_it_stands(secret, place) -> None:
    secret = f"~{secret}~"
    request = {
        "user": Request("GET", f"https://h/{quote(secret, safe='')}/x?u={quote(secret)}"),
        "param": Request("GET", "https://h/", params={"q": f"a{secret}b"}),
        "body": Request("POST", "https://h/", Json({"deep": [{secret: secret}], "text": f"key={secret}"})),
        "header": Request("POST", "https://h/", headers={"X-Own": f"Key {secret}"}),
        "form": Request("POST", "https://h/", Form({"k": secret, "l": ["x", secret]})),
    }[place]
    shown = json.dumps(describe(request, {secret}), ensure_ascii=False) + curl(request, {secret})
    assert secret not in shown
    assert quote(secret, safe="") not in shown


def test_what_is_named_is_masked_and_the_rest_is_shown() -> None:
    request = Request(
        "POST", "https://u:p@h.example/in?sig=s", Json({"n": 1}),
        {"authorization": "Bearer t", "X-Custom": "c", "X-Api-Key": "k", "Content-Type": "application/json"},
        {"access_token": "t", "Measure": "m", "v": "1"},
        secret=frozenset({"x-custom", "measure"}), events=(2, 2, 5),
    )
    assert describe(request) == {
        "method": "POST", "url": f"https://{MASK}@h.example/in?sig={MASK}",
        "params": {"access_token": MASK, "Measure": MASK, "v": "1"},
        "headers": {
            "authorization": MASK, "X-Custom": MASK, "X-Api-Key": MASK, "Content-Type": "application/json"
        },
        "body": {"json": {"n": 1}}, "events": [2, 5],
    }
    assert describe(request, masked=False)["headers"]["authorization"] == "Bearer t"


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (None, {}), (Json([1]), {"json": [1]}), (JsonArray(({"a": 1},)), {"json_array": [{"a": 1}]}),
        (Form({"a": "1", "b": ("x",)}), {"form": {"a": "1", "b": ["x"]}}), (Xml("<a/>"), {"xml": "<a/>"}),
        (Raw(b"\xffa"), {"raw": "�a"}),
    ],
)
def test_every_body_has_its_shape(body, shape) -> None:
    request = Request("POST", "https://h/", body)
    assert describe(request)["body"] == shape
    assert shlex.split(curl(request))[:4] == ["curl", "-X", "POST", "https://h/"]


def test_a_curl_line_can_be_pasted() -> None:
    request = Request("POST", "https://h/", Form({"a": "it's"}), {"Authorization": "Basic x"}, {"p": "q r"})
    assert shlex.split(curl(request)) == [
        "curl", "-X", "POST", "https://h/?p=q+r", "--data-raw", "a=it%27s", "-H", "Authorization: ***",
        "-H", "Content-Type: application/x-www-form-urlencoded",
    ]


def test_a_curl_line_of_a_packed_request_has_its_text() -> None:
    request = Request("POST", "https://h/", JsonArray.of([Json({"a": 1})]), {"Content-Encoding": "gzip"})
    assert describe(request)["body"] == {"json_array": [{"a": 1}]}
    assert shlex.split(curl(request))[4:] == ["--data-raw", '[{"a":1}]', "-H", "Content-Type: application/json"]


def test_records_are_described() -> None:
    assert describe_record(Record("t", b"k", b'{"a":"the-secret"}'), {"the-secret"}) == {
        "target": "t", "key": "k", "body": {"a": MASK}
    }
    assert describe_record(Record("t", None, b"plain"))["body"] == "plain"


@STEADY
@given(
    st.text(st.characters(codec="utf-8"), min_size=6, max_size=60), st.binary(max_size=9), st.binary(max_size=9),
    st.sampled_from([b64encode, urlsafe_b64encode]), st.sampled_from(["plain", "json", "address", "json in json"]),
)  # fmt: skip
def test_a_secret_inside_base64_is_masked_wherever_it_begins(secret, before, after, pack, where) -> None:
    """Of its own characters at most two at each end stay: they hold bits of what stands beside it."""
    inner = json.dumps(secret, ensure_ascii=False)[1:-1] if where == "json in json" else secret
    core = inner.encode()
    packed = pack(before + core + after).decode()
    text = {"json": packed.replace("/", "\\/"), "address": quote(packed, safe="")}.get(where, packed)
    shown = unquote(mask({"answer": text}, {secret})["answer"]).replace("\\/", "/")
    assert MASK in shown
    assert len(shown.replace(MASK, "")) <= len(packed) - len(core) * 8 // 6 + 4


@pytest.mark.parametrize("user", ["u", "us", "usr"])
def test_basic_credentials_that_an_answer_repeats_are_masked(user: str) -> None:
    packed = b64encode(f"{user}:correct-horse/9".encode()).decode()
    answer = mask(f"bad header: Basic {packed}", {"correct-horse/9"})
    assert MASK in answer
    assert b"horse" not in b64decode(answer.split()[-1].replace(MASK, "") + "==")


def test_an_address_that_an_answer_repeats_is_masked_as_it_was_written() -> None:
    class Hook(Settings):
        url: SecretUrl = Field(description="Where.", examples=["https://h.example"])
        path: HookUrl = Field(description="Where.", examples=["https://h.example/1"])

    made = Hook(url="https://h.example/w?t=boat-7+5/9=", path="https://h.example/services/boat+8&x/77")
    answer = "GET /w?t=boat-7+5/9= and /services/boat%2B8%26x/77"
    assert mask(answer, made.secrets()) == "GET /w?t=*** and /***"
