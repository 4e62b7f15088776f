"""Programs of others' making beside ours, in the same run: `YARDSTICK=<folder> make bench`.

The folder has `floor.py PORT`, a bare handler, and `ceiling.py ingest PORT LOG`, a prototype without a
product's duties. Both listen on 127.0.0.1 and take /v1/track and /v1/batch.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["CEILING_KEY", "ceiling", "floor", "folder", "sandbox", "serve"]

CEILING_KEY = "writeKey123"
"""The only write key that ceiling.py knows."""


def folder() -> Path | None:
    """The folder named by YARDSTICK; None where it is not set. Raises where it is not one."""
    named = os.environ.get("YARDSTICK", "")
    if not named:
        return None
    found = Path(named).resolve()
    for name in ("floor.py", "ceiling.py"):
        if not (found / name).is_file():
            raise FileNotFoundError(f"YARDSTICK: there is no {name} in {found.name}")
    return found


def sandbox() -> Path | None:
    """Its folder `sandbox`, with a prototype's JavaScript: `js_sample.py` and `sample.py`; None where there is none."""
    named = os.environ.get("YARDSTICK", "")
    found = Path(named).resolve() / "sandbox"
    return found if named and (found / "js_sample.py").is_file() and (found / "sample.py").is_file() else None


@contextmanager
def floor(where: Path) -> Iterator[tuple[str, int]]:
    """Run floor.py; gives its URL and process id."""
    port = free_port()
    with serve([sys.executable, str(where / "floor.py"), str(port)], port) as pid:
        yield f"http://127.0.0.1:{port}", pid


@contextmanager
def ceiling(where: Path, scratch: Path) -> Iterator[tuple[str, int]]:
    """Run ceiling.py's ingest half with a log in `scratch`; gives its URL and process id."""
    port = free_port()
    command = [sys.executable, str(where / "ceiling.py"), "ingest", str(port), str(scratch / "ceiling.log")]
    with serve(command, port) as pid:
        yield f"http://127.0.0.1:{port}", pid


def free_port() -> int:
    """A port that was free a moment ago; these programs cannot pick one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def serve(command: list[str], port: int) -> Iterator[int]:
    """Run a program until the block ends; waits until it takes connections."""
    process = subprocess.Popen(command, env={**os.environ, "UV_USE_IO_URING": "0"})
    try:
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{Path(command[1]).name} does not listen") from None
                time.sleep(0.02)
        yield process.pid
    finally:
        process.kill()
        process.wait()
