"""The scripts in examples/: all in the gallery and on the page, all with fixtures that pass."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dataplane.config import load
from tests.project.checkout import ROOT

FOLDER = ROOT / "examples/transformations"
GALLERY = ROOT / "examples/gallery.yaml"


def turnout(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dataplane.cli.main", *words], cwd=ROOT, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def scripts() -> list[Path]:
    return sorted(path for path in FOLDER.iterdir() if path.suffix in (".js", ".py"))


def test_every_script_is_in_the_gallery_and_on_the_page() -> None:
    named = {item.file for item in load(GALLERY, {}).transformations.values()}
    assert sorted(named) == scripts()
    page = (ROOT / "docs/examples.md").read_text()
    assert [path.name for path in scripts() if f"(../examples/transformations/{path.name})" not in page] == []
    assert len({path.stem for path in scripts()}) >= 12


def test_all_fixtures_of_the_gallery_pass() -> None:
    ran = turnout("test", "--config", str(GALLERY), "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(ran.stdout)
    assert [one["name"] for one in told["scripts"] if not one["cases"]] == []
    assert turnout("check", "--config", str(GALLERY), "--no-fixtures").returncode == 0


def test_fixtures_of_the_gallery_notice_a_script_that_does_nothing(tmp_path: Path) -> None:
    """Each fixture file says something: a script that lets all pass fails it."""
    config = "transformations:\n"
    for path in {script.stem: script for script in scripts()}.values():
        (tmp_path / f"{path.stem}.py").write_text("def transformEvent(event, metadata):\n    return event\n")
        (tmp_path / f"{path.stem}.test.yaml").write_text((FOLDER / f"{path.stem}.test.yaml").read_text())
        config += f"  {path.stem}: {{file: {path.stem}.py}}\n"
    (tmp_path / "config.yaml").write_text(config)
    ran = turnout("test", "--config", str(tmp_path / "config.yaml"), "--json")
    passed = [one["name"] for one in json.loads(ran.stdout)["scripts"] if all(case["ok"] for case in one["cases"])]
    assert (ran.returncode, passed) == (1, [])
