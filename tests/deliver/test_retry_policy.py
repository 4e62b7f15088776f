"""The status table, waits that tools ask for, and keys that are the same on every attempt."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event, per_user

from dataplane.inspect.explain import explain


def row(plant: Plant) -> dict[str, Any]:
    found: dict[str, Any] = plant.status()["destinations"]["hook"]
    return found


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_2xx_is_delivered(plant: Plant, server: Server, status: int) -> None:
    server.answer = lambda _: (status, {})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1))
    await plant.until(lambda: row(plant)["delivered"] == 1)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_may_pass_is_tried_again(plant: Plant, server: Server, status: int) -> None:
    server.answer = lambda _: (status if len(server.got) < 3 else 200, {})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1))
    for attempts in (1, 2):
        await plant.until(lambda n=attempts: len(server.got) >= n and plant.idle())
        plant.advance(10)
    await plant.until(lambda: row(plant)["delivered"] == 1)
    assert len(server.got) == 3
    assert row(plant)["dead"] == 0


@pytest.mark.parametrize("status", [300, 301, 304, 307, 400, 402, 403, 404, 409, 410, 413, 422, 451])
async def test_what_cannot_pass_is_dead_at_once(plant: Plant, server: Server, status: int) -> None:
    server.answer = lambda _: (status, {"Location": server.url})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.until(lambda: row(plant)["dead"] == 2)
    assert len(server.got) == 2, "no redirect is followed, nothing is tried again"
    assert row(plant)["state"] == "running"


@pytest.mark.parametrize("order", ["user", "none"])
async def test_403_for_three_users_pauses_instead(plant: Plant, server: Server, order: str) -> None:
    server.answer = lambda _: (403, {})
    await plant.start(config(server.url, delivery=f"{{concurrency: 1, order: {order}}}"))
    await plant.send(*(event(f"user{n}", 1) for n in range(10)))
    await plant.until(lambda: row(plant)["state"] == "paused")
    assert (row(plant)["dead"], row(plant)["reason"]) == (3, "HTTP 403 for three or more users")


async def test_a_date_in_retry_after_is_obeyed(plant: Plant, server: Server) -> None:
    times: list[float] = []

    def answer(_: object) -> tuple[int, dict[str, str]]:
        times.append(plant.clock.monotonic())
        until = plant.clock.now() + timedelta(seconds=2)
        return (503, {"Retry-After": format_datetime(until, usegmt=True)}) if len(times) == 1 else (200, {})

    server.answer = answer
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.until(lambda: row(plant)["delivered"] == 2)
    assert times[-1] - times[0] >= 1.0, "the header has whole seconds"


async def test_every_attempt_has_the_same_idempotency_key_also_after_a_restart(plant: Plant, server: Server) -> None:
    server.answer = lambda _: (503, {})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("ann", 2))
    await plant.until(lambda: len(server.got) >= 2)
    await plant.stop()
    server.answer = lambda _: (200, {})
    await plant.start(config(server.url))
    plant.advance(400)
    await plant.until(lambda: row(plant)["delivered"] == 2)
    keys: dict[int, set[str]] = {1: set(), 2: set()}
    for body, headers in zip(server.got, server.headers, strict=True):
        keys[body["properties"]["n"]].add(headers["Idempotency-Key"])
    assert [len(found) for found in keys.values()] == [1, 1]
    assert keys[1] != keys[2]


async def test_only_an_atomic_tool_has_its_batches_halved(plant: Plant, server: Server) -> None:
    def answer(body: Any) -> tuple[int, dict[str, str]]:
        return (400, {}) if any(item["userId"] == "bad" for item in body) else (200, {})

    server.answer = answer
    text = config(server.url, delivery="{batch: 8, linger: 2s}")
    await plant.start(text)
    rows = [event(name, 1) for name in ("a", "b", "c", "bad", "d", "e", "f", "g")]
    await plant.send(*rows)
    await plant.until(lambda: row(plant)["dead"] == 8)
    assert len(server.got) == 1, "a webhook's batch may have been taken in part"
    plant.engine.couriers["hook"].plan.adapter.__class__ = type(
        "Atomic", (plant.engine.couriers["hook"].plan.adapter.__class__,), {"atomic": True}
    )
    await plant.send(*({**one, "messageId": one["messageId"] + "again"} for one in rows))
    await plant.until(lambda: row(plant)["delivered"] == 7 and row(plant)["dead"] == 9)
    assert [len(body) for body in server.got] == [8, 8, 4, 2, 2, 1, 1, 4]
    await asyncio.sleep(0)
    assert set(per_user(server.taken)) == {"a", "b", "c", "d", "e", "f", "g"}


@pytest.mark.parametrize(("delivery", "hours"), [("{}", 1), ("{retry_after: 3h}", 3)])
async def test_a_tool_that_asks_for_a_year_is_asked_again_and_quoted(
    plant: Plant, server: Server, delivery: str, hours: int
) -> None:
    server.answer = lambda _: (429, {"Retry-After": "31536000"})
    await plant.start(config(server.url, delivery=delivery))
    await plant.send(event("ann", 1), event("bob", 1))
    # one whose answer came only after the hours have passed would be given hours more
    await plant.until(lambda: row(plant)["retrying"] >= 1 and plant.idle())
    asked = f"HTTP 429: it asks for 365 d, and is given {hours} h (delivery.retry_after)"
    assert (row(plant)["state"], row(plant)["reason"]) == ("running", asked)
    why = (await explain(plant.engine, plant.runner, server.got[0]["messageId"], ""))["destinations"]["hook"]["why"]
    assert why.startswith(f"{asked}; tried next at ")
    server.answer = lambda _: (200, {})
    plant.advance(hours * 3600 + 2)
    await plant.until(lambda: row(plant)["delivered"] == 2)
    assert row(plant)["reason"] == ""


async def test_a_person_may_go_on_before_the_tool_wants_to_be_asked(plant: Plant, server: Server) -> None:
    """Its users would wait for `hold_for`, and what was tried for the hour."""
    server.answer = lambda _: (503, {"Retry-After": "31536000"})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("ann", 2), event("bob", 1))
    await plant.until(lambda: row(plant)["retrying"] >= 1)
    server.answer = lambda _: (200, {})
    assert (await plant.call("destination.resume", {"destination": "hook"}))["changed"]
    plant.advance(6)
    await plant.until(lambda: row(plant)["delivered"] == 3)
    assert per_user(server.taken)["ann"] == [1, 2]
    assert not (await plant.call("destination.resume", {"destination": "hook"}))["changed"]


async def test_nobody_is_overtaken_since_the_tool_asked_for_more_than_hold_for(plant: Plant, server: Server) -> None:
    server.answer = lambda _: (429, {"Retry-After": "1800"})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("ann", 2), event("ann", 3))
    await plant.until(lambda: row(plant)["retrying"] == 1)
    server.answer = lambda _: (200, {})
    plant.advance(1_800)
    await plant.until(lambda: row(plant)["delivered"] == 3)
    assert per_user(server.taken)["ann"] == [1, 2, 3]
