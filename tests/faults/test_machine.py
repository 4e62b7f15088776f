"""Syncs that fail, a clock that is set (`make faults`: more places, and longer)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults.clocks import jumping_clock
from bench.faults.machine import compiler
from bench.faults.syncs import failed_sync

pytestmark = [
    pytest.mark.slow, pytest.mark.skipif(compiler() is None, reason="it needs a C compiler; tests/log has other forms"),
]


@pytest.mark.parametrize("place", ["the log", "the state", "dead letters"])
def test_a_failed_sync_promises_nothing_and_loses_nothing(tmp_path: Path, place: str) -> None:
    found = failed_sync(tmp_path, place, users=8, seconds=0.5)

    assert found.acknowledged > 300
    assert found.ok, found


def test_a_clock_that_is_set_loses_nothing_and_gives_nothing_up(tmp_path: Path) -> None:
    found = jumping_clock(tmp_path, users=8, pause=0.3)

    assert found.acknowledged > 100
    assert found.ok, found
