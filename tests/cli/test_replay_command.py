"""`turnout replay` against a running data plane, a killed one included."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.plane import Plane, turnout
from bench.sink import Sink
from dataplane.cli.replay import moment
from turnout.errors import Fixable

CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
egress: {{allow_private: true}}
sources: {{website: {{write_key: wk_demo}}}}
destinations: {{hook: {{type: webhook, settings: {{webhook_url: "{url}/"}}}}}}
"""
Start = Callable[[str], Plane]


def send(plane: Plane, users: int, each: int) -> None:
    key = base64.b64encode(b"wk_demo:").decode()
    for n in range(each):
        batch = [
            {"type": "track", "event": "Step", "messageId": f"u{u}-{n}", "userId": f"u{u}", "properties": {"n": n}}
            for u in range(users)
        ]
        request = urllib.request.Request(
            f"{plane.url}/v1/batch", json.dumps({"batch": batch}).encode(),
            {"Authorization": f"Basic {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200


def run(plane: Plane, *words: str, code: int = 0) -> str:
    made = subprocess.run(
        [turnout(), *words, "--config", str(plane.config)], capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL, check=False,
    )
    assert made.returncode == code, made.stdout + made.stderr
    return made.stdout if code == 0 else made.stderr


def as_json(plane: Plane, *words: str) -> Any:
    return json.loads(run(plane, *words, "--json"))


@pytest.fixture
def filled(data_plane: Start, sink: Sink) -> Plane:
    plane = data_plane(CONFIG.format(url=sink.url))
    send(plane, users=20, each=15)
    assert sink.wait(lambda s: len(s.events) == 300)
    sink.arrivals.clear()
    return plane


def test_a_replay_that_is_killed_goes_on_and_repeats_only_what_was_in_flight(filled: Plane, sink: Sink) -> None:
    words = ["replay", "--destination", "hook", "--unordered", "--rate", "50", "--yes", "--json"]
    command = subprocess.Popen(
        [turnout(), *words, "--config", str(filled.config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )
    assert sink.wait(lambda s: len(s.events) >= 80)
    filled.kill()
    assert command.stderr is not None
    assert "replay 1 goes on when it runs" in command.stderr.readline()  # it follows on, and says what it waits for
    filled.start()
    end = json.loads(command.communicate(timeout=60)[0])
    assert command.returncode == 0
    assert (end["state"], end["selected"], end["delivered"]) == ("done", 300, 300)
    got = Counter(event["messageId"] for event in sink.events)
    assert len(got) == 300
    # In flight at the kill, and what a tenth of a second of cursors at 50 a second may be where the disk is busy.
    assert sum(got.values()) - 300 <= 8 + 30
    seen: dict[str, list[int]] = {}
    for event in sink.events:
        seen.setdefault(event["userId"], []).append(event["properties"]["n"])
    for numbers in seen.values():
        firsts = list(dict.fromkeys(numbers))
        assert firsts == sorted(firsts)
    status = as_json(filled, "status")
    assert status["destinations"]["hook"]["delivered"] == 300


def test_ctrl_c_leaves_it_running_and_says_how_to_cancel(filled: Plane, sink: Sink) -> None:
    words = ["replay", "--destination", "hook", "--unordered", "--rate", "5", "--yes"]
    command = subprocess.Popen(
        [turnout(), *words, "--config", str(filled.config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert "has begun" in command.stdout.readline()  # events may arrive before the command knows that they do
    assert sink.wait(lambda s: len(s.events) >= 3)
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "turnout replay cancel 1" in err
    before = len(sink.events)
    assert sink.wait(lambda s: len(s.events) > before)
    assert "is cancelled" in run(filled, "replay", "cancel", "1")
    assert "cancelled" in run(filled, "replay", "list")
    run(filled, "replay", "resume", "1")
    assert as_json(filled, "replay", "status", "1")["state"] == "running"


def test_a_dry_run_and_a_file(filled: Plane, sink: Sink, tmp_path: Path) -> None:
    found = as_json(filled, "replay", "-d", "hook", "--unordered", "--user", "u3", "--from", "1h", "--dry-run")
    assert (found["selected"], found["complete"], found["routes"]) == (15, True, {"send": 15})
    assert len(found["sample"]) == 5
    shown = run(filled, "replay", "-d", "hook", "--unordered", "--user", "u3", "--dry-run")
    assert "15 of 300 stored events are selected\n  15 to be sent, unless a script drops them\n" in shown
    assert "curl -X POST" in shown
    path = tmp_path / "out.ndjson"
    assert "is done: 15 selected, 15 written\n" in run(filled, "replay", "--to-file", str(path), "--user", "u3")
    listed = run(filled, "replay", "list")
    assert "written" in listed
    assert "delivered" not in listed
    assert [json.loads(line)["messageId"] for line in path.read_text().splitlines()] == [
        f"u3-{n}" for n in range(15)
    ]
    assert sink.events == []


def test_wrong_use_is_one_clear_line(filled: Plane) -> None:
    assert "say --yes" in run(filled, "replay", "-d", "hook", "--unordered", code=1)
    assert "no destination is called nosuch" in run(filled, "replay", "-d", "nosuch", "--unordered", code=1)
    assert "--unordered" in run(filled, "replay", "-d", "hook", "--yes", code=1)
    assert "neither a time" in run(filled, "replay", "-d", "hook", "--from", "soon", "--yes", code=1)
    assert "there is no replay 7" in run(filled, "replay", "status", "7", code=1)
    assert "is a number" in run(filled, "replay", "cancel", "x", code=1)


def test_a_file_is_only_for_the_socket(filled: Plane, tmp_path: Path) -> None:
    token = (filled.folder / "data" / "admin.token").read_text().strip()
    request = urllib.request.Request(
        f"{filled.admin}/api/v1/replays", json.dumps({"file": str(tmp_path / "x")}).encode(),
        {"Authorization": f"Bearer {token}"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 422
    assert not (tmp_path / "x").exists()


def test_times_are_absolute_or_a_while_ago() -> None:
    now = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
    assert moment("2h", now, "--from") == "2026-11-25T10:00:00.000Z"
    assert moment("2026-11-23T09:30Z", now, "--from") == "2026-11-23T09:30:00.000Z"
    assert moment("2026-11-23T09:30:00+02:00", now, "--from") == "2026-11-23T07:30:00.000Z"
    with pytest.raises(Fixable, match="--to: soon"):
        moment("soon", now, "--to")
