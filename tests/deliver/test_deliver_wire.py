"""What servers answer, good and bad, cut anywhere: the same value, or none, and never more than is kept."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from raw_server import RawServer

from dataplane.deliver.http import KEPT, Sender
from dataplane.deliver.wire import BROKE_OFF, CLOSED, NOT_HTTP, TOO_LONG, Broken, Connection, Origin
from turnout import Response
from turnout.request import Raw, Request

OK = b"HTTP/1.1 200 OK\r\n"
TWO = b"Content-Length: 2\r\n\r\nok"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = gzip.compress(b"hello" * 9, mtime=0)
BOMB = gzip.compress(bytes(4_000_000), mtime=0)


def sized(data: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(data), data)


GOOD = {
    "length": (OK + TWO, b"ok"),
    "no reason": (b"HTTP/1.1 200\r\n" + TWO, b"ok"),
    "bare line feeds": (b"HTTP/1.1 200 OK\nX: y\nContent-Length: 2\n\nok", b"ok"),
    "empty lines before": (b"\r\n\r\n" + OK + TWO, b"ok"),
    "until the end": (OK + b"\r\nhello", b"hello"),
    "1.0": (b"HTTP/1.0 200 OK\r\n\r\nok", b"ok"),
    "chunks": (OK + CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
    "chunks with extensions": (OK + CHUNKED + b"5;a=b\r\nhello\r\n0;c\r\n\r\n", b"hello"),
    "chunks and trailers": (OK + CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n", b"hello"),
    "another coding last": (OK + b"Transfer-Encoding: chunked, x\r\n\r\nhello", b"hello"),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\n" + OK + TWO, b"ok"),
    "204 with a length": (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", b""),
    "304 with a length": (b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", b""),
    "an offer to upgrade": (OK + b"Upgrade: h2c\r\nConnection: upgrade\r\n" + TWO, b"ok"),
    "odd values": (OK + b"A:\r\nB: \r\nC: 1 \t \r\nD: \xe9\xff\r\nE: \xc3\xa9\r\nF: a\x01\r\n" + TWO, b"ok"),
    "a name twice": (OK + b"X: 1\r\nX: 2\r\nx: 3\r\n" + TWO, b"ok"),
    "a folded value": (OK + b"X: 1\r\n 2\r\n" + TWO, b"ok"),
    "many headers": (OK + b"".join(b"X%d: y\r\n" % n for n in range(127)) + TWO, b"ok"),
    "packed": (OK + b"Content-Encoding: gzip\r\n" + sized(PACKED), b"hello" * 9),
    "deflated": (OK + b"content-encoding: Deflate\r\n" + sized(zlib.compress(b"hello")), b"hello"),
    "deflated, bare": (OK + b"Content-Encoding: deflate\r\n" + sized(zlib.compress(b"hello")[2:-4]), b"hello"),
}
"""What servers say, and the body in it; each is read as aiohttp reads it."""

BROKEN = {
    "the length is not reached": OK + b"Content-Length: 10\r\n\r\nhello",
    "a chunk is not whole": OK + CHUNKED + b"9\r\nhello",
    "no last chunk": OK + CHUNKED + b"5\r\nhello\r\n",
    "a huge chunk": OK + CHUNKED + b"ffffffffffffffff\r\nhello",
    "a chunk beyond 64 bits": OK + CHUNKED + b"5\r\nhello\r\n1ffffffffffffffff\r\nx",
    "a negative chunk": OK + CHUNKED + b"5\r\nhello\r\n-1\r\nx",
    "no chunk": OK + CHUNKED + b"5\r\nhello\r\nzz\r\n",
    "more than the chunk said": OK + CHUNKED + b"5\r\nhello, world\r\n0\r\n\r\n",
    "endless trailers": OK + CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 20_000,
    "an endless trailer": OK + CHUNKED + b"5\r\nhello\r\n0\r\nX: " + b"y" * 100_000,
    "an endless extension": OK + CHUNKED + b"5\r\nhello\r\n1;" + b"y" * 100_000,
    "not packed": OK + b"Content-Encoding: gzip\r\n" + sized(b"hello"),
    "half of it packed": OK + b"Content-Encoding: gzip\r\n" + sized(PACKED[:-9]),
}
"""Their status counts, and the body is `cut`."""

NONE = {
    "nothing": (b"", CLOSED),
    "half a head": (OK + b"Content-Le", CLOSED),
    "only an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", CLOSED),
    "TLS": (b"\x16\x03\x01\x02\x00\x01 nonsense", NOT_HTTP),
    "0.9": (b"hello", NOT_HTTP),
    "2": (b"HTTP/2 200 OK\r\n" + TWO, NOT_HTTP),
    "a status of no digits": (b"HTTP/1.1 ok OK\r\n" + TWO, NOT_HTTP),
    "a status of four digits": (b"HTTP/1.1 2000 OK\r\n" + TWO, NOT_HTTP),
    "000": (b"HTTP/1.1 000 OK\r\n" + TWO, NOT_HTTP),
    "099": (b"HTTP/1.1 099 OK\r\n" + TWO, NOT_HTTP),
    "another protocol": (b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxx" + OK + TWO, NOT_HTTP),
    "101": (b"HTTP/1.1 101 Go\r\n\r\n" + OK + TWO, NOT_HTTP),
    "a length and chunks": (OK + b"Content-Length: 5\r\n" + CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", NOT_HTTP),
    "chunks and a length": (OK + CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n", NOT_HTTP),
    "two lengths": (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", NOT_HTTP),
    "a negative length": (OK + b"Content-Length: -5\r\n\r\nhello", NOT_HTTP),
    "a length with a sign": (OK + b"Content-Length: +5\r\n\r\nhello", NOT_HTTP),
    "a length beyond 64 bits": (OK + b"Content-Length: 99999999999999999999\r\n\r\nhello", NOT_HTTP),
    "no length": (OK + b"Content-Length: \r\n\r\nhello", NOT_HTTP),
    "a NUL": (OK + b"X: a\0b\r\n" + TWO, NOT_HTTP),
    "a name with a space": (OK + b"X : a\r\n" + TWO, NOT_HTTP),
    "a line that is no header": (OK + b"hello\r\n" + TWO, NOT_HTTP),
    "too many headers": (OK + b"X: y\r\n" * 200 + TWO, TOO_LONG),
    "an endless header": (OK + b"X: " + b"y" * 200_000, TOO_LONG),
    "an endless name": (OK + b"X" * 200_000, TOO_LONG),
    "an endless reason": (b"HTTP/1.1 200 " + b"y" * 200_000, TOO_LONG),
    "interim answers without end": (b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000, TOO_LONG),
}
"""No answer, and what people are told."""

AFTER = {
    "a second answer": OK + TWO + OK + b"Content-Length: 4\r\n\r\nevil",
    "half a second answer": OK + TWO + b"HTTP/1.1 200 OK\r\nX: ",
    "a letter": OK + TWO + b"H",
    "anything": OK + TWO + b"\x00\x01junk",
    "a body where none belongs": b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello",
    "trailers": OK + CHUNKED + b"0\r\nX: y\r\n\r\n",
    "a last word": OK + b"Connection: close\r\n" + TWO,
    "an older version": b"HTTP/1.0 200 OK\r\n" + TWO,
}
"""Answers after which a connection is not used again."""


async def read(
    pieces: Sequence[bytes], *, end: bool = True, bare: bool = False, kept: int = KEPT
) -> tuple[Response | str, bool]:
    """What a connection makes of an answer that comes in these pieces, and whether it may be used again."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    gone = loop.create_future()
    transport, connection = await loop.create_connection(
        lambda: Connection(Origin(False, "x", 1), kept, lambda _: gone.set_result(None)), sock=ours
    )
    found: Response | str
    try:
        sent = asyncio.ensure_future(connection.exchange(b"", b"", loop.time() + 60, bare=bare))
        await asyncio.sleep(0)
        for piece in pieces:
            if not transport.is_closing():
                connection.data_received(piece)
        if end and not transport.is_closing():
            connection.eof_received()
        try:
            found = await asyncio.wait_for(sent, 30)
        except Broken as error:
            found = str(error)
        return found, connection.usable
    finally:
        connection.abort()
        await gone
        theirs.close()


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """In a loop that calls nothing of ours an error."""

    async def watched() -> Any:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        found = await work()
        assert not faults
        return found

    return asyncio.run(watched())


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(at)]


@pytest.mark.parametrize("name", GOOD)
def test_good_answers(name) -> None:
    data, body = GOOD[name]
    found, _ = run(lambda: read([data]))
    assert (found.body, found.error, found.cut) == (body, "", False)
    assert found.status == int(data.strip().rpartition(b"HTTP/1.")[2][2:5])


@pytest.mark.parametrize("name", BROKEN)
def test_answers_that_break_off_keep_their_status(name) -> None:
    found, usable = run(lambda: read([BROKEN[name]]))
    assert (found.status, found.error, found.cut, usable) == (200, BROKE_OFF, True, False)


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_answer(name) -> None:
    data, reason = NONE[name]
    assert run(lambda: read([data])) == (reason, False)


@pytest.mark.parametrize("name", AFTER)
@pytest.mark.parametrize("slow", [False, True])
def test_after_such_an_answer_a_connection_is_done_with(name, slow) -> None:
    data = AFTER[name]
    found, usable = run(lambda: read([data[n:n + 1] for n in range(len(data))] if slow else [data], end=False))
    assert (found.body.strip(b"hello"), found.error) in ((b"k", ""), (b"", ""))
    assert not usable


@pytest.mark.parametrize("name", ["length", "chunks", "204 with a length", "interim", "bare line feeds"])
def test_after_a_good_answer_a_connection_is_used_again(name) -> None:
    assert run(lambda: read([GOOD[name][0]], end=False))[1]


def test_the_answer_to_head_has_no_body() -> None:
    for data in (OK + b"Content-Length: 5\r\n\r\n", OK + CHUNKED, OK + b"\r\n"):
        found, usable = run(lambda data=data: read([data], end=False, bare=True))
        assert (found.status, found.body, found.error, usable) == (200, b"", "", False)


@pytest.mark.parametrize("data", [
    OK + sized(b"x" * 99), OK + b"\r\n" + b"x" * 99, OK + CHUNKED + b"63\r\n" + b"x" * 99,
    OK + b"Content-Encoding: gzip\r\n" + sized(gzip.compress(b"x" * 99)),
    OK + b"Content-Encoding: gzip\r\n" + sized(BOMB),
])  # fmt: skip
def test_what_is_longer_than_is_kept_costs_the_connection(data) -> None:
    found, usable = run(lambda: read([data], kept=64, end=False))
    assert (len(found.body), found.error, found.cut) == (64, "", True)
    assert usable == (b"Encoding: gzip" in data and len(BOMB) > len(data))
    whole, _ = run(lambda: read([OK + sized(b"x" * 64)], kept=64, end=False))
    assert (len(whole.body), whole.cut) == (64, False)


ANSWERS = [data for data, _ in GOOD.values()] + list(BROKEN.values()) + list(AFTER.values())


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 1_000), max_size=12), st.integers(1, 100_000))
@settings(max_examples=300)
def test_an_answer_in_pieces_is_the_same_answer(data, cuts, kept) -> None:
    whole, _ = run(lambda: read([data], kept=kept))
    split, _ = run(lambda: read(pieces(data, cuts), kept=kept))
    assert split == whole


@given(st.sampled_from([data for data, _ in NONE.values() if len(data) < 2_000]), st.lists(st.integers(0, 2_000)))
@settings(max_examples=100)
def test_what_is_no_answer_is_none_in_pieces(data, cuts) -> None:
    assert isinstance(run(lambda: read(pieces(data, cuts)))[0], str)


LINES = st.sampled_from([
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n", b"HTTP/1.1 204 \r\n", b"HTTP/1.1 ", b"\r\n", b"\r\n\r\n", b"\n",
    b"\r", b"0\r\n", b"5\r\n", b"hello", b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"Content-Encoding: gzip\r\n", PACKED, b"X: y\r\n", b" z\r\n", b":", b"\0",
])  # fmt: skip


@given(st.lists(st.one_of(LINES, LINES, st.binary(max_size=40)), max_size=30), st.booleans(), st.booleans())
@settings(max_examples=600)
@example([b"HTTP/1.1 204 \r\n\r\n", b"HTTP/1.1 204 \r\n\r\n"], False, False)
def test_garbage_is_an_answer_or_none(parts, bare, first) -> None:
    found, _ = run(lambda: read([b"HTTP/1.1 200 OK\r\n", *parts] if first else parts, bare=bare))
    assert found in (CLOSED, NOT_HTTP) or 200 <= found.status < 1_000


# ---- beside aiohttp's client


async def theirs(url: str, method: str) -> tuple[int, dict[str, str], bytes, bool]:
    """Status, headers and body as aiohttp has them, and whether the body broke off; status 0 for no answer."""
    body, broke = b"", False
    async with aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}) as session:
        try:
            async with session.request(method, url, data=b"x", allow_redirects=False) as response:
                try:
                    while piece := await response.content.readany():
                        body += piece
                except (aiohttp.ClientError, OSError):
                    broke = True
                headers = {
                    name.lower(): value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                    for name, value in response.headers.items()
                }
                return response.status, headers, body, broke
        except (aiohttp.ClientError, OSError):
            return 0, {}, b"", False


async def both(data: bytes, method: str) -> tuple[Any, Any]:
    async with RawServer.saying(data) as server:
        sender = Sender(allow_private=True)
        try:
            found = await sender.send(Request(method, server.url, Raw(b"x")), 30)
        finally:
            await sender.close()
        headers = {name.lower(): value for name, value in found.headers.items()}
        ours = (found.status, headers, found.body, bool(found.error and found.status))
        return ours, await theirs(server.url, method)


@pytest.mark.parametrize("name", GOOD)
def test_good_answers_are_read_as_aiohttp_reads_them(name) -> None:
    ours, other = run(lambda: both(GOOD[name][0], "POST"))
    assert ours == other


@st.composite
def answers(draw: Any) -> tuple[str, bytes]:
    method = draw(st.sampled_from(["POST", "GET", "HEAD", "DELETE"]))
    status = draw(st.sampled_from([200, 201, 204, 205, 301, 304, 400, 401, 404, 413, 429, 500, 503, 599, 999]))
    body = draw(st.binary(max_size=60))
    names = st.sampled_from([b"X-A", b"x-b", b"Retry-After", b"Set-Cookie", b"Location", b"Upgrade"])
    values = st.one_of(st.just(b""), st.text("aé\t ;,=\x7f", max_size=9).map(str.encode))
    lines = [b"%b: %b" % pair for pair in draw(st.lists(st.tuples(names, values), max_size=5))]
    framing = draw(st.sampled_from(["length", "chunks", "end", "short"]))
    if status in (204, 304):
        body = b""
    if framing in ("length", "short"):
        lines.append(b"Content-Length: %d" % (len(body) + (framing == "short" and 3)))
    elif framing == "chunks" and status not in (204, 304):
        lines.append(b"Transfer-Encoding: chunked")
        step = draw(st.integers(1, 20))
        parts = [body[at:at + step] for at in range(0, len(body), step)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        body += draw(st.sampled_from([b"0\r\n\r\n", b"0\r\nX: t\r\n\r\n", b"", b"0\r\n"]))
    interim = draw(st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\nX: y\r\n\r\n"]))
    head = b"HTTP/1.%d %d Said\r\n" % (draw(st.integers(0, 1)), status) + b"".join(line + b"\r\n" for line in lines)
    return method, interim + head + b"\r\n" + (b"" if method == "HEAD" else body)


@given(answers())
@settings(max_examples=150)
def test_answers_are_read_as_aiohttp_reads_them(said) -> None:
    method, data = said
    ours, other = run(lambda: both(data, method))
    assert ours == other
