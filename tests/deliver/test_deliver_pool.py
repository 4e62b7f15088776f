"""Connections: kept, bounded, waited for in order, ended in time, checked as they are made, never leaked."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from raw_server import RawServer, asked, reset

from dataplane.deliver import pool, wire
from dataplane.deliver.http import Sender
from dataplane.deliver.lookups import Lookups
from turnout import Raw, Request, Response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TLS = Path(__file__).parents[1] / "destinations" / "tls"

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a test in either loop; what is left open, or goes wrong in a callback, is a failure."""
    faults: list[object] = []

    async def watched(work: Coroutine[Any, Any, None]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        await work

    def go(work: Coroutine[Any, Any, None]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            with asyncio.Runner(loop_factory=request.param) as runner:
                runner.run(watched(work))
            gc.collect()

    yield go
    assert not faults


def ask(url: str, method: str = "POST", body: bytes = b"x") -> Request:
    return Request(method, url, Raw(body))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every request of a connection with its body."""
    while True:
        _, body = await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()


def test_a_connection_is_kept_and_never_more_than_are_permitted(run) -> None:
    async def work() -> None:
        async with RawServer(echo) as server:
            sender = Sender(allow_private=True, connections=3)
            bodies = [b"%d" % n for n in range(60)]
            found = await asyncio.gather(*(sender.send(ask(server.url, body=body), 30) for body in bodies))
            assert [one.body for one in found] == bodies
            assert server.connections == 3
            await sender.close()

    run(work())


def test_who_waits_is_served_in_order_and_waits_no_longer_than_his_timeout(run) -> None:
    async def work() -> None:
        came: list[bytes] = []
        go = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                came.append((await asked(reader))[1])
                await go.wait()
                writer.write(OK)

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True, connections=1)
            sent = [asyncio.create_task(sender.send(ask(server.url, body=b"%d" % n), 30)) for n in range(6)]
            await asyncio.sleep(0)
            late = await sender.send(ask(server.url, body=b"late"), 0.05)
            assert late.error.endswith(": no answer within 0.05 s")
            sent[3].cancel()
            go.set()
            await asyncio.wait(sent)
            assert [one.result().status for one in sent if not one.cancelled()] == [200] * 5
            assert came == [b"0", b"1", b"2", b"4", b"5"]
            await sender.close()

    run(work())


def test_a_turn_that_comes_as_its_owner_is_cancelled_passes_on(run) -> None:
    async def work() -> None:
        async with RawServer(echo) as server:
            sender = Sender(allow_private=True, connections=1)

            async def first() -> None:
                assert (await sender.send(ask(server.url), 30)).status == 200
                second.cancel()  # whose turn it is, and who does not know it yet

            one = asyncio.create_task(first())
            second, third = (asyncio.create_task(sender.send(ask(server.url), 30)) for _ in range(2))
            await one
            assert (await third).status == 200
            assert second.cancelled()
            assert (await sender.send(ask(server.url), 30)).status == 200
            await sender.close()

    run(work())


def test_a_connection_that_is_to_be_closed_is_closed_by_us_too(run) -> None:
    async def work() -> None:
        left = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asked(reader)
            writer.write(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            assert await reader.read() == b""
            left.set()

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True)
            assert (await sender.send(ask(server.url), 30)).status == 200
            assert not any(sender._pool._idle.values())
            await asyncio.wait_for(left.wait(), 30)
            await sender.close()

    run(work())


def test_a_cancelled_request_leaves_no_half_used_connection(run) -> None:
    async def work() -> None:
        begun, seen = asyncio.Event(), []

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                _, body = await asked(reader)
                seen.append(body)
                if body == b"slow":
                    writer.write(OK[:-1])
                    begun.set()
                    await asyncio.Event().wait()
                writer.write(OK)

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True, connections=1)
            assert (await sender.send(ask(server.url), 30)).status == 200
            task = asyncio.create_task(sender.send(ask(server.url, body=b"slow"), 30))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await sender.send(ask(server.url), 30)).body == b"ok"
            assert server.connections == 2
            await sender.close()

    run(work())


def test_a_timeout_in_a_body_keeps_the_status(run) -> None:
    async def work() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asked(reader)
            writer.write(OK[:-1])
            await asyncio.Event().wait()

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True)
            found = await sender.send(ask(server.url), 2.0)  # enough for its head to come, on a busy machine too
            assert (found.status, found.body, found.error, found.cut) == (200, b"o", wire.BROKE_OFF, True)
            await sender.close()

    run(work())


def test_slow_drip_ends_with_the_timeout(run) -> None:
    async def work() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asked(reader)
            while True:
                writer.write(b"HTTP/1.1 100 C\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True)
            found = await sender.send(ask(server.url), 0.2)
            assert (found.status, found.error[-24:]) == (0, ": no answer within 0.2 s")
            await sender.close()

    run(work())


def test_a_connection_idles_only_so_long(run, monkeypatch) -> None:
    monkeypatch.setattr(pool, "KEEPALIVE", 0.05)

    async def work() -> None:
        left = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError):
                await echo(reader, writer)
            left.set()

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True)
            assert (await sender.send(ask(server.url), 30)).status == 200
            await asyncio.wait_for(left.wait(), 30)
            assert (await sender.send(ask(server.url), 30)).status == 200
            assert server.connections == 2
            await sender.close()

    run(work())


@pytest.mark.parametrize("last", [b"", b"HTTP/1.1 408 Timeout\r\nConnection: close\r\n\r\n", b"junk"])
def test_a_connection_the_server_closes_or_talks_on_is_not_used_again(run, last) -> None:
    async def work() -> None:
        go, seen = asyncio.Event(), []

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await asked(reader))
            writer.write(OK)
            await go.wait()
            writer.write(last)

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True)
            for _ in range(3):
                go.clear()
                assert (await sender.send(ask(server.url), 30)).body == b"ok"
                go.set()
                while server.open or sender._pool._open:
                    await asyncio.sleep(0)
            assert len(seen) == server.connections == 3
            await sender.close()

    run(work())


@pytest.mark.parametrize("rst", [False, True])
@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("PATCH", 1), ("PUT", 2), ("GET", 2), ("DELETE", 2)])
def test_what_meets_a_closing_server_is_sent_again_only_where_twice_means_once(run, method, times, rst) -> None:
    async def work() -> None:
        seen: list[bytes] = []

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asked(reader)
            writer.write(OK)
            head, _ = await asked(reader)
            seen.append(head)
            if rst:
                reset(writer)

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True)
            assert (await sender.send(ask(server.url), 30)).status == 200
            found = await sender.send(ask(server.url, method), 30)
            assert found.status == (200 if times == 2 else 0)
            assert bool(found.error) == (times == 1)
            assert not found.permanent
            assert (len(seen), server.connections) == (1, times)
            await sender.close()

    run(work())


def test_a_new_connection_that_is_closed_is_not_tried_again(run) -> None:
    async def work() -> None:
        async with RawServer.saying(b"") as server:
            sender = Sender(allow_private=True)
            found = await sender.send(ask(server.url, "GET"), 30)
            assert found.error == f"127.0.0.1:{server.port}: {wire.CLOSED}"
            assert server.connections == 1
            await sender.close()

    run(work())


def test_half_an_answer_is_not_sent_for_again(run) -> None:
    async def work() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asked(reader)
            writer.write(OK)
            await asked(reader)
            writer.write(OK[:9])

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True)
            assert (await sender.send(ask(server.url), 30)).status == 200
            assert (await sender.send(ask(server.url, "GET"), 30)).status == 0
            assert server.connections == 1
            await sender.close()

    run(work())


def test_a_body_is_written_no_faster_than_it_is_read(run) -> None:
    async def work() -> None:
        size, waits = 30_000_000, asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await waits.wait()
            _, body = await asked(reader)
            writer.write(OK if body == bytes(size) else b"")
            await asyncio.Event().wait()

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True)
            sent = asyncio.create_task(sender.send(ask(server.url, body=bytes(size)), 60))
            while not (sender._pool and any(one._paused for one in sender._pool._open)):
                await asyncio.sleep(0)
            (connection,) = sender._pool._open
            assert connection._transport.get_write_buffer_size() < 2 * wire.PIECE
            waits.set()
            assert (await sent).body == b"ok"
            assert connection.usable
            await sender.close()

    run(work())


@pytest.mark.parametrize("closes", [False, True])
def test_an_answer_before_the_request_is_written_counts_and_costs_the_connection(run, closes) -> None:
    async def work() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
            await writer.drain()
            if not closes:
                await asyncio.Event().wait()
            writer.write_eof()
            while await reader.read(65536):
                pass

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True, connections=1)
            for _ in range(2):
                found = await sender.send(ask(server.url, body=bytes(30_000_000)), 60)
                assert (found.status, found.body, found.error) == (413, b"no", "")
            assert server.connections == 2
            await sender.close()

    run(work())


def test_a_server_that_does_not_read_runs_into_the_timeout(run) -> None:
    async def work() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.Event().wait()

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True, connections=1)
            found = await sender.send(ask(server.url, body=bytes(30_000_000)), 0.3)
            assert found.error.endswith("no answer within 0.3 s")
            await sender.close()

    run(work())


def test_closing_fails_what_is_in_flight_waits_or_connects(run) -> None:
    async def work() -> None:
        begun = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asked(reader)
            begun.set()
            await asyncio.Event().wait()

        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            fillers = []
            for _ in range(8):  # the queue is full then: connecting takes forever
                filler = socket.socket()
                filler.setblocking(False)
                with suppress(BlockingIOError):
                    filler.connect(deaf.getsockname())
                fillers.append(filler)
            async with RawServer(handler) as server:
                sender = Sender(allow_private=True, connections=2)
                other = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
                urls = (server.url, other, server.url)
                sent = [asyncio.create_task(sender.send(ask(url, "GET"), 60)) for url in urls]
                await begun.wait()
                await sender.close()
                for one in await asyncio.gather(*sent):
                    assert (one.status, one.permanent) == (0, False)
                    assert one.error.endswith(f": {wire.CLOSED}")
            for filler in fillers:
                filler.close()

    run(work())


@pytest.mark.parametrize("tls", [False, True])
def test_no_connection_that_is_being_opened_outlives_the_close(run, tls) -> None:
    """However far it has come: each step of the loop is another moment of it."""
    served, trusting = contexts()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def work(steps: int) -> None:
        async with RawServer(handler, tls=served if tls else None) as server:
            sender = Sender(allow_private=True, tls=trusting)
            url = server.url.replace("127.0.0.1", "localhost") if tls else server.url
            sent = [asyncio.create_task(sender.send(ask(url), 600)) for _ in range(3)]
            for _ in range(steps):
                await asyncio.sleep(0)
            await sender.close()
            _, open_yet = await asyncio.wait(sent, timeout=30)
            assert not open_yet, f"closed after {steps} steps"
            for one in sent:
                assert (one.result().status, one.result().permanent) == (0, False)
            await left(server)

    for steps in range(30):
        run(work(steps))


async def left(server: RawServer) -> None:
    """Wait until a server's last connection is gone."""
    async with asyncio.timeout(30):
        while server.open:
            await asyncio.sleep(0)


def test_nothing_is_sent_after_the_close(run) -> None:
    async def work() -> None:
        async with RawServer(echo) as server:
            for used in (True, False):
                sender = Sender(allow_private=True)
                if used:
                    assert (await sender.send(ask(server.url), 30)).status == 200
                await sender.close()
                for _ in range(2):
                    assert await sender.send(ask(server.url), 30) == Response(0, error="not sent: closing")
                await sender.close()
            await left(server)
            assert server.connections == 1

    run(work())


def test_idle_connections_make_room_for_another_host(run) -> None:
    async def work() -> None:
        async with RawServer(echo) as one, RawServer(echo) as two:
            sender = Sender(allow_private=True, connections=2)
            await asyncio.gather(*(sender.send(ask(one.url), 30) for _ in range(2)))
            for _ in range(2):
                assert (await sender.send(ask(two.url), 30)).status == 200
                assert (await sender.send(ask(one.url), 30)).status == 200
                while one.open + two.open > 2:
                    await asyncio.sleep(0)
            assert (one.connections, two.connections) == (2, 1)
            await sender.close()

    run(work())


# ---- where to


class Names:
    """A resolver that is told where names are, and counts who asks."""

    def __init__(self, *found: str) -> None:
        self.found, self.asked = list(found), 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[dict[str, Any]]:
        self.asked += 1
        await asyncio.sleep(0)
        rest = {"hostname": host, "port": port, "family": 0, "proto": 0, "flags": 0}
        return [{**rest, "host": one} for one in self.found]

    async def close(self) -> None:
        """Nothing is open."""


def named(monkeypatch: pytest.MonkeyPatch, *found: str) -> Names:
    names = Names(*found)
    monkeypatch.setattr(Lookups, "resolve", lambda _, *asked: names.resolve(*asked))
    return names


def test_the_next_address_is_tried_and_a_name_is_looked_up_once(run, monkeypatch) -> None:
    names = named(monkeypatch, "127.0.0.2", "::1", "127.0.0.1")

    async def work() -> None:
        async with RawServer(echo) as server:
            sender = Sender(allow_private=True, connections=4)
            url = f"http://tool.example:{server.port}/"
            found = await asyncio.gather(*(sender.send(ask(url), 30) for _ in range(4)))
            assert [one.status for one in found] == [200] * 4
            await sender.close()
        assert names.asked == 1

    run(work())


def test_a_name_is_looked_up_again_after_a_while_and_after_a_failure(run, monkeypatch) -> None:
    names = named(monkeypatch)

    async def work() -> None:
        async with RawServer.saying(b"HTTP/1.0 200 OK\r\n\r\nok") as server:
            sender = Sender(allow_private=True)
            url = f"http://tool.example:{server.port}/"
            assert (await sender.send(ask(url), 30)).error == f"tool.example:{server.port}: the name does not resolve"
            names.found = ["127.0.0.1"]
            assert (await sender.send(ask(url), 30)).status == 200
            assert (await sender.send(ask(url), 30)).status == 200
            assert names.asked == 2
            await sender.close()
            monkeypatch.setattr(pool, "LOOKUP", -1.0)
            forgetful = Sender(allow_private=True)
            for _ in range(2):
                assert (await forgetful.send(ask(url), 30)).status == 200
            assert names.asked == 4
            await forgetful.close()

    run(work())


def test_names_that_hang_hold_up_no_other_destination(run, monkeypatch) -> None:
    gate, real = threading.Event(), socket.getaddrinfo

    def resolve(host: str, *asked: Any, **named: Any) -> Any:
        return gate.wait(60) and [] if host.endswith(".example") else real(host, *asked, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    async def work() -> None:
        async with RawServer(echo) as server:
            hanging = [Sender(allow_private=True) for _ in range(40)]  # more than anybody has threads
            other = Sender(allow_private=True)
            try:
                asked = [
                    asyncio.create_task(one.send(ask(f"http://{n}.example:{server.port}/"), 0.05))
                    for one in hanging for n in range(2)
                ]
                for found in await asyncio.gather(*asked):
                    assert found.error.endswith("no answer within 0.05 s")
                assert (await other.send(ask(f"http://localhost:{server.port}/"), 10)).status == 200
                assert await asyncio.wait_for(asyncio.to_thread(lambda: "at once"), 10) == "at once"
            finally:
                gate.set()
                for one in (*hanging, other):
                    await one.close()

    run(work())


def test_names_that_hang_are_so_many_and_no_more(run, monkeypatch) -> None:
    """Events of a trusted source may name hosts: ever different ones wait for their turn, after their request, too."""
    gate = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: gate.wait(60) and [])
    monkeypatch.setattr(pool, "NAMES", 3)

    async def work() -> None:
        sender = Sender(allow_private=True)
        try:
            found = [await sender.send(ask(f"http://{n}.example/"), 0.05) for n in (0, 1, 2, 0, 3)]
            assert [one.error.partition(": ")[2] for one in found] == [
                *["no answer within 0.05 s"] * 4, "too many names are being looked up",
            ]  # fmt: skip
        finally:
            gate.set()
            await sender.close()

    run(work())


@pytest.mark.parametrize("found", [["127.0.0.1"], ["::1", "127.0.0.1"], ["10.0.0.1", "::ffff:127.0.0.1"]])
def test_a_name_that_points_inside_is_refused(run, monkeypatch, found) -> None:
    named(monkeypatch, *found)

    async def work() -> None:
        async with RawServer(echo) as server:
            sender = Sender()
            for _ in range(2):
                answer = await sender.send(ask(f"http://tool.example:{server.port}/"), 30)
                assert answer.permanent
                assert answer.error.endswith("a private address; egress.allow_private permits it")
            assert server.connections == 0
            await sender.close()

    run(work())


def test_ipv6(run) -> None:
    async def work() -> None:
        try:
            server = await RawServer(echo, host="::1").__aenter__()
        except OSError:
            pytest.skip("this machine has no IPv6")
        sender = Sender(allow_private=True)
        assert (await sender.send(ask(server.url), 30)).status == 200
        await sender.close()
        await server.__aexit__()

    run(work())


# ---- TLS


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's, and that of who trusts it."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(TLS / "localhost.certificate.pem", TLS / "localhost.key.pem")
    return served, ssl.create_default_context(cafile=str(TLS / "localhost.certificate.pem"))


def test_tls_is_kept_named_and_checked(run) -> None:
    served, trusting = contexts()
    names: list[str | None] = []
    served.sni_callback = lambda _, name, __: names.append(name)

    async def work() -> None:
        async with RawServer(echo, tls=served) as server:
            sender = Sender(allow_private=True, tls=trusting, connections=2)
            url = f"https://localhost:{server.port}/"
            large = bytes(3_000_000)
            for body in (b"x", large, b"y"):
                assert (await sender.send(ask(url, body=body), 30)).body == body[:65536]
            assert names == ["localhost"] * server.connections
            assert server.connections == 2  # the large answer costs one
            wrong = await sender.send(ask(f"https://127.0.0.2:{server.port}/"), 30)
            assert wrong.status == 0
            await sender.close()

    run(work())


@pytest.mark.parametrize(
    ("host", "reason"),
    [("localhost", "the TLS certificate is not trusted"), ("127.0.0.1", "the TLS certificate is not trusted")],
)
def test_who_is_not_trusted_gets_nothing(run, host, reason) -> None:
    served, trusting = contexts()

    async def work() -> None:
        seen: list[bytes] = []

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.read(1))

        async with RawServer(handler, tls=served) as server:
            # localhost by who does not know it, 127.0.0.1 by who knows localhost only
            sender = Sender(allow_private=True, tls=None if host == "localhost" else trusting)
            found = await sender.send(ask(f"https://{host}:{server.port}/"), 30)
            assert (found.status, found.permanent) == (0, False)
            assert found.error == f"{host}:{server.port}: {reason}"
            await sender.close()
            assert seen in ([], [b""])

    run(work())


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"])
def test_a_server_that_does_not_speak_tls(run, said) -> None:
    async def work() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(said)
            await writer.drain()
            writer.write_eof()
            await reader.read()

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True)
            found: Response = await sender.send(ask(f"https://127.0.0.1:{server.port}/"), 30)
            assert (found.status, found.permanent) == (0, False)
            assert ": TLS failed" in found.error or ": cannot connect: " in found.error
            await sender.close()

    run(work())


def test_a_handshake_that_hangs_ends_with_the_timeout(run) -> None:
    async def work() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.Event().wait()

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True)
            found = await sender.send(ask(f"https://127.0.0.1:{server.port}/"), 0.2)
            assert found.error.endswith(": no answer within 0.2 s")
            await sender.close()

    run(work())


def test_connecting_has_a_bound_of_its_own(run, monkeypatch) -> None:
    monkeypatch.setattr(pool, "CONNECT", 0.2)

    async def work() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.Event().wait()

        async with RawServer(handler) as server:
            sender = Sender(allow_private=True)
            found = await sender.send(ask(f"https://127.0.0.1:{server.port}/"), 60)
            assert found.error.endswith(": cannot connect within 0.2 s")
            await sender.close()

    run(work())
