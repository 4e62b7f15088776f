"""`turnout plan` against a running data plane, and offline."""

from __future__ import annotations

import base64
import json
import os
import pty
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench.plane import Plane, turnout
from bench.sink import Sink

CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
egress: {{allow_private: true}}
sources: {{website: {{write_key: wk_demo}}}}
transformations: {{clean: {{file: {script}}}}}
destinations:
  hook: {{type: webhook, settings: {{webhook_url: "{url}/?token={token}"}}, transformation: clean}}
  other: {{type: webhook, settings: {{webhook_url: "{url}/other"}}}}
{more}
"""
SAME = "def transformEvent(event, metadata):\n    return event\n"
CHANGED = """\
def transformEvent(event, metadata):
    n = event["properties"]["n"]
    if n == 0:
        return None
    if n == 1:
        return event["missing"]
    event["properties"]["n"] = n * 10
    return event
"""
BUSY = """\
def transformEvent(event, metadata):
    n = 0
    while n < 1000000:
        n = n + 1
    event["properties"]["n"] = n
    return event
"""
MOMENT = """\
import datetime, random

def transformEvent(event, metadata):
    event["at"] = datetime.datetime.now().isoformat()
    event["salt"] = random.random()
    return event
"""


def send(plane: Plane, number: int) -> None:
    key = base64.b64encode(b"wk_demo:").decode()
    batch = [
        {"type": "track", "event": "Step", "messageId": f"m{n}", "userId": f"u{n}", "properties": {"n": n % 4}}
        for n in range(number)
    ]
    request = urllib.request.Request(
        f"{plane.url}/v1/batch", json.dumps({"batch": batch}).encode(),
        {"Authorization": f"Basic {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def run(folder: Path, *words: str) -> tuple[int, str, str]:
    made = subprocess.run(
        [turnout(), *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False,
        cwd=folder,
    )
    return made.returncode, made.stdout, made.stderr


@pytest.fixture
def filled(data_plane: Callable[..., Plane], sink: Sink) -> Plane:
    text = CONFIG.format(url=sink.url, script="clean.py", token="hidden-1", more="")
    plane = data_plane(text, files={"clean.py": SAME})
    send(plane, 40)
    assert sink.wait(lambda s: len(s.events) == 80)
    sink.arrivals.clear()
    return plane


def candidate(plane: Plane, sink: Sink, *, script: str = "clean.py", token: str = "hidden-1", more: str = "") -> None:
    (plane.folder / "new.yaml").write_text(CONFIG.format(url=sink.url, script=script, token=token, more=more))


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def asked(plane: Plane, *words: str) -> tuple[int, Any]:
    code, out, err = run(plane.folder, "plan", "--config", "new.yaml", "--json", *words)
    assert code in (0, 3), err
    return code, json.loads(out)


def test_the_running_configuration_changes_nothing(filled: Plane, sink: Sink) -> None:
    candidate(filled, sink)
    code, found = asked(filled)
    assert (code, found["same"], found["events"]) == (0, True, 40)
    assert "nothing would change" in run(filled.folder, "plan", "--config", "new.yaml")[1]


def test_a_sample_of_everything_says_so_also_where_events_were_refused(filled: Plane, sink: Sink) -> None:
    (filled.folder / "nobody.json").write_text('{"type": "track", "event": "Nobody"}')
    assert run(filled.folder, "send", "nobody.json", "--config", "config.yaml")[0] == 1  # refused, with a number
    candidate(filled, sink)
    shown = run(filled.folder, "plan", "--config", "new.yaml")[1]
    assert shown.startswith("compared with 40 events\n")
    shown = run(filled.folder, "plan", "--config", "new.yaml", "--limit", "10")[1]
    assert shown.startswith("compared with 10 events of about 41, evenly chosen\n")


def on_a_terminal(folder: Path, *words: str) -> tuple[int, str, str]:
    """As `run`, with standard error on a terminal: exit code, standard output, what the terminal was sent."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [turnout(), *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, text=True,
        ) as process:
            os.close(theirs)
            shown = b""
            with suppress(OSError):  # the other end is closed
                while piece := os.read(ours, 4096):
                    shown += piece
            out = process.communicate()[0]
    finally:
        os.close(ours)
    return process.returncode, out, shown.decode()


def test_on_a_terminal_a_bar_shows_how_far_it_is_and_elsewhere_nothing_does(filled: Plane, sink: Sink) -> None:
    (filled.folder / "busy.py").write_text(BUSY)
    candidate(filled, sink, script="busy.py")
    words = ("plan", "--config", "new.yaml")
    code, out, shown = on_a_terminal(filled.folder, *words)
    assert code == 3
    assert "comparing" in shown
    assert " 0%" in shown
    assert run(filled.folder, *words) == (3, out, "")
    assert on_a_terminal(filled.folder, *words, "--json")[2] == ""
    assert filled.ask("/plan") == {}, "none is being made"
    (filled.folder / "event.json").write_text('{"type": "track", "event": "Step", "userId": "u", "properties": {}}')
    offline = on_a_terminal(filled.folder, *words, "--base", "config.yaml", "--events", "event.json")
    assert offline[0] == 3
    assert "comparing" in offline[2]
    assert "running fixtures" in offline[2]


def test_a_plan_that_nobody_waits_for_ends(filled: Plane, sink: Sink) -> None:
    (filled.folder / "busy.py").write_text(BUSY.replace("1000000", "20000000"))
    candidate(filled, sink, script="busy.py")
    words = [turnout(), "plan", "--config", "new.yaml"]
    with subprocess.Popen(words, cwd=filled.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as left:
        until(lambda: filled.ask("/plan").get("step") == "comparing")
        left.send_signal(signal.SIGINT)
        left.communicate(timeout=30)
    until(lambda: filled.ask("/plan") == {}, 20)  # it would have taken twice as long
    candidate(filled, sink)
    assert asked(filled)[1]["same"], "and another one can be made"


def test_another_script_shows_drops_errors_and_changed_requests(filled: Plane, sink: Sink) -> None:
    (filled.folder / "clean2.py").write_text(CHANGED)
    candidate(filled, sink, script="clean2.py")
    before = filled.status()["destinations"]
    code, found = asked(filled, "--last", "1h", "--examples", "1")
    assert code == 3
    kinds = {change["kind"]: change for change in found["destinations"]["hook"]["changes"]}
    assert {kind: change["count"] for kind, change in kinds.items()} == {
        "sent → filtered": 10, "sent → dead": 10, "request": 20,
    }
    assert kinds["sent → filtered"]["reasons"] == {"dropped by clean": 10}
    (reason,) = kinds["sent → dead"]["reasons"]
    assert "clean2.py" in reason or "clean:" in reason
    diff = kinds["request"]["examples"][0]["diff"][0]
    assert diff["path"].endswith("body.json.properties.n")
    assert diff["after"] == diff["before"] * 10
    assert found["destinations"]["other"]["state"] == "same"
    assert sink.events == []
    assert filled.status()["destinations"] == before
    shown = run(filled.folder, "plan", "--config", "new.yaml")[1]
    assert "10 sent → filtered" in shown
    assert "dropped by clean" in shown


def test_the_script_file_edited_in_place_is_compared_with_what_runs(filled: Plane, sink: Sink) -> None:
    (filled.folder / "clean.py").write_text(CHANGED)
    code, out, _ = run(filled.folder, "plan", "--json")
    found = json.loads(out)
    assert code == 3
    assert found["destinations"]["hook"]["settings"] == ["transformation (its code)"]


def test_new_and_removed_destinations_and_secrets(filled: Plane, sink: Sink) -> None:
    more = f'  third: {{type: webhook, settings: {{webhook_url: "{sink.url}/3"}}}}'
    candidate(filled, sink, token="hidden-2", more=more)
    code, found = asked(filled, "--examples", "1", "--limit", "10")
    assert code == 3
    assert found["destinations"]["third"]["state"] == "new"
    assert found["destinations"]["third"]["after"] == {"sent": 10}
    hook = found["destinations"]["hook"]
    assert hook["changes"][0]["examples"][0]["diff"][0]["secret"] is True
    assert hook["settings"] == ["settings.webhook_url"]
    assert "hidden-2" not in json.dumps(found)
    gone = (filled.folder / "new.yaml").read_text().replace("  other:", "  fourth:")
    (filled.folder / "new.yaml").write_text(gone)
    code, found = asked(filled)
    assert (found["destinations"]["other"]["state"], found["destinations"]["fourth"]["state"]) == ("removed", "new")
    shown = run(filled.folder, "plan", "--config", "new.yaml")[1]
    assert "other: removed\n  before: 40 sent\n  it has no backlog\n" in shown


def test_a_removed_destination_with_a_backlog_is_refused_as_a_reload_does(
    data_plane: Callable[..., Plane], sink: Sink
) -> None:
    more = '  down: {type: webhook, settings: {webhook_url: "http://127.0.0.1:9/"}}'
    plane = data_plane(CONFIG.format(url=sink.url, script="clean.py", token="t", more=more), files={"clean.py": SAME})
    send(plane, 6)
    assert sink.wait(lambda s: len(s.events) == 12)
    text = CONFIG.format(url=sink.url, script="clean.py", token="t", more="")
    (plane.folder / "config.yaml").write_text(text)
    code, out, err = run(plane.folder, "plan")
    assert (code, err) == (1, "")
    assert "down: removed\n  before: 6 sent\n  it has a backlog, and nothing says what is to become of it" in out
    said = out.partition("a reload would refuse this configuration, and change nothing:\n  ")[2].strip()
    assert said.startswith("destinations.down is gone from the config but still has a backlog")
    code, _, err = run(plane.folder, "reload")
    assert (code, err.partition(" (up to")[0]) == (1, f"turnout: {said.partition(' (up to')[0]}")
    (plane.folder / "config.yaml").write_text(text + "discard: [down]\n")
    code, out, _ = run(plane.folder, "plan")
    assert code == 3
    assert "it has a backlog, which is given up (`discard`)" in out
    renamed = text + more.replace("down: {", "later: {was: down, ") + "\n"
    (plane.folder / "config.yaml").write_text(renamed)
    code, out, _ = run(plane.folder, "plan")
    assert code == 3
    assert "later (was down): renamed\n" in out
    assert out.endswith("\nnothing would change for these events but the names of destinations\n")
    (plane.folder / "config.yaml").write_text(text.replace("  hook: {", "  hook: {was: down, "))
    code, out, _ = run(plane.folder, "plan")
    assert code == 1
    assert "down: removed\n  before: 6 sent\n  it has a backlog, and nothing says what is to become of it" in out
    said = out.partition("a reload would refuse this configuration, and change nothing:\n  ")[2].strip()
    assert run(plane.folder, "reload")[2] == f"turnout: {said}\n"


def test_what_changes_beside_destinations_is_named(filled: Plane, sink: Sink) -> None:
    candidate(filled, sink)
    file = filled.folder / "new.yaml"
    file.write_text(file.read_text().replace("{website:", "{shop: {write_key: wk_shop}, website:"))
    code, found = asked(filled)
    assert (code, found["changed"], found["added"], found["removed"]) == (0, ["sources.shop"], ["sources.shop"], [])
    assert "\nbeside destinations: sources.shop (new)\n" in run(filled.folder, "plan", "--config", "new.yaml")[1]
    for name, said in (("websiet", "did you mean website?"), ("shop", "there are: website")):
        code, out, err = run(filled.folder, "plan", "--config", "new.yaml", "--source", name)
        assert (code, out, err) == (1, "", f"turnout: no source is called {name} ({said})\n")


def test_where_there_is_no_event_nothing_is_promised(data_plane: Callable[..., Plane], sink: Sink) -> None:
    plane = data_plane(CONFIG.format(url=sink.url, script="clean.py", token="t", more=""), files={"clean.py": SAME})
    code, out, _ = run(plane.folder, "plan", "--source", "website")
    assert code == 0
    assert out.startswith("no event was received within 1h from website: there is nothing to compare with\n")
    assert out.endswith("\nthe configuration is the same\n")
    candidate(plane, sink, token="other")
    code, out, _ = run(plane.folder, "plan", "--config", "new.yaml")
    assert code == 1
    assert "hook: not compared\n  differs in settings.webhook_url\n" in out
    assert out.endswith("\nwhat would change for events is not known\n")


def test_what_an_event_is_called_begins_no_line(filled: Plane, sink: Sink) -> None:
    (filled.folder / "odd.json").write_text(json.dumps(
        {"type": "track", "event": "Odd", "userId": "u", "messageId": "m\nother: removed", "properties": {"n": 2}}
    ))  # fmt: skip
    assert run(filled.folder, "send", "odd.json")[0] == 0
    assert sink.wait(lambda s: len(s.events) == 2)
    (filled.folder / "clean.py").write_text("def transformEvent(event, metadata):\n    return None\n")
    out = run(filled.folder, "plan", "--examples", "20", "--last", "30m", "--limit", "1000")[1]
    assert "other: same" in out.splitlines()
    assert "other: removed" not in out.splitlines()


@pytest.mark.parametrize(("last", "said"), [
    ("0", "must be longer than 0s"), ("-1h", "must be a duration such as"), ("36501d", "must be at most 36500d"),
])  # fmt: skip
def test_how_far_back_is_a_duration(tmp_path: Path, last: str, said: str) -> None:
    code, out, err = run(tmp_path, "plan", f"--last={last}")
    assert (code, out) == (1, "")
    assert err.startswith(f"turnout: --last {last}: {said}")


def test_a_broken_candidate_is_exit_1_with_its_place(filled: Plane, sink: Sink) -> None:
    candidate(filled, sink, more="  bad: {type: webhok}")
    code, _, err = run(filled.folder, "plan", "--config", "new.yaml")
    assert code == 1
    assert "new.yaml:" in err
    assert "did you mean webhook" in err
    (filled.folder / "clean3.py").write_text("def transformEvent(event, metadata)\n    return event\n")
    candidate(filled, sink, script="clean3.py")
    code, _, err = run(filled.folder, "plan", "--config", "new.yaml")
    assert code == 1
    assert "clean3.py:1" in err
    assert run(filled.folder, "plan", "--last", "soon")[0] == 1


CASES = """\
cases:
  - name: nothing is changed
    event: {properties: {n: 3}}
    output: {properties: {n: 3}}
"""


def test_a_candidate_whose_fixtures_fail_is_exit_1_and_said_to_be_refused(filled: Plane, sink: Sink) -> None:
    (filled.folder / "clean.test.yaml").write_text(CASES)
    candidate(filled, sink)
    code, found = asked(filled)
    assert (code, found["same"], found["refused"]) == (0, True, [])
    (filled.folder / "clean.py").write_text(CHANGED)
    code, out, err = run(filled.folder, "plan")
    assert (code, err) == (1, "")
    assert "10 sent → filtered" in out
    assert out.endswith(
        "\na reload would refuse this configuration, and change nothing:\n"
        '  clean.test.yaml:2: nothing is changed: expected "n": 3, came out "n": 30\n'
        "  fixtures fail: `turnout test` shows more\n"
    )
    assert run(filled.folder, "reload")[0] == 1
    code, out, _ = run(filled.folder, "plan", "--json")
    found = json.loads(out)
    assert (code, found["same"], len(found["refused"])) == (1, False, 2)
    (filled.folder / "clean.test.yaml").write_text("cases: 7\n")
    code, out, _ = run(filled.folder, "plan")
    assert code == 1
    assert "refuse this configuration, and change nothing:\n  clean.test.yaml:1:" in out


def test_a_plan_is_only_for_the_socket(filled: Plane) -> None:
    token = (filled.folder / "data" / "admin.token").read_text().strip()
    request = urllib.request.Request(
        f"{filled.admin}/api/v1/plan", json.dumps({"file": "/etc/hostname"}).encode(),
        {"Authorization": f"Bearer {token}"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 422


def test_offline_two_files_and_a_file_of_events(tmp_path: Path) -> None:
    fields = {"url": "https://example.com", "token": "x", "more": ""}
    (tmp_path / "old.yaml").write_text(CONFIG.format(script="old.py", **fields))
    (tmp_path / "new.yaml").write_text(CONFIG.format(script="new.py", **fields))
    (tmp_path / "old.py").write_text(MOMENT)
    (tmp_path / "new.py").write_text(MOMENT + "# a comment makes it another version, and changes nothing\n")
    rows = [{"type": "track", "event": "Step", "userId": "u", "properties": {"n": n}} for n in range(4)]
    (tmp_path / "events.ndjson").write_text("\n".join(map(json.dumps, rows)))
    words = ("plan", "--config", "new.yaml", "--base", "old.yaml", "--events", "events.ndjson")
    code, out, err = run(tmp_path, *words)
    assert (code, err) == (0, ""), out
    (tmp_path / "new.py").write_text(CHANGED)
    code, out, _ = run(tmp_path, *words, "--json")
    assert code == 3
    hook = json.loads(out)["destinations"]["hook"]
    assert hook["after"] == {"filtered": 1, "dead": 1, "sent": 2}
    (tmp_path / "new.test.yaml").write_text(CASES)
    code, out, _ = run(tmp_path, *words)
    assert code == 1
    assert "a reload would refuse this configuration, and change nothing:\n  new.test.yaml:2: nothing is" in out
    assert "together" in run(tmp_path, "plan", "--config", "new.yaml", "--base", "old.yaml")[2]
