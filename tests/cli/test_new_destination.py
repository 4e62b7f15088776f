"""`turnout new destination`: what it writes passes its own tests as it is; what stands in the way is left alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.cli.new import _good, _with_entry, _words
from destinations import registry
from turnout.errors import Fixable

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, str]]


def ran(folder: Path, *words: str) -> str:
    """What a Python module prints when it runs there; it must succeed."""
    made = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def test_a_package_passes_its_tests_and_the_checks_of_the_house_as_it_is(cli: Run, tmp_path: Path) -> None:
    code, out, err = cli("new", "destination", "my_tool")
    assert (code, err) == (0, "")
    folder = tmp_path / "turnout-my-tool"
    assert "wrote turnout-my-tool/pyproject.toml" in out
    steps = out[out.index("next:"):].splitlines()[1:]
    assert [line.strip()[:2] for line in steps] == ["1.", "2.", "3."]
    assert "cd turnout-my-tool && python -m pip install -e . pytest" in steps[0]
    assert "turnout_my_tool/my_tool/__init__.py" in steps[1]
    assert "turnout preview -d my_tool" in steps[2]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["turnout.destinations"] == {"my_tool": "turnout_my_tool.my_tool:MyTool"}
    assert " passed" in ran(folder, "pytest", "-q", "-p", "no:cacheprovider")
    ran(folder, "ruff", "check", "--no-cache", "--config", str(ROOT / "pyproject.toml"), "--config", "src=['.']", ".")


def test_in_turnouts_own_tree_it_is_a_folder_and_an_entry_point(cli: Run, tmp_path: Path) -> None:
    """A tree with the parts that count; the tests of what is written run against the real rest."""
    for name in ("pyproject.toml", "destinations/registry.py", "destinations/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    code, out, _ = cli("new", "destination", "my_tool", "--json")
    assert code == 0
    found = json.loads(out)
    assert set(found) == {"slug", "written", "next"}
    assert "destinations/my_tool/fixtures/track.yaml" in found["written"]
    assert len(found["next"]) == 3
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    entries = project["entry-points"]["turnout.destinations"]
    assert entries["my_tool"] == "destinations.my_tool:MyTool"
    assert list(entries) == sorted(entries)
    before, after = (ROOT / "pyproject.toml").read_text(), (tmp_path / "pyproject.toml").read_text()
    assert after.replace('my_tool = "destinations.my_tool:MyTool"\n', "") == before
    ran(tmp_path, "ruff", "check", "--no-cache", "--config", "lint.isort.known-first-party=['turnout']",
        "destinations/my_tool", "tests")
    # `destinations` is that of the checkout: the new folder is put beside the others for this run only.
    start = "import destinations, os; destinations.__path__.append(os.path.abspath('destinations'))\n"
    (tmp_path / "conftest.py").write_text(start)
    tests = ran(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".",
                "tests/destinations/test_my_tool.py")
    assert " passed" in tests
    code, _, err = cli("new", "destination", "my_tool")
    assert code == 1
    assert "exists already: destinations/my_tool, tests/destinations/test_my_tool.py" in err
    assert cli("new", "destination", "my_tool", "--here", "--force")[0] == 0
    assert (tmp_path / "pyproject.toml").read_text() == after
    code, _, err = cli("new", "destination", "registry")
    assert (code, "is a module of Turnout" in err) == (1, True)


def test_a_folder_of_ones_choice(cli: Run, tmp_path: Path) -> None:
    code, out, _ = cli("new", "destination", "tool", "some where/here")
    assert code == 0
    assert (tmp_path / "some where/here/turnout_tool/tool/settings.py").is_file()
    assert "cd 'some where/here' && " in out


def test_what_exists_is_left_alone_unless_forced(cli: Run, tmp_path: Path) -> None:
    folder = tmp_path / "turnout-tool"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    code, out, err = cli("new", "destination", "tool")
    assert (code, out) == (1, "")
    assert "turnout-tool exists already (--force" in err
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert cli("new", "destination", "tool", "--force")[0] == 0
    assert (folder / "mine.txt").read_text() == "mine"
    (tmp_path / "file").write_text("")
    assert cli("new", "destination", "tool", "file")[0] == 1


@pytest.mark.parametrize(("slug", "said"), [
    ("MyTool", "my_tool would be one"), ("my-tool", "my_tool would be one"), ("class", "class_tool would be one"),
    ("../up", "up would be one"), ("1st", "st would be one"), ("", "can be no destination's type"),
    ("webhook", "comes with Turnout"), ("x" * 41, "at most 40"),
])  # fmt: skip
def test_bad_slugs_are_refused_with_one_that_is_good(cli: Run, tmp_path: Path, slug: str, said: str) -> None:
    code, out, err = cli("new", "destination", slug)
    assert (code, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_here_is_for_turnouts_tree(cli: Run, tmp_path: Path) -> None:
    assert "root of a checkout of Turnout" in cli("new", "destination", "tool", "--here")[2]
    assert cli("new", "destination", "tool", "folder", "--here")[0] == 2
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "destinations").mkdir()
    (tmp_path / "destinations/registry.py").write_text("")
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert "pyproject.toml is no TOML" in cli("new", "destination", "tool")[2]
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "turnout"\n')
    assert "has no section" in cli("new", "destination", "tool")[2]


@given(st.text(max_size=60))
def test_a_slug_is_good_or_another_is_named_that_is(slug: str) -> None:
    try:
        _good(slug)
    except Fixable as error:
        _, found, near = str(error).partition("; ")
        if found:
            _good(near.removesuffix(" would be one"))


@given(st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True))
def test_every_slug_makes_a_class_that_can_be_named(slug: str) -> None:
    import turnout

    name = _words(slug, f"turnout_{slug}.{slug}", ours=False)["name"]
    compile(f"class {name}: pass", "", "exec")
    assert name not in turnout.__all__


@given(st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True))
def test_an_entry_point_is_put_among_the_others_once(slug: str) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    once = _with_entry(text, slug, "a.b:C")
    assert _with_entry(once, slug, "a.b:C") == once
    read = tomllib.loads(once)
    read["project"]["entry-points"]["turnout.destinations"].pop(slug)
    was = tomllib.loads(text)
    was["project"]["entry-points"]["turnout.destinations"].pop(slug, None)
    assert read == was


def test_the_page_of_the_configuration(cli: Run) -> None:
    """The starter config names it: who has only the package has no docs folder."""
    code, out, _ = cli("docs", "configuration")
    assert (code, out) == (0, (ROOT / "docs" / "configuration.md").read_text())
    assert json.loads(cli("docs", "configuration", "--json")[1]) == {"page": out}
    assert "turnout docs configuration" in (ROOT / "config.yaml").read_text()
    assert "docs/" not in (ROOT / "config.yaml").read_text()


def test_destinations_are_listed(cli: Run) -> None:
    code, out, _ = cli("docs", "destination")
    assert code == 0
    listed = [line.split()[0] for line in out.splitlines()]
    assert listed == list(registry.slugs())
    read = json.loads(cli("docs", "destination", "--json")[1])["destinations"]
    assert [row["slug"] for row in read] == listed
    assert all(row["name"] and row["what"] for row in read)


def test_the_page_of_a_destination(cli: Run) -> None:
    code, out, _ = cli("docs", "destination", "slack")
    assert code == 0
    assert out.startswith("# Slack\n")
    assert json.loads(cli("docs", "destination", "slack", "--json")[1]) == {"slug": "slack", "page": out}
    code, _, err = cli("docs", "destination", "slak")
    assert (code, "did you mean slack?" in err) == (1, True)
