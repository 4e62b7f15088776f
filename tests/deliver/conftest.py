from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from engine_kit import InProcess, Plant, Server

from dataplane.deliver import backlog, retention


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    made.url = await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plant]:
    """An engine that looks at backlogs and letters when a test tells it to, and not besides, whenever it is slow."""
    monkeypatch.setattr(backlog, "EVERY", 3_600.0)
    monkeypatch.setattr(retention, "SWEEP_EVERY", 3_600.0)
    for name in ("drop.py", "split.py"):
        (tmp_path / name).write_text("def transformEvent(event, metadata):\n    return event\n")
    scripts = InProcess(drop=lambda e: None if e["properties"]["n"] % 2 else e, split=lambda e: [e, e])
    made = Plant(tmp_path, scripts)
    yield made
    await made.close()
