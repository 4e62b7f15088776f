"""`run --watch`: what counts as a change, which files are looked at, and what is said."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plane import turnout
from dataplane.app.watch import Look, Settled, Watch, look
from dataplane.config.files import named

CONFIG = """\
server: {port: 0}
admin: {port: 0, token: "${file:secrets/token}"}
sources: {web: {write_key: wk_a}}
libraries: {lib: {file: lib.py}}
transformations: {one: {file: scripts/one.py}}
"""


def state(number: int) -> Look:
    return {Path("c"): (number, 0, 0)}


def test_a_change_counts_once_and_only_when_it_is_over() -> None:
    settled = Settled(state(0))
    assert [settled.feed(state(n)) for n in (0, 1, 2, 3, 3, 3, 3)] == [False] * 4 + [True, False, False]


def test_a_change_taken_back_before_it_settled_is_none() -> None:
    settled = Settled(state(0))
    assert not any(settled.feed(state(n)) for n in (1, 0, 0, 0))


@given(st.lists(st.integers(0, 2), max_size=30))
def test_what_stays_is_always_noticed(looks: list[int]) -> None:
    """Whatever was seen on the way, the last state is applied when it stays, unless it is in force."""
    settled, applied = Settled(state(0)), 0
    for number in [*looks, 9, 9]:
        if settled.feed(state(number)):
            applied = number
    assert applied == 9


def test_saving_by_rename_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "c"
    file.write_text("same")
    before = look([file])
    (tmp_path / "new").write_text("same")
    os.utime(tmp_path / "new", ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    (tmp_path / "new").rename(file)
    assert look([file]) != before
    file.unlink()
    assert look([file]) == {file: None}


def test_the_files_that_a_config_names(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    tls = "server: {tls: {certificate: c.pem, key: /k.pem}, port: 0}"
    file.write_text(CONFIG.replace("server: {port: 0}", tls))
    names = ("config.yaml", "secrets/token", "lib.py", "scripts/one.py", "scripts/one.test.yaml", "c.pem", "/k.pem")
    assert named(file) == {tmp_path / name for name in names}
    for broken in (b"a: [", b"\xff", b""):
        file.write_bytes(broken)
        assert named(file) == {file}
    assert named(tmp_path / "none.yaml") == {tmp_path / "none.yaml"}


async def test_a_change_before_anyone_waits_for_it_is_one(tmp_path: Path) -> None:
    """As it happens while Turnout starts: the configuration is read, and nothing runs yet."""
    file = tmp_path / "config.yaml"
    file.write_text("a: 1\n")
    watch = Watch(file)
    file.write_text("a: 22\n")
    seen = asyncio.Event()

    async def changed() -> None:
        seen.set()

    running = asyncio.create_task(watch.run(changed))
    await asyncio.wait_for(seen.wait(), 30)
    running.cancel()


class Watching:
    def __init__(self, folder: Path) -> None:
        self.output = folder / "out.txt"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [turnout(), "run", "--watch"], cwd=folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            )

    def wait(self, true: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + 60
        while not true(text := self.output.read_text()):
            assert time.monotonic() < deadline, text
            assert self.process.poll() is None, text
            time.sleep(0.05)
        return text


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Watching]:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "lib.py").write_text("x = 1\n")
    (tmp_path / "scripts" / "one.py").write_text("def transformEvent(event, metadata):\n    return event\n")
    (tmp_path / "secrets" / "token").write_text("t" * 20)
    (tmp_path / "config.yaml").write_text(CONFIG)
    running = Watching(tmp_path)
    try:
        running.wait(lambda text: "SDKs send to" in text)
        yield running
    finally:
        running.process.terminate()
        assert running.process.wait(60) == 0


def test_a_broken_file_is_said_once_and_a_mended_one_is_applied(tmp_path: Path, watching: Watching) -> None:
    config = tmp_path / "config.yaml"
    (tmp_path / "new").write_text(CONFIG + "bogus: 1\n")
    (tmp_path / "new").rename(config)
    watching.wait(lambda text: "not applied" in text)
    (tmp_path / "scripts" / "one.py").write_text("def transformEvent(event, metadata:\n")
    config.write_text(CONFIG)
    text = watching.wait(lambda text: text.count("not applied") == 2)
    assert text.count("\nconfig.yaml:6:1: bogus: unknown key") == 1
    assert "\nscripts/one.py:1: " in text
    (tmp_path / "scripts" / "one.py").write_text("def transformEvent(event, metadata):\n    return None\n")
    watching.wait(lambda text: "the changed configuration is applied" in text)
