"""Transformations of a source: once per event, before routing, for all destinations."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event, per_user

from dataplane.config.pauses import Pause, Pauses
from transformations.base import HELD
from turnout.errors import Stopped


def text(url: str, *, source: str, chain: str = "[]", other: str = "enabled: true", extra: str = "") -> str:
    """Sources web (with transformations) and app (without), destinations hook and other."""
    made = config(url, chain=chain).replace(
        "sources: {web: {write_key: k}}",
        f"sources: {{web: {{write_key: k, transformation: {source}}}, app: {{write_key: a}}}}",
    )
    settings = f'settings: {{webhook_url: "{url}other"}}'
    return f"{made}  other: {{type: webhook, {settings}, start: beginning, {other}}}\n{extra}"


def row(plant: Plant, ident: str = "hook") -> dict[str, Any]:
    found: dict[str, Any] = plant.status()["destinations"][ident]
    return found


def stopped(script: str, reason: str, *, left: float, after: float) -> Stopped:
    said = f"transformation {script} is stopped: {reason}"
    return Stopped(said, script=script, since=1_795_000_000.0, left=left, after=after)


def settled(plant: Plant, n: int) -> bool:
    return all(
        row(plant, ident)["delivered"] + row(plant, ident)["filtered"] + row(plant, ident)["dead"]
        - row(plant, ident)["born"] == n
        for ident in ("hook", "other")
    )


async def test_it_runs_once_for_all_and_only_for_its_source(plant: Plant, server: Server) -> None:
    plant.runner.functions["drop"] = lambda e: None if e["properties"]["n"] % 2 else {**e, "event": "Seen"}
    await plant.start(text(server.url, source="drop"))
    await plant.send(*(event("ann", n) for n in range(10)))
    await plant.send(*(event("bob", n) for n in range(10)), source="app")
    await plant.until(lambda: settled(plant, 20))
    got = {user: sorted(numbers) for user, numbers in per_user(server.taken).items()}
    assert got == {"ann": sorted([0, 2, 4, 6, 8] * 2), "bob": sorted([*range(10)] * 2)}
    assert {body["event"] for body in server.taken if body["userId"] == "ann"} == {"Seen"}
    assert sum(n for name, n in plant.runner.runs if name == "drop") == 10, "once per event, not per destination"
    for ident in ("hook", "other"):
        assert (row(plant, ident)["delivered"], row(plant, ident)["filtered"]) == (15, 5)
    assert plant.engine.ledger.reasons["hook", "dropped by drop"] == 5


async def test_both_chains_one_after_the_other_with_routing_between(plant: Plant, server: Server) -> None:
    """The source's script makes two events; one is not for `hook`, the other passes its script, which makes two."""
    plant.runner.functions["drop"] = lambda e: [{**e, "integrations": {"hook": False}}, {**e, "event": "Second"}]
    await plant.start(text(server.url, source="drop", chain="[split]"))
    await plant.send(event("ann", 1), event("ann", 2))
    await plant.until(lambda: settled(plant, 2))
    hook, other = row(plant), row(plant, "other")
    assert (hook["delivered"], hook["filtered"], hook["born"]) == (4, 2, 4)
    assert (other["delivered"], other["filtered"], other["born"]) == (4, 0, 2)
    assert [n for name, n in plant.runner.runs if name == "split"] == [2], "only what is sent passes it"


async def test_a_failure_is_dead_everywhere_but_where_the_source_is_not_connected(plant: Plant, server: Server) -> None:
    plant.runner.functions["drop"] = lambda e: e["properties"]["missing"]
    await plant.start(text(server.url, source="drop", other="sources: [app]"))
    await plant.send(event("ann", 1, integrations={"hook": False}), event("bob", 2))
    await plant.until(lambda: settled(plant, 2))
    assert (row(plant)["dead"], row(plant)["born"]) == (2, 0)
    assert (row(plant, "other")["filtered"], row(plant, "other")["dead"]) == (2, 0)
    await plant.engine.books.commit()
    letters = (await plant.call("dead.list", {}))["dead"]
    assert {letter["reason"] for letter in letters} == {"script drop:1: KeyError: 'missing'"}
    assert {letter["class"] for letter in letters} == {"script"}


async def test_several_outputs_are_one_filtered_event_where_the_source_is_not_connected(
    plant: Plant, server: Server
) -> None:
    await plant.start(text(server.url, source="split", other="sources: [app]"))
    await plant.send(event("ann", 1))
    await plant.until(lambda: settled(plant, 1))
    assert (row(plant)["delivered"], row(plant)["born"]) == (2, 1)
    assert (row(plant, "other")["filtered"], row(plant, "other")["born"]) == (1, 0)


async def test_an_output_that_waits_behind_another_of_its_user_passes_it_when_its_turn_comes(
    plant: Plant, server: Server
) -> None:
    server.answer = lambda body: (503 if body["properties"]["n"] == 0 and len(server.got) < 4 else 200, {})
    await plant.start(text(server.url, source="split", other="enabled: false"))
    await plant.send(event("ann", 0), event("ann", 1))
    await plant.passes(5.0, lambda: row(plant)["delivered"] == 4)
    assert per_user(server.taken) == {"ann": [0, 0, 1, 1]}


async def test_a_dead_letter_of_it_is_retried_through_both_chains(plant: Plant, server: Server) -> None:
    plant.runner.functions["drop"] = lambda e: e["nothing"]
    await plant.start(text(server.url, source="drop", chain="[split]"))
    await plant.send(event("ann", 1))
    await plant.until(lambda: settled(plant, 1))
    plant.runner.functions["drop"] = lambda e: {**e, "event": "Mended"}
    await plant.engine.books.commit()
    await plant.call("dead.retry", {"all": True})
    await plant.until(lambda: row(plant)["delivered"] == 2 and row(plant, "other")["delivered"] == 1)
    assert {body["event"] for body in server.taken} == {"Mended"}


async def test_a_source_that_is_slow_holds_up_no_other_and_runs_once_for_those_that_wait(
    plant: Plant, server: Server
) -> None:
    gate = plant.runner.gates["drop"] = asyncio.Event()
    await plant.start(text(server.url, source="drop", other="sources: [app]", extra=(
        f'  third: {{type: webhook, settings: {{webhook_url: "{server.url}third"}}, start: beginning}}\n'
    )))
    await plant.send(event("ann", 0))
    await plant.send(event("bob", 0), source="app")
    await plant.until(lambda: row(plant, "other")["delivered"] == 1)
    assert row(plant)["delivered"] == 0
    gate.set()
    await plant.until(lambda: row(plant)["delivered"] == row(plant, "third")["delivered"] == 2)
    assert plant.runner.runs == [("drop", 1)]


async def test_a_reload_puts_another_script_in_force_for_what_waits(plant: Plant, server: Server) -> None:
    await plant.start(text(server.url, source="split"))
    plant.engine.hold(Pauses(pauses=(Pause("transformation", "split", "2026-11-18T11:00:00.000Z", "ann"),)))
    assert row(plant)["state"] == "paused", "a pause of a source's script holds what takes events from it"
    await plant.send(event("ann", 0))
    await plant.reload(text(server.url, source="[]"))
    plant.engine.hold(Pauses())
    await plant.until(lambda: settled(plant, 1))
    assert row(plant)["delivered"] == 1
    assert plant.runner.runs == []


async def test_a_replay_passes_it_too(plant: Plant, server: Server) -> None:
    await plant.start(text(server.url, source="split"))
    await plant.send(event("ann", 0))
    await plant.until(lambda: settled(plant, 1))
    server.taken.clear()
    counted = await plant.call("replay.count", {"destination": "hook", "unordered": True})
    assert [part["verdict"] for part in counted["sample"][0]["parts"]] == ["send", "send"]
    await plant.call("replay.start", {"destination": "hook", "unordered": True})
    await plant.until(lambda: len(server.taken) == 2)
    assert all(body["context"]["turnout"]["replay"]["id"] == 1 for body in server.taken)


@pytest.mark.parametrize("source", ["drop", "[]"])
async def test_while_a_script_is_stopped_its_events_are_pending_and_nothing_dies(
    plant: Plant, server: Server, source: str
) -> None:
    chain = "[]" if source == "drop" else "[drop]"
    plant.runner.functions["drop"] = lambda e: {**e, "event": "Through"}
    await plant.start(text(server.url, source=source, chain=chain, other="sources: [app]"))
    plant.runner.stopped["drop"] = stopped("drop", "killed", left=600.0, after=700.0)
    await plant.send(*(event("ann", n) for n in range(50)))
    await plant.send(event("bob", 0), source="app")
    await plant.until(lambda: row(plant, "other")["delivered"] == 1)
    await plant.until(lambda: row(plant)["state"] == "paused")
    shown = row(plant)
    assert shown["reason"] == "transformation drop is stopped: killed"
    assert (shown["since"], shown["next_probe_at"]) == ("2026-11-18T11:06:40.000Z", "2026-11-18T11:18:20.000Z")
    assert (shown["unread"] + shown["queued"], shown["dead"], server.taken) == (51, 0, [server.taken[0]])
    assert await plant.call("transformation.resume", {"transformation": "drop"}) == {"changed": True}
    await plant.until(lambda: row(plant)["delivered"] == 51)
    assert row(plant)["state"] == "running"
    assert [body["properties"]["n"] for body in server.taken if body["userId"] == "ann"] == list(range(50))


async def test_another_version_or_none_lets_a_stopped_destination_go_on(plant: Plant, server: Server) -> None:
    await plant.start(text(server.url, source="drop"))
    plant.runner.stopped["drop"] = stopped("drop", "killed", left=600.0, after=700.0)
    await plant.send(event("ann", 0))
    await plant.until(lambda: row(plant)["state"] == row(plant, "other")["state"] == "paused")
    await plant.reload(text(server.url, source="split"))
    await plant.until(lambda: row(plant)["delivered"] == row(plant, "other")["delivered"] == 2)
    assert plant.runner.stopped == {}, "the pool has forgotten it"


async def test_a_letter_stays_where_it_is_while_its_script_is_stopped(plant: Plant, server: Server) -> None:
    plant.runner.functions["drop"] = lambda e: e["nothing"]
    await plant.start(text(server.url, source="drop", other="enabled: false"))
    await plant.send(event("ann", 1))
    await plant.until(lambda: row(plant)["dead"] == 1)
    await plant.engine.books.commit()
    plant.runner.stopped["drop"] = stopped("drop", "killed", left=600.0, after=700.0)
    with pytest.raises(Stopped, match="transformation drop is stopped"):
        await plant.call("dead.retry", {"all": True})
    plant.runner.functions["drop"] = lambda e: e
    await plant.call("transformation.resume", {"transformation": "drop"})
    assert (await plant.call("dead.retry", {"all": True}))["retried"] == 1
    await plant.until(lambda: row(plant)["delivered"] == 1)


async def test_a_replay_waits_for_a_stopped_script_and_goes_on(plant: Plant, server: Server) -> None:
    await plant.start(text(server.url, source="split"))
    await plant.send(*(event("ann", n) for n in range(30)))
    await plant.until(lambda: settled(plant, 30))
    server.taken.clear()
    plant.runner.stopped["split"] = stopped("split", "killed", left=600.0, after=700.0)
    await plant.call("replay.start", {"destination": "hook", "unordered": True, "rate": 1000})
    await plant.until(lambda: plant.engine.replays.couriers["replay:1"].stopped is not None)
    (shown,) = (await plant.call("replay.list", {}))["replays"]
    assert (shown["state"], shown["reason"]) == ("running", "paused: transformation split is stopped: killed")
    assert server.taken == []
    await plant.call("transformation.resume", {"transformation": "split"})
    await plant.until(lambda: len(server.taken) == 60)


async def test_what_waits_behind_another_is_kept_while_its_script_is_stopped(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (503 if body["properties"]["n"] == 0 and len(server.got) < 3 else 200, {})
    plant.runner.functions["drop"] = lambda e: e
    await plant.start(text(server.url, source="[]", other="enabled: false", chain="[drop]"))

    await plant.send(event("ann", 0), event("ann", 1), event("bob", 5))
    await plant.until(lambda: row(plant)["waiting"] == 1)
    plant.runner.stopped["drop"] = stopped("drop", "killed", left=5.0, after=5.0)
    await plant.passes(1.0, lambda: row(plant)["delivered"] == 2 and row(plant)["state"] == "paused")
    assert (row(plant)["waiting"], row(plant)["dead"]) == (1, 0)
    await plant.call("transformation.resume", {"transformation": "drop"})
    await plant.passes(1.0, lambda: row(plant)["delivered"] == 3)
    assert per_user(server.taken)["ann"] == [0, 1]
    assert row(plant)["state"] == "running"


async def test_what_several_sources_make_together_is_queued_in_portions(plant: Plant, server: Server) -> None:
    """Of each of them alone there would be room for all."""
    plant.runner.functions["drop"] = lambda e: {**e, "pad": "x" * 2_000_000}
    server.gate.clear()
    await plant.send(*(event(f"web{n}", n) for n in range(10)))
    await plant.send(*(event(f"app{n}", n) for n in range(10)), source="app")
    made = text(server.url, source="drop", other="delivery: {timeout: 60s, concurrency: 1}")
    await plant.start(made.replace("write_key: a}", "write_key: a, transformation: drop}"))
    other = plant.engine.couriers["other"]
    await plant.until(lambda: other.lanes.bytes > 0, 30)
    assert {n for _, n in plant.runner.runs} >= {10}
    assert 18_000_000 < other.lanes.bytes <= HELD
    server.gate.set()
    await plant.until(lambda: settled(plant, 20), 60)
    assert {user: len(sent) for user, sent in per_user(server.taken).items()} == {
        f"{source}{n}": 2 for source in ("web", "app") for n in range(10)
    }
