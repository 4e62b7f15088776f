"""Cross-origin answers, slow and broken clients, reload and shutdown, over raw sockets."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess

import aiohttp
import pytest

from dataplane.config.model import Config
from turnout.errors import ConfigError

TRACK = {"userId": "u1", "event": "Bought"}
AUTH = "Authorization: Basic d2s6"  # wk:


async def raw(site, data: bytes, *, close: bool = False, ssl_context=None) -> bytes:
    """Send bytes (and the end of them, where `close`), read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.gateway.port, ssl=ssl_context)
    writer.write(data)
    if close:
        writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return answer


def request(body: bytes, *headers: str, path: str = "/v1/track", length: int | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", AUTH, *headers,
             f"Content-Length: {len(body) if length is None else length}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


# -- CORS -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch/", "/sourceConfig/", "/beacon/v1/batch", "/else"])
async def test_preflights_reflect_what_is_asked(site, path):
    wanted = "authorization,anonymousid,rsa-retry-attempt,x-retry-count"
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST",
               "Access-Control-Request-Headers": wanted}
    status, _, answer = await site.send(path, method="OPTIONS", key=None, headers=headers)
    assert status == 204
    assert answer["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer["Access-Control-Allow-Credentials"] == "true"
    assert answer["Access-Control-Allow-Headers"] == wanted
    assert "POST" in answer["Access-Control-Allow-Methods"]
    assert int(answer["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize(
    ("path", "key", "body", "status"),
    [("/v1/track", "wk", TRACK, 200), ("/v1/track", "nobody", TRACK, 401), ("/v1/track", "wk", {}, 400),
     ("/v1/else", "wk", {}, 404), ("/v1/track", "shop_key", TRACK, 401)],
)
async def test_every_answer_can_be_read_by_the_page(site, path, key, body, status):
    found, _, answer = await site.send(path, key=key, json=body, headers={"Origin": "https://a.example"})
    assert found == status
    assert answer["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer["Access-Control-Expose-Headers"] == "Retry-After"
    assert answer["Vary"] == "Origin"


async def test_a_source_takes_events_only_from_its_origins(site):
    for origin, status in (("https://shop.example", 200), ("https://evil.example", 403), (None, 200)):
        headers = {"Origin": origin} if origin else {}
        found, body, _ = await site.send(key="new", json=TRACK, headers=headers)
        assert found == status
        if status == 403:
            assert body["code"] == "origin_not_allowed"
    status, _, _ = await site.send(
        "/sourceConfig/", method="GET", key="new", headers={"Origin": "https://evil.example"}
    )
    assert status == 403


async def test_an_origin_that_cannot_be_sent_back_is_not_reflected(site):
    answer = await raw(site, request(json.dumps(TRACK).encode(), "Origin: \udcff\udcfe", "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Access-Control" not in answer


# -- slow, broken and too many clients ------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order(site):
    answer = await raw(site, request(json.dumps(TRACK).encode()) * 5 + request(b"{}", "Connection: close"))
    assert answer.count(b"HTTP/1.1 200 OK") == 5
    assert answer.count(b"HTTP/1.1 400") == 1
    assert answer.rindex(b"200 OK") < answer.index(b"HTTP/1.1 400")


async def test_http_1_0_and_close_are_obeyed(site):
    body = json.dumps(TRACK).encode()
    old = request(body).replace(b"HTTP/1.1", b"HTTP/1.0")
    for data in (old, request(body, "Connection: close")):
        answer = await raw(site, data)
        assert b" 200 OK" in answer.split(b"\r\n")[0]
        assert answer.endswith(b'{"status":"ok","accepted":1}')


async def test_chunked_bodies_and_expect(site):
    body = json.dumps(TRACK).encode()
    head = b"POST /v1/track HTTP/1.1\r\nHost: x\r\n" + AUTH.encode() + b"\r\nConnection: close\r\n"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + body[:5] + b"\r\n%x\r\n" % len(body[5:]) + body[5:]
    assert b" 200 OK" in await raw(site, head + chunks + b"\r\n0\r\n\r\n")
    expect = request(body, "Expect: 100-continue", "Connection: close")
    answer = await raw(site, expect)
    assert answer.startswith(b"HTTP/1.1 100")
    assert b"HTTP/1.1 200 OK" in answer


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 1000 + b"\r\n",
        b"POST /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/track?%00%ff=%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"POST //[ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"GET /%2e%2e/%00 HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n",
    ],
)
async def test_what_is_no_request_gets_a_4xx_that_sdks_understand(site, data):
    answer = await raw(site, data)
    assert answer.split(b" ")[1].startswith(b"4")
    assert {"code", "message"} <= json.loads(answer.split(b"\r\n\r\n", 1)[1]).keys()


async def test_a_slow_head_is_cut_off(opener):
    async with opener(limits={"header_timeout": 0.1}) as site:
        assert await raw(site, b"POST /v1/track HTTP/1.1\r\nHos") == b""
        assert await raw(site, b"") == b""
        assert site.stat("turnout_gateway_slow_heads_total") == 2


async def test_a_slow_body_is_asked_to_come_again(opener):
    async with opener(limits={"body_timeout": 0.1}) as site:
        answer = await raw(site, request(b'{"userId"', length=100))
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 1" in answer
        assert not site.log.records


async def test_a_body_that_is_cut_off_is_not_taken(site):
    answer = await raw(site, request(json.dumps(TRACK).encode(), length=1000), close=True)
    assert b" 200 " not in answer[:20]
    assert not site.log.records


async def test_connections_above_the_bound_are_told_so(opener):
    async with opener(limits={"connections": 2}) as site:
        held = [await asyncio.open_connection("127.0.0.1", site.gateway.port) for _ in range(2)]
        for reader, writer in held:
            writer.write(request(json.dumps(TRACK).encode()))
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        answer = await raw(site, b"")
        assert answer.startswith(b"HTTP/1.1 503")
        head, body = answer.split(b"\r\n\r\n")
        assert json.loads(body)["code"] == "busy"
        assert f"Content-Length: {len(body)}".encode() in head
        assert site.stat("turnout_gateway_connections_turned_total") == 1
        for _, writer in held:
            writer.close()


async def test_a_client_that_leaves_does_not_stop_its_event(site):
    site.log.gate.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", site.gateway.port)
    writer.write(request(json.dumps(TRACK).encode()))
    while not site.stat("turnout_gateway_requests_in_flight"):
        await asyncio.sleep(0.001)
    writer.transport.abort()
    await asyncio.sleep(0.01)
    site.log.gate.set()
    while not site.log.records:
        await asyncio.sleep(0.001)
    assert (await site.send(json=TRACK))[0] == 200


# -- reload and shutdown --------------------------------------------------------------------------------


async def test_reload_swaps_sources_and_limits_and_keeps_counters(site):
    assert (await site.send(json=TRACK))[0] == 200
    site.gateway.apply(Config.model_validate({
        "server": {"port": 0, "limits": {"event": 10}},
        "sources": {"website": {"write_keys": ["wk2"]}},
    }))
    assert (await site.send(json=TRACK))[0] == 401
    assert (await site.send(key="wk2", json=TRACK))[1]["code"] == "event_too_large"
    assert site.stat("turnout_gateway_events_total", "website", "accepted") == 1
    assert site.stat("turnout_gateway_requests_total", "website", "400") == 1


async def test_drain_answers_what_is_in_flight_and_takes_nothing_new(opener):
    async with opener() as site:
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", site.gateway.port)
        site.log.gate.clear()
        flying = asyncio.ensure_future(site.send(json=TRACK))
        while not site.stat("turnout_gateway_requests_in_flight"):
            await asyncio.sleep(0.001)
        drained = asyncio.ensure_future(site.gateway.drain(5))
        assert await idle_reader.read() == b""
        idle_writer.close()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", site.gateway.port)
        assert not flying.done()
        site.log.gate.set()
        status, _, headers = await flying
        assert status == 200
        assert headers["Connection"] == "close"
        await drained


async def test_drain_cuts_off_at_the_deadline(opener):
    async with opener() as site:
        site.log.gate.clear()
        flying = asyncio.ensure_future(site.send(json=TRACK))
        while not site.stat("turnout_gateway_requests_in_flight"):
            await asyncio.sleep(0.001)
        await site.gateway.drain(0.05)
        with pytest.raises(aiohttp.ClientError):
            await flying
        assert not site.log.records


async def test_tls(opener, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"],
        check=True, capture_output=True,
    )
    tls = {"certificate": str(certificate), "key": str(key)}
    async with opener(tls=tls) as site:
        assert site.gateway.url.startswith("https://")
        assert (await site.send(json=TRACK))[0] == 200
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        answer = await raw(site, request(json.dumps(TRACK).encode(), "Connection: close"),
                           ssl_context=context)
        assert b" 200 OK" in answer
        certificate.write_text("no certificate")
        with pytest.raises(ConfigError):
            site.gateway.apply(site.gateway._config)
        assert (await site.send(json=TRACK))[0] == 200
