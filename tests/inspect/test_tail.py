"""tail shows verdicts as they are reached, and costs nothing while nobody watches."""

from __future__ import annotations

from typing import Any

import pytest

from dataplane.deliver import tail as verbs
from dataplane.deliver import watch as watching
from tests.deliver.engine_kit import Plant, config, event
from turnout.errors import Fixable, Refused


async def opened(plant: Plant, **wanted: str) -> int:
    return int((await plant.call("tail.open", wanted))["tail"])


async def read(plant: Plant, tail: int) -> dict[str, Any]:
    found: dict[str, Any] = await plant.call("tail.read", {"tail": tail})
    return found


async def lines(plant: Plant, tail: int, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def came() -> bool:
        watch = plant.engine.ledger.watch
        assert watch is not None
        found.extend(watch.tails[tail].fetch()["lines"])
        return len(found) >= number

    await plant.until(came)
    return found


async def test_every_verdict_is_a_line(plant: Plant, server: Any) -> None:
    server.answer = lambda body: ({"bob": 400, "eve": 503}.get(body["userId"], 200), {})
    await plant.start(config(server.url, chain="[drop]"))
    tail = await opened(plant)
    await plant.send(event("ada", 2), event("ada", 3), event("bob", 2), event("eve", 2))
    await plant.send(event("uma", 2, integrations={"All": False}))
    found = {(line["number"]): line for line in reversed(await lines(plant, tail, 5))}
    said = {number: (line["verdict"], line["status"], line["reason"]) for number, line in found.items()}
    assert said[1] == ("delivered", 200, "")
    assert said[2] == ("filtered", None, "dropped by drop")
    assert said[3][:2] == ("dead", 400)
    assert said[4][:2] == ("pending", 503)
    assert said[5] == ("filtered", None, "integrations.All is false")
    assert {(line["type"], line["event"], line["source"]) for line in found.values()} == {("track", "Step", "web")}
    assert {line["user"] for line in found.values()} == {"ada", "bob", "eve", "uma"}


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [({"verdict": "filtered"}, {2}), ({"source": "web"}, {1, 2, 3}), ({"event": "step"}, {1, 2}),
     ({"event": "page"}, {3}), ({"destination": "hook", "verdict": "delivered"}, {1, 3})],
)  # fmt: skip
async def test_only_what_was_asked_for_is_shown(
    plant: Plant, server: Any, wanted: dict[str, str], numbers: set[int]
) -> None:
    await plant.start(config(server.url, chain="[drop]"))
    tail, every = await opened(plant, **wanted), await opened(plant)
    await plant.send(event("ada", 2), event("ada", 3), event("ada", 4, type="page", event="", name="Home"))
    await lines(plant, every, 3)
    assert {line["number"] for line in (await read(plant, tail))["lines"]} == numbers


async def test_a_long_user_id_is_shortened(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url))
    tail = await opened(plant)
    await plant.send(event("ada.lovelace@example.com", 2))
    (line,) = await lines(plant, tail, 1)
    assert line["user"] == "ada.lo…"


async def test_what_is_not_fetched_in_time_is_counted(
    plant: Plant, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "RING", 3)
    await plant.start(config(server.url))
    tail = await opened(plant)
    await plant.send(*(event("ada", n) for n in range(10)))
    await plant.until(lambda: plant.engine.ledger.counts["hook", "delivered"] == 10)
    found = await read(plant, tail)
    assert [line["number"] for line in found["lines"]] == [8, 9, 10]
    assert found["not_shown"] == 7
    assert await read(plant, tail) == {"lines": [], "not_shown": 0}


async def test_nobody_watches_any_more(plant: Plant, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "PATIENCE", 0.05)
    await plant.start(config(server.url))
    assert plant.engine.ledger.watch is None
    first = await opened(plant)
    await plant.until(lambda: plant.engine.ledger.watch is None)  # it asked nothing for too long
    with pytest.raises(Refused):
        await read(plant, first)
    monkeypatch.setattr(verbs, "PATIENCE", 60)
    second, third = await opened(plant), await opened(plant)
    await plant.call("tail.close", {"tail": second})
    assert plant.engine.ledger.watch is not None
    await plant.call("tail.close", {"tail": third})
    await plant.call("tail.close", {"tail": third})
    assert plant.engine.ledger.watch is None


async def test_a_filter_that_nothing_matches_is_an_error(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url))
    for wanted in ({"source": "nope"}, {"destination": "nope"}, {"verdict": "lost"}):
        with pytest.raises(Fixable, match="there are"):
            await opened(plant, **wanted)
    assert plant.engine.ledger.watch is None
    for _ in range(verbs.MOST):
        await opened(plant)
    with pytest.raises(Fixable, match="watching already"):
        await opened(plant)
