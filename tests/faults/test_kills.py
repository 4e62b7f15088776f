"""SIGKILL to every process under load: nothing acknowledged is lost, and order holds (bench: 20 times)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.kills import disordered, kill_under_load


@pytest.mark.slow
def test_no_acknowledged_event_is_lost_and_order_holds_across_kills(tmp_path: Path) -> None:
    found = kill_under_load(tmp_path, kills=3)

    assert found.acknowledged > 100
    assert (found.lost, found.disordered) == (0, 0), found


def test_disorder_is_seen_where_there_is_some() -> None:
    acknowledged = dict.fromkeys(range(10), 0.0)
    assert disordered([("a", 1), ("b", 5), ("a", 2), ("b", 6)], acknowledged) == 0
    assert disordered([("a", 2), ("a", 1)], acknowledged) == 1
    assert disordered([("a", 99), ("a", 1)], acknowledged) == 0  # 99 was never acknowledged
