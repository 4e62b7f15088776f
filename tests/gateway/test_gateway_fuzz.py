"""No input makes a 500: random and mutated requests against a running gateway."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from http.client import HTTPConnection

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

IDS = st.one_of(
    st.none(), st.text(max_size=8), st.integers(), st.floats(allow_nan=True), st.booleans(),
    st.just({}), st.just([1]), st.just("\ud800"), st.integers(min_value=10**18, max_value=10**60),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3),
    max_leaves=6,
)
EVENTS = st.one_of(
    st.fixed_dictionaries({}, optional={
        "type": st.one_of(st.sampled_from(["track", "Identify", "ALIAS", "group", "record", "x"]), IDS),
        "messageId": IDS, "anonymousId": IDS, "userId": IDS, "previousId": IDS, "groupId": IDS,
        "properties": VALUES, "sentAt": VALUES,
    }),
    VALUES,
)
BODIES = st.one_of(
    EVENTS,
    st.fixed_dictionaries(
        {"batch": st.lists(EVENTS, max_size=4)}, optional={"sentAt": VALUES, "writeKey": IDS}
    ),
    st.fixed_dictionaries({"batch": VALUES}),
)


@st.composite
def raw_bodies(draw: st.DrawFn) -> bytes:
    """JSON as Python writes it (NaN and lone surrogates too), cut, spoilt or wrapped."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=40))
    text = json.dumps(draw(BODIES), ensure_ascii=draw(st.booleans()))
    raw = text.encode("utf-8", "surrogatepass")
    how = draw(st.integers(0, 9))
    if how == 0:
        return raw[: draw(st.integers(0, len(raw)))]
    if how == 1 and raw:
        at = draw(st.integers(0, len(raw) - 1))
        return raw[:at] + draw(st.binary(min_size=1, max_size=2)) + raw[at + 1 :]
    if how == 2:
        return b"\xef\xbb\xbf" + raw
    if how == 3:
        return b" " + raw + b"\n"
    return raw


class Running:
    """A site in a thread of its own, so that Hypothesis may call it synchronously."""

    def __init__(self, opener) -> None:
        self.loop = asyncio.new_event_loop()
        self.ready: Future = Future()
        self.opener = opener
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self._main(),))
        self.thread.start()
        self.site = self.ready.result(60)

    async def _main(self) -> None:
        self.stop = asyncio.Event()
        async with self.opener() as site:
            self.ready.set_result(site)
            await self.stop.wait()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(60)
        self.loop.close()

    def send(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        http = HTTPConnection("127.0.0.1", self.site.gateway.port, timeout=60)
        try:
            http.request("POST", path, body, headers)
            answer = http.getresponse()
            return answer.status, answer.read()
        finally:
            http.close()
            # What was refused is kept after the answer; the next example counts records.
            asyncio.run_coroutine_threadsafe(self.site.gateway._ingest.settle(), self.loop).result(60)


@pytest.fixture
def running(opener) -> Iterator[Running]:
    server = Running(opener)
    yield server
    server.close()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=raw_bodies(),
    path=st.sampled_from(["/v1/track", "/v1/alias", "/v1/g", "/v1/batch", "/v1/batch/", "/v1/b"]),
    coding=st.sampled_from(["", "", "gzip", "broken gzip", "gzip without header"]),
    key=st.sampled_from(["Basic d2s6", "Basic d2s6", "Basic d2s6", "", "Basic ~", "Basic d2tfYmFja2VuZDo="]),
    extra=st.dictionaries(
        st.sampled_from(["AnonymousId", "SentAt", "Origin", "X-Forwarded-For", "X-Write-Key"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=20),
        max_size=2,
    ),
)
def test_any_body_is_taken_or_refused_with_a_reason(running, body, path, coding, key, extra):
    headers = {"Content-Type": "text/plain", **extra}
    if key:
        headers["Authorization"] = key
    sent = body
    if coding:
        sent = gzip.compress(body)
        sent = sent[:-3] if coding == "broken gzip" else sent
        if coding != "gzip without header":
            headers["Content-Encoding"] = "gzip"
    before = len(running.site.log.records)
    status, answer = running.send(path, sent, headers)
    assert status in (200, 400, 401), answer
    found = json.loads(answer)
    if status == 200:
        assert found["accepted"] > 0
        records = running.site.log.records
        assert len(records) == before + 1
        count = found["accepted"] + len(found.get("refused", ()))
        assert len(running.site.log.last[1]) == count
    else:
        assert type(found["code"]) is str
        assert type(found["message"]) is str
    running.site.log.units()  # what is stored comes apart again, in the same number
    running.site.log.records.clear()


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"batch":[', b'{"batch":' + b"[" * 500])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
@pytest.mark.parametrize("depth", [100, 1_000, 100_000])
def test_deep_nesting(running, opening, path, depth):
    closing = opening[::-1].translate(bytes.maketrans(b"[{", b"]}"))
    closing = bytes(c for c in closing if c in b"]}")
    for body in (opening * depth, opening * depth + b"1" + closing * depth):
        status, answer = running.send(path, body[: 4 << 20], {"Authorization": "Basic d2s6"})
        assert status == 400, answer


@pytest.mark.parametrize("value", [b"1e999", b"9" * 5000, b"1." + b"0" * 5000, b"-" + b"9" * 100, b"1e-9999"])
@pytest.mark.parametrize("field", [b"userId", b"x", b"sentAt"])
def test_huge_numbers(running, value, field):
    body = b'{"batch":[{"type":"track","anonymousId":"a","%b":%b}],"sentAt":%b}' % (field, value, value)
    status, answer = running.send("/v1/batch", body, {"Authorization": "Basic d2s6"})
    assert status in (200, 400), answer
    running.site.log.units()
