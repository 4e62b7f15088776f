"""`sandbox:` on other systems than this one, as docs/sandbox.md says; the system is what the code takes it for."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from typing import Any, Literal

import pytest

from dataplane.inspect.health import judge
from tests.transformations.conftest import item
from transformations import Pool
from transformations.base import Outputs, Script
from transformations.sandbox import seccomp
from turnout.errors import Unavailable

Sandbox = Literal["auto", "required", "off"]
UNFILTERED = "transformations run without a system-call filter ({}): for trusted authors only"
NEEDED = (
    "the sandbox needs Linux on x86-64 or aarch64; this machine ({}, " + os.uname().machine + ") has no system-call "
    "filter. `sandbox: off` runs transformations without it, for trusted authors only"
)
UNLOCKED = """
import json, os, socket, sys
from transformations.sandbox import limits
sys.platform = "darwin"
limits.lock(int(sys.argv[1]), 1 << 20, limits.available())
said = {"memory": len(bytearray(256 << 20)) >> 20, "refused": []}
for name, act in (("file", lambda: os.open("/", os.O_RDONLY)), ("socket", socket.socket), ("process", os.fork)):
    try:
        if act() == 0:
            os._exit(0)
    except OSError:
        said["refused"].append(name)
os.write(limits.CHANNEL, json.dumps(said).encode())
"""


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Be on a system that has no filter."""
    name: str = request.param
    monkeypatch.setattr(sys, "platform", name)
    monkeypatch.setattr(seccomp, "SUPPORTED", False)
    return name


async def started(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> tuple[dict[str, Any], list[str]]:
    """Health of a pool that ran a script, and the warnings of its start."""
    pool = Pool(sandbox=sandbox)
    with caplog.at_level(logging.WARNING):
        await pool.start()
    try:
        script = Script("s", "def transformEvent(event, metadata):\n    return {'n': event['n'] + 1}\n")
        assert await pool.run(script, [item({"n": 1})]) == [Outputs((b'{"n":2}',))]
        return pool.health(), [record.getMessage() for record in caplog.records]
    finally:
        await pool.stop()


@pytest.mark.parametrize("system", ["darwin"], indirect=True)
@pytest.mark.parametrize(("sandbox", "why"), [("auto", "this machine has none"), ("off", "sandbox: off")])
async def test_elsewhere_it_runs_with_limits_only_and_warns(
    system: str, sandbox: Sandbox, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    health, warned = await started(sandbox, caplog)
    assert warned == [UNFILTERED.format(f"sandbox: {sandbox}")]
    assert (health["layers"], health["locked"]) == (["limits"], False)
    told = judge({"transformations": health})
    assert told["ok"]
    assert told["warnings"] == [UNFILTERED.format(why)]


@pytest.mark.parametrize(("system", "sandbox"), [
    ("darwin", "required"), ("linux", "required"), ("linux", "auto"),  # a processor that the filter does not know
], indirect=["system"])
async def test_without_a_filter_it_does_not_start_where_that_is_required(system: str, sandbox: Sandbox) -> None:
    with pytest.raises(Unavailable) as caught:
        await Pool(sandbox=sandbox).start()
    assert str(caught.value) == NEEDED.format(system)


@pytest.mark.skipif(sys.platform != "linux", reason="for Linux")
async def test_off_on_linux_is_without_filter_and_landlock_and_warns(caplog: pytest.LogCaptureFixture) -> None:
    health, warned = await started("off", caplog)
    assert warned == [UNFILTERED.format("sandbox: off")]
    assert {"limits", "no_new_privs"} <= set(health["layers"]) <= {"limits", "no_new_privs", "uid"}
    assert judge({"transformations": health})["warnings"] == [UNFILTERED.format("sandbox: off")]


def test_the_limits_of_elsewhere_hold_but_for_memory() -> None:
    """As on macOS: no address space to limit, no identity, nothing that only Linux has."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        subprocess.run(
            [sys.executable, "-c", UNLOCKED, str(theirs.fileno())], pass_fds=(theirs.fileno(),), check=True, timeout=60
        )
        said = json.loads(ours.recv(65536))
    # The number of processes is no limit for root, who stays root there.
    assert said == {"memory": 256, "refused": ["file", "socket", *([] if os.getuid() == 0 else ["process"])]}
