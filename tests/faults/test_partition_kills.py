"""SIGKILL to one ingest process after another, and to the pipeline, while many users send over all of them."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.plane import Plane
from bench.sink import Sink

CONFIG = """\
server: {{port: 0}}
admin: {{port: 0}}
egress: {{allow_private: true}}
processes: {{ingest: 3}}
sources: {{web: {{write_key: wk}}}}
destinations:
  hook:
    type: webhook
    settings: {{webhook_url: "{url}/"}}
    delivery: {{concurrency: 64}}
"""


class User(threading.Thread):
    """Sends its next event when the last one was acknowledged, each over a connection of its own, so that
    it meets all processes; sends again what was not acknowledged, as SDKs do."""

    def __init__(self, plane: Plane, name: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.user = name
        self.acknowledged: list[str] = []
        self.broken = 0
        self._parts = urlsplit(plane.url)
        self._stop_now = stop

    def run(self) -> None:
        while not self._stop_now.is_set():
            ident = f"{self.user}-{len(self.acknowledged)}"
            while not self._sent(ident):
                self.broken += 1
            self.acknowledged.append(ident)

    def _sent(self, ident: str) -> bool:
        connection = http.client.HTTPConnection(self._parts.hostname or "", self._parts.port, timeout=10)
        body = json.dumps({"event": "Step", "userId": self.user, "messageId": ident})
        headers = {"X-Write-Key": "wk", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/track", body, headers)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def by_user(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    """First arrivals, in order."""
    found: dict[str, list[str]] = {}
    for ident, user in dict.fromkeys((event["messageId"], event["userId"]) for event in events):
        found.setdefault(user, []).append(ident)
    return found


@pytest.mark.slow
def test_order_of_each_user_and_every_event_survive_the_death_of_any_process(tmp_path: Path) -> None:
    chance = random.Random(11)
    stop = threading.Event()
    with Sink() as sink:
        plane = Plane(tmp_path, CONFIG.format(url=sink.url))
        try:
            plane.start()
            users = [User(plane, f"u{n}", stop) for n in range(12)]
            for user in users:
                user.start()
            victims = ["ingest", "ingest-1", "ingest-2", "pipeline", "ingest-1", "ingest"]
            for victim in victims:
                time.sleep(chance.uniform(0.1, 0.6))
                pid = plane.status()["roles"][victim]["pid"]
                if pid is not None:  # else it is just coming back
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.5)
            stop.set()
            for user in users:
                user.join(30)
            sent = {user.user: user.acknowledged for user in users}
            total = sum(map(len, sent.values()))
            assert total > 100
            assert sink.wait(lambda s: len({e["messageId"] for e in s.events}) >= total, timeout=60)
            restarts = {name: role["restarts"] for name, role in plane.status()["roles"].items()}
            assert restarts["ingest-2"] == restarts["pipeline"] == 1, restarts
            plane.stop()
        finally:
            stop.set()
            plane.kill()
    assert by_user(sink.events) == sent
