"""Waking readers of other processes: a FIFO per waiting reader, written to only when one said it waits.

A reader makes `wait/{pid}-{random}`, says in `head` that it waits, and looks at the head once more. The
writer publishes, sees that someone waits, takes that back and writes one byte to every FIFO. It never
blocks: a full FIFO is readable already, and one that nobody reads any more is removed. FIFOs rather
than sockets, because their paths may be of any length.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

from dataplane.log.head import Head
from dataplane.log.segments import make_folder

__all__ = ["Bell", "Listener"]

_LOOK_AGAIN = 0.25
"""Seconds after which a waiting reader looks by itself: a lost byte costs this, not an event."""


def _folder(folder: Path) -> Path:
    return folder / "wait"


class Bell:
    """The writer's end. Not for several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = _folder(folder)
        make_folder(self._folder)
        self._files: dict[str, int] = {}

    def ring(self) -> None:
        """Wake every reader; those that are gone are forgotten."""
        with os.scandir(self._folder) as entries:
            names = {entry.name for entry in entries}
        for gone in self._files.keys() - names:
            os.close(self._files.pop(gone))
        for name in names:
            if not name.startswith("."):
                self._poke(name)

    def _poke(self, name: str) -> None:
        file = self._files.get(name)
        try:
            if file is None:
                file = os.open(self._folder / name, os.O_WRONLY | os.O_NONBLOCK)
                self._files[name] = file
            os.write(file, b"\1")
        except BlockingIOError:
            return  # full of earlier wake-ups: it is readable
        except FileNotFoundError:
            return  # its reader left meanwhile
        except OSError as error:
            if error.errno not in (errno.ENXIO, errno.EPIPE):
                raise
            # Nobody has it open for reading: its reader died.
            if (kept := self._files.pop(name, None)) is not None:
                os.close(kept)
            (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the FIFOs."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()


class Listener:
    """A reader's end; any number of tasks of one event loop at a time may wait on it."""

    def __init__(self, folder: Path, head: Head) -> None:
        self._folder = _folder(folder)
        self._head = head
        self._path: Path | None = None
        self._file = -1
        self._waiting: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._fence = threading.Lock()

    async def wait(self, position: int, timeout: float) -> bool:
        """Return True once the head is beyond `position`, False after `timeout` seconds."""
        if self._closed or self._head.position > position:
            return not self._closed
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        self._open()
        while not self._closed:
            self._head.wanted = True
            with self._fence:  # orders the store before the load, also on processors that would swap them
                beyond = self._head.position > position
            remaining = deadline - loop.time()
            if beyond or remaining <= 0:
                return beyond
            await self._sleep(loop, min(remaining, _LOOK_AGAIN))
        return False

    async def _sleep(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        woken = loop.create_future()
        if not self._waiting:
            loop.add_reader(self._file, self._woken)
            self._loop = loop
        self._waiting.add(woken)
        timer = loop.call_later(seconds, _finish, woken)
        try:
            await woken
        finally:
            timer.cancel()
            self._waiting.discard(woken)
            if not self._waiting:
                self._unregister()

    def _unregister(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._file)
            self._loop = None

    def _woken(self) -> None:
        os.read(self._file, 65536)
        for future in self._waiting:
            _finish(future)

    def _open(self) -> None:
        if self._file >= 0:
            return
        make_folder(self._folder)
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        hidden = self._folder / f".{name}"
        os.mkfifo(hidden, 0o600)
        # Open for writing too, so that it never reports an end when the writer goes; and open before
        # it has its name, so that the writer never takes it for one that nobody reads.
        self._file = os.open(hidden, os.O_RDWR | os.O_NONBLOCK)
        self._path = self._folder / name
        hidden.rename(self._path)

    def close(self) -> None:
        """Remove the FIFO; whoever still waits is told that nothing came."""
        self._closed = True
        self._unregister()
        for future in self._waiting:
            _finish(future)
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._path, self._file = None, -1


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
