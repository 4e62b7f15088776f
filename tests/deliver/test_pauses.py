"""Pausing a destination or a transformation: nothing is sent, nothing is lost, the others go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event, per_user

from dataplane.config.pauses import Pause, Pauses

HOUR = 3_600.0


def row(plant: Plant, ident: str = "hook") -> dict[str, Any]:
    found: dict[str, Any] = plant.status()["destinations"][ident]
    return found


def paused(*names: tuple[str, str]) -> Pauses:
    rows = [Pause(kind, name, "2026-11-18T11:00:00.000Z", "ann", "moving") for kind, name in names]
    return Pauses(pauses=tuple(rows))


async def test_a_paused_destination_sends_nothing_and_keeps_its_cursor(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url))
    plant.engine.hold(paused(("destination", "hook")))
    await plant.send(*(event("ann", n) for n in range(5)))
    await plant.until(lambda: row(plant)["unread"] == 5)
    await asyncio.sleep(0.3)
    assert server.got == []
    assert row(plant)["state"] == "paused"
    assert row(plant)["reason"] == "by ann: moving"
    assert row(plant)["since"] == "2026-11-18T11:00:00.000Z"
    await plant.reload(config(server.url + "new"))
    assert row(plant)["state"] == "paused", "a reload does not resume it"
    plant.engine.hold(Pauses())
    await plant.until(lambda: row(plant)["delivered"] == 5)
    assert per_user(server.taken) == {"ann": list(range(5))}


async def test_a_pause_of_days_kills_nothing_that_was_tried(plant: Plant, server: Server) -> None:
    server.answer = lambda _: (503, {})
    text = config(server.url, delivery="{retry_for: 2h, hold_for: 1h}")
    await plant.start(text)
    await plant.send(*(event("ann", n) for n in range(3)))
    await plant.until(lambda: row(plant)["retrying"] == 1)
    plant.engine.hold(paused(("destination", "hook")))
    plant.advance(30 * HOUR)
    await plant.stop()
    plant.clock.advance(30 * HOUR)
    await plant.start(text, paused(("destination", "hook")))
    plant.advance(30 * HOUR)
    plant.engine.hold(Pauses())
    await plant.until(lambda: row(plant)["next_retry_at"] is not None)
    server.answer = lambda _: (200, {})
    plant.advance(HOUR / 2)
    await plant.until(lambda: row(plant)["delivered"] == 3)
    assert row(plant)["dead"] == 0
    assert per_user(server.taken)["ann"] == [0, 1, 2]


async def test_a_paused_transformation_holds_its_destinations_and_no_other(plant: Plant, server: Server) -> None:
    other = Server()
    url = await other.start()
    try:
        extra = f'  other: {{type: webhook, settings: {{webhook_url: "{url}"}}, start: beginning}}\n'
        await plant.start(config(server.url, chain="[split]", extra=extra))
        await plant.send(event("ann", 0))
        await plant.until(lambda: row(plant)["delivered"] == 2)
        plant.engine.hold(paused(("transformation", "split")))
        await plant.send(*(event("ann", n) for n in range(1, 200)))
        await plant.until(lambda: row(plant, "other")["delivered"] == 200)
        assert row(plant)["delivered"] == 2
        assert row(plant)["state"] == "paused"
        assert row(plant)["reason"] == "transformation split (by ann: moving)"
        plant.engine.hold(Pauses())
        await plant.until(lambda: row(plant)["delivered"] == 400)
    finally:
        await other.stop()


async def test_what_was_queued_is_transformed_anew_after_a_script_was_paused(plant: Plant, server: Server) -> None:
    server.gate.clear()
    await plant.start(config(server.url, chain="[split]", delivery="{concurrency: 1}"))
    plant.runner.functions["split"] = lambda e: {**e, "event": "Old"}
    await plant.send(*(event(f"user{n}", n) for n in range(50)))
    await plant.until(lambda: row(plant)["queued"] == 49)
    plant.engine.hold(paused(("transformation", "split")))
    plant.runner.functions["split"] = lambda e: {**e, "event": "New"}
    server.gate.set()
    await plant.until(lambda: row(plant)["delivered"] == 1)
    plant.engine.hold(Pauses())
    await plant.until(lambda: row(plant)["delivered"] == 50)
    assert [e["event"] for e in server.taken].count("Old") == 1
    assert sorted(e["properties"]["n"] for e in server.taken) == list(range(50))


@pytest.mark.parametrize("script_first", [True, False])
async def test_a_script_that_was_mended_while_its_destination_was_paused_too_makes_everything_anew(
    plant: Plant, server: Server, script_first: bool
) -> None:
    hook, script = ("destination", "hook"), ("transformation", "split")
    server.gate.clear()
    await plant.start(config(server.url, chain="[split]", delivery="{concurrency: 1}"))
    plant.runner.functions["split"] = lambda e: {**e, "event": "Old"}
    await plant.send(*(event(f"user{n}", n) for n in range(20)))
    await plant.until(lambda: row(plant)["queued"] == 19)
    first, last = (script, hook) if script_first else (hook, script)
    plant.engine.hold(paused(first))
    plant.engine.hold(paused(hook, script))
    plant.runner.functions["split"] = lambda e: {**e, "event": "New"}
    server.gate.set()
    await plant.until(lambda: row(plant)["delivered"] == 1)
    plant.engine.hold(paused(last))
    plant.engine.hold(Pauses())
    await plant.until(lambda: row(plant)["delivered"] == 20)
    assert [e["event"] for e in server.taken].count("Old") == 1


async def test_a_rename_does_not_resume(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url))
    plant.engine.hold(paused(("destination", "hook")))
    await plant.send(event("ann", 1))
    await plant.until(lambda: row(plant)["unread"] == 1)
    await plant.reload(config(server.url).replace("  hook:", "  crm:") + "    was: hook\n")
    await asyncio.sleep(0.3)
    assert row(plant, "crm")["state"] == "paused"
    assert server.got == []
    plant.engine.hold(Pauses())
    await plant.until(lambda: row(plant, "crm")["delivered"] == 1)


async def test_resume_tries_a_destination_that_refused_us_and_says_what_still_holds(
    plant: Plant, server: Server
) -> None:
    server.answer = lambda _: (401, {})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1))
    await plant.until(lambda: row(plant)["state"] == "paused")
    assert row(plant)["next_probe_at"] is not None
    server.answer = lambda _: (200, {})
    assert await plant.call("destination.resume", {"destination": "hook"}) == {"changed": True, "still": ""}
    await plant.until(lambda: row(plant)["delivered"] == 1)
    plant.engine.hold(paused(("transformation", "split")))
    await plant.reload(config(server.url, chain="[split]"))
    said = await plant.call("destination.resume", {"destination": "hook"})
    assert said == {"changed": False, "still": "paused: transformation split (by ann: moving)"}


async def test_one_that_has_nothing_to_probe_with_lets_another_process_probe(plant: Plant, server: Server) -> None:
    """An event put aside for long is nothing to ask a tool with: the others would wait for it with all they have."""
    server.answer = lambda _: (429, {"Retry-After": "3000"})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1))
    await plant.until(lambda: row(plant)["retrying"] == 1)
    plant.engine.couriers["hook"].condition.refusal.refuse("credentials", "HTTP 401")
    assert (await plant.call("intake", {}))["found"] == {}
    plant.clock.advance(2_970.0)
    assert list((await plant.call("intake", {}))["found"]) == ["hook"]


async def test_one_that_waited_for_another_to_probe_probes_itself_where_that_has_nothing_to(
    plant: Plant, server: Server
) -> None:
    """It waited because the tool refuses us: of what it has, one event finds out whether it still does."""
    server.answer = lambda _: (403, {})
    await plant.start(config(server.url))
    plant.engine.hold(Pauses(), {"hook": ["paused", "rejects practically every event", None]})
    await plant.send(*(event(f"u{n}", n) for n in range(50)))
    await plant.until(lambda: row(plant)["unread"] == 50)
    assert server.got == []
    plant.engine.hold(Pauses(), {}, {"hook": ("rejects", "rejects practically every event", 5.0, 240.0)})
    await plant.until(lambda: row(plant)["dead"] == 1)
    await asyncio.sleep(0.2)
    assert len(server.got) == 1
    assert row(plant)["state"] == "paused"
    assert list((await plant.call("intake", {}))["found"]) == ["hook"], "and the others wait for it"
    plant.advance(470.0)
    await asyncio.sleep(0.2)
    assert len(server.got) == 1, "it asks as seldom as the other did"
    server.answer = lambda _: (200, {})
    plant.advance(20.0)
    await plant.until(lambda: row(plant)["delivered"] == 49)
    plant.engine.hold(Pauses(), {"hook": ["paused", "rejects practically every event", None]})
    plant.engine.hold(Pauses(), {})
    assert row(plant)["state"] == "running", "that one probed, and went on"


async def test_a_delivery_of_another_process_ends_what_this_one_was_refused(plant: Plant, server: Server) -> None:
    server.answer = lambda _: (403, {})
    await plant.start(config(server.url))
    await plant.send(*(event(f"u{n}", n) for n in range(3)))
    await plant.until(lambda: row(plant)["dead"] == 3 and row(plant)["state"] == "paused")
    told = await plant.call("intake", {})
    assert told["found"] == {}
    assert told["idle"]["hook"][0] == "forbidden"
    assert told["delivered"] == {"hook": 0}
    server.answer = lambda _: (200, {})
    assert await plant.call("destination.well", {"destination": "hook"}) == {"changed": True}
    assert await plant.call("destination.well", {"destination": "hook"}) == {"changed": False}
    assert await plant.call("destination.well", {"destination": "gone"}) == {"changed": False}
    assert row(plant)["state"] == "running"
    await plant.send(event("u9", 9))
    await plant.until(lambda: row(plant)["delivered"] == 1)
