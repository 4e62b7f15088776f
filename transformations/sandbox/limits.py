"""Locking a worker: what it loses before it reads the first byte of a script."""

from __future__ import annotations

import os
import resource
import signal
import sys

from transformations.sandbox import kernel, landlock, seccomp

__all__ = ["CHANNEL", "NOBODY", "PR_SET_PDEATHSIG", "Layers", "available", "lock", "preload"]

CHANNEL = 3
"""The only descriptor a worker has."""
NOBODY = 65534
HEADROOM = 48 << 20
"""Bytes a worker gets at least above what it was forked with, whatever the script's limit says."""

Layers = frozenset[str]
PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


def available() -> Layers:
    """Layers this machine offers: limits, uid, no_new_privs, landlock, seccomp."""
    found = {"limits"}
    if sys.platform == "linux":
        found |= {"no_new_privs"}
        if os.getuid() == 0:
            found |= {"uid"}
        if landlock.abi():
            found |= {"landlock"}
        if seccomp.SUPPORTED:
            found |= {"seccomp"}
    return frozenset(found)


def preload() -> None:
    """What every fork would have to work out for itself otherwise."""
    if seccomp.SUPPORTED:
        seccomp.program(os.uname().machine, CHANNEL)


def lock(channel: int, memory: int, layers: Layers) -> None:
    """Lock this process; afterwards it has one descriptor, `CHANNEL`. Raises OSError.

    `memory` is bytes of address space. Order matters: identity first (it needs privileges), the
    limits before the filter (which forbids setting them), the filter last.
    """
    _keep_only(channel)
    base = _address_space()
    if "uid" in layers:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if sys.platform == "linux":
        # After the change of identity, which clears both.
        kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        kernel.prctl(_PR_SET_DUMPABLE, 0)
    if "no_new_privs" in layers:
        kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if "landlock" in layers:
        landlock.install(landlock.abi())
    if "limits" in layers:
        _limit(max(memory, base + HEADROOM) if base else memory)
    if "seccomp" in layers:
        seccomp.install(CHANNEL)


def _keep_only(channel: int) -> None:
    if channel != CHANNEL:
        os.dup2(channel, CHANNEL)
    for number in range(CHANNEL):
        os.close(number)
    os.closerange(CHANNEL + 1, 1 << 16)
    # Nothing may write to closed descriptors, or to ones that take their numbers.
    sys.stdin = sys.stdout = sys.stderr = sys.__stdin__ = sys.__stdout__ = sys.__stderr__ = None  # type: ignore[misc]  # a process without standard streams has None there


def _address_space() -> int:
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # pathlib would cost an import per worker
        return int(file.read().split()[0]) * resource.getpagesize()


def _limit(memory: int) -> None:
    wanted = {
        resource.RLIMIT_AS: memory, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 0, resource.RLIMIT_NPROC: 0,
    }
    if sys.platform == "darwin":
        del wanted[resource.RLIMIT_AS]  # macOS accepts it only above what is mapped, which is everything
    for kind, value in wanted.items():
        resource.setrlimit(kind, (value, value))
