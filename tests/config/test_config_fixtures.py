"""Fixture files: where mistakes in them are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataplane.config.diagnostic import InvalidConfig
from dataplane.config.fixtures import read_fixtures

GOOD = """\
credentials: {key: value}
cases:
  - name: one
    event: {a: 1}
    dropped: true

  - {name: two, event: {}, output: {when: 2026-01-02, no_number: "1"}}
"""


def test_cases_with_their_lines(tmp_path: Path) -> None:
    script = tmp_path / "s.v2.py"
    assert read_fixtures(script) is None
    (tmp_path / "s.v2.test.yaml").write_text("\ufeff" + GOOD)
    found = read_fixtures(script, "shown/s.v2.py")
    assert found is not None
    assert (found.file, found.lines) == ("shown/s.v2.test.yaml", (3, 7))
    assert [case.name for case in found.cases] == ["one", "two"]
    assert found.cases[1].output == {"when": "2026-01-02", "no_number": "1"}
    digest = found.digest
    (tmp_path / "s.v2.test.yaml").write_text(GOOD + "# more\n")
    again = read_fixtures(script)
    assert again is not None
    assert again.digest != digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty; it needs `cases:`"),
        ("- a\n", "1:1: a fixture file is a mapping with `cases:`"),
        ("cases: []\n", "1:8: cases: must have at least 1 items"),
        ("cases: {}\n", "1:8: cases: must be a list"),
        ("case: []\n", "1:1: case: unknown key (did you mean cases?)"),
        (GOOD.replace("dropped: true", "droped: true"), "5:5: cases[0].droped: unknown key (did you mean dropped?)"),
        (GOOD.replace("    dropped: true", ""), "3:5: cases[0]: needs exactly one of output, outputs, dropped"),
        (GOOD.replace("event: {a: 1}", "event: no"), "4:12: cases[0].event: no without quotes is read differently"),
        (GOOD.replace("{a: 1}", "7"), "4:12: cases[0].event: must be a mapping"),
        (GOOD.replace("two", "one"), "two cases are named 'one'"),
        (GOOD + "---\n", "8:1: a fixture file is one document"),
        ("x: " + "y" * (1 << 20), "a fixture file has at most 1048576 bytes"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "s.test.yaml").write_text(text)
    with pytest.raises(InvalidConfig) as caught:
        read_fixtures(tmp_path / "s.js", "s.js")
    assert said in str(caught.value)
    assert all(line.startswith("s.test.yaml:") for line in str(caught.value).splitlines())
