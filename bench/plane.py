"""A data plane as its users run it: `turnout run` in a folder of its own, as a process.

Shared by the tests (fixture `data_plane`) and the whole-system rows of the bench.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import cpu

__all__ = ["NotReady", "Plane", "turnout"]


GONE = 10.0
"""Seconds within which what was killed has ended; it may still be writing until then."""


class NotReady(RuntimeError):
    """The data plane ended or stayed silent instead of becoming ready; the message has its output."""


def turnout() -> str:
    """The `turnout` command of the environment this runs in."""
    beside = Path(sys.executable).parent / "turnout"
    found = str(beside) if beside.exists() else shutil.which("turnout")
    if found is None:
        raise FileNotFoundError("turnout is not installed in this environment (make setup)")
    return found


class Plane:
    """One `turnout run --config FILE --ready-file FILE`. Ports in the text may be 0.

    `url`, `admin` and `pid` are known while it runs; `ready_seconds` is how long the start took.
    """

    def __init__(
        self, folder: Path, config: str, environ: dict[str, str] | None = None, command: str | None = None
    ) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.log = folder / "turnout.log"
        self.url = self.admin = ""
        self.pid = 0
        self.ready_seconds = 0.0
        self._ready = folder / "ready.json"
        self._environ = environ or {}
        self._command = command or turnout()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(config)

    def start(self, timeout: float = 60.0) -> Plane:
        """Start and wait until it is ready; raises `NotReady` with its output."""
        if self.running:
            raise RuntimeError("it runs already")
        self._ready.unlink(missing_ok=True)
        command = [self._command, "run", "--config", str(self.config), "--ready-file", str(self._ready)]
        began = time.monotonic()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder,
                env=self._environment(),
            )
        try:
            self._await_ready(began + timeout)
        except BaseException:  # Ctrl-C too
            self.kill()
            raise
        self.ready_seconds = time.monotonic() - began
        return self

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM, as a service manager does; returns the exit code. Kills it after `timeout` seconds."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode

    def kill(self) -> None:
        """SIGKILL to every process of it, as a power cut would: nothing is flushed by anyone."""
        if self._process is None:
            return
        processes = cpu.tree(self._process.pid)
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        until = time.monotonic() + GONE
        while any(map(cpu.alive, processes)) and time.monotonic() < until:
            time.sleep(0.01)

    @property
    def running(self) -> bool:
        """True while the app process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """Everything it has printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def roles(self) -> dict[str, int]:
        """Process ids: the app, every role that it reports and that runs, and others (the zygotes and workers of
        scripts) as `other-<pid>`."""
        reported = {role["pid"]: name for name, role in self.status()["roles"].items() if role["pid"] is not None}
        others = {pid: f"other-{pid}" for pid in cpu.tree(self.pid)[1:]}
        return {name: pid for pid, name in ({self.pid: "app"} | others | reported).items()}

    def status(self) -> dict[str, Any]:
        """What `turnout status` knows, from the admin API."""
        status: dict[str, Any] = self.ask("/status")
        return status

    def ask(self, path: str, body: bytes | None = None) -> Any:
        """The admin API's answer to a GET, or to a POST of `body`; raises `urllib.error.URLError`."""
        token = (self.folder / "data" / "admin.token").read_text().strip()
        request = urllib.request.Request(
            f"{self.admin}/api/v1{path}", body, {"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def resume(self, destination: str) -> None:
        """`turnout resume destination NAME`."""
        self.ask("/resume", json.dumps({"kind": "destination", "name": destination}).encode())

    def wait(self) -> None:
        """Wait until the app process has ended."""
        if self._process is not None:
            self._process.wait()

    def _environment(self) -> dict[str, str]:
        # Without compiled modules at hand a start takes half as long again, which is no user's start.
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return {**inherited, "NO_COLOR": "1", **self._environ}

    def _await_ready(self, until: float) -> None:
        while time.monotonic() < until:
            if not self.running:
                assert self._process is not None
                raise NotReady(f"turnout run ended with {self._process.returncode}:\n{self.output}")
            # Not there yet, or just being written: look again.
            with suppress(FileNotFoundError, json.JSONDecodeError):
                facts = json.loads(self._ready.read_text())
                self.url, self.admin, self.pid = facts["url"], facts["admin"], facts["pid"]
                return
            time.sleep(0.01)
        raise NotReady(f"turnout run is not ready:\n{self.output}")
