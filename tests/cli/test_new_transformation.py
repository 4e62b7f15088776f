"""`turnout new transformation`: what it writes passes its own fixtures; what is there already is left alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dataplane.cli.new import _good_name
from turnout.errors import Fixable

Run = Callable[..., tuple[int, str, str]]
CONFIG = "sources: {web: {write_key: k}}\ndestinations: {out: {type: file, settings: {path: out}}}\n"


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("language", "suffix"), [("python", "py"), ("javascript", "js")])
def test_what_it_writes_passes_and_what_it_says_to_add_is_good(
    cli: Run, tmp_path: Path, language: str, suffix: str
) -> None:
    code, out, err = cli("new", "transformation", "clean", "--language", language)
    assert (code, err) == (0, "")
    script = f"transformations/clean.{suffix}"
    assert set(files(tmp_path)) == {script, "transformations/clean.test.yaml"}
    assert out.startswith(f"wrote {script}\nwrote transformations/clean.test.yaml\nnext:\n  1. turnout test {script}\n")
    assert cli("test", script)[:2] == (0, "clean: 3 of 3 passed\n3 of 3 cases passed\n")
    entry, place = out.split("`")[1], out.split("`")[3]
    (tmp_path / "config.yaml").write_text(f"{CONFIG}transformations:\n  {entry}\n")
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    config["destinations"]["out"] |= yaml.safe_load(place)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert cli("check")[:2] == (0, "config.yaml: good\n")
    assert cli("test")[1].endswith("3 of 3 cases passed\n")
    assert "has a transformation clean already" in cli("new", "transformation", "clean")[2]


def test_a_script_is_put_beside_those_that_the_config_names(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    config = tmp_path / "a b" / "c.yaml"
    config.write_text("transformations: {one: {file: my scripts/one.py}, broken")
    assert cli("new", "transformation", "two", "--config", "a b/c.yaml")[0] == 0  # no YAML: as if there were nothing
    config.write_text("transformations: {bad: 1, one: {file: my scripts/one.py}}\nunknown: key\n")
    code, out, _ = cli("new", "transformation", "three", "--config", "a b/c.yaml", "--json")
    assert code == 0
    said = json.loads(out)
    assert set(said) == {"name", "language", "written", "next"}
    assert said["written"] == ["a b/my scripts/three.py", "a b/my scripts/three.test.yaml"]
    assert said["next"][0] == "turnout test 'a b/my scripts/three.py' --config 'a b/c.yaml'"
    assert '`three: {file: "my scripts/three.py"}`' in said["next"][2]
    assert "a b/transformations/two.py" in files(tmp_path)


@pytest.mark.parametrize("there", ["clean.py", "clean.js", "clean.mjs", "clean.test.yaml"])
def test_what_is_there_is_left_alone(cli: Run, tmp_path: Path, there: str) -> None:
    (tmp_path / "transformations").mkdir()
    (tmp_path / "transformations" / there).write_text("mine")
    code, out, err = cli("new", "transformation", "clean")
    assert (code, out) == (1, "")
    assert err == f"turnout: exists already: transformations/{there}; choose another name\n"
    assert files(tmp_path) == {f"transformations/{there}": "mine"}


def test_a_link_to_nowhere_is_not_written_through(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "transformations").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "transformations" / "clean.py")
    code, _, err = cli("new", "transformation", "clean")
    assert (code, err) == (1, "turnout: transformations/clean.py: File exists\n")
    assert files(tmp_path) == {}


def test_a_folder_that_cannot_be_made_is_a_sentence(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "transformations").write_text("")
    code, _, err = cli("new", "transformation", "clean")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("turnout: transformations")


@pytest.mark.parametrize(("name", "said"), [
    ("clean.py", "clean would be one"), ("../up", "up would be one"), ("my script", "my_script would be one"),
    ("1st", "st would be one"), ("", "can be no transformation's name"), ("x" * 41, "at most 40"),
    ("naïve", "na_ve would be one"),
])  # fmt: skip
def test_bad_names_are_refused_with_one_that_is_good(cli: Run, tmp_path: Path, name: str, said: str) -> None:
    code, out, err = cli("new", "transformation", name)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert said in err
    assert files(tmp_path) == {}
    assert cli("new", "transformation", "x", "--language", "ruby")[0] == 2


@given(st.text(max_size=60))
def test_a_name_is_good_or_another_is_named_that_is(name: str) -> None:
    try:
        _good_name(name)
    except Fixable as error:
        _, found, near = str(error).rpartition("; ")
        if found:
            _good_name(near.removesuffix(" would be one"))
