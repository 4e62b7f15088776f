"""One role's process as the app sees it: started, asked, watched, started again."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from dataplane.app.control import Channel
from dataplane.app.fork import Forked
from dataplane.metrics.log import logger
from turnout.errors import TurnoutError, Unavailable

__all__ = ["Child"]

START = 60.0
"""Seconds a role may take to start: recovering a log reads at most one segment."""
LOOP = (5, 60.0)
"""So many deaths within so many seconds are a crash loop."""
BACKOFF = (0.1, 10.0)
"""Seconds before the first restart, doubled with each death, and at most."""

_log = logger()


class Child:
    """A role's process. `begin` brings a fresh process to work and is called after every start."""

    def __init__(
        self,
        name: str,
        begin: Callable[[Child], Awaitable[None]],
        inherit: tuple[int, ...],
        forked: Forked | None = None,
        answer: Callable[[Child, str, dict[str, Any]], Awaitable[Any]] | None = None,
    ) -> None:
        """`answer` is for what the role asks."""
        self.name = name
        self.state = "stopped"
        self.restarts = 0
        self.last_exit = ""
        self._begin = begin
        self._inherit = inherit
        self._deaths: deque[float] = deque(maxlen=LOOP[0])
        self._forked = forked
        self._answer = answer
        self._process: asyncio.subprocess.Process | Forked | None = None
        self._channel: Channel | None = None
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def running(self) -> bool:
        """True while it works and answers."""
        return self.state == "running"

    @property
    def looping(self) -> bool:
        """True while it dies again and again."""
        return len(self._deaths) == LOOP[0] and time.monotonic() - self._deaths[0] < LOOP[1]

    def describe(self) -> dict[str, Any]:
        """{pid, state, restarts, crash_loop, last_exit}."""
        return {
            "pid": self.pid, "state": self.state, "restarts": self.restarts,
            "crash_loop": self.looping, "last_exit": self.last_exit,
        }

    async def spawn(self) -> None:
        """Start the process; it imports its rooms while the app goes on."""
        self.state = "starting"
        ours = await self._start()
        ours.setblocking(False)
        answer = () if self._answer is None else (partial(self._answer, self),)
        self._channel = await Channel.over(ours, *answer)
        self._reading = asyncio.create_task(self._channel.serve())

    async def _start(self) -> socket.socket:
        """A process, the forked one first, and the channel to it."""
        forked, self._forked = self._forked, None
        if forked is not None:
            self._process = forked
            return forked.adopt(self._inherit)
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: a file beside config.yaml must never be imported in place of a module.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "dataplane.app.role", self.name,
                stdin=theirs.fileno(), pass_fds=self._inherit, start_new_session=True,
            )
        return ours

    async def begin(self) -> None:
        """Bring the spawned process to work, and watch over it from then on."""
        await self._begin(self)
        self.state = "running"
        self._watching = asyncio.create_task(self._watch())

    async def ask(
        self, verb: str, args: dict[str, Any] | None = None, *, timeout: float = 30.0, silence: float | None = None
    ) -> Any:
        """Ask the role; raises its error, or `Unavailable` naming it.

        With `silence` one that does not work yet, or says nothing at all for so many seconds, is not waited for.
        """
        if self._channel is None or (silence is not None and not self.running):
            how = f"the {self.name} process is {self.state}"
            raise Unavailable(f"{how}: try again in a moment, or see `turnout status`")
        try:
            return await self._channel.ask(verb, args, timeout=timeout, silence=silence)
        except Unavailable as error:
            which = f" (process {self.pid})" if silence is not None and self.pid is not None else ""
            raise Unavailable(f"{self.name}{which}: {error}") from None

    def kill(self) -> None:
        """End the process at once; unless it is being stopped, it is started again."""
        if self.pid is not None and self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def hurry(self) -> None:
        """Do not wait out the backoff: the cause may just have been mended."""
        self._hurry.set()

    def leave(self) -> None:
        """From now on its end is wanted."""
        self._stopping = True
        self.hurry()

    async def stop(self, deadline: float) -> None:
        """Close the channel, which ends the role; kill it when `deadline` seconds pass."""
        self.leave()
        self.state = "stopping"
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            try:
                async with asyncio.timeout(max(deadline, 0.0)):
                    await self._process.wait()
            except TimeoutError:
                self.kill()
                await self._process.wait()
        if self._reading is not None:
            self._reading.cancel()
        self.state = "stopped"

    async def _watch(self) -> None:
        while not self._stopping:
            assert self._process is not None
            code = await self._process.wait()
            if self._stopping:
                return
            self._died(code)
            await self._pause()
            if not self._stopping:
                await self._again()

    def _died(self, code: int) -> None:
        self.state = "restarting"
        self.last_exit = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self._deaths.append(time.monotonic())
        _log.error("role.died", child=self.name, exit=self.last_exit, crash_loop=self.looping)

    async def _pause(self) -> None:
        now = time.monotonic()
        recent = sum(1 for death in self._deaths if now - death < LOOP[1])
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(BACKOFF[0] * 2 ** (2 * (recent - 1)), BACKOFF[1])):
                await self._hurry.wait()

    async def _again(self) -> None:
        self.restarts += 1
        try:
            await self.spawn()
            await self._begin(self)
        except (TurnoutError, OSError) as error:
            # Its own messages are for people and hold no payload; the watch sees it end and counts it.
            _log.error("role.not_started", child=self.name, reason=str(error))
            self.kill()
            return
        self.state = "running"
        _log.info("role.restarted", child=self.name, restarts=self.restarts)


