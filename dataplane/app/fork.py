"""Roles forked from the app before it has a loop, threads, or has read the configuration (Linux).

What all processes import is imported once: a start takes half the processor time of three fresh
interpreters. A role that is started again later is a fresh interpreter, as everywhere but on Linux.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["Forked", "fork_roles"]

UNKNOWN = 255
"""Exit code of a process whose end nobody told, as in asyncio."""


class Forked:
    """A forked role as its parent sees it: what `asyncio.subprocess.Process` is to a fresh interpreter."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._sock = sock
        self._ended = os.pidfd_open(pid)

    def adopt(self, inherit: tuple[int, ...]) -> socket.socket:
        """Hand over the file descriptors it must hold, which sets it to work; its channel."""
        socket.send_fds(self._sock, [b"\0"], inherit)
        return self._sock

    def kill(self) -> None:
        """SIGKILL; raises ProcessLookupError where it is gone."""
        signal.pidfd_send_signal(self._ended, signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit code, negative for a signal. One waiter at a time."""
        if self.returncode is None:
            loop = asyncio.get_running_loop()
            ended: asyncio.Future[None] = loop.create_future()
            loop.add_reader(self._ended, _finish, ended)
            try:
                await ended
            finally:
                loop.remove_reader(self._ended)
            self._reap()
        assert self.returncode is not None
        return self.returncode

    def _reap(self) -> None:
        try:
            _, status = os.waitpid(self.pid, 0)  # it has ended: this does not wait
        except ChildProcessError:  # collected by someone else: how it ended is lost
            status = UNKNOWN << 8
        os.close(self._ended)
        self.returncode = os.waitstatus_to_exitcode(status)


def _finish(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def fork_roles() -> Mapping[str, Forked]:
    """Fork every role, to wait for `adopt`; none where that cannot be done cleanly.

    They end by themselves when this process does, adopted or not.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return {}
    from dataplane.app.place import ROLES
    from dataplane.app.role import shared

    shared()
    gc.freeze()  # else the first collection in each process copies every page it looks at
    forked: dict[str, Forked] = {}
    channels: list[socket.socket] = []
    for name in ROLES:
        ours, theirs = socket.socketpair()
        channels.append(ours)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _become(name, theirs, channels)
        theirs.close()
        try:
            forked[name] = Forked(pid, ours)
        except OSError:  # no pidfd (Linux before 5.3, or forbidden): it reads the end of its channel
            ours.close()
            os.waitpid(pid, 0)
            break
    return forked


def _become(name: str, sock: socket.socket, others: list[socket.socket]) -> None:
    """Be the role `name` from here on; never returns."""
    code = 1
    try:
        for other in others:
            other.close()
        os.setsid()
        from dataplane.app.role import forked

        forked(name, sock)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - said, and then this process ends whatever it was
        from dataplane.metrics.log import logger

        logger().failure("role.failed", error, child=name)
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)  # nothing of the app's may run at the end of this process
