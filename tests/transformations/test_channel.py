"""The pool's end of a worker's channel, with whatever may come from the other end."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from transformations.sandbox import wire
from transformations.sandbox.parent import Lost, Worker, Zygote

REPLY = wire.frame(wire.DONE, b"made")


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[tuple[Worker, socket.socket]]:
    """A worker of a process that ended with status 0, and the socket that was its own."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    worker = Worker(Zygote(frozenset()), ours, 0, exited)
    yield worker, theirs
    exited.cancel()
    worker.close()
    theirs.close()


async def said(worker: Worker, theirs: socket.socket, *pieces: bytes) -> bytes:
    """The answer to a question, where the other end says these pieces one after the other."""
    asking = asyncio.create_task(worker.exchange(b"question", 5.0))
    assert await asyncio.get_running_loop().sock_recv(theirs, 100) == b"question"
    for piece in pieces:
        await asyncio.get_running_loop().sock_sendall(theirs, piece)
        await asyncio.sleep(0)
    return await asking


@pytest.mark.parametrize("size", [1, 5, 300_000, 3_000_000])
@pytest.mark.parametrize("cut", [1, 3, 4, 5, 100_000])
async def test_an_answer_arrives_whole_however_it_is_cut(
    ends: tuple[Worker, socket.socket], size: int, cut: int
) -> None:
    worker, theirs = ends
    payload = bytes((wire.DONE,)) + b"x" * (size - 1)
    whole = struct.pack("<I", size) + payload
    for _ in range(2):
        assert await said(worker, theirs, whole[:cut], whole[cut:]) == payload
    assert worker.alive


@pytest.mark.parametrize(("spoken", "why"), [
    (struct.pack("<I", 0), "answered with 0 bytes"),
    (struct.pack("<I", wire.MAX_REPLY + 1), "answered with"),
    (REPLY + b"x", "said more than it was asked"),
    (REPLY + REPLY, "said more than it was asked"),
])
async def test_what_no_honest_worker_says_ends_it(ends: tuple[Worker, socket.socket], spoken: bytes, why: str) -> None:
    worker, theirs = ends
    with pytest.raises(Lost, match=why):
        await said(worker, theirs, spoken)
    assert not worker.alive
    with pytest.raises(Lost, match="has ended"):
        await worker.exchange(b"question", 5.0)


@pytest.mark.parametrize("unasked", [REPLY, b""])
async def test_a_worker_that_speaks_or_ends_unasked_is_not_asked_again(
    ends: tuple[Worker, socket.socket], unasked: bytes
) -> None:
    worker, theirs = ends
    assert await said(worker, theirs, REPLY) == REPLY[4:]
    await unasked_for(worker, theirs, unasked)
    worker._exited.set_result(0)
    with pytest.raises(Lost, match="said more" if unasked else "ended its worker"):
        await worker.exchange(b"question", 5.0)


async def unasked_for(worker: Worker, theirs: socket.socket, said: bytes) -> None:
    """The other end says something, or hangs up, and the worker has seen it."""
    if said:
        theirs.send(said)
    else:
        theirs.shutdown(socket.SHUT_WR)
    async with asyncio.timeout(60):
        while worker.alive:
            await asyncio.sleep(0)


@pytest.mark.parametrize(("said", "status", "outside", "memory"), [
    (b"", signal.SIGKILL, True, False),  # the kernel was short of memory: no fault of the script
    (b"", wire.EXIT_MEMORY << 8, False, True),
    (REPLY, signal.SIGKILL, False, False),  # that is our own signal
])
async def test_what_becomes_of_a_worker_while_it_is_told_something_has_its_own_cause(
    ends: tuple[Worker, socket.socket], said: bytes, status: int, outside: bool, memory: bool
) -> None:
    worker, theirs = ends

    async def told(_: bytes) -> bytes:
        await unasked_for(worker, theirs, said)
        worker._exited.set_result(status)
        return b"rain"

    asking = asyncio.create_task(worker.exchange(b"question", 5.0, told))
    await asyncio.get_running_loop().sock_recv(theirs, 100)
    theirs.send(wire.frame(wire.ASK, b"weather"))
    with pytest.raises(Lost) as caught:
        await asking
    assert (caught.value.outside, caught.value.memory) == (outside, memory)


@pytest.mark.parametrize("request_", [b"question", b"x" * 50_000_000])
async def test_an_end_that_neither_reads_nor_answers_is_given_up_in_time(
    ends: tuple[Worker, socket.socket], request_: bytes
) -> None:
    worker, _ = ends
    with pytest.raises(Lost, match="before the deadline") as caught:
        await worker.exchange(request_, 0.05)
    assert caught.value.timeout
    assert not worker.alive


async def test_what_a_worker_asks_costs_it_no_time(ends: tuple[Worker, socket.socket]) -> None:
    worker, theirs = ends
    loop = asyncio.get_running_loop()
    reached = asyncio.Event()

    async def told(payload: bytes) -> bytes:
        assert payload == bytes((wire.ASK,)) + b"weather"
        loop.call_later(1.2, reached.set)  # longer than the worker has in all
        await reached.wait()
        return b"rain"

    asking = asyncio.create_task(worker.exchange(b"question", 1.0, told))
    await loop.sock_recv(theirs, 100)
    theirs.send(wire.frame(wire.ASK, b"weather"))
    assert await loop.sock_recv(theirs, 100) == wire.frame(wire.TELL, b"rain")
    theirs.send(REPLY)
    assert await asking == REPLY[4:]
