"""Scripts that make far more than they are given: what waits in memory stays bounded, and nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event

from transformations import Pool

MEBI = 1 << 20
BOUND = 50 * MEBI
"""What a run may come to (32 MiB, and the answer that went beyond), and no more."""

LARGE = """def transformEvent(event, metadata):
    return {**event, "pad": "x" * 1_000_000}
"""
BATCH = """def transformBatch(events, metadata):
    return [{**event, "pad": "x" * 1_000_000} for event in events]
"""
COPIES = """def transformEvent(event, metadata):
    return [event] * event["properties"].get("copies", 1)
"""


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    pool = Pool()
    await pool.start()
    made = Plant(tmp_path, pool)  # type: ignore[arg-type]  # a real one
    for name in ("drop.py", "split.py"):
        (tmp_path / name).write_text(COPIES)
    yield made
    await made.close()
    await pool.stop()


def row(plant: Plant, ident: str = "hook") -> dict[str, Any]:
    found: dict[str, Any] = plant.status()["destinations"][ident]
    return found


class Largest:
    """Looks at the queue each time it is asked."""

    def __init__(self, plant: Plant) -> None:
        self.plant, self.bytes = plant, 0

    def __call__(self) -> int:
        self.bytes = max(self.bytes, *(one.lanes.bytes for one in self.plant.engine.couriers.values()))
        return self.bytes


@pytest.mark.parametrize("script", [LARGE, BATCH], ids=["event", "batch"])
async def test_a_batch_that_swells_is_queued_in_portions(plant: Plant, server: Server, script: str) -> None:
    (plant.folder / "split.py").write_text(script)
    server.gate.clear()
    await plant.start(config(server.url, chain="[split]", delivery="{concurrency: 4}"))
    largest = Largest(plant)
    await plant.send(*(event(f"u{n % 30}", n) for n in range(120)))
    await plant.until(lambda: largest() > MEBI and len(server.got) == 4)
    server.gate.set()
    await plant.until(lambda: largest() and row(plant)["delivered"] == 120)
    assert largest() <= BOUND
    assert [one["properties"]["n"] for one in server.taken if one["userId"] == "u7"] == [7, 37, 67, 97]
    assert sorted(one["properties"]["n"] for one in server.taken) == list(range(120))
    assert row(plant)["dead"] == row(plant)["pending"] == row(plant)["unread"] == 0


async def test_what_a_chain_makes_of_one_event_has_a_bound_and_the_others_go_on(plant: Plant, server: Server) -> None:
    """A hundred outputs, each of which the next script makes a megabyte of; by way of the source, too."""
    (plant.folder / "split.py").write_text(COPIES)
    (plant.folder / "drop.py").write_text(LARGE)
    upstream = config(server.url, chain="[drop]").replace("write_key: k", "write_key: k, transformation: [split]")
    await plant.start(config(server.url, chain="[split, drop]"))
    some = [event("ann", 0), {**event("ann", 1), "properties": {"n": 1, "copies": 100}}, event("ann", 2)]
    await plant.send(*some)
    await plant.until(lambda: row(plant)["delivered"] == 2)
    assert row(plant)["dead"] == 1
    await plant.engine.books.commit()
    (letter,) = (await plant.call("dead.list", {}))["dead"]
    assert letter["reason"] == "script drop: what is made of one event is more than 33,554,432 bytes"
    await plant.reload(upstream)
    await plant.send(*({**one, "messageId": f"again {n}"} for n, one in enumerate(some)))
    await plant.until(lambda: row(plant)["delivered"] == 4)
    await plant.until(lambda: row(plant)["dead"] == 101)
    assert row(plant)["born"] == 99
    assert [one["properties"]["n"] for one in server.taken] == [0, 2, 0, 2]


async def test_dead_letters_that_swell_are_retried_in_portions(plant: Plant, server: Server) -> None:
    broken = "def transformEvent(event, metadata):\n    raise ValueError('an old mistake')\n"
    (plant.folder / "split.py").write_text(broken)
    await plant.start(config(server.url, chain="[split]"))
    await plant.send(*(event(f"u{n}", n) for n in range(60)))
    await plant.until(lambda: row(plant)["dead"] == 60)
    await plant.engine.books.commit()
    large = 'def transformEvent(event, metadata):\n    return [{**event, "pad": "x" * 1_000_000}] * 3\n'
    (plant.folder / "split.py").write_text(large)
    await plant.reload(config(server.url, chain="[split]"))
    assert (await plant.call("dead.retry", {"all": True}))["retried"] == 60
    await plant.until(lambda: row(plant)["delivered"] == 180)


async def test_a_replay_that_swells_is_queued_in_portions(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url, chain="[split]"))
    await plant.send(*(event(f"u{n % 30}", n) for n in range(80)))
    await plant.until(lambda: row(plant)["delivered"] == 80)
    (plant.folder / "split.py").write_text(LARGE)
    await plant.reload(config(server.url, chain="[split]"))
    started = await plant.call("replay.start", {"destination": "hook", "rate": 10_000, "unordered": True})
    largest = 0

    def done() -> bool:
        nonlocal largest
        work = plant.engine.replays.couriers.values()
        largest = max([largest, *(one.lanes.bytes for one in work)])
        return len(server.taken) == 160

    await plant.until(done)
    assert started["id"]
    assert 0 < largest <= BOUND
