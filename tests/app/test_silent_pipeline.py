"""What is said while the pipeline process does not answer: killed, or hanging."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

from bench.plane import Plane
from bench.sink import Sink
from tests.app.test_app_run import cli, until
from tests.app.test_partitions import post
from tests.app.test_pipelines import config


def status(plane: Plane) -> dict[str, Any]:
    """As scripts read it; exit code 1 where it is not well."""
    found: dict[str, Any] = json.loads(cli(plane, "status", "--json").stdout)
    return found


def test_the_status_of_a_killed_pipeline_has_everything_it_has_else(
    sink: Sink, planes: Callable[[str], Plane]
) -> None:
    plane = planes(config(sink, 1)).start()
    for n in range(5):
        assert post(plane, {"messageId": f"m{n}", "userId": "u"}) == 200
    until(lambda: status(plane)["destinations"]["hook"]["delivered"] == 5)
    before = status(plane)
    assert before["stale"] == {}
    pid = before["roles"]["pipeline"]["pid"]
    os.kill(pid, signal.SIGKILL)
    while True:  # until it is up again
        found = status(plane)
        assert found.keys() == before.keys()
        assert found["destinations"]["hook"].keys() >= before["destinations"]["hook"].keys() - {"backlog"}
        assert found["destinations"]["hook"]["delivered"] == 5
        assert found["sources"] == before["sources"]
        if found["health"]["ok"]:
            break
        assert found["stale"].keys() <= {"pipeline"}
    assert found["roles"]["pipeline"]["pid"] != pid


def test_the_status_of_a_hanging_pipeline_says_what_was_known(sink: Sink, planes: Callable[[str], Plane]) -> None:
    plane = planes(config(sink, 1)).start()
    assert post(plane, {"messageId": "m", "userId": "u"}) == 200
    until(lambda: status(plane)["destinations"]["hook"]["delivered"] == 1)
    pid = plane.status()["roles"]["pipeline"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    shown = cli(plane, "status")
    assert shown.returncode == 1
    assert "pipeline does not answer: what is said of its events is of 20" in shown.stdout
    assert "unknown" in shown.stdout
    text = plane.config.read_text()
    plane.config.write_text(f'{text}  late: {{type: webhook, settings: {{webhook_url: "{sink.url}/late"}}}}\n')
    os.kill(pid, signal.SIGKILL)
    until(lambda: plane.status()["roles"]["pipeline"]["pid"] != pid)
    assert cli(plane, "reload").returncode == 0, "a role that is down takes it when it starts"
    rows = status(plane)["destinations"]
    assert list(rows) == ["hook", "late"]
    assert rows["hook"]["delivered"] == 1
    assert rows["hook"].keys() >= rows["late"].keys() - {"backlog"}
    until(lambda: bool(status(plane)["health"]["ok"]))
    assert status(plane)["destinations"]["late"]["state"] == "running"
