"""Roles that are forked from the app: adopted, left alone, killed, and never more than they should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from bench.plane import Plane
from dataplane.app.fork import fork_roles

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="roles are forked on Linux only")
CONFIG = """
server: {host: 127.0.0.1, port: 0}
admin: {port: 0}
sources: {web: {write_key: wk_1}}
"""


def child(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program that forks: a process with threads, as pytest's may be, never does."""
    command = [sys.executable, "-c", textwrap.dedent(program), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_process_with_threads_forks_nothing() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert fork_roles() == {}
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("how", ["the app ends", "the app is killed"])
def test_roles_that_nobody_adopts_end_with_the_app(how: str) -> None:
    found = child(
        """
        import os, signal, sys
        from dataplane.app.fork import fork_roles
        print(*(role.pid for role in fork_roles().values()), flush=True)
        if sys.argv[1] == "the app is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        how,
    )
    pids = [int(word) for word in found.stdout.split()]
    assert len(pids) == 2
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=60)
    assert alive == []
    assert found.stderr == ""


def test_the_end_of_a_role_is_seen_and_its_code_told() -> None:
    found = child(
        """
        import asyncio
        from dataplane.app.fork import fork_roles

        async def main(roles):
            one, other = roles.values()
            one.kill()
            sock = other.adopt(())
            sock.close()
            print(await one.wait(), await one.wait(), await other.wait())

        asyncio.run(main(fork_roles()))
        """
    )
    assert (found.stdout, found.stderr) == ("-9 -9 0\n", "")


def test_a_running_plane_has_forked_roles_and_starts_them_again_as_fresh_interpreters(
    data_plane: Callable[[str], Plane],
) -> None:
    plane = data_plane(CONFIG)
    app = psutil.Process(plane.pid)
    roles = [process for process in app.children() if process.cmdline() == app.cmdline()]
    assert {process.name() for process in roles} == {"ingest", "pipeline"} < set(plane.roles())
    assert {os.getsid(process.pid) for process in roles} == {process.pid for process in roles}
    lock = plane.folder / "data" / "lock"
    for process in roles:
        assert str(lock.resolve()) in {file.path for file in process.open_files()}
        os.kill(process.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(roles, timeout=60)
    assert alive == []
    _until(lambda: sum("dataplane.app.role" in " ".join(one.cmdline()) for one in app.children()) == 2)
    assert plane.stop() == 0


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
