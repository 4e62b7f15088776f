"""SIGKILL in the middle of a job: it goes on where it stood, with the same events, and nothing is submitted twice."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.plane import Plane

sys.path.insert(0, str(Path(__file__).parents[1] / "deliver"))
from bulk_tool import BulkServer, plugged_in

CONFIG = """
server: {{port: 0}}
admin: {{port: 0}}
egress: {{allow_private: true}}
sources: {{web: {{write_key: k}}}}
destinations:
  jobs:
    type: bulk
    settings: {{url: "{url}"}}
"""


class Stopped(BulkServer):
    """Does a step once and then answers no one until it is let go."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.polls = 1
        self.reached, self.go = threading.Event(), threading.Event()
        self._at = at

    def done(self, step: str) -> None:
        if step == self._at and not self.reached.is_set():
            self.reached.set()
            self.go.wait(60)


def until(test: Callable[[], bool], plane: Plane) -> None:
    end = time.monotonic() + 60
    while not test():
        assert time.monotonic() < end, plane.output
        time.sleep(0.05)


@pytest.mark.parametrize("step", ["make", "add", "close", "poll", "rows"])
def test_a_job_whose_plane_is_killed_goes_on(tmp_path: Path, step: str) -> None:
    with Stopped(step) as tool:
        plane = Plane(tmp_path / "plane", CONFIG.format(url=tool.url), plugged_in(tmp_path / "plugin"))
        try:
            plane.start()
            events = [{"type": "track", "event": "Step", "userId": f"u{n % 3}", "messageId": f"m-{n}"}
                      for n in range(9)]
            request = urllib.request.Request(
                f"{plane.url}/v1/batch", json.dumps({"batch": events}).encode(),
                {"Content-Type": "application/json", "Authorization": "Basic azo="},
            )
            urllib.request.urlopen(request, timeout=10).close()
            assert tool.reached.wait(30), plane.output
            plane.kill()
            tool.go.set()
            plane.start()
            until(lambda: plane.status()["destinations"]["jobs"]["delivered"] == 9, plane)
            row = plane.status()["destinations"]["jobs"]
        finally:
            plane.stop()
    assert sorted(tool.taken) == sorted(event["messageId"] for event in events), "each exactly once"
    assert tool.asked["odd"] == 0
    assert (row["pending"], row["jobs"], row["dead"]) == (0, 0, 0)
    # An answer that was never seen is asked for again; what had a checkpoint is not done again.
    again = {name: n for name, n in tool.asked.items() if n > 1 and name != "poll"}
    assert set(again) <= {step}, tool.asked
