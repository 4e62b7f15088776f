"""Auth, answers and what is stored for them, over a real socket."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from dataplane.log.base import REFUSED
from dataplane.protocols.record import key_hash

TRACK = {"type": "track", "event": "Bought", "userId": "u1", "anonymousId": "a1", "messageId": "m1"}


def batch(*events: object, **more: object) -> dict[str, object]:
    return {"batch": list(events), **more}


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/track"), ("POST", "/nosuch"), ("GET", "/health"), ("OPTIONS", "/v1/track"),
                         ("GET", "/robots.txt"), ("GET", "/v1/track")],
)  # fmt: skip
async def test_no_answer_tells_versions_of_what_it_is_made_of(site, method, path):
    _, _, headers = await site.send(path, method=method, data=b"{")
    assert headers.get("Server", "turnout") == "turnout"


@pytest.mark.parametrize("path", ["/v1/track", "/v1/track/", "/v1/t", "/v1/t/"])
async def test_one_event_is_stored_as_received(site, path):
    raw = json.dumps(TRACK).encode() + b" \n"
    status, body, headers = await site.send(path, data=raw)
    assert (status, body) == (200, {"status": "ok", "accepted": 1})
    assert "Date" in headers
    envelope, marks, stored = site.log.last
    assert stored == raw
    assert marks == [(0, key_hash("a1"))]
    assert (envelope.source, envelope.protocol, envelope.kind) == ("website", "rudder", "track")
    assert envelope.ip == "127.0.0.1"
    assert not envelope.refused


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/batch/", "/v1/b", "/v1/import"])
async def test_a_batch_is_one_record(site, path):
    events = [dict(TRACK, anonymousId=f"a{i}") for i in range(50)]
    status, body, _ = await site.send(path, json=batch(*events, sentAt="2026-11-23T09:36:56.779Z"))
    assert (status, body["accepted"]) == (200, 50)
    envelope, marks, _ = site.log.last
    assert envelope.sent_at == "2026-11-23T09:36:56.779Z"
    assert marks == [(0, key_hash(f"a{i}")) for i in range(50)]
    assert [json.loads(unit.raw) for unit in site.log.units()] == events


async def test_good_events_are_taken_and_bad_ones_named(site):
    status, body, _ = await site.send(
        "/v1/batch", json=batch(TRACK, {"type": "track"}, 7, dict(TRACK, type="nonsense"), TRACK)
    )
    assert (status, body["accepted"]) == (200, 2)
    assert [(r["index"], r["code"]) for r in body["refused"]] == [
        (1, "missing_id"), (2, "not_an_object"), (3, "unknown_type"),
    ]
    envelope, marks, _ = site.log.last
    assert [flags for flags, _ in marks] == [0, REFUSED, REFUSED, REFUSED, 0]
    assert set(envelope.refused) == {1, 2, 3}
    assert site.stat("turnout_gateway_events_total", "website", "accepted") == 2
    assert site.stat("turnout_gateway_events_total", "website", "refused") == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_batch"),
        (b'"x"', "invalid_batch"),
        (b"{}", "invalid_batch"),
        (b'{"batch":[]}', "empty_batch"),
        (b'{"batch":{}}', "invalid_batch"),
        (b'{"batch":[{"type":"track"}]}', "missing_id"),
        (b'{"batch":[{"type":"track","userId":"\xff"}]}', "invalid_utf8"),
        (b'{"batch":' + b"[" * 100_000, "too_deep"),
        (b'{"batch":[{"type":"track","userId":"u","x":NaN}]}', "not_a_number"),
    ],
)
async def test_what_cannot_be_taken_is_400_with_a_reason_and_kept(site, body, code):
    status, answer, _ = await site.send("/v1/batch", data=body)
    assert (status, answer["code"]) == (400, code)
    assert isinstance(answer["message"], str)
    envelope, marks, stored = site.log.last
    assert stored == body
    assert [flags for flags, _ in marks] == [REFUSED]
    assert envelope.refused[0][0] == code
    assert len(site.log.units()) == 1


async def test_refused_requests_are_kept_within_the_daily_quota(opener):
    async with opener(limits={"refused_bytes": 10}) as site:
        for _ in range(4):
            await site.send(data=b"{nope")
        assert len(site.log.records) == 2
        assert site.stat("turnout_gateway_refused_unkept_total", "website") == 2
        assert site.stat("turnout_gateway_events_total", "website", "refused") == 4


async def test_keeping_a_refused_request_makes_no_client_wait(site):
    site.log.gate.clear()
    status, _, _ = await site.send(data=b"{nope")
    assert status == 400
    assert not site.log.records
    site.log.gate.set()
    await site.gateway._ingest.settle()
    assert len(site.log.records) == 1


# -- who may send ---------------------------------------------------------------------------------


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "query", "key", "status"),
    [
        (basic("wk:"), "", None, 200),
        (basic("wk"), "", None, 200),
        (basic("wk:any password"), "", None, 200),
        ({"Authorization": basic("wk:")["Authorization"].replace("Basic", "basic")}, "", None, 200),
        ({"Authorization": basic("wk")["Authorization"].rstrip("=")}, "", None, 200),
        ({"X-Write-Key": "wk"}, "", None, 200),
        ({"X-Write-Key": "wk:secret"}, "", None, 200),
        ({}, "?writeKey=wk", None, 200),
        ({}, "", "wk", 200),
        (basic("old:"), "", None, 200),
        (basic("new:"), "", None, 200),
        (basic("nobody:"), "?writeKey=wk", "wk", 401),
        (basic("wk:"), "", "nobody", 200),
        (basic("wk_off:"), "", None, 401),
        ({"X-Write-Key": "nobody"}, "?writeKey=wk", "wk", 401),
        ({}, "?writeKey=nobody", "wk", 401),
        ({}, "", "***", 401),
        ({}, "", None, 401),
        ({"Authorization": "Bearer wk"}, "", "wk", 200),
        ({"Authorization": "Basic !!!"}, "", "wk", 200),
        ({"Authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()}, "", None, 401),
    ],
)
async def test_the_write_key_is_looked_for_in_order(site, headers, query, key, status):
    event = TRACK if key is None else {**TRACK, "writeKey": key}
    found, body, answered = await site.send(f"/v1/track{query}", key=None, json=event, headers=headers)
    assert found == status
    if status == 401:
        assert {type(body["code"]), type(body["message"])} == {str}
        assert "WWW-Authenticate" in answered
        assert not site.log.records


async def test_unknown_keys_never_become_labels(site):
    await site.send(key="secret-key", json=TRACK)
    assert "secret-key" not in repr(site.gateway.stats())
    assert site.stat("turnout_gateway_requests_total", "", "401") == 1


async def test_beacons_carry_the_key_in_the_query(site):
    status, _, _ = await site.send(
        "/beacon/v1/batch?writeKey=wk", key=None, data=json.dumps(batch(TRACK)),
        headers={"Content-Type": "text/plain"},
    )
    assert status == 200


async def test_records_only_from_trusted_sources(site):
    row = dict(TRACK, type="record")
    assert (await site.send("/v1/batch", json=batch(row)))[0] == 400
    assert (await site.send("/v1/batch", key="wk_backend", json=batch(row)))[0] == 200
    assert site.log.last[0].trusted


# -- bounds ---------------------------------------------------------------------------------------


async def test_a_source_above_its_rate_is_asked_to_wait(site):
    many = batch(*[TRACK] * 40)  # twenty seconds of what it may send, however long a request takes
    statuses = [await site.send("/v1/batch", key="wk_slow", json=many) for _ in range(2)]
    assert [status for status, _, _ in statuses] == [200, 429]
    _, body, headers = statuses[1]
    assert int(headers["Retry-After"]) >= 1
    assert body["code"] == "rate_limited"
    assert (await site.send(json=TRACK))[0] == 200


@pytest.mark.parametrize(("state", "code"), [("full", "log_full"), ("closed", "log_closed")])
async def test_a_log_that_takes_nothing_is_503(site, state, code):
    setattr(site.log, state, True)
    status, body, headers = await site.send(json=TRACK)
    assert (status, body["code"]) == (503, code)
    assert int(headers["Retry-After"]) >= 1
    assert (await site.send("/ready", method="GET", key=None))[0] == 503
    status, body, _ = await site.send("/health", method="GET", key=None)
    assert (status, body["log"]) == ((200, "full") if state == "full" else (503, "closed"))
    assert site.stat("turnout_gateway_events_total", "website", "accepted") == 0


async def test_bodies_are_bounded_as_sent_and_after_gzip(opener):
    limits = {"body": 2000, "decompressed": 3000, "event": 1500, "events": 3}
    async with opener(limits=limits) as site:
        big = dict(TRACK, text="x" * 4000)

        async def stream():
            for _ in range(10):
                yield b"x" * 1000

        assert (await site.send(json=big))[:2] == (413, {"code": "body_too_large",
                                                         "message": "the body is larger than 2000 bytes"})
        assert (await site.send(data=stream()))[0] == 413
        packed = {"data": gzip.compress(json.dumps(big).encode()), "headers": {"Content-Encoding": "gzip"}}
        assert (await site.send(**packed))[1]["code"] == "body_too_large"
        assert (await site.send(json=dict(TRACK, text="x" * 1600)))[1]["code"] == "event_too_large"
        status, body, _ = await site.send("/v1/batch", json=batch(dict(TRACK, text="x" * 1500), TRACK))
        assert (status, body["accepted"], body["refused"][0]["code"]) == (200, 1, "event_too_large")
        assert (await site.send("/v1/batch", json=batch(*[TRACK] * 4)))[1]["code"] == "too_many_events"


GZIPPED = gzip.compress(json.dumps(TRACK).encode())


@pytest.mark.parametrize(
    ("data", "encoding", "status"),
    [
        (GZIPPED, "gzip", 200),
        (GZIPPED, "GZIP", 200),
        (gzip.compress(b"{") + gzip.compress(b'"userId":"u"}'), "gzip", 200),
        (GZIPPED + bytes(8), "gzip", 200),
        (GZIPPED + b"junk", "gzip", 400),
        (GZIPPED[:-4], "gzip", 400),
        (GZIPPED[:-4] + b"\xff\xff\xff\xff", "gzip", 400),  # a length that is a lie
        (GZIPPED[:-4] + bytes(4), "gzip", 400),
        (GZIPPED[:-5] + b"12345", "gzip", 400),
        (b"", "gzip", 400),
        (b"{}", "gzip", 400),
        (gzip.compress(b"") * 100, "gzip", 400),
        (b"{}", "br", 415),
        (GZIPPED, "gzip, gzip", 415),
        (json.dumps(TRACK).encode(), "identity", 200),
    ],
)
async def test_encodings(site, data, encoding, status):
    headers = {"Content-Encoding": encoding, "Content-Type": "application/x-www-form-urlencoded"}
    found, body, _ = await site.send(data=data, headers=headers)
    assert found == status
    if status != 200:
        assert isinstance(body["code"], str)
    site.log.units()


async def test_a_bomb_costs_its_bound_and_no_more(site):
    bomb = gzip.compress(bytes(40 << 20))
    status, body, _ = await site.send(data=bomb, headers={"Content-Encoding": "gzip"})
    assert (status, body["code"]) == (413, "body_too_large")


# -- headers of browser SDKs ------------------------------------------------------------------------


async def test_anonymous_id_and_sent_at_headers_stand_in(site):
    headers = {"AnonymousId": base64.b64encode("ä1".encode()).decode(), "SentAt": "2026-11-23T09:36:56.779Z"}
    assert (await site.send(json={"event": "x"}, headers=headers))[0] == 200
    envelope, marks, _ = site.log.last
    assert (envelope.anonymous_id, envelope.sent_at) == ("ä1", headers["SentAt"])
    assert marks == [(0, key_hash("ä1"))]
    assert (await site.send(json={"event": "x"}, headers={"AnonymousId": "%%%"}))[0] == 400


async def test_the_client_address_comes_through_trusted_proxies_only(opener):
    forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.0.0.2"}
    async with opener() as site:
        await site.send(json=TRACK, headers=forwarded)
        assert site.log.last[0].ip == "127.0.0.1"
    async with opener(trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"]) as site:
        await site.send(json=TRACK, headers=forwarded)
        assert site.log.last[0].ip == "203.0.113.9"


# -- the other pages ----------------------------------------------------------------------------------


async def test_source_config_is_what_the_browser_sdk_validates(site):
    for path, key in (("/sourceConfig/?writeKey=wk", None), ("/sourceConfig?p=npm", "wk")):
        status, body, _ = await site.send(path, method="GET", key=key)
        assert status == 200
        assert body == {"source": {"id": "website", "config": {}, "destinations": []}}
    for path in ("/sourceConfig/?writeKey=nobody", "/sourceConfig/?writeKey=wk_off", "/sourceConfig/"):
        assert (await site.send(path, method="GET", key=None))[0] == 401


async def test_nothing_else_is_served(site):
    assert (await site.send("/version", method="GET"))[1]["name"] == "turnout"
    assert (await site.send("/health", method="GET"))[:2] == (200, {"status": "ok", "log": "open"})
    assert (await site.send("/ready", method="GET"))[:2] == (200, {"ready": True})
    assert "Disallow: /" in (await site.send("/robots.txt", method="GET"))[1]
    for path in ("/", "/metrics", "/api/v1/status", "/v1/nonsense", "/v1"):
        status, body, _ = await site.send(path, json=TRACK)
        assert (status, body["code"]) == (404, "not_found")
    for method, path in (("GET", "/v1/track"), ("PUT", "/v1/batch/"), ("POST", "/health")):
        status, body, _ = await site.send(path, method=method)
        assert (status, body["code"]) == (405, "method_not_allowed")
