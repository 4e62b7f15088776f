"""`turnout tail` against a running data plane."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable

from bench.plane import Plane
from bench.sink import Sink
from tests.inspect.test_explain_command import CONFIG, OLD, cli, post


def tailing(plane: Plane, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from dataplane.cli.main import main; main()", "tail", *words]
    made = subprocess.Popen(
        [*command, "--config", str(plane.config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert made.stdout is not None
    assert "watching" in made.stdout.readline()
    return made


def test_lines_come_as_verdicts_are_reached(data_plane: Callable[..., Plane], sink: Sink) -> None:
    plane = data_plane(CONFIG.format(url=sink.url), {"mark.py": OLD})
    people, machines = tailing(plane), tailing(plane, "--verdict", "delivered", "--event", "seen", "--json")
    assert people.stdout is not None
    assert machines.stdout is not None
    for name in ("Other", "Seen"):
        post(plane, {"event": name, "messageId": name})
        line = people.stdout.readline()
        assert f"website  track {name} of ada  > hook  delivered 200" in line
    found = json.loads(machines.stdout.readline())
    assert (found["event"], found["destination"], found["verdict"]) == ("Seen", "hook", "delivered")
    assert found["status"] == 200
    for process in (people, machines):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (130, "", "")
    assert (plane.folder / "data/audit.log").read_text().count('"verb":"tail"') == 2


def test_a_tail_survives_a_restart_of_the_pipeline(data_plane: Callable[..., Plane], sink: Sink) -> None:
    plane = data_plane(CONFIG.format(url=sink.url), {"mark.py": OLD})
    process = tailing(plane)
    assert process.stdout is not None
    os.kill(json.loads(cli(plane, "status", "--json")[1])["roles"]["pipeline"]["pid"], signal.SIGKILL)
    assert "the pipeline does not answer; waiting for it" in process.stdout.readline()
    assert "watching again; what was done meanwhile is not shown" in process.stdout.readline()
    post(plane, {"event": "Seen", "messageId": "m1"})
    assert "track Seen" in process.stdout.readline()
    plane.stop()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "hung up" in err or "ended" in err, (out, err)


def test_a_wrong_filter_is_an_error_before_anything_is_shown(data_plane: Callable[..., Plane], sink: Sink) -> None:
    plane = data_plane(CONFIG.format(url=sink.url), {"mark.py": OLD})
    code, out, err = cli(plane, "tail", "--destination", "nope")
    assert (code, out, err) == (1, "", "turnout: no destination is called nope (there are: hook)\n")
    token = (plane.folder / "data/admin.token").read_text().strip()
    request = urllib.request.Request(f"{plane.admin}/api/v1/tail", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        assert json.loads(answer.readline())["note"].startswith("watching")
