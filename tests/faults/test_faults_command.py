"""`python -m bench.faults`: what is wrong turns the table red, JSON says it, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.faults import __main__ as command
from bench.faults.account import Outcome


def test_a_part_that_is_wrong_or_breaks_is_red_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(_: Path) -> Outcome:
        raise TimeoutError("not settled")

    parts = {"good": lambda _: Outcome("x", acknowledged=5), "lost": lambda _: Outcome("x", lost=1),
             "doubled": lambda _: Outcome("x", stray=2), "swapped": lambda _: Outcome("x", disordered=3),
             "sums": lambda _: Outcome("x", wrong=["no sum"]), "breaks": breaks}
    monkeypatch.setattr(command, "scenarios", lambda *_: parts)
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["faults", "--json"])

    assert command.main() == 1
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "faults.json").read_text())
    (tmp_path / "faults.json").unlink()
    assert found["failed"] == ["lost", "doubled", "swapped", "sums", "breaks"]
    assert found["parts"][-1]["wrong"] == ["TimeoutError: not settled"]
    assert (found["totals"]["lost"], found["totals"]["stray"], found["totals"]["disordered"]) == (1, 2, 3)

    monkeypatch.setattr(sys, "argv", ["faults", "--only", "good"])
    assert command.main() == 0
    assert "1/1" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [], "a part does not replace the whole"


def test_every_fault_has_a_part_and_a_wrong_word_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    names = " ".join(command.scenarios(1, 7, 1, print))
    for word in ("kill -9: app", "ingest", "pipeline", "disk: full", "files may not grow", "sync fails: the log",
                 "clock", "torn", "flips", "pipeline.db is lost", "hang", "reset", "trickle", "garbage",
                 "throttle silent", "ok close", "no name", "no resolver", "model"):
        assert word in names
    ran = subprocess.run([sys.executable, "-m", "bench.faults", "--only", "nonsense"], capture_output=True, text=True,
                         check=False, timeout=60)
    assert ran.returncode == 2
    assert "no part has nonsense" in ran.stdout


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder near the root: the path of a socket has at most 103 bytes."""
    with tempfile.TemporaryDirectory(prefix="f-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_person_who_has_enough_leaves_no_process_and_no_mount(short_path: Path, number: int) -> None:
    environ = {**os.environ, "TMPDIR": str(short_path)}
    process = subprocess.Popen([sys.executable, "-m", "bench.faults", "--only", "disk: full"], env=environ,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    own = psutil.Process(process.pid)
    end = time.monotonic() + 60
    while len(tree := own.children(recursive=True)) < 4:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(number)
    said = process.communicate(timeout=60)[0]
    if "not run" not in said:
        assert process.returncode == 130, said
        assert "interrupted in disk: full" in said
    assert psutil.wait_procs(tree, timeout=20)[1] == []
    assert str(short_path) not in Path("/proc/self/mounts").read_text()
    assert list(short_path.iterdir()) == []
