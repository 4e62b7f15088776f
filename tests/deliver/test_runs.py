"""A chain runs once for destinations that are a little apart, and anew where it may make something else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import pytest
from engine_kit import Plant, Server, config, event

from dataplane.config.pauses import Pause, Pauses
from dataplane.pipeline.numbered import Sequenced, restored
from dataplane.pipeline.runs import Runs
from transformations.base import Item, Ran, Script
from turnout.errors import Stopped
from turnout.protocol import Envelope

CHAIN, OTHER = (Script("some", "", "some.py"),), (Script("some", "", "some.py"),)
ENVELOPE = msgspec.msgpack.encode(
    Envelope(source="web", protocol="rudder", kind="", received_at=1, ip="203.0.113.9", refused={})
)


def read(*numbers: int) -> list[Sequenced]:
    return [restored(number, number, b"{}", ENVELOPE, b"k") for number in numbers]


class Chain:
    """A chain that makes `<number>.<run>` of an event; each run waits until `open` is set."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def __call__(self, events: Sequence[Sequenced]) -> list[str]:
        self.runs.append([one.number for one in events])
        run = len(self.runs)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return [f"{one.number}.{run}" for one in events]


async def test_who_asks_meanwhile_or_a_moment_later_gets_what_was_made() -> None:
    shared, chain = Runs[str](len), Chain()
    chain.open.clear()
    asked = [asyncio.ensure_future(shared.outputs(CHAIN, read(*some), chain)) for some in ((1, 2, 3), (2, 3, 4))]
    await asyncio.sleep(0)
    chain.open.set()
    assert [list(made) for made in await asyncio.gather(*asked)] == [["1.1", "2.1", "3.1"], ["2.1", "3.1", "4.2"]]
    assert await shared.outputs(CHAIN, read(4, 1), chain, keep=False) == ["4.2", "1.1"]
    assert await shared.outputs(CHAIN, read(4, 5), chain, keep=False) == ["4.2", "5.3"]
    assert await shared.outputs(CHAIN, read(5), chain) == ["5.4"], "that run was for nobody else"
    assert await shared.outputs(CHAIN, read(1), chain, told=(("destinationId", "a"),)) == ["1.5"]
    assert await shared.outputs(OTHER, read(1), chain) == ["1.6"], "a script that is equal may have other secrets"
    assert chain.runs == [[1, 2, 3], [4], [5], [5], [1], [1]]


async def test_what_may_come_out_otherwise_now_is_made_anew() -> None:
    shared, chain = Runs[str](len), Chain()
    assert await shared.outputs(CHAIN, read(1), chain) == ["1.1"]
    chain.open.clear()
    under_way = asyncio.ensure_future(shared.outputs(CHAIN, read(2), chain))
    await asyncio.sleep(0)
    shared.forget()
    after = asyncio.ensure_future(shared.outputs(CHAIN, read(1, 2), chain))
    await asyncio.sleep(0)
    chain.open.set()
    assert await under_way == ["2.2"], "who asked before gets it: the destination forgets it itself"
    assert await after == ["1.3", "2.3"]
    assert await shared.outputs(CHAIN, read(1, 2), chain) == ["1.3", "2.3"]


async def test_a_run_that_fails_is_told_to_all_and_tried_again() -> None:
    shared, chain = Runs[str](len), Chain()
    chain.error = OSError("gone")
    asked = [shared.outputs(CHAIN, read(1), chain) for _ in range(2)]
    assert [str(one) for one in await asyncio.gather(*asked, return_exceptions=True)] == ["gone", "gone"]
    chain.error = None
    assert await shared.outputs(CHAIN, read(1), chain) == ["1.2"]


@pytest.mark.parametrize("bounds", [{"most_bytes": 7}, {"most_events": 2}])
async def test_what_is_kept_has_a_bound(bounds: dict[str, int]) -> None:
    shared, chain = Runs[str](len, **bounds), Chain()
    for number in (1, 2, 3):
        await shared.outputs(CHAIN, read(number), chain)
        await asyncio.sleep(0)
    assert await shared.outputs(CHAIN, read(2, 3), chain) == ["2.2", "3.3"]
    assert await shared.outputs(CHAIN, read(1), chain) == ["1.4"]


def two(url: str) -> str:
    other = f'settings: {{webhook_url: "{url}other"}}, transformation: [drop]'
    return f"{config(url, chain='[drop]')}  other: {{type: webhook, {other}, start: beginning}}\n"


async def apart(plant: Plant, server: Server, between: Callable[[], None]) -> list[str]:
    """Ten events reach `hook`, then `between` happens, then they reach `other`: what it got them as."""
    plant.runner.functions["drop"] = lambda e: {**e, "event": "Before"}
    await plant.start(two(server.url))
    late = plant.engine.couriers["other"]
    late.moving = True  # it reads nothing
    await plant.send(*(event("ann", n) for n in range(10)))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["delivered"] == 10)
    plant.runner.functions["drop"] = lambda e: {**e, "event": "After"}
    between()
    late.moving = False
    plant.engine.readers.send()
    await plant.until(lambda: plant.status()["destinations"]["other"]["delivered"] == 10)
    assert [body["event"] for body in server.taken[:10]] == ["Before"] * 10
    return [body["event"] for body in server.taken[10:]]


async def test_a_destination_a_little_behind_is_sent_what_was_made_for_the_others(plant: Plant, server: Server) -> None:
    assert await apart(plant, server, lambda: None) == ["Before"] * 10
    assert sum(count for _, count in plant.runner.runs) == 10
    await plant.send(event("ann", 10))
    await plant.until(lambda: len(server.taken) == 22)
    assert not plant.engine.readers._kept, "everyone has read it"


async def test_nothing_made_before_a_pause_of_the_script_is_sent_after_it(plant: Plant, server: Server) -> None:
    def mended() -> None:
        plant.engine.hold(Pauses(pauses=(Pause("transformation", "drop", "2026-03-01T00:00:00Z", "ann"),)))
        plant.engine.hold(Pauses())

    assert await apart(plant, server, mended) == ["After"] * 10


async def test_nor_before_its_breaker_opened(plant: Plant, server: Server) -> None:
    stopped = Stopped("transformation drop is stopped", script="drop", since=1.0, left=0.0, after=0.0)

    def killed() -> None:
        plant.engine.readers._wait([plant.engine.couriers["hook"]], stopped)

    assert await apart(plant, server, killed) == ["After"] * 10


async def test_a_reload_forgets_what_was_made(plant: Plant, server: Server) -> None:
    plant.runner.functions["drop"] = lambda e: e
    await plant.start(two(server.url))
    late = plant.engine.couriers["other"]
    late.moving = True
    await plant.send(*(event("ann", n) for n in range(10)))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["delivered"] == 10)
    assert plant.engine.readers._kept
    await plant.reload(two(server.url))
    assert not plant.engine.readers._kept


@pytest.mark.parametrize("how", ["pause", "reload"])
async def test_nothing_that_a_script_says_counts_once_it_is_paused_or_another(
    plant: Plant, server: Server, how: str
) -> None:
    """It fails on everything; while it runs somebody sees that, and mends it."""
    began, gate, run = asyncio.Event(), asyncio.Event(), plant.runner.run

    async def slow(script: Script, items: Sequence[Item]) -> list[Ran]:
        made = await run(script, items)
        began.set()
        await gate.wait()
        return made

    plant.runner.run = slow  # type: ignore[method-assign]
    plant.runner.functions["drop"] = lambda e: e["nothing"]
    text = config(server.url, chain="[drop]")
    await plant.start(text)
    await plant.send(*(event("ann", n) for n in range(10)), event("bob", 0))
    await began.wait()
    plant.runner.functions["drop"] = lambda e: e
    if how == "pause":
        plant.engine.hold(Pauses(pauses=(Pause("transformation", "drop", "2026-03-01T00:00:00Z", "ann"),)))
        gate.set()
        await plant.until(lambda: not plant.engine.couriers["hook"].reading)
        plant.engine.hold(Pauses())
    else:
        (plant.folder / "drop.py").write_text("# mended\n")
        await plant.reload(text)
        gate.set()
    counts = plant.engine.ledger.counts
    await plant.until(lambda: counts["hook", "delivered"] + counts["hook", "dead"] == 11)
    assert counts["hook", "dead"] == 0
    assert [body["messageId"] for body in server.taken if body["userId"] == "ann"] == [f"ann-{n}" for n in range(10)]
