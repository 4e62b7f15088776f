"""The wheel holds what it should, and works in an environment that has only what it asks for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

import turnout
from bench.plane import Plane
from bench.sink import Sink
from dataplane.config.starter import starter_files
from tests.project.checkout import ROOT
from tools import locks

PACKAGES = {"turnout", "dataplane", "transformations", "destinations", "vendors"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment: the packages of requirements.lock, linked from this one, and the wheel."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    here = Path(sysconfig.get_path("purelib"))
    (there,) = folder.glob("lib/python*/site-packages")
    for pin in locks.read((ROOT / "requirements.lock").read_text()):
        if pin.applies:
            for name in {file.parts[0] for file in distribution(pin.name).files or []}:
                if name not in ("..", "__pycache__") and not (there / name).exists():
                    (there / name).symlink_to(here / name)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet",
         "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)],
        check=True,
    )
    return folder


def run(environment: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Outside the checkout, with nothing of it on the path.
    return subprocess.run(
        [str(environment / "bin" / "turnout"), *arguments], cwd=folder, capture_output=True, text=True,
        check=False, env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
    )


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == PACKAGES | {f"turnout-{turnout.__version__}.dist-info"}
    for wanted in ("turnout/py.typed", "destinations/webhook/README.md", "dataplane/cli/template/config.yaml",
                   "dataplane/cli/scaffold/destination/class.py.tmpl",
                   "transformations/standard/hash.js", "transformations/standard/hash.py",
                   *(f"dataplane/cli/template/{name}" for name in starter_files())):
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


def test_the_installed_command_works_in_an_environment_of_its_own(environment: Path, tmp_path: Path) -> None:
    version = run(environment, tmp_path, "--version")
    assert version.returncode == 0, version.stderr
    assert version.stdout.strip() == f"turnout {turnout.__version__}"

    made = run(environment, tmp_path, "init")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "config.yaml").is_file()

    checked = run(environment, tmp_path, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_installed_data_plane_takes_and_delivers_an_event(
    environment: Path, tmp_path: Path, sink: Sink
) -> None:
    """From `turnout init` to an event at the destination, its script run, with the run-time lock alone."""
    assert run(environment, tmp_path, "init").returncode == 0
    config = (tmp_path / "config.yaml").read_text()
    config = re.sub(r"port: \d+", "port: 0", config).replace("http://127.0.0.1:9000", sink.url)
    plane = Plane(tmp_path, config, command=str(environment / "bin" / "turnout"))
    try:
        plane.start()
        body = b'{"userId": "ada", "event": "Installed"}'
        auth = {"Authorization": "Basic d2tfZGVtbzo="}  # wk_demo:
        with urllib.request.urlopen(urllib.request.Request(f"{plane.url}/v1/track", body, auth)) as answer:
            assert answer.status == 200
        assert sink.wait(lambda s: bool(s.events)), plane.output
    finally:
        plane.stop()
    assert sink.events[0]["event"] == "Installed"
    assert sink.events[0]["context"]["checked_by"] == "drop_internal"
