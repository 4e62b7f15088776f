"""A disk that runs full under load, and has room again: 503 meanwhile, nothing lost, no hand needed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.faults.account import Outcome, account, settled, sums
from bench.faults.users import Users
from bench.plane import Plane
from bench.sink import Sink

__all__ = ["full_disk", "mountable"]

SIZE = 48 << 20
CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
log: {{segment_bytes: 1000000, min_free_bytes: 0}}
egress: {{allow_private: true}}
sources:
  web: {{write_key: wk_bench}}
destinations:
  plain:
    type: webhook
    settings: {{webhook_url: "{url}/plain"}}
    delivery: {{batch: 20, linger: 20ms}}
"""


def mountable(folder: Path) -> bool:
    """Whether this process may mount a small file system (root, outside most containers)."""
    try:
        with _disk(folder):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    """A file system of `SIZE` bytes in `folder`."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def full_disk(folder: Path, *, times: int = 2, users: int = 12) -> Outcome:
    """Fill the disk `times` times under load, see the 503s, make room, and count."""
    with _disk(folder / "data") as disk, Sink() as sink:
        plane = Plane(folder, CONFIG.format(url=sink.url))
        try:
            plane.start()
            with Users(lambda: plane.url, "wk_bench", users, pause=0.005) as load:
                for _ in range(times):
                    _until(lambda at=load.total: load.total > at + 300)
                    filler = _fill(disk)
                    refused = load.answers[503]
                    _until(lambda at=refused: load.answers[503] > at + 20)
                    _until(lambda: _problems(plane))
                    filler.unlink()
                _until(lambda at=load.total: load.total > at + 300)
                load.stop()
            status = settled(plane)
            plane.stop()
        finally:
            plane.kill()
    outcome = Outcome("disk full", wrong=sums(status, load.total))
    restarts = {name: role["restarts"] for name, role in status["roles"].items() if role["restarts"]}
    outcome.note = f"{load.answers[503]} answers of 503; restarts: {restarts or 'none'}"
    return account(outcome, sink, load.acknowledged, copies={"plain": lambda _: 1})


def _fill(disk: Path) -> Path:
    """Take every byte there is."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
        os.fsync(file.fileno())
    return path


def _problems(plane: Plane) -> bool:
    """Whether `turnout status` says that it is not well."""
    return bool(plane.status()["health"]["problems"])


def _until(true: object, seconds: float = 60.0) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("it did not come about")
        time.sleep(0.02)
