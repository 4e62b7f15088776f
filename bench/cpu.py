"""CPU seconds and resident memory of processes, from Linux's /proc."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Spent", "alive", "anonymous_memory", "children", "command", "cpu_seconds", "name", "own_cpu", "ports", "tree",
]

PROC = Path("/proc")


def children(pid: int) -> list[int]:
    """Direct children of every thread of `pid`; empty when it is gone."""
    found: list[int] = []
    for task in _tasks(pid):
        with suppress(OSError):
            found += [int(word) for word in (task / "children").read_text().split()]
    return found


def tree(pid: int) -> list[int]:
    """`pid` and all its living descendants, parents first."""
    found = [pid] if (PROC / str(pid)).exists() else []
    for one in found:
        found += [child for child in children(one) if child not in found]
    return found


def alive(pid: int) -> bool:
    """Whether a process still runs: one that has ended and waits for its parent to look does not."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def ports(pid: int) -> set[int]:
    """The local ports of a process's IPv4 TCP connections (proc(5): /proc/PID/net/tcp, its fields 2 and 10)."""
    own = set[str]()
    for file in (PROC / str(pid) / "fd").iterdir():
        with suppress(OSError):
            own.add(file.readlink().name)
    rows = [line.split() for line in (PROC / str(pid) / "net" / "tcp").read_text().splitlines()[1:]]
    return {int(row[1].partition(":")[2], 16) for row in rows if f"socket:[{row[9]}]" in own}


def cpu_seconds(pid: int, *, whole_tree: bool = True) -> float:
    """User + system seconds of `pid` and its living descendants, every thread, in nanosecond precision.

    Source: the first field of /proc/PID/task/TID/schedstat (time on the CPU). Threads and processes
    that have ended take their time with them, so measure the difference over a stretch in which none ends.
    """
    total = 0
    for one in tree(pid) if whole_tree else [pid]:
        for task in _tasks(one):
            with suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def anonymous_memory(pid: int) -> int:
    """Bytes of RssAnon: what the process itself holds, without files it maps."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def command(pid: int) -> str:
    """The command line of a process, words separated by blanks; empty when it is gone."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return b" ".join(words).decode("utf-8", "replace").strip()


def name(pid: int) -> str:
    """What a process is called, as top shows it; empty when it is gone."""
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


@dataclass(slots=True)
class Spent:
    """What a stretch of this process cost: seconds of its CPU and of the wall clock."""

    cpu: float = 0.0
    wall: float = 0.0


@contextmanager
def own_cpu() -> Iterator[Spent]:
    """Measure a stretch of this process, all its threads: `with own_cpu() as spent: ...`."""
    spent, cpu, wall = Spent(), time.process_time(), time.perf_counter()
    try:
        yield spent
    finally:
        spent.cpu, spent.wall = time.process_time() - cpu, time.perf_counter() - wall


def _tasks(pid: int) -> list[Path]:
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []
