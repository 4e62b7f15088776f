"""Destinations that misbehave in every way beside a healthy one (`make faults`: each alone too, and longer)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults.destinations import FAULTS, sick
from bench.faults.machine import compiler


@pytest.mark.slow
def test_a_healthy_destination_gets_everything_beside_sick_ones_that_recover(tmp_path: Path) -> None:
    faults = [name for name in FAULTS if name != "no_resolver" or compiler() is not None]
    found = sick(tmp_path, faults, seconds=3.0, users=8)

    assert found.acknowledged > 200
    assert found.ok, found
