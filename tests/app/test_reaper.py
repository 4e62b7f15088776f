"""Turnout as process 1 of a container: signals end it, orphans are collected."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bench.plane import turnout
from dataplane.app.reaper import orphans

CONFIG = """\
server: {port: 0}
admin: {port: 0}
sources: {web: {write_key: wk_a}}
transformations: {one: {file: one.py}}
destinations: {out: {type: file, settings: {path: out.ndjson}, transformation: one}}
"""


def test_a_dead_child_is_an_orphan_until_it_is_waited_for() -> None:
    child = subprocess.Popen(["/bin/true"])
    try:
        until(lambda: child.pid in orphans())
    finally:
        child.wait()
    assert child.pid not in orphans()


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def namespaces() -> bool:
    """Whether a process may be started as number 1 of a namespace here (root, and util-linux)."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def first(tmp_path: Path) -> Iterator[psutil.Process]:
    """The process that is number 1 in there, by its number out here."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "one.py").write_text("def transformEvent(event, metadata):\n    return event\n")
    command = ["unshare", "-pf", "--mount-proc", turnout(), "run", "--ready-file", "ready"]
    outside = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until((tmp_path / "ready").exists)
        (found,) = psutil.Process(outside.pid).children()
        yield found
    finally:
        for process in psutil.Process(outside.pid).children() if outside.poll() is None else []:
            process.terminate()
        outside.wait(40)


@pytest.mark.skipif(not namespaces(), reason="process namespaces cannot be made here")
def test_process_1_collects_orphans_and_obeys_signals(first: psutil.Process) -> None:
    roles = {child.name(): child for child in first.children()}
    below = roles["pipeline"].children(recursive=True)
    assert below
    roles["pipeline"].kill()  # its zygote and workers now are children of process 1
    until(lambda: not any(process.is_running() for process in below))
    until(lambda: len([c for c in first.children() if c.status() != psutil.STATUS_ZOMBIE]) == 2)
    os.kill(first.pid, signal.SIGTERM)
    until(lambda: not first.is_running() or first.status() == psutil.STATUS_ZOMBIE)
