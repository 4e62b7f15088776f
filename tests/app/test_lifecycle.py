"""Start and stop as a service manager sees them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bench.plane import NotReady, Plane, turnout
from bench.sink import Sink
from dataplane.app.folders import make_folders
from tests.app.test_app_run import MARK, config, post, until
from turnout.errors import Fixable


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._sock.settimeout(30)

    def next(self, word: str) -> str:
        """The next message that begins with `word`; others but the watchdog's are none."""
        while (message := self._sock.recv(4096).decode()).startswith("WATCHDOG=1"):
            if word == "WATCHDOG=1":
                return message
        assert message.startswith(word), message
        return message


def test_a_service_manager_is_told_everything(
    data_plane: Callable[..., Plane], sink: Sink, tmp_path: Path
) -> None:
    manager = Manager(tmp_path / "notify")
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
    plane = data_plane(config(sink), {"mark.py": MARK}, environ)
    assert plane.url in manager.next("READY=1")
    manager.next("WATCHDOG=1")
    os.kill(plane.pid, signal.SIGHUP)
    assert "MONOTONIC_USEC=" in manager.next("RELOADING=1")
    manager.next("READY=1")
    plane.config.write_text("bogus: 1\n")
    os.kill(plane.pid, signal.SIGHUP)
    manager.next("RELOADING=1")
    assert "rejected" in manager.next("READY=1")
    assert plane.stop() == 0
    manager.next("STOPPING=1")


class Slow:
    """A destination that takes the request and answers when it is told to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked, self.answer = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as connection:
            connection.recv(65536)
            self.asked.set()
            self.answer.wait(30)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            connection.recv(65536)  # until it hangs up


def _turned_away(plane: Plane) -> bool:
    try:
        urllib.request.urlopen(f"{plane.url}/ready", timeout=10).close()
    except urllib.error.HTTPError as error:
        return error.code == 503
    except OSError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_takes_nothing_new_and_finishes_what_is_in_flight(
    data_plane: Callable[..., Plane], number: int
) -> None:
    slow = Slow()
    plane = data_plane(config(slow), {"mark.py": MARK})
    assert post(plane, {"event": "E"}) == 200
    assert slow.asked.wait(30)
    os.kill(plane.pid, number)
    until(lambda: _turned_away(plane))
    assert plane.running  # the request in flight keeps it
    slow.answer.set()
    until(lambda: not plane.running)
    assert plane.stop() == 0
    plane.start()
    assert plane.status()["destinations"]["hook"]["delivered"] == 1
    assert plane.status()["destinations"]["hook"]["pending"] == 0


def _signalled_again(plane: Plane) -> bool:
    """Signal until it is heard; what comes at once after the first is the same request."""
    if "app.killed" in plane.output or not plane.running:
        return True
    os.kill(plane.pid, signal.SIGTERM)
    return False


def test_two_signals_at_once_are_one_request(data_plane: Callable[..., Plane]) -> None:
    slow = Slow()
    plane = data_plane(config(slow), {"mark.py": MARK})
    assert post(plane, {"event": "E"}) == 200
    assert slow.asked.wait(30)
    os.kill(plane.pid, signal.SIGTERM)
    os.kill(plane.pid, signal.SIGINT)  # as from a group of processes and from its leader
    until(lambda: _turned_away(plane))
    slow.answer.set()
    until(lambda: not plane.running)
    assert "app.killed" not in plane.output
    assert plane.stop() == 0


def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(data_plane: Callable[..., Plane]) -> None:
    slow = Slow()
    plane = data_plane(config(slow), {"mark.py": MARK})
    assert post(plane, {"event": "E"}) == 200
    assert slow.asked.wait(30)
    family = psutil.Process(plane.pid).children(recursive=True)
    os.kill(plane.pid, signal.SIGTERM)
    until(lambda: "app.draining" in plane.output)
    until(lambda: _signalled_again(plane))  # without the answer that it waited for
    until(lambda: not plane.running)
    assert "app.killed" in plane.output
    plane.stop()
    psutil.wait_procs(family, timeout=30)  # they are killed with it, and are gone a moment later
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    slow.answer.set()
    with Sink() as sink:
        plane.config.write_text(config(sink))
        plane.start()
        assert sink.wait(lambda s: len(s.events) == 1)


def test_a_stop_ends_at_the_deadline(data_plane: Callable[..., Plane]) -> None:
    slow = Slow()
    text = config(slow).replace("server: {port: 0}", "server: {port: 0, drain: 1s}")
    plane = data_plane(text, {"mark.py": MARK})
    assert post(plane, {"event": "E"}) == 200
    assert slow.asked.wait(30)
    assert plane.stop() == 0  # the answer never comes
    slow.answer.set()


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(Fixable, match=r"belongs to .*, and this runs as .*chown -R"):
        make_folders(tmp_path)


def test_where_no_folder_can_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "config.yaml").write_text("data: file/data\nsources: {web: {write_key: k}}\n")
    ran = subprocess.run([turnout(), "run"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("turnout: data: cannot ")
    assert ran.stderr.strip().endswith("Not a directory")
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "pipelines", "said"),
    [
        ("state/pipeline.db", 1, "pipeline: {}/data/state/pipeline.db cannot be opened: unable to open database file"),
        ("pipeline-1/state/pipeline.db", 2, "pipeline-1: {}/data/pipeline-1/state/pipeline.db cannot be opened: "),
        ("archive/00000001.arc.new", 1, "pipeline: {}/data/archive/00000001.arc.new cannot be used: "),
    ],
)
def test_a_start_says_which_file_of_its_own_cannot_be_used(
    tmp_path: Path, name: str, pipelines: int, said: str
) -> None:
    """Something else stands there; as where a folder is read-only, or another user's."""
    text = f"data: data\nserver: {{port: 0}}\nadmin: {{port: 0}}\nprocesses: {{pipeline: {pipelines}}}\n"
    plane = Plane(tmp_path, text + "sources: {web: {write_key: k}}\n")
    plane.start()
    plane.stop()
    path = tmp_path / "data" / name
    path.unlink(missing_ok=True)
    path.mkdir()
    with pytest.raises(NotReady) as ended:
        plane.start()
    assert f"\nturnout: {said.format(tmp_path)}" in str(ended.value)
    assert "internal error" not in str(ended.value)
