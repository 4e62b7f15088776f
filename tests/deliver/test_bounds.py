"""Memory stays bounded, whatever is sent."""

from __future__ import annotations

from pathlib import Path

from engine_kit import Plant, Server, config, event

from dataplane.clock import SystemClock
from dataplane.config.model import JournalConfig
from dataplane.deliver.ledger import REASONS, Ledger


async def test_decisions_of_long_integrations_are_made_but_not_remembered(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url))
    for n in range(20):
        await plant.send(event("ann", n, integrations={"All": n % 2 == 0, "pad": f"{n}" * 4_000}))
    await plant.until(lambda: plant.engine.ledger.counts["hook", "filtered"] == 10)
    await plant.until(lambda: plant.engine.ledger.counts["hook", "delivered"] == 10)
    assert plant.engine.couriers["hook"].routes == {}
    assert [row["properties"]["n"] for row in server.taken] == list(range(0, 20, 2))


async def test_a_reader_behind_takes_events_by_bytes_too(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url) + "    enabled: false\n")
    for n in range(60):
        await plant.send(event("ann", n, context={"pad": "x" * 120_000}))
    await plant.until(lambda: plant.engine.sequencer.next_number == 61)
    found, upto = plant.engine.sequencer.load(1, 500)
    assert 30 < len(found) < 40
    assert upto == found[-1].number + 1


async def test_reasons_are_counted_up_to_a_bound(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SystemClock(), JournalConfig())
    try:
        for n in range(REASONS + 50):
            ledger.reason("hook", f"type made up {n} is not supported")
        assert len(ledger.reasons) == REASONS + 1
        assert ledger.reasons["hook", "another reason"] == 50
    finally:
        ledger.close()
