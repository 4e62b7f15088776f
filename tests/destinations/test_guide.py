"""The destinations that the docs teach are real: their code, fixtures and tests run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.project.checkout import commands

pytest_plugins = ["pytester"]

GUIDE = Path(__file__).parents[2] / "docs" / "destinations.md"


def test_the_guide_makes_a_destination_that_keeps_the_contract(pytester: pytest.Pytester) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    code, test = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (fixture,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    package = pytester.mkpydir("turnout_mytool")
    folder = package / "mytool"
    (folder / "fixtures").mkdir(parents=True)
    (folder / "__init__.py").write_text(code)
    (folder / "fixtures" / "track.yaml").write_text(fixture)
    (folder / "README.md").write_text("# My Tool\n`api_key` and `dataset`.\n")
    pytester.makepyfile(test_mytool=test)
    result = pytester.inline_run("-p", "no:cacheprovider", "-p", "no:asyncio")
    passed, _, failed = result.listoutcomes()
    assert [report.location[2] for report in failed] == []
    assert len(passed) > 30


def test_the_guide_names_every_key_of_a_fixture_and_every_hook() -> None:
    from turnout import Destination
    from turnout.testing import Fixture

    text = GUIDE.read_text(encoding="utf-8")
    for name in Fixture.__dataclass_fields__.keys() - {"name"}:
        assert f"`{name}`" in text
    for hook in ("group", "merge", "judge", "verdicts", "exchange"):
        assert hasattr(Destination, hook)
        assert f"`{hook}(" in text


WALK = GUIDE.with_name("write-a-destination.md")
FILE = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


def ran(folder: Path, *words: str) -> str:
    """What a command of the guide prints, with the package findable as `pip install -e` makes it; it must succeed."""
    found = folder / ".found"
    info = found / "turnout_plausible-0.1.0.dist-info"
    if not info.exists():
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: turnout-plausible\nVersion: 0.1.0\n")
        entries = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["entry-points"]
        lines = [f"[{group}]\n{name} = {value}" for group, one in entries.items() for name, value in one.items()]
        (info / "entry_points.txt").write_text("\n".join(lines))
    made = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": f"{found}{os.pathsep}{folder}"},
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def test_the_hour_goes_as_the_guide_says(tmp_path: Path) -> None:
    """Its commands run, its files are written over what `turnout new destination` makes, its tests pass."""
    first, *_ = commands(WALK, "turnout")
    assert first == "turnout new destination plausible"
    subprocess.run([sys.executable, "-m", "dataplane.cli.main", *first.split()[1:]], cwd=tmp_path, check=True)
    folder = tmp_path / "turnout-plausible"
    files = FILE.findall(WALK.read_text(encoding="utf-8"))
    assert len(files) == 9
    fixtures = folder / "turnout_plausible/plausible/fixtures"
    for old in fixtures.iterdir():
        old.unlink()
    for name, text in files:
        assert (folder / name).parent.is_dir(), f"{name}: no such folder in the package"
        (folder / name).write_text(text)
    assert " passed" in ran(folder, "pytest", "-q", "-p", "no:cacheprovider")
    ran(folder, "ruff", "check", "--no-cache", ".")
    for line in commands(WALK, "turnout"):
        if line.split()[1] in ("check", "preview", "docs"):
            said = ran(folder, "dataplane.cli.main", *line.split()[1:])
            assert {"check": "good", "preview": '"name": "pageview"', "docs": "# Plausible"}[line.split()[1]] in said


def test_what_the_guide_tells_of_is_linked() -> None:
    for page in ("index.md", "destinations.md"):
        assert "(write-a-destination.md)" in GUIDE.with_name(page).read_text(encoding="utf-8")
