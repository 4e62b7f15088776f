"""A request's head: what aiohttp would send, byte for byte where it matters, and nothing slips a line into it."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_server import RawServer, asked
from yarl import URL

from dataplane.deliver.head import head, target
from dataplane.deliver.http import Sender
from turnout import Form, Json, Raw, Request, __version__
from turnout.errors import Refused
from turnout.request import packed


def lines(head: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """The request line, and the headers without case."""
    first, *rest = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    named = [line.split(b": ", 1) for line in rest]
    assert len({name.lower() for name, _ in named}) == len(named)
    return first, {name.lower(): value for name, value in named}


async def both(request: Request) -> list[tuple[bytes, bytes]]:
    """What the server got from us, and what from aiohttp."""
    got: list[tuple[bytes, bytes]] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            got.append(await asked(reader))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with RawServer(handler) as server:
        url = server.url.rstrip("/") + request.url
        sender = Sender(allow_private=True)
        sent = await sender.send(Request(request.method, url, request.body, request.headers, request.params), 30)
        await sender.close()
        assert sent.status == 200, sent.error
        data, kind = packed(request)
        headers = dict(request.headers)
        if kind and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = kind
        ours = {"User-Agent": f"Turnout/{__version__}", "Accept-Encoding": "identity"}
        async with aiohttp.ClientSession(headers=ours) as session, session.request(
            request.method, URL(url).update_query(request.params),
            data=data if request.body is not None else None, headers=headers,
        ) as response:
            assert response.status == 200
    return got


PATHS = st.text("azAZ09/%2Fé ?&=;:@!$'()*+,#[]{}|\\^`\"<>~._-\u4e16\U0001f600", max_size=20).map(
    lambda path: f"/{path.lstrip('/')}"
)
NAMES = st.sampled_from(["X-One", "x-two", "Content-Type", "ACCEPT", "User-Agent", "Authorization", "Host"])
VALUES = st.text(" \tazAZ09;=,\"'é\x80\u4e16\U0001f600", min_size=1, max_size=12).map(str.strip)
BODIES = st.sampled_from([None, Json({"a": 1}), Form({"a": "b c"}), Raw(b""), Raw(b"x" * 300_000, "text/plain")])


def rendered(method: str, url: URL, headers: Any, kind: str) -> Any:
    return head(target(method, url, kind), headers)


@given(
    st.sampled_from(["GET", "post", "PUT", "PATCH", "DELETE", "OPTIONS"]), PATHS, BODIES,
    st.dictionaries(NAMES, VALUES, max_size=3), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)  # fmt: skip
@settings(max_examples=60)
def test_a_request_is_what_aiohttp_sends(method, path, body, headers, params) -> None:
    ours, theirs = asyncio.run(both(Request(method, path, body, headers, params)))
    assert ours[1] == theirs[1]
    assert lines(ours[0]) == lines(theirs[0])


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("http://Tool.example/", "tool.example"), ("http://tool.example:80/", "tool.example"),
        ("https://tool.example:443", "tool.example"), ("https://tool.example:80/", "tool.example:80"),
        ("http://[::1]:8080/", "[::1]:8080"), ("http://[::1]/", "[::1]"),
        ("http://bücher.example/", "xn--bcher-kva.example"), ("http://tool.example./", "tool.example"),
    ],
)
def test_the_host_is_named_as_it_is_meant(address, host) -> None:
    at = target("GET", URL(address), "")
    assert lines(head(at, {}).whole)[1][b"host"] == host.encode()
    assert at.origin.tls is address.startswith("https")


def test_credentials_of_an_address_become_a_header() -> None:
    made = rendered("GET", URL("http://us%20er:p%3Aw@tool.example/"), {}, "")
    assert lines(made.whole)[1][b"authorization"] == b"Basic dXMgZXI6cDp3"
    with pytest.raises(Refused):
        rendered("GET", URL("http://user@tool.example/"), {"authorization": "Bearer x"}, "")


def test_the_length_is_ours_and_so_is_the_framing() -> None:
    made = rendered("POST", URL("http://tool.example/"), {"content-LENGTH": "9"}, "text/plain")
    assert made.start.endswith(b"\r\nContent-Length: ")
    assert made.start.lower().count(b"content-length") == made.whole.lower().count(b"content-length") == 1
    for name in ("Transfer-Encoding", "TE", "upgrade", "Trailer"):
        with pytest.raises(Refused):
            rendered("POST", URL("http://tool.example/"), {name: "chunked"}, "")


@pytest.mark.parametrize("method", ["", "GE T", "G\r\n", "GET\0", "GÉT", "CONNECT", "GET /x HTTP/1.1\r\nA: b"])
def test_methods_that_are_none(method) -> None:
    with pytest.raises(Refused):
        rendered(method, URL("http://tool.example/"), {}, "")


@pytest.mark.parametrize("name", ["", "A B", "A:", "A\r\nB", "A\0", "É", " A", 5, None])
@pytest.mark.parametrize("value", ["x", "mark"])
def test_names_that_are_none(name, value) -> None:
    with pytest.raises(Refused) as refused:
        rendered("GET", URL("http://tool.example/"), {name: value}, "")
    assert "mark" not in refused.value.message


@pytest.mark.parametrize(
    "value", ["mark\r\nB: c", "mark\n", "mark\r", "mark\0", "mark\x01", "mark\x7f", "mark\ud800", 5]
)
def test_values_that_are_none(value) -> None:
    with pytest.raises(Refused) as refused:
        rendered("GET", URL("http://tool.example/"), {"X-A": value}, "")
    assert "X-A" in refused.value.message
    assert "mark" not in refused.value.message


@given(
    st.text(max_size=6), st.text(max_size=30),
    st.dictionaries(st.text(max_size=6), st.text(max_size=9), max_size=3), st.text(max_size=9),
)  # fmt: skip
@settings(max_examples=500)
def test_nothing_begins_a_line_of_its_own(method, path, headers, kind) -> None:
    def check(made: Any) -> None:
        for text in (made.start + b"0\r\n\r\n", made.whole):
            first, named = lines(text)
            assert first.count(b" ") == 2
            assert first.endswith(b" HTTP/1.1")
            assert not any(byte in text.replace(b"\r\n", b"") for byte in (b"\r", b"\n", b"\0"))
            assert {name.lower().encode() for name in headers} - {b"content-length"} <= set(named)

    try:
        made = rendered(method or "GET", URL(f"http://tool.example/{path}"), headers, kind)
    except (Refused, ValueError):  # ValueError: the address is none
        return
    check(made)


async def test_what_is_remembered_of_addresses_is_not_the_events_in_them() -> None:
    """An event's properties as a query, once for each event."""
    async with RawServer.saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
        sender = Sender(allow_private=True)
        await sender.send(Request("GET", server.url), 30)
        tracemalloc.start()
        try:
            for n in range(20):
                params = {"n": str(n), "text": "x" * 20_000}
                assert (await sender.send(Request("GET", server.url, params=params), 30)).status == 200
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 400_000
        finally:
            tracemalloc.stop()
            await sender.close()
