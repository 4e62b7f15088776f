"""deploy/ fits the code: files that are there, settings that are taken, metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataplane.config import check
from dataplane.config.model import Server
from dataplane.metrics.declarations import by_name
from tests.project.checkout import ROOT
from turnout.durations import duration

DEPLOY = ROOT / "deploy"
DRAIN = Server().drain


def lines(text: str) -> list[str]:
    """A Dockerfile's instructions, continued lines joined, comments left out."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line.strip() for line in "\n".join(kept).replace("\\\n", " ").splitlines() if line.strip()]


def copied() -> list[str]:
    """What the Dockerfile takes from the checkout."""
    found = []
    for line in lines((DEPLOY / "Dockerfile").read_text()):
        words = line.split()
        if words[0] == "COPY" and not words[1].startswith("--from"):
            found += words[1:-1]
    return found


def test_the_wheel_can_be_built_from_what_the_image_copies(tmp_path: Path) -> None:
    for name in copied():
        source = ROOT / name
        assert source.exists(), name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert len(list((tmp_path / "dist").glob("*.whl"))) == 1


def test_the_build_is_sent_what_it_copies_and_nothing_else() -> None:
    ignore = [line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line]
    assert ignore[0] == "*"
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert allowed == set(copied())


def test_the_image_runs_as_nobody_special_and_installs_only_what_is_pinned() -> None:
    found = lines((DEPLOY / "Dockerfile").read_text())
    last = [line for line in found if line.split()[0] == "USER"][-1]
    assert last == "USER 10001:10001"
    for part in re.split(r"&&", " && ".join(found)):
        if "pip install" in part:
            assert "--require-hashes" in part or "--no-index" in part, part
    assert any(line.startswith("HEALTHCHECK") for line in found)
    started = [line for line in found if line.startswith(("ENTRYPOINT", "CMD"))]
    assert started == ['ENTRYPOINT ["turnout"]', 'CMD ["run"]']


def test_compose_names_what_is_there_and_waits_longer_than_a_stop_takes() -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["turnout"]
    build = service["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert duration(service["stop_grace_period"]) > DRAIN


def test_the_config_to_start_from_is_good(tmp_path: Path) -> None:
    text = (DEPLOY / "config.yaml").read_text()
    secrets = re.findall(r"\$\{file:/run/secrets/(\w+)\}", text)
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(secrets) == set(compose["secrets"]) == set(compose["services"]["turnout"]["secrets"])
    for name in secrets:
        (tmp_path / name).write_text("https://hooks.slack.example/T/B/x\n")
    file = tmp_path / "config.yaml"
    file.write_text(text.replace("/run/secrets/", f"{tmp_path}/").replace("data: /data", "data: ./data"))
    assert [str(finding) for finding in check(file, {})] == []


def unit() -> dict[str, list[str]]:
    """The settings of the unit's [Service], each with all its values."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "turnout.service").read_text().splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_waits_longer_than_a_stop_takes_and_keeps_its_sandbox() -> None:
    service = unit()
    assert duration(int(service["TimeoutStopSec"][0])) > DRAIN
    assert service["Type"] == ["notify"]
    assert service["KillMode"] == ["mixed"]  # the app drains its roles in their order
    for key, value in (("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("PrivateTmp", "yes")):
        assert service[key] == [value]
    calls = service["SystemCallFilter"][0].split()
    assert {"seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} <= set(calls)
    parsed = ConfigParser(strict=False, interpolation=None)
    parsed.read_string((DEPLOY / "turnout.service").read_text())
    assert set(parsed.sections()) == {"Unit", "Service", "Install"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "turnout.service").read_text()
    file = tmp_path / "turnout.service"
    file.write_text(text.replace("/opt/turnout/bin/turnout", "/bin/true"))
    ran = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr.strip()) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(file)],
        capture_output=True, text=True, check=False,
    )
    assert judged.returncode == 0, judged.stdout[-300:]


# ---- metrics


def expressions() -> list[tuple[str, str]]:
    """(where, expression) of every rule and panel."""
    rules = yaml.safe_load((DEPLOY / "turnout.rules.yaml").read_text())
    found = [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]
    board = json.loads((DEPLOY / "grafana.json").read_text())
    return found + [(panel["title"], one["expr"]) for panel in board["panels"] for one in panel["targets"]]


@pytest.mark.parametrize(("where", "expression"), expressions(), ids=lambda value: value if len(value) < 40 else "")
def test_every_metric_and_label_that_is_named_exists(where: str, expression: str) -> None:
    names = set(re.findall(r"\bturnout_\w+", expression))
    if not names:
        assert expression.startswith("up{")
        return
    assert names <= by_name.keys(), where
    labels = {label for name in names for label in by_name[name].labels}
    selected = {found for part in re.findall(r"\{([^}]*)\}", expression) for found in re.findall(r"(\w+)=", part)}
    grouped = {word.strip() for part in re.findall(r"\bby \(([^)]*)\)", expression) for word in part.split(",")}
    assert selected | grouped <= labels, where


def test_counters_are_read_as_rates() -> None:
    for where, expression in expressions():
        for name in re.findall(r"\bturnout_\w+", expression):
            if by_name[name].kind == "counter":
                assert re.search(rf"(rate|increase)\({name}[^)]*\[", expression), where


def test_what_rules_and_panels_say_uses_labels_that_are_there() -> None:
    rules: Any = yaml.safe_load((DEPLOY / "turnout.rules.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            names = re.findall(r"\bturnout_\w+", rule["expr"])
            known = {label for name in names for label in by_name[name].labels} | {"instance"}
            assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= known, rule["alert"]
    board = json.loads((DEPLOY / "grafana.json").read_text())
    for panel in board["panels"]:
        for one in panel["targets"]:
            names = re.findall(r"\bturnout_\w+", one["expr"])
            known = {label for name in names for label in by_name[name].labels}
            assert set(re.findall(r"\{\{(\w+)\}\}", one["legendFormat"])) <= known, panel["title"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
