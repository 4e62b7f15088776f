"""Long outages: nothing dies of a tool that is down, and a user's order outlives them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event, per_user

HOUR = 3_600.0


def row(plant: Plant) -> dict[str, Any]:
    found: dict[str, Any] = plant.status()["destinations"]["hook"]
    return found


async def outage(plant: Plant, server: Server, hours: int, first: int = 0) -> None:
    """Hour by hour: a few events of every user, time passes, the probes of that hour fail."""
    for hour in range(first, first + hours):
        asked = len(server.got)
        await plant.send(*(event(f"user{u}", hour) for u in range(5)))
        await plant.until(lambda: row(plant)["state"] in ("down", "paused") and row(plant)["unread"] == 0)
        plant.advance(HOUR)
        courier = plant.engine.couriers["hook"]
        await plant.until(lambda asked=asked: len(server.got) > asked)
        await plant.until(lambda courier=courier: not courier.sending)


@pytest.mark.parametrize("status", [500, 401, 0])
async def test_25_hours_without_an_answer_and_then_everything_arrives(
    plant: Plant, server: Server, status: int
) -> None:
    def answer(_: Any) -> tuple[int, dict[str, str]]:
        if status == 0:
            raise ConnectionResetError
        return status, {}

    server.answer = answer
    await plant.start(config(server.url, delivery="{concurrency: 3}"))
    await outage(plant, server, 25)
    said = {500: "its requests fail, the last with: HTTP 500", 401: "HTTP 401", 0: "its requests fail, the last with: "}
    assert row(plant)["reason"].startswith(said[status])
    assert row(plant)["dead"] == 0
    assert row(plant)["retrying"] <= 8, "a down destination costs a cursor, not a row per event"
    server.answer = lambda _: (200, {})
    plant.advance(900)  # at the latest then it is probed
    await plant.until(lambda: row(plant)["delivered"] == 125)
    assert row(plant)["dead"] == row(plant)["pending"] == 0
    assert per_user(server.taken) == {f"user{u}": list(range(25)) for u in range(5)}


async def test_neither_restarts_nor_the_time_between_them_count(plant: Plant, server: Server) -> None:
    server.answer = lambda _: (500, {})
    text = config(server.url, delivery="{concurrency: 3, retry_for: 2h}")
    await plant.start(text)
    await outage(plant, server, 5)
    await plant.stop()
    plant.clock.advance(30 * HOUR)  # Turnout itself does not run
    plant.jumped += 30 * HOUR
    await plant.start(text)
    await outage(plant, server, 5, first=5)
    server.answer = lambda _: (200, {})
    plant.advance(HOUR)
    await plant.until(lambda: row(plant)["delivered"] == 50)
    assert row(plant)["dead"] == 0
    assert per_user(server.taken) == {f"user{u}": list(range(10)) for u in range(5)}


async def test_an_event_that_alone_fails_still_dies_in_its_time(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (500, {}) if body["userId"] == "ann" else (200, {})
    await plant.start(config(server.url, delivery="{hold_for: 1h, retry_for: 24h}"))
    await plant.send(event("ann", 0), event("ann", 1))
    for hour in range(26):
        await plant.send(*(event(f"user{hour}", n) for n in range(9)))
        await plant.until(lambda hour=hour: row(plant)["delivered"] >= (hour + 1) * 9)
        plant.advance(HOUR)
        if row(plant)["dead"] == 2:
            break
    await plant.until(lambda: row(plant)["dead"] == 2)
    await plant.engine.retention.written()
    letters = (await plant.call("dead.list", {}))["dead"]
    assert {letter["reason"] for letter in letters} == {"gave up after 1 d: HTTP 500"}


async def test_a_tool_that_rejects_everything_pauses_before_the_backlog_is_buried(
    plant: Plant, server: Server
) -> None:
    server.answer = lambda _: (422, {})
    await plant.start(config(server.url))
    for n in range(15):
        await plant.send(*(event(f"user{u}", n) for u in range(100)))
    await plant.until(lambda: row(plant)["state"] == "paused")
    assert row(plant)["reason"] == "rejects practically every event, the last with: HTTP 422"
    assert row(plant)["since"] is not None
    await plant.until(lambda: row(plant)["in_flight"] == 0)
    dead = row(plant)["dead"]
    assert 1_000 <= dead <= 1_010
    await plant.stop()
    await plant.start(config(server.url))
    assert row(plant)["state"] == "paused", "a restart does not forget it"
    await plant.until(lambda: row(plant)["dead"] == dead + 1)
    await asyncio.sleep(0.2)
    assert row(plant)["dead"] == dead + 1, "one event probes it"
    server.answer = lambda _: (200, {})
    plant.advance(200)
    await plant.until(lambda: row(plant)["delivered"] == 1_500 - dead - 1)
    assert row(plant)["state"] == "running"


async def test_a_401_is_probed_with_one_event_and_resumed_by_hand(plant: Plant, server: Server) -> None:
    server.answer = lambda _: (401, {})
    await plant.start(config(server.url, delivery="{concurrency: 8}"))
    await plant.send(*(event(f"user{u}", 0) for u in range(50)))
    await plant.until(lambda: row(plant)["state"] == "paused" and row(plant)["in_flight"] == 0)
    asked = len(server.got)
    plant.advance(61)
    await plant.until(lambda: len(server.got) == asked + 1)
    await asyncio.sleep(0.2)
    assert len(server.got) == asked + 1
    server.answer = lambda _: (200, {})
    plant.engine.couriers["hook"].resume()
    await plant.until(lambda: row(plant)["delivered"] == 50)
    assert row(plant)["state"] == "running"


@pytest.mark.parametrize("status", [401, 403, 503])
@pytest.mark.parametrize("how", ["reload", "resume"])
async def test_answers_to_requests_of_before_say_nothing_of_what_was_mended_meanwhile(
    plant: Plant, server: Server, status: int, how: str
) -> None:
    answers = iter([status] * 8)
    server.answer = lambda _: (next(answers, 200), {})
    server.gate.clear()
    await plant.start(config(server.url))
    await plant.send(*(event(f"user{u}", 0) for u in range(30)))
    await plant.until(lambda: len(server.got) == row(plant)["in_flight"] == 8)
    if how == "reload":
        await plant.reload(config(server.url + "mended"))
    else:
        plant.engine.couriers["hook"].resume()
    server.gate.set()

    def through() -> bool:
        assert row(plant)["state"] == "running"
        return bool(row(plant)["delivered"] + row(plant)["dead"] == 30)

    await plant.until(through)
    assert row(plant)["dead"] == (8 if status == 403 else 0)


async def test_mixed_verdicts_of_one_batch_end_right_and_in_order(plant: Plant, server: Server) -> None:
    """One request with ten events; the tool answers per item: taken, rejected, come back later."""
    from turnout import verdict as verdicts

    def judged(request: Any, response: Any, at: Any) -> list[Any]:
        found = []
        for item in request.body.values:
            n, user = item["properties"]["n"], item["userId"]
            if user == "bad" and n == 1:
                found.append(verdicts.dead("item rejected", 422))
            elif user == "slow" and n == 1 and attempts.setdefault(n, 0) < 2:
                attempts[n] += 1
                found.append(verdicts.retry("item busy", status=503))
            else:
                taken.append((user, n))
                found.append(verdicts.delivered(207))
        return found

    attempts: dict[int, int] = {}
    taken: list[tuple[str, int]] = []
    await plant.start(config(server.url, delivery="{batch: 10, linger: 1s}") + "    enabled: false\n")
    await plant.reload(config(server.url, delivery="{batch: 10, linger: 1s}"))
    plant.engine.couriers["hook"].plan.adapter.verdicts = judged
    rows = [event("bad", n) for n in range(3)] + [event("slow", n) for n in range(4)]
    await plant.send(*rows, *(event("good", n) for n in range(3)))
    await plant.until(lambda: row(plant)["delivered"] == 9 and row(plant)["dead"] == 1)
    assert [n for user, n in taken if user == "bad"] == [0, 2]
    assert [n for user, n in taken if user == "good"] == [0, 1, 2]
    slow = [n for user, n in taken if user == "slow"]
    assert sorted(slow) == [0, 1, 2, 3]
    assert row(plant)["pending"] == 0
    letters = server.got[0]
    assert len(letters) == 10, "they travelled in one request"


async def test_a_mended_script_runs_over_what_was_queued(plant: Plant, server: Server) -> None:
    server.answer = lambda _: (500, {})
    text = config(server.url, chain="[split]")
    await plant.start(text)
    await plant.send(*(event(f"user{u}", 0) for u in range(30)))
    await plant.until(lambda: row(plant)["state"] == "down" and row(plant)["unread"] == 0)
    plant.runner.functions["split"] = lambda e: {**e, "event": "Mended"}
    (plant.folder / "split.py").write_text("def transformEvent(event, metadata):\n    return {**event}\n")
    await plant.engine.prepare(plant.config(text))
    server.answer = lambda _: (200, {})
    tried = row(plant)["retrying"] + row(plant)["in_flight"]  # as the old script made them
    await plant.engine.commit()
    await plant.until(lambda: row(plant)["pending"] == row(plant)["unread"] == 0)
    mended = [body for body in server.taken if body["event"] == "Mended"]
    assert len(mended) >= 30 - tried
    users = {body["userId"] for body in server.taken}
    assert len(users) == 30
