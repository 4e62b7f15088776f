"""Rules that hold for every file: nothing of one machine in it, and no file grows without end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.project.checkout import ROOT, files

INDEXES = ("registry", "files", "pypi", "deb", "security", "proxy", "static", "index", "mirror")
FOREIGN = re.compile(
    r"(?:^|[^a-z.\w])/(?:work|farm|root)/"  # a folder of the machine it was written on
    rf"|https?://(?:{'|'.join(INDEXES)})\.[a-z.]+\.[a-z]+"  # where a package happened to come from
)
LONGEST = 400


def texts() -> list[tuple[str, str]]:
    found = []
    for path in files():
        try:
            found.append((str(path.relative_to(ROOT)), path.read_text()))
        except UnicodeDecodeError:
            continue  # a binary fixture
    return found


def test_no_file_names_this_machine_or_a_package_index() -> None:
    wrong = [f"{name}: {m[0]}" for name, text in texts() if (m := FOREIGN.search(text))]
    assert wrong == []


def test_no_two_files_of_tests_have_one_name() -> None:
    """Each alone would pass; together pytest takes neither."""
    count = Counter(path.name for path in files() if path.match("tests/**/test_*.py"))
    assert [name for name, number in count.items() if number > 1] == []


def test_no_production_file_is_longer_than_it_should_be() -> None:
    long = {
        name: lines for name, text in texts()
        if name.endswith(".py") and not name.startswith(("tests/", "bench/"))
        and (lines := text.count("\n")) > LONGEST
    }
    assert long == {}


@pytest.mark.parametrize("script", ["tools/setup.sh", "tools/lock.sh", ".ci/run"])
def test_scripts_are_executable_and_parse(script: str) -> None:
    path = ROOT / script
    shell = path.read_text().splitlines()[0].removeprefix("#!").split()[-1]
    assert os.access(path, os.X_OK)
    assert subprocess.run([Path(shell).name, "-n", str(path)], check=False).returncode == 0


def setup(tmp_path: Path, *arguments: str, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run tools/setup.sh with a PATH that has the system's basics and these programs (sh scripts)."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "dirname", "cat", "cksum", "rm"):
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    for program, text in programs.items():
        (folder / program.replace("_", "-")).write_text(f"#!/bin/sh\n{text}\n")
        (folder / program.replace("_", "-")).chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(ROOT / "tools/setup.sh"), *arguments], env={"PATH": str(folder)},
        capture_output=True, text=True, check=False,
    )


def test_without_python_and_without_root_set_up_prints_the_one_line_to_run(tmp_path: Path) -> None:
    ran = setup(tmp_path, "run", str(tmp_path / "venv"), apt_get="exit 9", id="echo 1000")
    assert ran.returncode == 1
    assert "run:  sudo apt-get update && sudo apt-get install -y python3 python3-venv" in ran.stderr


def test_an_old_python_is_not_taken(tmp_path: Path) -> None:
    ran = setup(tmp_path, "run", str(tmp_path / "venv"), python3="exit 1", id="echo 1000")
    assert ran.returncode == 1
    assert "Python 3.11 to 3.14 is missing" in ran.stderr


def test_as_root_what_is_missing_is_installed_with_apt(tmp_path: Path) -> None:
    said = tmp_path / "apt.log"
    ran = setup(tmp_path, "run", str(tmp_path / "venv"), apt_get=f'echo "$@" >>{said}', id="echo 0")
    assert ran.returncode == 1  # this apt installs nothing: it says so instead of going on
    assert "is not 3.11 to 3.14" in ran.stderr
    assert "install" in said.read_text()
    assert "python3 python3-venv" in said.read_text()


def test_without_node_make_sdk_stops_and_says_so(tmp_path: Path) -> None:
    ran = setup(tmp_path, "node", apt_get="exit 9", id="echo 1000")
    assert ran.returncode == 1
    assert "sudo apt-get install -y nodejs npm" in ran.stderr
