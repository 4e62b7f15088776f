"""A server on an event loop and thread of its own, so that it serves sync and async tests alike."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["Served"]

T = TypeVar("T")


class Served:
    """Starts on `with` (or `start`), ends on leaving it (or `stop`); `url` and `port` are real.

    Subclasses listen in `_listen`, which returns the server, and let its connections go in `_leave`.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.host, self.port, self.tls = host, port, tls
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens, with a slash at the end."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}/"

    def start(self) -> None:
        """Listen; returns once connections are taken, raises OSError where the port is taken."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._server = self._run(self._listen)
            self.port = self._server.sockets[0].getsockname()[1]
        except BaseException:
            self._end()
            raise

    def stop(self) -> None:
        """Close every connection and the port."""
        if self._loop is not None:
            self._run(self._close)
            self._end()

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _listen(self) -> asyncio.Server:
        raise NotImplementedError

    async def _leave(self) -> None:
        raise NotImplementedError

    async def _close(self) -> None:
        assert self._server is not None
        loop = asyncio.get_running_loop()
        # A connection that is being taken while asyncio's server closes would stay open: take no more first.
        for listening in self._server.sockets:
            loop.remove_reader(listening.fileno())
        for _ in range(3):  # its transport is made, then handed over, then served
            await asyncio.sleep(0)
        self._server.close()
        await self._leave()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:  # those that still shake hands
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await asyncio.sleep(0)

    def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        assert self._loop is not None

        async def done() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def _end(self) -> None:
        loop, thread = self._loop, self._thread
        assert loop is not None
        assert thread is not None
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        self._loop = self._thread = None
