"""`turnout explain` against a running data plane, with scripts in their sandbox."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from bench.plane import Plane
from bench.sink import Sink
from dataplane.cli.main import main

CONFIG = """\
server: {{port: 0}}
admin: {{port: 0}}
egress: {{allow_private: true}}
sources: {{website: {{write_key: wk_test}}}}
transformations: {{mark: {{file: mark.py}}}}
destinations:
  hook:
    type: webhook
    settings: {{webhook_url: "{url}/?token=hidden-token-1"}}
    transformation: mark
"""
OLD = """\
def transformEvent(event, metadata):
    event["marked"] = "old"
    return event
"""


def post(plane: Plane, event: dict[str, Any]) -> None:
    body = json.dumps({"userId": "ada", **event}).encode()
    request = urllib.request.Request(f"{plane.url}/v1/track", body, {"X-Write-Key": "wk_test"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def cli(plane: Plane, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([*words, "--config", str(plane.config)])
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def test_an_old_scripts_changes_are_told_after_a_reload(data_plane: Callable[..., Plane], sink: Sink) -> None:
    plane = data_plane(CONFIG.format(url=sink.url), {"mark.py": OLD})
    post(plane, {"event": "Seen", "messageId": "shop/1 a?b#c"})
    assert sink.wait(lambda s: len(s.events) == 1)
    (plane.folder / "mark.py").write_text(OLD.replace('"old"', '"new"'))
    assert cli(plane, "reload")[0] == 0
    post(plane, {"event": "Seen", "messageId": "m2"})
    assert sink.wait(lambda s: len(s.events) == 2)
    assert [event["marked"] for event in sink.events] == ["old", "new"]

    code, out, err = cli(plane, "explain", "shop/1 a?b#c", "--json")
    assert (code, err) == (0, "")
    first = json.loads(out)
    second = json.loads(cli(plane, "explain", "m2", "--json")[1])
    ways = [found["destinations"]["hook"]["reconstructed"] for found in (first, second)]
    assert [way["running"] for way in ways] == [False, True]
    changed = [way["steps"][0]["outputs"][0]["changes"] for way in ways]
    assert [[row["to"] for row in rows] for rows in changed] == [["old"], ["new"]]
    assert ways[0]["scripts"] != ways[1]["scripts"]
    request = ways[0]["parts"][0]["requests"][0]
    assert request["body"]["json"]["marked"] == "old"
    assert "hidden-token-1" not in json.dumps(first)

    code, out, err = cli(plane, "explain", "#1")
    assert (code, err) == (0, "")
    assert "hook (webhook): delivered: HTTP 200" in out
    assert '+ marked: "old"' in out.replace("marked: old", 'marked: "old"')
    assert len(out.splitlines()) < 24  # one screen
    assert (plane.folder / "data/audit.log").read_text().count('"verb":"explain"') == 3


def test_what_is_unknown_is_an_error_in_a_sentence(data_plane: Callable[..., Plane], sink: Sink) -> None:
    plane = data_plane(CONFIG.format(url=sink.url), {"mark.py": OLD})
    code, out, err = cli(plane, "explain", "nope")
    assert (code, out) == (1, "")
    assert err.startswith("turnout: no event of website with this messageId is known")
    assert cli(plane, "explain", "7")[2].endswith("written with #: `turnout explain '#7'`\n")
    assert cli(plane, "explain", "#1")[2] == "turnout: there is no event #1; nothing was sequenced yet\n"
    token = (plane.folder / "data/admin.token").read_text().strip()
    request = urllib.request.Request(f"{plane.admin}/api/v1/explain/nope", headers={"Authorization": f"Bearer {token}"})
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(request, timeout=30)
    assert answer.value.code == 404


def test_a_source_that_is_not_there_is_said_and_one_that_is_gone_still_found(
    data_plane: Callable[..., Plane], sink: Sink
) -> None:
    plane = data_plane(CONFIG.format(url=sink.url), {"mark.py": OLD})
    post(plane, {"event": "A", "messageId": "m1"})
    assert sink.wait(lambda s: len(s.events) == 1)
    assert cli(plane, "explain", "m1", "--source", "webiste") == (
        1, "", "turnout: no source is called webiste (did you mean website?)\n"
    )
    assert cli(plane, "explain", "m1", "-s", "zz")[2] == "turnout: no source is called zz (there are: website)\n"
    assert cli(plane, "explain", "m2", "-s", "website")[2].startswith("turnout: no event of website with this")
    plane.config.write_text(plane.config.read_text().replace("website:", "shop:"))
    assert cli(plane, "reload")[0] == 0
    assert cli(plane, "explain", "m1", "-s", "website")[0] == 0
    assert cli(plane, "explain", "m2", "-s", "website")[2].startswith("turnout: no event of website with this")
    assert cli(plane, "explain", "m2", "-s", "shp")[2] == "turnout: no source is called shp (did you mean shop?)\n"


def test_a_number_is_of_the_source_that_is_asked_for(data_plane: Callable[..., Plane], sink: Sink) -> None:
    two = CONFIG.replace("sources: {{website: {{write_key: wk_test}}}}",
                         "sources: {{website: {{write_key: wk_test}}, shop: {{write_key: wk_shop}}}}")  # fmt: skip
    plane = data_plane(two.format(url=sink.url), {"mark.py": OLD})
    post(plane, {"event": "A", "messageId": "m1"})
    assert sink.wait(lambda s: len(s.events) == 1)
    assert cli(plane, "explain", "#1", "--source", "website")[0] == 0
    for source in ("shop", "webiste"):
        said = f"event #1 came from website, not from {source}"
        assert cli(plane, "explain", "#1", "-s", source) == (1, "", f"turnout: {said}\n")
        token = (plane.folder / "data/admin.token").read_text().strip()
        request = urllib.request.Request(
            f"{plane.admin}/api/v1/explain/%231?source={source}", headers={"Authorization": f"Bearer {token}"}
        )
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(request, timeout=30)
        assert answer.value.code == 404
        assert json.loads(answer.value.read()) == {"code": "not_found", "message": said}


def test_what_an_event_holds_does_not_steer_the_terminal(data_plane: Callable[..., Plane], sink: Sink) -> None:
    plane = data_plane(CONFIG.format(url=sink.url), {"mark.py": OLD})
    post(plane, {"event": "\x1b[2J\nhook: delivered", "messageId": "m1"})
    assert sink.wait(lambda s: len(s.events) == 1)
    out = cli(plane, "explain", "m1")[1]
    assert "\x1b" not in out
    assert not any(line.startswith("hook: delivered") for line in out.splitlines())
