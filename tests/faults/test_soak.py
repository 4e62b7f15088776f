"""The short form of `make soak`: hostile scripts among ordinary ones, in a real engine."""

from __future__ import annotations

from pathlib import Path

from bench.faults.soak import EVERY, soak


async def test_hostile_scripts_lose_no_event_and_leave_nothing_behind(tmp_path: Path) -> None:
    found = await soak(tmp_path, 4_000)
    assert found.wrong == []
    assert found.delivered["to-plain-py"] == found.delivered["to-plain-js"] == 4_000
    assert found.dead["to-raises-py"] == 4_000 // EVERY
    assert found.pending["to-broken-py"] == 4_000
    assert found.stops >= 1
