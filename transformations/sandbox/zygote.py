"""The zygote: a single-threaded process without secrets that forks workers.

Started afresh (`python -m transformations.sandbox.zygote`, an almost empty environment, no
descriptor but its own socket), it imports what scripts may use once; a worker is then a fork, a lock
and an event loop of ten lines. It is the workers' parent: it reaps them, kills them on request (a
process id it has not reaped cannot have been reused) and reports how each ended. When the pool's end
of the socket closes, it and all workers end.

Records on the socket have a fixed size: `op, id, number` from the pool (SPAWN carries the worker's
socket as a descriptor), `op, id, number` back.
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import select
import signal
import socket
import struct
import sys
import time
import warnings
from collections.abc import Sequence

from transformations import standard
from transformations.javascript import program as javascript
from transformations.python import program as python
from transformations.sandbox import kernel, limits, wire, worker

__all__ = ["EXITED", "KILL", "LAYERS", "PROBE", "READY", "RECORD", "SPAWN", "SPAWNED", "main"]

RECORD = struct.Struct("<BIQ")
SPAWN, PROBE, KILL = 1, 2, 3
"""From the pool: fork a worker (number: its memory); fork one that breaks the rules; kill pid `id`."""
READY, SPAWNED, EXITED = 4, 5, 6
"""To the pool: listening; worker `id` has pid `number`; pid `id` ended with wait status `number`."""
LAYERS = ("limits", "uid", "no_new_privs", "landlock", "seccomp")


class _Zygote:
    def __init__(self, control: socket.socket, layers: limits.Layers) -> None:
        self.control = control
        self.layers = layers
        self.children: set[int] = set()

    def serve(self) -> None:
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(wake, select.POLLIN)
        self.control.sendall(RECORD.pack(READY, os.getpid(), 0))
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == wake.fileno():
                    with contextlib.suppress(BlockingIOError):
                        wake.recv(4096)
                    self.reap()
                elif not self.obey():
                    return

    def obey(self) -> bool:
        """Carry out one record; False when the pool is gone."""
        handle = array.array("i")
        size = socket.CMSG_LEN(handle.itemsize)
        data, extra, _, _ = self.control.recvmsg(RECORD.size, size, socket.MSG_WAITALL)
        if len(data) < RECORD.size:
            return False
        for _, kind, content in extra:
            if kind == socket.SCM_RIGHTS:
                handle.frombytes(content[: handle.itemsize])
        op, number, memory = RECORD.unpack(data)
        if op == KILL:
            if number in self.children:
                os.kill(number, signal.SIGKILL)
            return True
        channel = handle[0]
        pid = os.fork()
        if pid == 0:
            _become_worker(channel, memory, self.layers, probe=op == PROBE)
        os.close(channel)
        self.children.add(pid)
        self.control.sendall(RECORD.pack(SPAWNED, number, pid))
        return True

    def reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self.children.discard(pid)
            self.control.sendall(RECORD.pack(EXITED, pid, status))


def _become_worker(channel: int, memory: int, layers: limits.Layers, *, probe: bool) -> None:
    """Never returns, whatever happens: what follows in the zygote's code is not for a child."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        limits.lock(channel, memory, layers)
        if probe:
            worker.probe(limits.CHANNEL)
        worker.serve(limits.CHANNEL)
    except MemoryError:
        os._exit(wire.EXIT_MEMORY)
    except BaseException:  # noqa: BLE001  # a fork that returned into the zygote's loop would serve unlocked
        os._exit(70)
    finally:
        os._exit(0)


def main(arguments: Sequence[str]) -> int:
    """Serve on the descriptor named first, locking workers with the layers named after it."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    warnings.simplefilter("ignore")
    if sys.platform == "linux":
        kernel.prctl(limits.PR_SET_PDEATHSIG, signal.SIGKILL)
    standard.preload()
    python.preload()
    javascript.preload()
    limits.preload()
    os.environ.clear()
    gc.collect()
    gc.freeze()  # collections in a worker must not touch, and so copy, the shared pages
    control = socket.socket(fileno=int(arguments[0]))
    _Zygote(control, frozenset(arguments[1:])).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
