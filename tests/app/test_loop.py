"""The loop of a role looks up many names at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOOK_UP = """
import asyncio, os
from dataplane.app.loop import run
async def main():
    await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    print(len(os.listdir("/proc/self/task")))
run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in Linux's /proc")
def test_a_few_silent_name_servers_leave_threads_for_other_names() -> None:
    pytest.importorskip("uvloop")
    made = subprocess.run([sys.executable, "-c", LOOK_UP], capture_output=True, text=True, check=True, timeout=30)
    assert int(made.stdout) > 32
