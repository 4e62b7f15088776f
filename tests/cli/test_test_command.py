"""`turnout test`, and `turnout check` with fixtures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CONFIG = """\
sources: {web: {write_key: k}}
libraries: {tools: {file: tools.py}}
transformations: {t: {file: t.py}, u: {file: u.js, fetch: {allow: [api.example.com]}}, bare: {file: bare.py}}
"""
T = """from tools import mark
def transformEvent(event, metadata):
    return mark(event) if event["event"] != "Drop" else None
"""
T_CASES = """\
cases:
  - name: marks
    event: {event: A, n: 1}
    output: {event: A, n: 1, marked: true}
  - name: three events
    events: [{event: Drop}, {event: B}, {}]
    results:
      - dropped: true
      - output: {event: B, marked: true}
      - error: "t.py:3: KeyError: 'event'"
"""
U = """
export async function transformEvent(event, metadata) {
  const answer = await fetchV2(`https://${event.host}/x`, {headers: {key: getCredential("key")}});
  return [{got: answer.body}, {place: await geolocation("203.0.113.7"), id: metadata(event).messageId}];
}
"""
U_CASES = """\
credentials: {key: one}
geolocation: {203.0.113.7: {country: NZ}}
fetch:
  - request: [https://api.example.com/x, {headers: {key: one}}]
    body: [1]
cases:
  - name: fetches
    event: {messageId: m, host: api.example.com}
    outputs: [{got: [1]}, {place: {country: NZ}, id: m}]
  - name: another host
    event: {messageId: m, host: other.example.com}
    error: other.example.com is not among the hosts that u may fetch from
"""


def folder(path: Path) -> Path:
    files = {
        "config.yaml": CONFIG, "t.py": T, "t.test.yaml": T_CASES, "u.js": U, "u.test.yaml": U_CASES,
        "tools.py": "def mark(event):\n    return {**event, 'marked': True}\n",
        "bare.py": "def transformEvent(event, metadata):\n    return event\n",
    }  # fmt: skip
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def turnout(cwd: Path, *words: str) -> tuple[int, str, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "dataplane.cli.main", *words],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ran.returncode, ran.stdout, ran.stderr


def test_fixtures_of_all_scripts_pass(tmp_path: Path) -> None:
    code, out, err = turnout(folder(tmp_path), "test")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "t: 2 of 2 passed", "u: 2 of 2 passed", "bare: no fixtures (bare.test.yaml is not there)",
        "4 of 4 cases passed",
    ]  # fmt: skip
    assert turnout(tmp_path, "check")[0] == 0


def test_a_case_that_fails_shows_a_difference(tmp_path: Path) -> None:
    (folder(tmp_path) / "t.test.yaml").write_text(T_CASES.replace("n: 1, marked", "n: 2, marked"))
    code, out, _ = turnout(tmp_path, "test", "t")
    assert code == 1
    assert "t: 1 of 2 passed" in out
    assert '  t.test.yaml:2: marks: - expected, + came out\n' in out
    assert '    -    "n": 2\n    +    "n": 1\n' in out
    code, out, _ = turnout(tmp_path, "test", "--json")
    told = json.loads(out)
    assert (code, told["ok"]) == (1, False)
    assert [(case["name"], case["line"], case["ok"]) for case in told["scripts"][0]["cases"]] == [
        ("marks", 2, False), ("three events", 5, True),
    ]  # fmt: skip
    code, out, _ = turnout(tmp_path, "check")
    assert code == 1
    assert out == 't.test.yaml:2: transformations.t: marks: expected "n": 2, came out "n": 1\n'
    assert turnout(tmp_path, "check", "--no-fixtures")[0] == 0


def test_what_cannot_be_tested_is_said(tmp_path: Path) -> None:
    (folder(tmp_path) / "t.test.yaml").write_text(T_CASES.replace("dropped:", "droped:"))
    code, out, err = turnout(tmp_path, "test")
    assert (code, out) == (1, "")
    assert "t.test.yaml:8:9: cases[1].results[0].droped: unknown key (did you mean dropped?)" in err
    code, out, _ = turnout(tmp_path, "check")
    assert "t.test.yaml:8: transformations.t: cases[1].results[0].droped: unknown key" in out
    (tmp_path / "u.js").write_text("export const x = ;")
    code, out, _ = turnout(tmp_path, "test", "u")
    assert code == 1
    assert out.startswith("u: u.js:1: SyntaxError")
    assert out.endswith("\nno case was run; 1 script cannot be run\n")
    (tmp_path / "u.test.yaml").unlink()
    assert turnout(tmp_path, "test", "u")[1].endswith("\nthere are no fixtures; 1 script cannot be run\n")
    code, out, err = turnout(tmp_path, "test", "bear")
    assert (code, err) == (1, "turnout: there is no transformation, and no file, named bear (did you mean bare?)\n")


def test_a_script_that_no_configuration_names(tmp_path: Path) -> None:
    (folder(tmp_path) / "new.py").write_text(T)
    (tmp_path / "new.test.yaml").write_text(T_CASES.replace("t.py:3", "new.py:3"))
    assert turnout(tmp_path, "test", "new.py")[:2] == (0, "new: 2 of 2 passed\n2 of 2 cases passed\n")
    (tmp_path / "libs").mkdir()
    (tmp_path / "tools.py").rename(tmp_path / "libs/tools.py")
    (tmp_path / "config.yaml").write_text("library_folders: [libs]\n")
    assert turnout(tmp_path, "test", "new.py")[:2] == (0, "new: 2 of 2 passed\n2 of 2 cases passed\n")
    (tmp_path / "config.yaml").unlink()
    assert "import of 'tools' is not allowed here" in turnout(tmp_path, "test", "new.py")[1]
