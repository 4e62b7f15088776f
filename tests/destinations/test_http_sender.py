"""The sender meets real servers, good and bad; it never raises and never leaks."""

from __future__ import annotations

import asyncio
import errno
import gc
import ssl
from pathlib import Path

import pytest

from dataplane.deliver.guard import blocked
from dataplane.deliver.http import KEPT, Sender
from dataplane.deliver.wire import system
from turnout import Form, Json, JsonArray, Raw, Request, Xml
from turnout.destination import judge
from turnout.request import packed
from turnout.testing import Recorder
from turnout.testing.fake_clock import START

MARKED = "http://user:pw-mark@127.0.0.1:{}/path-mark?token=query-mark"
TLS = Path(__file__).parent / "tls"
"""A self-signed certificate for localhost, made for this test and trusted by nobody."""


@pytest.fixture
async def sender():
    made = Sender(allow_private=True, connections=4)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("body", "kind", "data"),
    [
        (Json({"ü": 1}), "application/json", '{"ü":1}'.encode()),
        (JsonArray([1, {"a": None}]), "application/json", b'[1,{"a":null}]'),
        (Form({"a": "1 2", "b": ["x", "y"]}), "application/x-www-form-urlencoded", b"a=1+2&b=x&b=y"),
        (Xml("<a>é</a>"), "application/xml", "<a>é</a>".encode()),
        (Raw(b"\x00\xff", "application/gzip"), "application/gzip", b"\x00\xff"),
    ],
)
async def test_every_body_arrives_as_it_was_made(sender, recorder, body, kind, data) -> None:
    response = await sender.send(Request("PUT", recorder.url + "a/b", body, {"X-One": "1"}, {"q": "ä&="}), 5)
    (came,) = recorder.received
    assert (response.status, response.error) == (200, "")
    assert (came.method, came.path, came.query) == ("PUT", "/a/b", {"q": "ä&="})
    assert (came.headers["content-type"], came.body) == (kind, data)
    assert came.headers["x-one"] == "1"
    assert came.headers["user-agent"].startswith("Turnout/")


@pytest.mark.parametrize("headers", [{"content-encoding": "gzip"}, {}])
async def test_a_body_is_packed_where_the_request_says_so(sender, recorder, headers) -> None:
    rows = [{"n": "x" * 9_000}]
    request = Request("POST", recorder.url, JsonArray(rows), headers)
    data, kind = packed(request)
    assert (data[:2] == b"\x1f\x8b", kind) == (bool(headers), "application/json")
    assert packed(request)[0] == data
    assert packed(Request("POST", recorder.url, Raw(data), headers))[0] == data
    assert (await sender.send(request, 5)).status == 200
    (came,) = recorder.received
    assert came.json() == rows  # the server unpacks
    assert int(came.headers["content-length"]) == len(data)


async def test_a_content_type_of_the_adapter_wins_and_no_body_has_none(sender, recorder) -> None:
    await sender.send(Request("POST", recorder.url, Json({}), {"content-type": "application/x"}), 5)
    await sender.send(Request("GET", recorder.url), 5)
    one, two = recorder.received
    assert one.headers["content-type"] == "application/x"
    assert "content-type" not in two.headers
    assert two.body == b""


async def test_answers_come_back_whole_up_to_the_cap(sender, recorder, chaos) -> None:
    recorder.answer(429, "slow down", Retry_After="3")
    response = await sender.send(Request("POST", recorder.url, Json(1)), 5)
    assert (response.status, response.header("retry-after"), response.body) == (429, "3", b"slow down")
    chaos.mode = "huge"
    response = await sender.send(Request("POST", chaos.url, Json(1)), 5)
    assert (response.status, len(response.body), response.error, response.cut) == (200, KEPT, "", True)


async def test_redirects_and_cookies_are_not_followed(sender, recorder, chaos) -> None:
    chaos.mode = "redirect"
    assert (await sender.send(Request("POST", chaos.url, Json(1)), 5)).status == 302
    assert chaos.seen["redirect"] == 1
    recorder.always(200, "", Set_Cookie="sid=1")
    for _ in range(2):
        await sender.send(Request("POST", recorder.url.replace("127.0.0.1", "localhost"), Json(1)), 5)
    assert "cookie" not in recorder.received[1].headers


@pytest.mark.parametrize(
    ("mode", "status", "outcome"),
    [
        ("hang", 0, "retry"), ("reset", 0, "retry"), ("reset_after_read", 0, "retry"), ("close", 0, "retry"),
        ("trickle", 0, "retry"), ("garbage", 0, "retry"), ("cut", 200, "delivered"), ("error", 503, "retry"),
        ("throttle", 429, "retry"), ("throttle_silent", 429, "retry"),
    ],
)
async def test_trouble_is_a_value_without_secrets(sender, chaos, mode, status, outcome) -> None:
    chaos.mode = mode
    request = Request("POST", MARKED.format(chaos.port), Json("body-mark"), {"X-Key": "header-mark"})
    response = await sender.send(request, 0.3 if mode in ("hang", "trickle") else 5)
    assert response.status == status
    assert not response.permanent
    assert bool(response.error) == (status == 0 or mode == "cut")
    assert "mark" not in response.error
    assert judge(response, START).outcome == outcome


def test_an_error_that_quotes_the_address_is_not_repeated() -> None:
    address = "https://tool.example/path-mark?token=query-mark"
    assert system(OSError(errno.ECONNRESET, f"cannot write to {address}")) == "Connection reset by peer"
    assert system(OSError(f"lost {address}")) == "the connection broke"
    assert system(ssl.SSLError(1, f"wrong version at {address}")) == "TLS failed"
    assert system(RuntimeError(address)) == "RuntimeError"


async def test_a_closed_port_and_an_unknown_name(sender, recorder) -> None:
    recorder.stop()
    response = await sender.send(Request("POST", recorder.url, Json(1)), 5)
    assert (response.status, response.permanent) == (0, False)
    assert response.error.endswith(": cannot connect: Connection refused")
    recorder.start()
    response = await sender.send(Request("POST", "http://no-such-host.invalid/", Json(1)), 5)
    assert (response.status, response.permanent) == (0, False)
    assert "no-such-host.invalid" in response.error


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "ftp://example.com/", Json(1)),
        Request("POST", "/relative", Json(1)),
        Request("POST", "http://", Json(1)),
        Request("POST", "http://a..b/", Json(1)),
        Request("POST", "http://127.0.0.1:99999/", Json(1)),
        Request("POST", "http://[::1", Json(1)),
        Request("PO\r\nST", "http://127.0.0.1:1/", Json(1)),
        Request("POST", "http://127.0.0.1:{port}/", Json(1), {"X": "a\r\nY: mark"}),
        Request("POST", "http://127.0.0.1:{port}/", Json(1), {"X\nY": "mark"}),
        Request("POST", "http://127.0.0.1:{port}/", Json({"mark": float("inf"), "b": object()})),
    ],
    ids=range(10),
)
async def test_what_cannot_be_http_is_permanent(sender, recorder, request_) -> None:
    url = request_.url.replace("{port}", str(recorder.port))
    request = Request(request_.method, url, request_.body, request_.headers)
    response = await sender.send(request, 5)
    assert response.status == 0
    assert response.permanent, response.error
    assert "mark" not in response.error
    assert judge(response, START).outcome == "dead"
    assert not recorder.received


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1.2.3", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "2130706433",
        "0x7f000001", "0177.0.0.1", "127.1", "0.0.0.0", "[::]", "10.0.0.1", "192.168.1.1", "172.16.0.1",
        "169.254.169.254", "100.64.0.1", "100.100.100.200", "[fe80::1]", "[fd00:ec2::254]", "[fc00::1]",
        "168.63.129.16", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]", "224.0.0.1",
        "255.255.255.255", "[::ffff:0:127.0.0.1]",
    ],
)
async def test_private_addresses_are_refused_on_connect(recorder, host) -> None:
    sender = Sender(allow_private=False, connections=2)
    try:
        response = await sender.send(Request("POST", f"http://{host}:{recorder.port}/", Json(1)), 2)
    finally:
        await sender.close()
    assert response.status == 0
    assert response.permanent, response.error
    assert not recorder.received


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("8.8.8.8", False), ("2606:4700:4700::1111", False), ("::ffff:8.8.8.8", False), ("1.1.1.1", False),
        ("64:ff9b::808:808", False), ("nonsense", True), ("", True), ("fe80::1%eth0", True),
        ("240.0.0.1", True), ("192.0.2.1", True), ("198.18.0.1", True), ("2001:db8::1", True),
        ("ff02::1", True), ("fec0::1", True), ("2001::1", True),
    ],
)
def test_which_addresses_are_private(address, refused) -> None:
    assert blocked(address) is refused


async def test_a_name_that_resolves_inside_is_refused_with_the_way_out(recorder) -> None:
    sender = Sender(allow_private=False, connections=1)
    response = await sender.send(Request("POST", f"http://localhost:{recorder.port}/?token=mark", Json(1)), 2)
    await sender.close()
    assert response.error == f"localhost:{recorder.port}: a private address; egress.allow_private permits it"


async def test_tls_is_verified() -> None:
    certificate = TLS / "localhost.certificate.pem"
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, TLS / "localhost.key.pem")
    with Recorder(tls=served) as recorder:
        url = recorder.url.replace("127.0.0.1", "localhost")
        plain = Sender(allow_private=True)
        response = await plain.send(Request("POST", url, Json(1)), 5)
        await plain.close()
        assert (response.status, response.permanent) == (0, False)
        assert "certificate" in response.error
        trusting = Sender(allow_private=True, tls=ssl.create_default_context(cafile=str(certificate)))
        assert (await trusting.send(Request("POST", url, Json(1)), 5)).status == 200
        await trusting.close()
        assert len(recorder.received) == 1


async def test_connections_are_kept_and_bounded(sender, chaos) -> None:
    await asyncio.gather(*(sender.send(Request("POST", chaos.url, Json(i)), 5) for i in range(40)))
    assert sorted(chaos.accepted, key=int) == [str(i).encode() for i in range(40)]
    assert len(chaos._tasks) <= 4


async def test_large_bodies_and_closing_leave_no_warning(sender, recorder) -> None:
    body = Raw(b"x" * 3_000_000)
    assert (await sender.send(Request("POST", recorder.url, body), 5)).status == 413  # the server's own bound
    await sender.close()
    await sender.close()
    gc.collect()


async def test_a_stand_in_takes_what_is_for_a_host(recorder) -> None:
    """Method, path, query, body and headers as they are, and which host was meant; no other host is touched."""
    sender = Sender(allow_private=True, stand_ins={"api.tool.example": recorder.url.rstrip("/")})
    try:
        for url in ("https://API.tool.example/v1/a%2Fb?x=1", "https://api.tool.example:8443/"):
            response = await sender.send(Request("PUT", url, Json([1]), {"X-A": "b"}, {"y": "é"}), 5)
            assert response.status == 200
        other = await sender.send(Request("GET", recorder.url.replace("127.0.0.1", "localhost")), 5)
        assert other.status == 200
    finally:
        await sender.close()
    one, two, three = recorder.received
    assert (one.method, one.path, dict(one.query), one.json()) == ("PUT", "/v1/a/b", {"x": "1", "y": "é"}, [1])
    assert (one.headers["host"], one.headers["x-a"]) == ("api.tool.example", "b")
    assert two.headers["host"] == "api.tool.example:8443"
    assert three.headers["host"].startswith("localhost:")


@pytest.mark.parametrize("key", ["api.tool.example", "API.tool.example."])
@pytest.mark.parametrize("host", ["API.Tool.Example", "api.tool.example.", "Api.tool.EXAMPLE.:8443"])
async def test_a_stand_in_is_found_however_its_host_is_written(recorder, key, host) -> None:
    sender = Sender(allow_private=True, stand_ins={key: recorder.url})
    try:
        assert (await sender.send(Request("GET", f"https://{host}/"), 5)).status == 200
    finally:
        await sender.close()
    (came,) = recorder.received
    assert came.headers["host"] == host.lower().replace("example.", "example")


async def test_a_stand_in_of_a_host_that_is_not_ascii_is_named_as_dns_names_it(recorder) -> None:
    sender = Sender(allow_private=True, stand_ins={"xn--bcher-kva.example": recorder.url})
    try:
        assert (await sender.send(Request("GET", "https://Bücher.example./"), 5)).status == 200
    finally:
        await sender.close()
    assert len(recorder.received) == 1


async def test_a_stand_in_follows_the_rules_of_egress(recorder) -> None:
    sender = Sender(stand_ins={"api.tool.example": recorder.url})
    try:
        response = await sender.send(Request("GET", "https://api.tool.example/"), 5)
    finally:
        await sender.close()
    assert response.permanent
    assert "private address" in response.error
    assert recorder.received == []


async def test_what_is_remembered_of_an_address_is_never_another_requests(sender, recorder) -> None:
    """One address with headers, methods, bodies and params that change, a mapping that changes in place too."""
    headers = {"X-A": "1"}
    sent = [Request("POST", recorder.url, Json(n), headers) for n in range(2)]
    sent += [
        Request("POST", recorder.url, Json(2), {"X-A": "2", "X-B": "3"}),
        Request("PUT", recorder.url, Form({"a": "b"}), {"X-A": "2", "X-B": "3"}),
        Request("PUT", recorder.url, None, {"X-A": "2", "X-B": "3"}),
        Request("GET", recorder.url, None, {}, {"q": "1"}),
        Request("GET", recorder.url, None, {"q": "1"}),
    ]
    seen = []
    for request in sent:
        assert (await sender.send(request, 5)).status == 200
        came = recorder.received[-1]
        seen.append((came.method, came.headers.get("x-a"), came.headers.get("x-b"), came.headers.get("content-type"),
                     dict(came.query), came.headers.get("q")))  # fmt: skip
        headers["X-A"] = "9"
    assert seen == [
        ("POST", "1", None, "application/json", {}, None), ("POST", "9", None, "application/json", {}, None),
        ("POST", "2", "3", "application/json", {}, None),
        ("PUT", "2", "3", "application/x-www-form-urlencoded", {}, None),
        ("PUT", "2", "3", "application/octet-stream", {}, None),
        ("GET", None, None, None, {"q": "1"}, None), ("GET", None, None, None, {}, "1"),
    ]  # fmt: skip


async def test_addresses_are_not_remembered_without_end(sender, recorder) -> None:
    for n in range(600):
        assert (await sender.send(Request("GET", f"{recorder.url}{n}"), 5)).status == 200
    assert [came.path for came in recorder.received] == [f"/{n}" for n in range(600)]
    assert len(sender._targets) <= 256
