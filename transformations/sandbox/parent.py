"""The pool's side of the sandbox: the zygote's process, and a handle for every worker.

Everything a worker sends is hostile: lengths are checked before memory is taken for them, and a reply
that does not fit its request costs the worker its life.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess  # starts our own interpreter with fixed arguments
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from transformations.sandbox import wire, zygote
from transformations.sandbox.limits import Layers
from turnout.errors import Unavailable

__all__ = ["Lost", "Told", "Worker", "Zygote"]

Told = Callable[[bytes], Awaitable[bytes]]
"""Gives the answer, JSON, to an ASK payload."""

START = 20.0
"""Seconds the zygote has to import everything."""
FORK = 5.0
"""Seconds the zygote has to answer."""
OUTSIDE = frozenset({1, 2, 9, 15})
"""Signals a script cannot send itself: SIGHUP, SIGINT, SIGKILL (also the kernel short of memory), SIGTERM."""
_BUFFER = 256 << 10


class Lost(Exception):
    """A worker died, was killed or sent garbage; `timeout` says that it was the deadline.

    `outside` says that someone else ended it (the kernel short of memory, an operator, the zygote's end).
    """

    def __init__(
        self, reason: str, *, timeout: bool = False, memory: bool = False, outside: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.timeout = timeout
        self.memory = memory
        self.outside = outside


class Zygote:
    """The process that forks workers; `on_exit` is told when it ends by itself."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._buffer = b""
        self._number = 0
        self._ready: asyncio.Future[int] | None = None
        self._spawning: dict[int, asyncio.Future[tuple[int, asyncio.Future[int]]]] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}

    @property
    def alive(self) -> bool:
        """Whether workers can be had."""
        return self._control is not None

    @property
    def pid(self) -> int:
        """Process id of the zygote; 0 before the start."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Start the process and wait until it listens; raises `Unavailable`."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        with theirs:
            # -S -P and a path of our own: no .pth files, no current directory, no user site. Without the
            # compiler of newer Pythons: it needs memory to execute, which a worker cannot have.
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603  # takes a millisecond; fixed arguments
                [sys.executable, "-S", "-P", "-m", "transformations.sandbox.zygote",
                 str(theirs.fileno()), *sorted(self.layers)],
                env={"PYTHONPATH": os.pathsep.join(_path()), "LC_ALL": "C.UTF-8", "PYTHON_JIT": "0"},
                cwd="/", pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )
        self._control, self._buffer = ours, b""
        self._ready = loop.create_future()
        loop.add_reader(ours, self._receive)
        try:
            await asyncio.wait_for(self._ready, START)
        except TimeoutError:
            self.close()
            raise Unavailable("the sandbox did not start in time") from None
        except Unavailable:
            error = await loop.run_in_executor(None, self._last_words)
            raise Unavailable(f"the sandbox did not start: {error}") from None

    def _last_words(self) -> str:
        process = self._process
        assert process is not None
        _, text = process.communicate(timeout=FORK)
        lines = text.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {process.returncode}"

    async def spawn(self, memory: int, *, probe: bool = False) -> Worker:
        """A locked worker with `memory` bytes of address space; raises `Unavailable`."""
        if self._control is None:
            raise Unavailable("the sandbox is not running")
        ours, theirs = socket.socketpair()
        _widen(ours)
        _widen(theirs)
        ours.setblocking(False)
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        future = self._spawning[number] = asyncio.get_running_loop().create_future()
        try:
            with theirs:
                record = zygote.RECORD.pack(zygote.PROBE if probe else zygote.SPAWN, number, memory)
                socket.send_fds(self._control, [record], [theirs.fileno()])
            pid, exited = await asyncio.wait_for(asyncio.shield(future), FORK)
        except (OSError, TimeoutError) as error:
            ours.close()
            raise Unavailable(f"the sandbox does not answer: {error}") from None
        except BaseException:
            # Cancelled meanwhile: the worker will see its socket closed and end.
            ours.close()
            raise
        return Worker(self, ours, pid, exited)

    def kill(self, pid: int) -> None:
        """End a worker at once; one that has ended already stays so."""
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(zygote.RECORD.pack(zygote.KILL, pid, 0))

    def _receive(self) -> None:
        control = self._control
        assert control is not None
        try:
            data = control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._buffer += data
        size = zygote.RECORD.size
        while len(self._buffer) >= size:
            record, self._buffer = self._buffer[:size], self._buffer[size:]
            self._told(*zygote.RECORD.unpack(record))

    def _told(self, op: int, number: int, value: int) -> None:
        if op == zygote.READY and self._ready is not None and not self._ready.done():
            self._ready.set_result(number)
        elif op == zygote.SPAWNED:
            # Handed over together: by the time the waiter runs, a short-lived worker has EXITED too.
            exited = self._exits[value] = asyncio.get_running_loop().create_future()
            future = self._spawning.pop(number, None)
            if future is not None and not future.done():
                future.set_result((value, exited))
        elif op == zygote.EXITED:
            ended = self._exits.pop(number, None)
            if ended is not None and not ended.done():
                ended.set_result(value)

    def close(self) -> None:
        """Hang up: the zygote and all workers end."""
        control, self._control = self._control, None
        if control is None:
            return
        asyncio.get_running_loop().remove_reader(control)
        control.close()
        error = Unavailable("the sandbox ended")
        waiting: list[asyncio.Future[Any]] = [*self._spawning.values()]
        if self._ready is not None:
            waiting.append(self._ready)
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waited is told; nobody need have
        for exited in self._exits.values():
            if not exited.done():
                exited.set_result(-1)
        self._spawning.clear()
        self._exits.clear()

    async def stop(self) -> None:
        """Hang up and wait for the end of the process."""
        self.close()
        process = self._process
        if process is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(None, process.wait, FORK)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


class Worker:
    """One worker, and the script it is loaded with (`key`).

    Its channel is watched from the first exchange until its end, which costs less than watching it anew each time.
    """

    def __init__(self, zygote_: Zygote, channel: socket.socket, pid: int, exited: asyncio.Future[int]) -> None:
        self._zygote = zygote_
        self._channel: socket.socket | None = channel
        self._exited = exited
        self.pid = pid
        self.key: object = None
        self._loop = asyncio.get_running_loop()
        self._watched = False
        self._waiting: asyncio.Future[bytes] | None = None  # whoever waits for an answer
        self._end: Exception | None = None  # what came while nobody waited for one
        self._buffer = bytearray(_BUFFER)
        self._have = 0

    @property
    def alive(self) -> bool:
        """Whether it can be asked something."""
        return self._channel is not None and not self._exited.done()

    def close(self) -> None:
        """Kill it and let go."""
        channel, self._channel = self._channel, None
        if channel is not None:
            if self._watched:
                self._loop.remove_reader(channel)
            channel.close()
            self._zygote.kill(self.pid)

    async def exchange(self, request: bytes, deadline: float, told: Told | None = None) -> bytes:
        """Send frames, read one payload; raises `Lost` (the worker is gone) after `deadline` seconds.

        What the worker asks meanwhile is answered by `told`, whose time does not count.
        """
        until = self._loop.time() + deadline
        try:
            payload = await self._exchange(request, until)
            while told is not None and payload[0] == wire.ASK:
                asked = self._loop.time()
                answer = wire.frame(wire.TELL, await told(payload))
                until += self._loop.time() - asked
                payload = await self._exchange(answer, until)
            return payload
        except TimeoutError:
            self.close()
            raise Lost("did not answer before the deadline and was killed", timeout=True) from None
        except OSError:
            raise await self._post_mortem() from None
        except BaseException:
            self.close()  # mid-frame: nothing more can be asked of it
            raise

    async def _exchange(self, request: bytes, until: float) -> bytes:
        channel = self._channel
        if channel is None:
            raise self._end or Lost("the worker has ended")
        waiting = self._waiting = self._loop.create_future()
        if not self._watched:
            self._watched = True
            self._loop.add_reader(channel, self._receive)
        timer = None
        try:
            if request:  # even nothing cannot be sent to a worker that answered and has ended: the probe
                await self._send(channel, request, until)
            timer = self._loop.call_at(until, _late, waiting)
            payload: bytes = await waiting
            return payload
        finally:
            self._waiting = None
            if timer is not None:
                timer.cancel()
            elif waiting.done():
                waiting.exception()  # why nothing could be sent is raised already

    async def _send(self, channel: socket.socket, request: bytes, until: float) -> None:
        try:
            sent = channel.send(request)
        except BlockingIOError:
            sent = 0
        if sent < len(request):
            async with asyncio.timeout_at(until):
                await self._loop.sock_sendall(channel, memoryview(request)[sent:])

    def _receive(self) -> None:
        """Take what has come; header and, mostly, all of the payload at once."""
        channel, waiting = self._channel, self._waiting
        assert channel is not None
        try:
            with memoryview(self._buffer) as view, view[self._have:] as room:
                count = channel.recv_into(room)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if waiting is None or waiting.done():
            self._end = Lost("said more than it was asked") if count else ConnectionResetError("the worker hung up")
            self.close()
            return
        try:
            payload = self._taken(count)
        except (Lost, OSError) as error:
            self._loop.remove_reader(channel)
            self._watched = False
            waiting.set_exception(error)
        else:
            if payload:
                waiting.set_result(payload)

    def _taken(self, count: int) -> bytes:
        """The payload, when all of it is there; raises OSError at the end, `Lost` for what no honest worker sends."""
        if not count:
            raise ConnectionResetError("the worker hung up")
        buffer = self._buffer
        self._have = have = self._have + count
        if have < wire.HEADER.size:
            return b""
        (length,) = wire.HEADER.unpack_from(buffer)
        if not 0 < length <= wire.MAX_REPLY:
            raise Lost(f"answered with {length} bytes")
        end = wire.HEADER.size + length
        if have < end:
            if have == len(buffer):  # grows as it arrives, so that a length alone costs no memory
                buffer += bytes(min(end - have, have))
            return b""
        if have > end:
            raise Lost("said more than it was asked")
        self._have = 0
        with memoryview(buffer) as view:
            payload = bytes(view[wire.HEADER.size:end])
        if len(buffer) > 4 * _BUFFER:
            self._buffer = bytearray(_BUFFER)
        return payload

    async def _post_mortem(self) -> Lost:
        self.close()
        try:
            status = await asyncio.wait_for(asyncio.shield(self._exited), FORK)
        except TimeoutError:
            status = -1
        return _cause(status)

    async def exit_status(self) -> int:
        """Wait status once it has ended; raises TimeoutError when it does not."""
        return await asyncio.wait_for(asyncio.shield(self._exited), FORK)


def _late(waiting: asyncio.Future[bytes]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())


def _cause(status: int) -> Lost:
    if status >= 0 and os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        return Lost(f"ended its worker (status {code})", memory=code == wire.EXIT_MEMORY)
    if status >= 0 and os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = {31: "asked the system for something forbidden", 11: "crashed the interpreter"}.get(number)
        return Lost(name or f"was killed by signal {number}", outside=number in OUTSIDE)
    return Lost("lost its worker", outside=True)


def _widen(channel: socket.socket) -> None:
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        channel.setsockopt(socket.SOL_SOCKET, option, 1 << 20)


def _path() -> list[str]:
    """Where the zygote may import from: where this process does, absolute, without the current folder."""
    here = str(Path(__file__).resolve().parent.parent.parent)
    return [here, *(entry for entry in sys.path if entry and entry != here and Path(entry).is_absolute())]


