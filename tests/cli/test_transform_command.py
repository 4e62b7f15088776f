"""`turnout transform`: a script over events, and cases one a line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = """from tools import mark


def transformEvent(event, metadata):
    if event["event"] == "Drop":
        return None
    log("seen", event["event"])
    return mark(event)
"""


def turnout(*words: str, cwd: Path, given: str = "") -> tuple[int, str, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "dataplane.cli.main", "transform", *words],
        cwd=cwd, input=given, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ran.returncode, ran.stdout, ran.stderr


def folder(path: Path) -> Path:
    (path / "config.yaml").write_text(
        "sources: {web: {write_key: k}}\nlibraries: {tools: {file: tools.py}}\ntransformations: {t: {file: t.py}}\n"
    )
    (path / "tools.py").write_text("def mark(event):\n    event['marked'] = True\n    return event\n")
    (path / "t.py").write_text(SCRIPT)
    events = [{"messageId": "1", "event": "Keep"}, {"messageId": "2", "event": "Drop"}, {"messageId": "3"}]
    (path / "events.ndjson").write_text("\n".join(json.dumps(event) for event in events))
    return path


def test_a_script_over_events_shows_what_it_changes(tmp_path: Path) -> None:
    code, out, err = turnout("t.py", "--events", "events.ndjson", cwd=folder(tmp_path))
    assert (code, err) == (1, "")
    assert '# event 1: changed\n@@' in out
    assert '+  "marked": true' in out
    assert "# event 2: dropped" in out
    assert "# event 3: error: t.py:5: KeyError: 'event'" in out
    assert "log: seen Keep" in out
    code, out, _ = turnout("t.py", "--events", "events.ndjson", "--json", cwd=tmp_path)
    assert code == 1
    assert json.loads(out)["results"][:2] == [
        {"event": 0, "output": {"messageId": "1", "event": "Keep", "marked": True}}, {"event": 1, "dropped": True},
    ]  # fmt: skip


def test_a_script_that_does_not_compile_is_one_line(tmp_path: Path) -> None:
    (folder(tmp_path) / "t.js").write_text("export function transformEvent(event) {\n  return event[;\n}\n")
    code, out, err = turnout("t.js", "--events", "events.ndjson", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("turnout: t.js:2: SyntaxError")
    assert turnout("nothing.py", cwd=tmp_path, given="{}")[0] == 1
    assert turnout(cwd=tmp_path)[0] == 2


def case(ident: Any, code: str, *events: dict[str, Any], **more: Any) -> str:
    return json.dumps({"id": ident, "code": code, "events": [{"message": event} for event in events], **more})


def test_cases_are_answered_in_order_and_each_by_itself(tmp_path: Path) -> None:
    python = "seen = []\ndef transformEvent(event, metadata):\n    seen.append(1)\n    return {'n': len(seen), **event}"
    lines = [
        case("a", python, {"messageId": "1"}, {"messageId": "2"}),
        "",
        case("b", python, {"messageId": "1"}),
        case("c", "def transformEvent(event, metadata)\n    pass", {"messageId": "1"}),
        case("d", "export const transformEvent = e => { log('x', e); while (e.loop); return e.n ? [e, {}] : null; }",
             {"n": 1}, {"loop": 1}, {}, language="javascript", limits={"timeout": 0.3}),
        case("e", "export const transformEvent = async e => ({...e, got: (await fetchV2(e.url)).body})",
             {"url": "https://x.example/"}, {"url": "http://localhost/"}, language="javascript",
             fetch=[{"request": ["https://x.example/"], "status": 200, "headers": {}, "body": "[1]"}]),
    ]  # fmt: skip
    code, out, err = turnout("--jsonl", cwd=tmp_path, given="\n".join(lines))
    assert (code, err) == (0, "")
    a, b, c, d, e = [json.loads(line) for line in out.splitlines()]
    assert [one["output"]["n"] for one in a["results"]] == [1, 2]
    assert b["results"] == [{"event": 0, "output": {"n": 1, "messageId": "1"}}]
    assert (c["id"], c["outcome"]) == ("c", "compile_error")
    assert c["results"][0]["error"].startswith("script.py:1: SyntaxError")
    assert d["outcome"] == "timeout"
    kinds = [next(key for key in one if key != "event") for one in d["results"]]
    assert kinds == ["output", "output", "error", "dropped"]
    assert e["results"][0]["output"]["got"] == [1]
    assert "blocked request to non-public address" in e["results"][1]["error"]


def test_a_line_that_is_no_case_is_said(tmp_path: Path) -> None:
    for line, said in (("{", "line 1 is no case"), ('{"id": 1}', "code: Field required")):
        code, _, err = turnout("--jsonl", cwd=tmp_path, given=line)
        assert code == 1
        assert said in err


def test_a_script_that_is_not_there_is_said_before_events_are_read(tmp_path: Path) -> None:
    code, out, err = turnout("tt.py", cwd=folder(tmp_path))  # standard input is empty, which would be said next
    assert (code, out, err) == (1, "", "turnout: tt.py: cannot be read: No such file or directory\n")
