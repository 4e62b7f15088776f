"""Users of a data plane that comes and goes: each sends its next event when the last one was acknowledged.

What is not answered with 200 is sent again with the same messageIds, as SDKs do.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from bench.load import answer_of, encode, post

__all__ = ["Users", "event"]

PATIENCE = 10.0
"""Seconds a user waits for an answer before it connects anew."""
AGAIN = 0.05
"""Seconds before a request that was not acknowledged is sent again."""

REFUSED = {"type": "track", "event": "Nobody"}
"""An event that the gateway refuses, and answers 200 for the others of its batch."""


def event(user: int, n: int) -> dict[str, Any]:
    """The `n`-th event of a user."""
    return {"type": "track", "event": "Step", "messageId": f"u{user}-{n}", "userId": f"u{user}",
            "properties": {"n": n}}  # fmt: skip


class Users:
    """`with Users(...) as users:` they send; `stop` lets each finish what it has begun.

    `where` gives the URL, again after every broken connection. Every third user sends batches of
    three events and a fourth that is refused, having no id; the others single ones. With `repeats` every
    seventh request is sent once more after its 200. `pause` is seconds between an answer and the next event.
    """

    def __init__(
        self, where: Callable[[], str], key: str, count: int, *, pause: float = 0.03, repeats: bool = True
    ) -> None:
        self.acknowledged: dict[int, int] = dict.fromkeys(range(count), 0)
        """Per user, how many events were answered with 200: numbers 0 to that, without gaps."""
        self.began: dict[tuple[int, int], float] = {}
        """When an event (user and its number) was first sent, by the monotonic clock."""
        self.answers: Counter[int] = Counter()
        """Answers by status; 0 where there was none."""
        self._where = where
        self._key = key
        self._pause = pause
        self._repeats = repeats
        self._stopping = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="users", daemon=True)

    def __enter__(self) -> Users:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(TimeoutError):
            self.stop(0.0 if error else 60.0)

    @property
    def total(self) -> int:
        """Acknowledged events of all users."""
        return sum(self.acknowledged.values())

    def more(self, count: int) -> Callable[[], bool]:
        """Whether `count` more events than now are acknowledged."""
        goal = self.total + count
        return lambda: self.total > goal

    def answered(self, status: int, count: int) -> Callable[[], bool]:
        """Whether `count` more requests than now were answered so."""
        goal = self.answers[status] + count
        return lambda: self.answers[status] > goal

    def stop(self, timeout: float = 60.0) -> None:
        """No user begins another event; raises `TimeoutError` where one is not acknowledged in time."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"a user is still without its 200 after {timeout:g} s; answers: {self.answers}")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*(self._user(user) for user in self.acknowledged))

    async def _user(self, user: int) -> None:
        size = 1 if user % 3 else 3
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._stopping.is_set():
            first = self.acknowledged[user]
            events = [event(user, n) for n in range(first, first + size)]
            self.began.update(((user, n), time.monotonic()) for n in range(first, first + size))
            again = self._repeats and first // size % 7 == 6
            while True:
                status = 0
                with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                    url = self._where()
                    connection = connection or await self._connect(url)
                    status = await self._send(url, events, *connection)
                self.answers[status] += 1
                if status == 200 and not again:
                    break
                again = again and status != 200
                if status == 0 and connection is not None:
                    connection[1].close()
                    connection = None
                if status != 200:
                    await asyncio.sleep(AGAIN)
            self.acknowledged[user] = first + size
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._pause)
        if connection is not None:
            connection[1].close()

    async def _connect(self, url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(url)
        return await asyncio.open_connection(parts.hostname, parts.port)

    async def _send(
        self, url: str, events: list[dict[str, Any]],
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
    ) -> int:
        if len(events) == 1:
            request = post(url, "/v1/track", self._key, encode(events[0]))
        else:
            request = post(url, "/v1/batch", self._key, encode({"batch": [*events, REFUSED]}))
        writer.write(request)
        return await asyncio.wait_for(answer_of(reader, b'"accepted":'), PATIENCE)
