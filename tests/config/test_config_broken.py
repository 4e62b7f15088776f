"""Broken configs: each finding at its line and column, word for word.

Every file in broken/ is a config whose last lines, `#> …`, are what `check` says about it, word for word,
when it lies in a folder as c.yaml beside a script t.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dataplane.config import InvalidConfig, check, parse
from turnout.errors import ConfigError

ENVIRON = {"TOKEN": "s3cr3t-t0ken", "PORT": "80x", "FLAG": "on"}
BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))


@pytest.mark.parametrize("example", BROKEN, ids=lambda path: path.stem)
def test_every_finding_is_told_at_its_place(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = example.read_text()
    expected = [line.removeprefix("#> ") for line in text.splitlines() if line.startswith("#> ")]
    assert expected
    (tmp_path / "c.yaml").write_text(text)
    (tmp_path / "t.py").write_text("def transformEvent(event, metadata):\n    return event\n")
    monkeypatch.chdir(tmp_path)
    assert [str(d) for d in check("c.yaml", ENVIRON)] == expected


def test_parse_raises_all_of_them_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("server:\n  port: x\n  hst: y\n", "deploy/c.yaml", {})
    assert str(caught.value) == (
        "deploy/c.yaml:2:9: server.port: must be a whole number\n"
        "deploy/c.yaml:3:3: server.hst: unknown key (did you mean host?)"
    )
    assert isinstance(caught.value, InvalidConfig)
    assert caught.value.diagnostics[0].as_dict() == {
        "file": "deploy/c.yaml", "line": 2, "column": 9, "path": "server.port",
        "message": "must be a whole number", "severity": "error",
    }


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("server:\n  host: é\n".encode("latin-1"))
    (tmp_path / "large.yaml").write_bytes(b"#" * ((1 << 20) + 1))
    names = ("none.yaml", "latin.yaml", "large.yaml", os.curdir)
    assert [[str(d) for d in check(name, {})] for name in names] == [
        ["none.yaml: this file does not exist; `turnout init` writes one to start from"],
        ["latin.yaml:2:9: the byte 0xE9 is not UTF-8; save the file as UTF-8"],
        ["large.yaml: a config file has at most 1048576 bytes"],
        [".: this file cannot be read: Is a directory"],
    ]
