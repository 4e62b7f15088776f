"""Process 1's duty in a container: to collect processes whose parents died before them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

__all__ = ["orphans", "reap"]

EVERY = 5.0


async def reap(ours: Callable[[], Collection[int]]) -> None:
    """Collect dead processes that are none of `ours`, for ever; ends at once where this is not process 1.

    Workers of a killed zygote come to process 1. Our own children are left to who waits for them.
    """
    if os.getpid() != 1:
        return
    before: set[int] = set()
    while True:
        await asyncio.sleep(EVERY)
        found = orphans() - set(ours())
        # Twice seen: what was started a moment ago may not be known as ours yet.
        _collect(found & before)
        before = found


def _collect(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ChildProcessError):  # somebody waited for it after all
            os.waitpid(pid, os.WNOHANG)


def orphans() -> set[int]:
    """Process ids of dead children that nobody has waited for yet (proc_pid_stat(5))."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it ended meanwhile
            continue
        if state == "Z" and int(parent) == os.getpid():
            found.add(int(entry.parent.name))
    return found
