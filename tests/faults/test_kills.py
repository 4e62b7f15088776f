"""SIGKILL to every role under load: nothing acknowledged is lost, order and sums hold (`make faults`: 200 times)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults.kills import family, kill_under_load


@pytest.mark.slow
def test_every_role_may_be_killed_under_load(tmp_path: Path) -> None:
    found = kill_under_load(tmp_path, kills=7, users=12, say=print)

    assert found.acknowledged > 100
    assert found.ok, found
    killed = ("all", "app", "ingest", "ingest-1", "pipeline", "zygote", "worker")
    assert all(f"{name} 1" in found.note for name in killed), found.note


@pytest.mark.slow
@pytest.mark.parametrize("pipelines", [2, 3])
def test_each_of_several_pipeline_processes_may_be_killed_under_load(tmp_path: Path, pipelines: int) -> None:
    targets = ("pipeline", "all", "worker", "app")
    found = kill_under_load(
        tmp_path, kills=3 + pipelines, targets=targets, seed=pipelines, users=12, pipelines=pipelines, say=print
    )

    assert found.acknowledged > 100
    assert found.ok, found
    killed = ("all", "app", "worker", "pipeline", *(f"pipeline-{n}" for n in range(1, pipelines)))
    assert all(f"{name} 1" in found.note for name in killed), found.note


def test_roles_of_a_number_are_one_family() -> None:
    names = ("ingest", "ingest-1", "pipeline-12", "x-y")
    assert [family(name) for name in names] == ["ingest", "ingest", "pipeline", "x-y"]
