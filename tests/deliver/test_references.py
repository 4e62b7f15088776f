"""References, made by their scripts at their turn: what a script made that is in force no more counts no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from engine_kit import InProcess, Plant, Server, config, event

from dataplane.config.pauses import Pause, Pauses
from transformations.base import Item, Ran, Script
from turnout.errors import Stopped

DELIVERY = "{retry_for: 24h, concurrency: 4}"


class Slow(InProcess):
    """Answers, when `gate` is open, what the script was when the run began."""

    def __init__(self) -> None:
        super().__init__(drop=lambda e: e, split=lambda e: e)
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = 0

    async def run(self, script: Script, items: Sequence[Item]) -> list[Ran]:
        self.begun += 1
        try:
            return await super().run(script, items)
        finally:
            await self.gate.wait()


@pytest.fixture
def scripts() -> Slow:
    return Slow()


@pytest.fixture
async def plant(tmp_path: Path, scripts: Slow) -> AsyncIterator[Plant]:
    for name in ("drop.py", "split.py"):
        (tmp_path / name).write_text("def transformEvent(event, metadata):\n    return event\n")
    made = Plant(tmp_path, scripts)
    yield made
    scripts.gate.set()
    await made.close()


def row(plant: Plant) -> dict[str, Any]:
    found: dict[str, Any] = plant.status()["destinations"]["hook"]
    return found


def broken(event: dict[str, Any]) -> None:
    raise ValueError("an old mistake")


async def waiting(plant: Plant, scripts: Slow, server: Server, old: Any) -> None:
    """Event 0 was tried, 1 and 2 wait behind it; then it is delivered, and the old script has 1 in hand."""
    server.answer = lambda _: (503, {})
    await plant.start(config(server.url, chain="[split]", delivery=DELIVERY))
    await plant.send(*(event("ann", n) for n in range(3)))
    await plant.until(lambda: row(plant)["waiting"] == 2 and row(plant)["retrying"] == 1)
    server.answer = lambda _: (200, {})
    if isinstance(old, Stopped):
        scripts.stopped["split"] = old
    else:
        scripts.functions["split"] = old
    scripts.gate.clear()
    begun = scripts.begun
    plant.advance(60.0)
    await plant.until(lambda: row(plant)["delivered"] == 1 and scripts.begun > begun)


async def mended(plant: Plant, scripts: Slow, server: Server) -> None:
    """A reload with another script, which the old one's answer comes after."""
    scripts.functions["split"] = lambda e: {**e, "event": "New"}
    scripts.stopped.clear()
    (plant.folder / "split.py").write_text("def transformEvent(event, metadata):\n    return {**event}\n")
    await plant.reload(config(server.url, chain="[split]", delivery=DELIVERY))
    scripts.gate.set()


@pytest.mark.parametrize("old", [broken, lambda e: None, lambda e: {**e, "event": "Old"}], ids=["dead", "drop", "old"])
async def test_after_a_reload_the_new_script_makes_it(plant: Plant, scripts: Slow, server: Server, old: Any) -> None:
    await waiting(plant, scripts, server, old)
    await mended(plant, scripts, server)
    await plant.until(lambda: row(plant)["delivered"] == 3)
    assert [(e["properties"]["n"], e["event"]) for e in server.taken] == [(0, "Step"), (1, "New"), (2, "New")]
    assert row(plant)["dead"] == row(plant)["filtered"] == row(plant)["pending"] == 0


async def test_it_is_sent_to_where_the_config_in_force_says(plant: Plant, scripts: Slow, server: Server) -> None:
    await waiting(plant, scripts, server, lambda e: {**e, "event": "Old"})
    moved = Server()
    url = await moved.start()
    try:
        await plant.reload(config(url, chain="[split]", delivery=DELIVERY))
        scripts.gate.set()
        await plant.until(lambda: row(plant)["delivered"] == 3)
        assert [e["properties"]["n"] for e in server.taken] == [0]
        assert [e["properties"]["n"] for e in moved.taken] == [1, 2]
    finally:
        await moved.stop()


@pytest.mark.parametrize("answered", ["while it is paused", "after it was resumed"])
async def test_a_script_that_was_paused_to_be_mended_makes_it_anew(
    plant: Plant, scripts: Slow, server: Server, answered: str
) -> None:
    await waiting(plant, scripts, server, broken)
    plant.engine.hold(Pauses(pauses=(Pause("transformation", "split", "2026-11-18T11:00:00.000Z", "ann", ""),)))
    scripts.functions["split"] = lambda e: {**e, "event": "New"}
    if answered == "while it is paused":
        scripts.gate.set()
        await plant.until(lambda: not plant.engine.couriers["hook"].sending)
    assert row(plant)["waiting"] == 2
    assert row(plant)["delivered"] == 1
    plant.engine.hold(Pauses())
    scripts.gate.set()
    await plant.until(lambda: row(plant)["delivered"] == 3)
    assert [e["event"] for e in server.taken] == ["Step", "New", "New"]
    assert row(plant)["dead"] == 0


async def test_nothing_of_it_leaves_for_a_destination_that_was_paused_meanwhile(
    plant: Plant, scripts: Slow, server: Server
) -> None:
    await waiting(plant, scripts, server, lambda e: e)
    plant.engine.hold(Pauses(pauses=(Pause("destination", "hook", "2026-11-18T11:00:00.000Z", "ann", ""),)))
    scripts.gate.set()
    await plant.until(lambda: not plant.engine.couriers["hook"].sending)
    assert [e["properties"]["n"] for e in server.got if e["properties"]["n"]] == []
    plant.engine.hold(Pauses())
    await plant.until(lambda: row(plant)["delivered"] == 3)
    assert [e["properties"]["n"] for e in server.taken] == [0, 1, 2]


async def test_that_the_old_script_was_stopped_holds_nothing_back(plant: Plant, scripts: Slow, server: Server) -> None:
    stopped = Stopped("killed five times in a row", script="split", since=0.0, after=300.0, left=300.0)
    await waiting(plant, scripts, server, stopped)
    await mended(plant, scripts, server)
    await plant.until(lambda: row(plant)["delivered"] == 3)
    assert row(plant)["state"] == "running"


@pytest.mark.parametrize("behind", [False, True], ids=["front", "behind"])
async def test_that_the_old_script_was_stopped_keeps_nobody_from_reading(
    plant: Plant, scripts: Slow, server: Server, behind: bool
) -> None:
    """Of what is read for the first time, too: the new script would wait until the old one is probed."""
    await plant.start(config(server.url, chain="[split]", delivery=DELIVERY))
    hook = [Pause("destination", "hook", "2026-11-18T11:00:00.000Z", "ann", "")] if behind else []
    plant.engine.hold(Pauses(pauses=tuple(hook)))
    scripts.stopped["split"] = Stopped("killed five times", script="split", since=0.0, after=300.0, left=300.0)
    scripts.gate.clear()
    await plant.send(event("ann", 1))
    if behind:
        await plant.until(lambda: row(plant)["unread"] == 1)
        plant.engine.hold(Pauses())
        plant.engine.readers.send()
    await plant.until(lambda: scripts.begun == 1)
    await mended(plant, scripts, server)
    await plant.until(lambda: row(plant)["delivered"] == 1)
    assert [e["event"] for e in server.taken] == ["New"]
    assert row(plant)["state"] == "running"


async def test_a_dead_letter_that_is_retried_is_made_by_the_script_in_force(
    plant: Plant, scripts: Slow, server: Server
) -> None:
    scripts.functions["split"] = broken
    await plant.start(config(server.url, chain="[split]", delivery=DELIVERY))
    await plant.send(event("ann", 1))
    await plant.until(lambda: row(plant)["dead"] == 1)
    await plant.engine.books.commit()
    scripts.gate.clear()
    begun = scripts.begun
    retry = asyncio.create_task(plant.call("dead.retry", {"all": True}))
    await plant.until(lambda: scripts.begun > begun)
    await mended(plant, scripts, server)
    assert (await retry)["retried"] == 1
    await plant.until(lambda: row(plant)["delivered"] == 1)
    assert [e["event"] for e in server.taken] == ["New"]
    assert row(plant)["dead"] == row(plant)["revived"] == 1
