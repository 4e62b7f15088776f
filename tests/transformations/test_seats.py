"""Seats: who runs, who waits, and that no seat is ever lost."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from transformations.seats import Seats


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.booleans()), max_size=25), st.integers()
)
def test_never_more_than_allowed_and_all_come_back(
    workers: int, takers: list[tuple[bool, int, bool]], seed: int
) -> None:
    async def scenario() -> None:
        seats = Seats(workers)
        running = {False: 0, True: 0}
        most = {False: 0, True: 0}

        async def one(suspect: bool, steps: int) -> None:
            async with seats.take(suspect=suspect):
                running[suspect] += 1
                most[suspect] = max(most[suspect], running[suspect])
                try:
                    for _ in range(steps):
                        await asyncio.sleep(0)
                finally:
                    running[suspect] -= 1

        chance = random.Random(seed)
        tasks = [(asyncio.create_task(one(suspect, steps)), cancel) for suspect, steps, cancel in takers]
        for task, cancel in tasks:
            if cancel:
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*(task for task, _ in tasks), return_exceptions=True), 60)
        assert most[True] <= 1
        assert most[False] <= workers + 1
        assert seats.waiting == 0
        for suspect in (False, True):  # every seat is free again
            async with asyncio.timeout(1), seats.take(suspect=suspect):
                pass

    asyncio.run(scenario())


async def test_the_spare_seat_opens_behind_slow_ones_only() -> None:
    seats = Seats(1)
    release = asyncio.Event()
    order: list[str] = []

    async def hold(name: str) -> None:
        async with seats.take(suspect=False):
            order.append(name)
            await release.wait()

    first, second, third = (asyncio.create_task(hold(name)) for name in "abc")
    await asyncio.sleep(0)
    assert order == ["a"]
    while len(order) < 2:
        await asyncio.sleep(0.005)
    assert order == ["a", "b"]
    assert seats.waiting == 1
    release.set()
    await asyncio.gather(first, second, third)
    assert order == ["a", "b", "c"]


async def test_who_waits_for_the_world_leaves_the_seat_to_others() -> None:
    seats = Seats(1)
    order: list[str] = []
    back = asyncio.Event()

    async def asks() -> None:
        async with seats.take(suspect=False):
            async with seats.away(suspect=False):
                order.append("away")
                await back.wait()
            order.append("again")

    async def runs() -> None:
        async with seats.take(suspect=False):
            order.append("other")
            back.set()
            await asyncio.sleep(0)
            order.append("done")

    first = asyncio.ensure_future(asks())
    while not order:
        await asyncio.sleep(0)
    await asyncio.gather(first, runs())
    assert order == ["away", "other", "done", "again"]
    async with seats.take(suspect=False):
        assert seats.waiting == 0
