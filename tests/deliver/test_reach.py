"""What scripts reach: hosts on their list, public addresses, within bounds; where addresses are."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from dataplane.deliver.guard import Blocked, GuardedResolver
from dataplane.deliver.lookups import Lookups
from dataplane.deliver.reach import CONCURRENT, MOST, Outside, located
from transformations.base import Answer, Question, Reaching, Script
from transformations.fetch import matches


class Api:
    """A real server on this machine: what it was asked, and answers by path."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.now = self.most = 0
        self.gate = asyncio.Event()

    async def start(self) -> str:
        app = web.Application(client_max_size=4 << 20)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port, self.other = (address[1] for address in self._runner.addresses)
        return f"http://127.0.0.1:{self.port}"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, dict(request.headers), await request.read()))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self._answer(request)
        finally:
            self.now -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path.startswith("/hop"):
            left = int(path.removeprefix("/hop"))
            return web.Response(status=307, headers={"Location": f"/hop{left - 1}" if left > 1 else "/end"})
        if path == "/away":
            return web.Response(status=302, headers={"Location": f"http://localhost:{self.port}/end"})
        if path == "/dotted":
            return web.Response(status=302, headers={"Location": f"http://Api.example:{self.port}/end"})
        if path == "/port":
            return web.Response(status=307, headers={"Location": f"http://127.0.0.1:{self.other}/end"})
        if path == "/elsewhere":
            return web.Response(status=302, headers={"Location": "http://other.example/"})
        if path == "/large":
            return web.Response(body=b"x" * (MOST + 1))
        if path == "/slow":
            await self.gate.wait()
        return web.json_response({"path": path, "count": len(self.asked)}, headers={"X-Mark": "1"})

    async def stop(self) -> None:
        self.gate.set()
        await self._runner.cleanup()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api()
    made.url = await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    made = Outside(allow_private=True)
    yield made
    await made.close()


def script(**reach: Any) -> Script:
    return Script("enrich", "", reach=Reaching(**{"hosts": ("127.0.0.1",), **reach}))


async def fetch(outside: Outside, one: Script, *args: Any) -> Answer:
    (answer,) = await outside(one, [Question("fetch", args)])
    return answer


@pytest.mark.parametrize(
    ("host", "good"),
    [("api.example.com", True), ("x.cdn.example", True), ("cdn.example", False), ("example.com", False),
     ("evil-api.example.com", False), ("api.example.com.evil.net", False), ("xcdn.example", False)],
)  # fmt: skip
def test_hosts_and_names_below(host: str, good: bool) -> None:
    assert matches(host, ("api.example.com", "*.cdn.example")) is good


async def test_an_answer_is_handed_over_whole(api: Any, outside: Outside) -> None:
    answer = await fetch(outside, script(), f"{api.url}/a", {"method": "POST", "headers": {"A": "b"}, "body": {"k": 1}})
    assert answer.error is None
    assert (answer.value["status"], answer.value["url"]) == (200, f"{api.url}/a")
    assert answer.value["headers"]["x-mark"] == "1"
    assert answer.value["body"] == '{"path": "/a", "count": 1}'
    method, _, headers, body = api.asked[0]
    assert (method, headers["A"], body) == ("POST", "b", b'{"k":1}')
    assert headers["User-Agent"].startswith("Turnout/")


async def test_only_hosts_on_the_list_are_reached_at_every_hop(api: Any, outside: Outside) -> None:
    said = "other.example is not among the hosts that enrich may fetch from"
    assert await fetch(outside, script(), "http://other.example/") == Answer(error=said)
    assert await fetch(outside, script(), f"{api.url}/elsewhere") == Answer(error=said)
    assert (await fetch(outside, script(hosts=()), f"{api.url}/a")).error is not None
    assert [path for _, path, _, _ in api.asked] == ["/elsewhere"]


@pytest.mark.parametrize("url", ["http://API.example:{}/a", "http://api.example.:{}/a", "http://api.example.:{}/dotted"])
async def test_a_host_is_the_same_however_it_is_written(
    api: Any, outside: Outside, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """On the list, and for credentials that follow a redirect."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", api.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: found if host.startswith("api.example") else [])
    one = script(hosts=("api.example",))
    answer = await fetch(outside, one, url.format(api.port), {"headers": {"Authorization": "secret-value"}})
    assert (answer.error, answer.value["status"]) == (None, 200)
    assert api.asked[-1][2]["Authorization"] == "secret-value"


async def test_at_most_three_redirects_and_credentials_stay_with_their_host(api: Any, outside: Outside) -> None:
    assert (await fetch(outside, script(), f"{api.url}/hop3")).value["url"] == f"{api.url}/end"
    assert (await fetch(outside, script(), f"{api.url}/hop4")).error == "more than 3 redirects"
    both = script(hosts=("127.0.0.1", "localhost"))
    options = {"method": "POST", "headers": {"Authorization": "secret-value", "X-Kept": "1"}, "body": "b"}
    assert (await fetch(outside, both, f"{api.url}/away", options)).value["status"] == 200
    method, path, headers, body = api.asked[-1]
    assert (method, path, body, headers["X-Kept"]) == ("GET", "/end", b"", "1")
    assert "Authorization" not in headers


async def test_private_addresses_are_refused_on_connect(api: Any) -> None:
    outside = Outside()
    try:
        for host in ("127.0.0.1", "localhost"):
            answer = await fetch(outside, script(hosts=(host,)), f"http://{host}:{api.port}/a")
            assert answer == Answer(error=f"blocked request to non-public address: {host}")
    finally:
        await outside.close()
    assert api.asked == []


async def test_size_and_time_are_bounded(api: Any, outside: Outside) -> None:
    assert (await fetch(outside, script(), f"{api.url}/large")).error == "the answer is larger than 1,048,576 bytes"
    assert (await fetch(outside, script(timeout=0.05), f"{api.url}/slow")).error == "no answer within 0.05 s"
    unused = await fetch(outside, script(), "http://127.0.0.1:1/")
    assert unused.error == "127.0.0.1: cannot connect"


async def test_no_more_than_so_many_at_a_time(api: Any, outside: Outside) -> None:
    asking = asyncio.ensure_future(outside(script(), [Question("fetch", (f"{api.url}/slow",))] * (CONCURRENT * 2)))
    while api.now < CONCURRENT:
        await asyncio.sleep(0.01)
    api.gate.set()
    assert all(answer.error is None for answer in await asking)
    assert api.most == CONCURRENT


async def test_answers_to_get_are_kept_as_long_as_the_config_says(api: Any, outside: Outside) -> None:
    keeping = script(cache=60.0)
    counts = [(await fetch(outside, keeping, f"{api.url}/a")).value["body"] for _ in range(3)]
    assert len(set(counts)) == 1
    await fetch(outside, keeping, f"{api.url}/a", {"headers": {"A": "other"}})
    await fetch(outside, keeping, f"{api.url}/a", {"method": "POST"})
    await fetch(outside, script(), f"{api.url}/a")
    assert len(api.asked) == 4
    samples = {(name, *labels): n for name, labels, n in outside.stats()}
    assert samples["turnout_transform_fetches_total", "enrich", "cached"] == 2
    assert samples["turnout_transform_fetches_total", "enrich", "answered"] == 4


async def test_geolocation_reads_a_maxmind_file_and_follows_a_new_one(tmp_path: Path) -> None:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-City")
    writer.insert_network(IPSet(["203.0.113.0/24"]), {
        "country": {"iso_code": "NZ"}, "city": {"names": {"en": "Nelson"}}, "postal": {"code": "7010"},
        "subdivisions": [{"iso_code": "NSN"}],
        "location": {"latitude": -41.25, "longitude": 173.25, "time_zone": "Pacific/Auckland"},
    })  # fmt: skip
    path = tmp_path / "city.mmdb"
    writer.to_db_file(str(path))
    outside = Outside()
    try:
        (answer,) = await outside(script(), [Question("geolocation", ("203.0.113.9",))])
        assert answer == Answer(error="geolocation is not available right now")
        outside.follow(Outside(database=path))
        known, unknown, wrong = await outside(
            script(), [Question("geolocation", (given,)) for given in ("203.0.113.9", "198.51.100.1", "there")]
        )
    finally:
        await outside.close()
    assert known.value == {
        "ip": "203.0.113.9", "city": "Nelson", "country": "NZ", "region": "NSN", "postal": "7010",
        "timezone": "Pacific/Auckland", "location": "-41.25,173.25",
    }  # fmt: skip
    assert (unknown.value, wrong.error) == ({"ip": "198.51.100.1"}, "invalid ip address")
    assert located("1.2.3.4", ["odd"]) == {"ip": "1.2.3.4"}
    (tmp_path / "broken.mmdb").write_text("no")
    broken = Outside(database=tmp_path / "broken.mmdb")
    assert "broken.mmdb cannot be read" in broken.missing
    (answer,) = await broken(script(), [Question("geolocation", ("203.0.113.9",))])
    assert answer == Answer(error="geolocation is not available right now")


async def test_a_file_of_ipv4_knows_no_ipv6(tmp_path: Path) -> None:
    MMDBWriter(4, "GeoLite2-City").to_db_file(str(tmp_path / "city.mmdb"))
    made = Outside(database=tmp_path / "city.mmdb")
    (answer,) = await made(script(), [Question("geolocation", ("2001:db8::1",))])
    await made.close()
    assert answer == Answer(error="geolocation is not available right now")


async def test_a_host_header_does_not_reach_another_host_behind_the_same_front(api: Any, outside: Outside) -> None:
    await fetch(outside, script(), f"{api.url}/a", {"headers": {"Host": "internal.example", "X-Mark": "1"}})
    headers = api.asked[0][2]
    assert (headers["Host"], headers["X-Mark"]) == (f"127.0.0.1:{api.port}", "1")


@pytest.mark.parametrize("url", ["http://127。0.0.1:{}/", "http://①②⑦.0.0.1:{}/", "http://127.0.0.1:{}\\@a.example/"])
async def test_a_host_is_held_to_the_list_as_it_is_connected_to(api: Any, outside: Outside, url: str) -> None:
    address = url.format(api.port)
    one = script(hosts=("127.0.0.1", "127。0.0.1", "①②⑦.0.0.1", "a.example"))
    assert (await fetch(outside, one, address)).error is not None
    assert api.asked == []


async def test_the_cache_counts_headers_and_tells_bodies_apart(api: Any, outside: Outside) -> None:
    one = script(cache=60.0)
    for n in range(3):
        await fetch(outside, one, f"{api.url}/a?{'x' * 5000}", {"body": str(n % 2)})
    assert len(api.asked) == 2
    assert outside._cached > 10_000
    assert all(len(key) == 32 for key in outside._cache)


async def test_an_address_with_a_scope_is_looked_up_without_it(tmp_path: Path) -> None:
    writer = MMDBWriter(6, "GeoLite2-City", ipv4_compatible=True)
    writer.insert_network(IPSet(["2.0.0.0/8"]), {"country": {"iso_code": "NZ"}})
    writer.to_db_file(str(tmp_path / "city.mmdb"))
    made = Outside(database=tmp_path / "city.mmdb")
    (answer,) = await made(script(), [Question("geolocation", ("fe80::1%eth0",))])
    await made.close()
    assert answer == Answer({"ip": "fe80::1"})


async def test_credentials_do_not_follow_to_another_port(api: Any, outside: Outside) -> None:
    options = {"headers": {"Authorization": "secret-value", "Cookie": "a=b", "X-Kept": "1"}}
    for path, kept in (("/hop1", True), ("/port", False)):
        assert (await fetch(outside, script(), f"{api.url}{path}", options)).value["status"] == 200
        _, at, headers, _ = api.asked[-1]
        assert (at, headers["X-Kept"]) == ("/end", "1")
        assert ("Authorization" in headers, "Cookie" in headers) == (kept, kept)


async def test_headers_that_are_no_text_are_told_as_text(outside: Outside) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX-City: Z\xfcrich\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        found = await fetch(outside, script(), f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert found.value["headers"]["x-city"] == "Z\ufffdrich"
    assert json.dumps(found.value, ensure_ascii=False).encode()


async def test_scripts_share_no_connection(outside: Outside) -> None:
    """What one script, or the server for it, left on a connection would be the answer to another's request."""
    seen: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer)
        number = len(seen)
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    other = Script("other", "", reach=script().reach)
    async with server:
        answers = [await fetch(outside, one, url) for one in (script(), other, script(), other)]
        await outside.close()
    assert [one.value["body"] for one in answers] == ["1", "2", "1", "2"]


async def test_names_that_are_slow_to_resolve_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: gate.wait(30) and [])
    outside = Outside()
    slow = [Script(f"slow{n}", "", reach=Reaching(("*.slow.example",), timeout=0.05)) for n in range(4)]
    try:
        asked = [Question("fetch", (f"http://{n}.slow.example/",)) for n in range(CONCURRENT)]
        for answers in await asyncio.gather(*(outside(one, asked) for one in slow)):
            assert {one.error for one in answers} == {"no answer within 0.05 s"}
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "at once"), 10) == "at once"
    finally:
        gate.set()
        await outside.close()


@pytest.mark.parametrize("guarded", [False, True])
async def test_names_are_looked_up_and_judged(guarded: bool) -> None:
    lookups = Lookups(1)
    resolver = GuardedResolver(lookups) if guarded else lookups
    try:
        if guarded:
            with pytest.raises(Blocked):
                await resolver.resolve("localhost", 80, socket.AF_INET)
        else:
            (found,) = await resolver.resolve("localhost", 80, socket.AF_INET)
            assert (found["hostname"], found["host"], found["port"]) == ("localhost", "127.0.0.1", 80)
        with pytest.raises(socket.gaierror):
            await resolver.resolve("no-such-name.invalid", 80)
    finally:
        await resolver.close()
