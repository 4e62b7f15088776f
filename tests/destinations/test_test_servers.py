"""The recorder and the misbehaving server do what tests rely on."""

from __future__ import annotations

import asyncio
import gc
import socket

import pytest

from dataplane.deliver.http import Sender
from turnout import Json, Request
from turnout.testing import Chaos, Recorder


@pytest.fixture
async def sender():
    made = Sender(allow_private=True)
    yield made
    await made.close()


async def test_the_recorder_answers_as_told(sender, recorder) -> None:
    recorder.answer(503, "busy", Retry_After="1")
    recorder.answer(201)
    recorder.decide(lambda came: (202 if came.json() == 3 else 404, came.path.encode()))
    found = [await sender.send(Request("POST", recorder.url + "x", Json(i)), 5) for i in range(1, 5)]
    assert [r.status for r in found] == [503, 201, 202, 404]
    assert found[3].body == b"/x"
    assert [came.json() for came in recorder.wait(4)] == [1, 2, 3, 4]
    recorder.always(500)
    recorder.clear()
    assert (await sender.send(Request("GET", recorder.url), 5)).status == 500
    with pytest.raises(TimeoutError, match="1 of 2 requests"):
        recorder.wait(2, timeout=0.01)


async def test_the_recorder_serves_many_at_once(sender, recorder) -> None:
    await asyncio.gather(*(sender.send(Request("POST", recorder.url, Json(i)), 5) for i in range(50)))
    assert sorted(came.json() for came in recorder.received) == list(range(50))


def test_a_taken_port_is_said(recorder) -> None:
    with pytest.raises(OSError, match="in use"):
        Recorder(port=recorder.port).start()


async def test_chaos_by_chance_is_the_same_run_after_run(sender) -> None:
    found = []
    for _ in range(2):
        with Chaos(seed=3) as chaos:
            chaos.mix({"error": 0.3, "throttle": 0.2, "close": 0.1})
            found.append([(await sender.send(Request("POST", chaos.url, Json(i)), 5)).status for i in range(40)])
            assert sum(chaos.seen.values()) == 40
            assert len(chaos.accepted) == chaos.seen["ok"] == found[-1].count(200)
    assert found[0] == found[1]
    assert {0, 200, 429, 503} == set(found[0])
    with pytest.raises(ValueError, match="more than 1"):
        Chaos().mix({"error": 0.7, "hang": 0.7})


def test_stopping_ends_what_hangs(chaos) -> None:
    async def hang() -> None:
        reader, writer = await asyncio.open_connection(chaos.host, chaos.port)
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        while not chaos.seen["hang"]:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(chaos.stop)
        assert await reader.read() == b""
        writer.close()

    chaos.mode = "hang"
    asyncio.run(hang())
    chaos.start()  # the fixture stops it again


@pytest.mark.parametrize("kind", [Recorder, Chaos])
def test_a_server_that_stops_leaves_no_connection_open(kind) -> None:
    """Neither one that it was about to take, nor one whose client does not read: both would outlive its loop."""
    gc.disable()  # which would close them by and by
    try:
        for _ in range(20):
            with kind() as server:
                made = [socket.create_connection((server.host, server.port), 5) for _ in range(8)]
            for connection in made:
                _ended(connection)
    finally:
        gc.enable()


def test_chaos_stops_beside_a_client_that_does_not_read(chaos) -> None:
    chaos.mode = "huge"
    made = socket.create_connection((chaos.host, chaos.port), 5)
    made.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    while not chaos.accepted:
        pass
    chaos.stop()
    _ended(made)
    chaos.start()


def _ended(connection: socket.socket) -> None:
    """Read to the end, which comes at once; TimeoutError where the other side left it open."""
    with connection:
        try:
            while connection.recv(65536):
                pass
        except ConnectionError:
            pass
