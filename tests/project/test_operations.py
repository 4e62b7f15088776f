"""The runbooks of docs/operations.md, walked through: their commands against a plane in that very trouble."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable

import pytest

from bench.plane import Plane, turnout
from bench.sink import Sink
from tests.app.test_app_run import MARK, config, post, until
from tests.project.checkout import ROOT
from turnout.testing import Recorder

PAGE = (ROOT / "docs" / "operations.md").read_text()
WORKS = "def transformEvent(event, metadata):\n    event['marked'] = True\n    return event\n"


def section(heading: str) -> str:
    """A section's text, to the next heading of its depth."""
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def lines(heading: str) -> list[str]:
    """The `turnout` commands in a section's sh blocks, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", section(heading), re.MULTILINE | re.DOTALL)
    found = [line for block in blocks for line in block.splitlines() if line.startswith("turnout ")]
    assert found, heading
    return found


def run(plane: Plane, line: str) -> str:
    """Run one line in the plane's folder, as its text says; what it printed."""
    ran = subprocess.run(
        [turnout(), *shlex.split(line)[1:]], cwd=plane.folder, capture_output=True, text=True, timeout=90, check=False,
        env={**os.environ, "TURNOUT_CONFIG": str(plane.config), "NO_COLOR": "1"},
    )
    assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


def test_alerts(data_plane: Callable[..., Plane], sink: Sink) -> None:
    with Recorder() as recorder:
        (text,) = re.findall(r"^```yaml\n(.*?)^```", section("What to monitor"), re.MULTILINE | re.DOTALL)
        environ = {"SLACK_URL": f"{recorder.url}slack", "PAGER_URL": f"{recorder.url}pager"}
        plane = data_plane(config(sink, text), {"mark.py": MARK}, environ)
        said = [run(plane, line) for line in lines("What to monitor")]
        assert said == ["ops: taken: HTTP 200\n", "no alert stands\n"]
        (body,) = re.findall(r"^```json\n(.*?)^```", section("What to monitor"), re.MULTILINE | re.DOTALL)
        assert [one.path for one in recorder.received] == ["/slack"]
        run(plane, "turnout alerts test --channel pager")
        assert recorder.received[1].json().keys() == json.loads(body).keys()
        assert recorder.received[1].headers["authorization"] == "Bearer none"


def test_every_kind_of_alert_has_a_row_and_every_row_is_a_kind() -> None:
    from dataplane.config.model import ALERTS

    assert set(re.findall(r"^\| `(\w+)` \|", section("What to monitor"), re.MULTILINE)) == set(ALERTS)


def test_back_up_and_restore(data_plane: Callable[..., Plane], sink: Sink) -> None:
    plane = data_plane(config(sink), {"mark.py": MARK})
    for number in range(5):
        assert post(plane, {"event": "E", "messageId": f"m{number}"}) == 200
    until(lambda: plane.status()["destinations"]["hook"]["delivered"] == 5)
    for line in lines("Back up, and restore"):
        run(plane, line)
    plane.stop()
    plane.config.write_text(config(sink, "data: ./restored\n"))
    plane.start()
    token = plane.folder / "data" / "admin.token"
    token.write_text((plane.folder / "restored" / "admin.token").read_text())  # where Plane looks for it
    assert plane.status()["destinations"]["hook"]["delivered"] == 5
    assert post(plane, {"event": "E", "messageId": "m-new"}) == 200
    assert sink.wait(lambda s: any(event["messageId"] == "m-new" for event in s.events))
    assert post(plane, {"event": "E", "messageId": "m1"}) == 200  # the copy knows its duplicates
    until(lambda: plane.status()["sources"]["website"]["duplicate"] == 1)
    assert len(sink.events) == 6


def test_a_bad_script_was_deployed(data_plane: Callable[..., Plane], sink: Sink) -> None:
    plane = data_plane(config(sink), {"mark.py": MARK})
    for number in range(3):
        assert post(plane, {"event": "Boom", "messageId": f"b{number}"}) == 200
    until(lambda: plane.status()["destinations"]["hook"]["dead"] == 3)
    status, letters, check, reload, retry = lines("A bad script was deployed")
    assert "3 dead" in run(plane, status)
    until(lambda: "mark.py:3" in run(plane, letters))  # it is counted first, and written down a moment later
    (plane.folder / "mark.py").write_text("def transformEvent(event, metadata:\n")
    with pytest.raises(AssertionError, match=r"mark\.py:1"):
        run(plane, check)
    (plane.folder / "mark.py").write_text(WORKS)
    run(plane, check)
    run(plane, reload)
    assert post(plane, {"event": "Boom", "messageId": "b-new"}) == 200
    assert sink.wait(lambda s: any(event["messageId"] == "b-new" and event["marked"] for event in s.events))
    run(plane, retry)
    assert sink.wait(lambda s: {e["messageId"] for e in s.events if e["marked"]} >= {"b0", "b1", "b2"})


def test_dead_letters_pile_up(data_plane: Callable[..., Plane], sink: Sink) -> None:
    with Recorder() as tool:
        tool.answer(400, body="no such field")
        text = config(sink).replace(f"{sink.url}/", tool.url)
        plane = data_plane(text, {"mark.py": MARK})
        assert post(plane, {"event": "E", "messageId": "d1"}) == 200
        until(lambda: plane.status()["destinations"]["hook"]["dead"] == 1)
        listing, retry = lines("Dead letters pile up")
        until(lambda: "rejected" in run(plane, listing))  # it is counted first, and written down a moment later
        run(plane, retry)
        until(lambda: plane.status()["destinations"]["hook"]["delivered"] == 1)


def test_files_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"\bdeploy/[\w.]+", PAGE))
    assert named
    for name in named:
        assert (ROOT / name).exists(), name
