"""What is said while the pipeline process does not answer: killed, or hanging."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.error import HTTPError

import pytest

from bench.plane import Plane
from bench.sink import Sink
from dataplane.app.pipelines import READING
from dataplane.deliver.verbs import VERBS
from tests.app.test_app_run import cli, until
from tests.app.test_partitions import post
from tests.app.test_pipelines import config


def status(plane: Plane) -> dict[str, Any]:
    """As scripts read it; exit code 1 where it is not well."""
    found: dict[str, Any] = json.loads(cli(plane, "status", "--json").stdout)
    return found


def refusal(plane: Plane, path: str) -> str:
    """What the admin API says where it cannot answer."""
    with pytest.raises(HTTPError) as caught:
        plane.ask(path)
    assert caught.value.code == 503
    return str(json.load(caught.value)["message"])


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
    paths = ("/dead", "/dead/summary", "/refused", "/refused/export", "/replays", "/replays/1", "/explain/m", "/tail")
    with ThreadPoolExecutor(len(paths) + 1) as pool:
        told = pool.map(partial(refusal, plane), paths)
        shown = cli(plane, "dead", "list")
        for path, said in zip(paths, told, strict=True):
            assert f"pipeline (process {pid}): nothing was heard of it for 5 s; where it stays so" in said, path
    assert shown.returncode == 1
    assert f"pipeline (process {pid}): nothing was heard" in shown.stderr
    text = plane.config.read_text()
    plane.config.write_text(f'{text}  late: {{type: webhook, settings: {{webhook_url: "{sink.url}/late"}}}}\n')
    os.kill(pid, signal.SIGKILL)
    until(lambda: plane.status()["roles"]["pipeline"]["pid"] != pid)
    letters = cli(plane, "dead", "list")
    assert letters.returncode == 0 or "pipeline process is restarting: try again in a moment" in letters.stderr or (
        "pipeline process is starting" in letters.stderr
    ), letters.stderr
    assert cli(plane, "reload").returncode == 0, "a role that is down takes it when it starts"
    rows = status(plane)["destinations"]
    assert list(rows) == ["hook", "late"]
    assert rows["hook"]["delivered"] == 1
    assert rows["hook"].keys() >= rows["late"].keys() - {"backlog"}
    until(lambda: bool(status(plane)["health"]["ok"]))
    assert status(plane)["destinations"]["late"]["state"] == "running"


def test_what_is_not_waited_for_long_are_verbs_there_are() -> None:
    assert {*VERBS, "explain"} >= READING
