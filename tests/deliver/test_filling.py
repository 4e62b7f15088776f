"""When a batch that waits is full: by events, by bytes, or since the queue takes no more."""

from __future__ import annotations

from engine_kit import Plant, Server, config, event


async def send(plant: Plant, count: int) -> None:
    for start in range(0, count, 250):
        await plant.send(*(event(f"user{n}", n) for n in range(start, min(count, start + 250))))


async def test_a_batch_may_be_larger_than_the_usual_queue(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url, delivery="{batch: 3000, batch_bytes: 30000000, linger: 1h}"))
    await send(plant, 3_000)
    await plant.until(lambda: len(server.taken) == 3_000)
    assert [len(body) for body in server.got] == [3_000]


async def test_a_batch_is_full_at_its_bytes_too(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url, delivery="{batch: 1000, batch_bytes: 20000, linger: 1h}"))
    await send(plant, 250)
    await plant.until(lambda: len(server.taken) > 100)
    assert all(len(body) < 250 for body in server.got)


async def test_one_that_is_not_full_waits(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url, delivery="{batch: 3000, linger: 1h}"))
    await send(plant, 20)
    await plant.until(lambda: plant.status()["destinations"]["hook"]["pending"] == 20)
    assert server.got == []
