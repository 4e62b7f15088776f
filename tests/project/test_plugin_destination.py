"""The package in examples/plugin-destination: installed beside Turnout it is a destination like ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.plane import Plane
from bench.sink import Sink
from tests.project.checkout import ROOT, blocks

EXAMPLE = ROOT / "examples/plugin-destination"
CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
egress: {{allow_private: true}}
sources: {{website: {{write_key: wk}}}}
destinations: {{desk: {{type: ntfy, settings: {{topic: harbour-desk, server: "{url}", tags: [sailboat]}}}}}}
"""
EVENT = {"type": "track", "userId": "s-4", "event": "Order Completed", "properties": {"total": 42}}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, copied so that nothing is built in the checkout."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "dist", "data", ".*")
    return shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "package", ignore=ignored)


@pytest.fixture(scope="module")
def installed(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as pip installs it, without the network."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
         "--no-build-isolation", "--target", str(folder), str(package)],
        check=True, timeout=120,
    )
    return folder


def ran(installed: Path, cwd: Path, *words: str, stdin: str = "") -> str:
    """What a Python module prints where the package is installed; it must succeed."""
    made = subprocess.run(
        [sys.executable, "-m", *words], cwd=cwd, input=stdin, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def test_its_own_tests_pass(package: Path, installed: Path) -> None:
    assert " passed" in ran(installed, package, "pytest", "-q", "-p", "no:cacheprovider")


def test_it_is_found_without_being_imported(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(
        "import sys\nfrom destinations import registry\n"
        "assert {'ntfy', 'webhook'} <= set(registry.slugs())\n"
        "assert not [name for name in sys.modules if name.startswith('turnout_ntfy')]\n"
        "print(registry.find('ntfy').__module__)\n"
    )
    assert ran(installed, tmp_path, "look").strip() == "turnout_ntfy.ntfy"


def test_check_and_preview_know_it(package: Path, installed: Path) -> None:
    assert "config.yaml: good" in ran(installed, package, "dataplane.cli.main", "check")
    said = ran(installed, package, "dataplane.cli.main", "preview", "-d", "desk", "--json", stdin=json.dumps(EVENT))
    (request,) = json.loads(said)["parts"][0]["requests"]
    assert request["url"] == "https://ntfy.sh/"
    assert request["body"]["json"]["message"] == " paid 42"
    assert "a-topic-to-try" not in said


def test_its_readme_shows_a_config_that_is_taken(installed: Path, tmp_path: Path) -> None:
    (config,) = blocks(EXAMPLE / "README.md", "yaml")
    (tmp_path / "config.yaml").write_text("sources: {website: {write_key: wk}}\n" + config)
    assert "config.yaml: good" in ran(installed, tmp_path, "dataplane.cli.main", "check")


def test_it_has_a_page_like_ours(installed: Path, tmp_path: Path) -> None:
    page = ran(installed, tmp_path, "dataplane.cli.main", "docs", "destination", "ntfy")
    assert page.startswith("# ntfy\n")
    for heading in ("### Settings", "### Delivery", "### Answers of the tool", "### other-event"):
        assert heading in page
    assert "| `topic` |" in page


def test_a_running_turnout_delivers_to_it(
    installed: Path, data_plane: Callable[..., Plane], sink: Sink
) -> None:
    plane = data_plane(CONFIG.format(url=sink.url), environ={"PYTHONPATH": str(installed)})
    auth = {"Authorization": "Basic d2s6"}  # wk:
    body = json.dumps(EVENT).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{plane.url}/v1/track", body, auth)) as answer:
        assert answer.status == 200
    assert sink.wait(lambda s: bool(s.events))
    assert sink.events == [
        {"topic": "harbour-desk", "tags": ["sailboat"], "title": "Order Completed", "message": "total: 42 "}
    ]
