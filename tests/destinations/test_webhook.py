"""What the webhook does beyond the contract: batches, headers, what events may not say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dataplane.deliver.http import Sender
from destinations import registry
from destinations.webhook import _body
from turnout import Context, Delivery, Event, Json, JsonArray, Response, codec
from turnout.preview import describe
from turnout.testing import drive

NOW = datetime(2026, 1, 2, tzinfo=UTC)
URL = "https://hooks.example.com/in"


def hook(**settings):
    return registry.build("webhook", {"webhook_url": URL, **settings})


def event(ident: str = "m-1", *, trusted: bool = False, **fields) -> Event:
    message = {"type": "track", "messageId": ident, **fields}
    return Event(message=message, key=1, source="web", trusted=trusted)


def sent(adapter, events, **delivery):
    _, requests = drive(adapter, events, Context(NOW, Delivery(**delivery)), lambda _: Response(200))
    return requests


def test_every_attempt_has_the_same_key_and_every_event_its_own() -> None:
    first, again = (sent(hook(), [event("m-1"), event("m-2")]) for _ in range(2))
    keys = [request.headers["Idempotency-Key"] for request in first]
    assert keys == [request.headers["Idempotency-Key"] for request in again]
    assert len(set(keys)) == 2


def test_a_key_of_your_own_is_left_alone() -> None:
    (request,) = sent(hook(headers={"idempotency-key": "fixed-one"}), [event()])
    assert request.headers == {"idempotency-key": "fixed-one"}
    (request,) = sent(hook(idempotency_key=False), [event()])
    assert request.headers == {}
    (request,) = sent(hook(), [Event(message={"type": "track"})])
    assert request.headers == {}, "without a messageId there is nothing to tell events apart by"


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_is_an_array_without_anyones_key(count) -> None:
    (request,) = sent(hook(headers={"X-A": "1"}), [event(f"m-{i}") for i in range(count)], batch=10)
    assert isinstance(request.body, JsonArray)
    assert [v["messageId"] for v in request.body.values] == [f"m-{i}" for i in range(count)]
    assert request.headers == {"X-A": "1"}


def test_batch_one_is_the_event_itself() -> None:
    (request,) = sent(hook(), [event()])
    assert request.body == Json({"type": "track", "messageId": "m-1"})


@pytest.mark.parametrize("key", ["header", "fullPath", "appendPath"])
@pytest.mark.parametrize("options", [None, {"fullPath": "https://elsewhere.example/", "appendPath": "/x"}])
def test_an_untrusted_event_names_neither_address_nor_header(key, options) -> None:
    value = {"Authorization": "stolen"} if key == "header" else "https://elsewhere.example/"
    message = {"type": "track", "messageId": "m", key: value, "integrations": {"Webhook": options}}
    (request,) = sent(hook(idempotency_key=False), [Event(message=message, options=options)])
    assert (request.url, request.headers) == (URL, {})
    assert request.body == Json(message)


def test_a_trusted_event_cannot_take_over_the_connection() -> None:
    own = {"Host": "other.example", "Content-Length": "1", "transfer-encoding": "chunked", "X-A": "a", "X-B": 3}
    (request,) = sent(hook(idempotency_key=False), [event(trusted=True, header=own)])
    assert request.headers == {"X-A": "a"}


async def test_a_header_that_would_split_the_request_is_dead(recorder) -> None:
    adapter = registry.build("webhook", {"webhook_url": recorder.url})
    (request,) = sent(adapter, [event(trusted=True, header={"X-A": "a\r\nX-Admin: 1"})])
    sender = Sender(allow_private=True)
    response = await sender.send(request, 5)
    await sender.close()
    assert response.permanent
    assert not recorder.received


@pytest.mark.parametrize(
    "headers",
    [{"X A": "1"}, {"X-A": "a\nb"}, {"Host": "h"}, {"": "x"}, [{"to": "x"}], ["X-A"], "X-A: 1", {"X-A": ["1"]},
     [{"from": "X-A"}]],
)
def test_headers_that_are_none_are_refused_without_their_value(headers) -> None:
    with pytest.raises(ValidationError) as caught:
        hook(headers=headers)
    assert caught.value.errors()[0]["loc"][0] == "headers"


def test_an_address_with_a_user_takes_no_other_login() -> None:
    """Each event was dead."""
    with pytest.raises(ValidationError, match="webhook_url has a user, and headers have Authorization"):
        hook(webhook_url="https://ann:pw@hooks.example.com/in", headers={"authorization": "Bearer t"})
    hook(webhook_url="https://ann:pw@hooks.example.com/in", headers={"X-Team": "t"})
    hook(webhook_url="https://hooks.example.com/in@home?to=a@b.example", headers={"Authorization": "Bearer t"})


def test_headers_of_the_settings_are_never_shown() -> None:
    adapter = hook(headers={"X-Team": "the-team-token"}, webhook_url=f"{URL}?token=the-query-token")
    (request,) = sent(adapter, [event(note="the-team-token")])
    shown = str(describe(request, adapter.settings.secrets()))
    assert "the-team-token" not in shown
    assert "the-query-token" not in shown
    assert request.headers["X-Team"] == "the-team-token"


@pytest.mark.parametrize(
    ("message", "ip"),
    [
        ({"request_ip": "203.0.113.9"}, "203.0.113.9"), ({"request_ip": "203.0.113.9", "context": None}, "203.0.113.9"),
        ({"request_ip": "203.0.113.9", "context": {"ip": "198.51.100.1"}}, "198.51.100.1"),
        ({"request_ip": "203.0.113.9", "context": {"ip": ""}}, "203.0.113.9"), ({"context": {}}, None),
        ({"request_ip": 7}, None), ({"request_ip": ""}, None),
    ],
)
def test_the_address_of_the_client_is_filled_in(message, ip) -> None:
    (request,) = sent(hook(), [event(**message)])
    assert (request.body.value.get("context") or {}).get("ip") == ip


@pytest.mark.parametrize(("method", "body"), [("GET", False), ("DELETE", False), ("PUT", True), ("PATCH", True)])
async def test_each_method_arrives(recorder, method, body) -> None:
    adapter = registry.build("webhook", {"webhook_url": recorder.url + "in?fixed=1", "method": method})
    (request,) = sent(adapter, [event(properties={"a": {"b": [1, "ü&"]}, "n": None, "t": True})])
    sender = Sender(allow_private=True)
    assert (await sender.send(request, 5)).status == 200
    await sender.close()
    (came,) = recorder.received
    assert (came.method, came.path, bool(came.body)) == (method, "/in", body)
    flat = {} if body else {"a.b[0]": "1", "a.b[1]": "ü&", "t": "true"}
    assert came.query == {"fixed": "1", **flat}


HOST = "https://doors.example"


@pytest.mark.parametrize(
    ("fields", "said", "url", "left"),
    [
        ({"fullPath": HOST}, {}, HOST, {}), ({"appendPath": "/a"}, {}, f"{URL}/a", {}),
        ({"fullPath": HOST, "appendPath": "/a"}, {}, f"{HOST}/a", {}),
        ({}, {"Webhook": {"fullPath": HOST}}, HOST, {}), ({}, {"webhook": {"appendPath": "/b"}}, f"{URL}/b", {}),
        ({"appendPath": "/a"}, {"WEBHOOK": {"fullPath": HOST, "appendPath": "/b"}}, f"{HOST}/a", {}),
        ({"fullPath": 7, "appendPath": ""}, {"WEBHOOK": True}, URL, {"fullPath": 7, "appendPath": ""}),
        ({}, {"Slack": {"fullPath": HOST}}, URL, {}),
    ],
)
def test_a_trusted_event_names_its_address_in_the_message_or_beside_it(fields, said, url, left) -> None:
    plain = {"type": "track", "messageId": "m", "integrations": said}
    (request,) = sent(hook(idempotency_key=False), [Event(message={**plain, **fields}, trusted=True)])
    assert (request.url, request.body.value) == (url, {**plain, **left})
    (request,) = sent(hook(idempotency_key=False), [Event(message={**plain, **fields})])
    assert (request.url, request.body.value) == (URL, {**plain, **fields})


def test_an_event_that_is_directed_for_one_hook_is_whole_for_the_next() -> None:
    one = event(trusted=True, header={"X-A": "a"}, fullPath=HOST)
    first, second = (sent(hook(idempotency_key=False), [one])[0] for _ in range(2))
    assert first == second
    assert one.message["fullPath"] == HOST


def test_numbers_in_headers_are_text() -> None:
    (request,) = sent(hook(headers={"X-A": 1, "X-B": True}, idempotency_key=False), [event()])
    assert request.headers == {"X-A": "1", "X-B": "true"}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(['"context":{"a":1}', '\\"context":', "203.0.113.9", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["context", "ip", "request_ip", 'x"context', "a"]) | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs)
    return found


@settings(max_examples=300, deadline=None)
@given(
    event=st.dictionaries(st.sampled_from(["context", "request_ip", "properties", "a"]), VALUES, max_size=4),
    ip=st.none() | st.sampled_from(["203.0.113.9", "", "ü\u2028\""]), loose=st.booleans(),
)  # fmt: skip
def test_what_is_encoded_already_is_sent_as_encoding_it_would_give(
    event: dict[str, Any], ip: str | None, loose: bool
) -> None:
    if ip is not None:
        event = {**event, "request_ip": ip}
    raw = codec.dumps(event)
    usual = _body(Event(raw)).data
    spliced = _body(Event(raw, sound=True)).data
    assert json.loads(spliced, object_pairs_hook=_once) == json.loads(usual)
    kept = Event(raw)
    before = codec.dumps(kept.message)
    assert _body(kept).data == usual
    assert codec.dumps(kept.message) == before  # which others look at
    if loose:  # a script that has its worker may say what it likes, and breaks out of nothing
        spaced = json.dumps(event, indent=1).encode() + b" \n"
        assert json.loads(_body(Event(spaced, sound=True)).data) == json.loads(usual)
