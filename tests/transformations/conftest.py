"""A real pool for the tests of one module, and short ways to run a script in it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest_asyncio

from transformations import Pool
from transformations.base import Failed, Item, Library, Script

Run = Callable[..., Awaitable[list[Any]]]


def item(event: Any, metadata: Any = None) -> Item:
    """An event as the pipeline hands it over; bytes are taken as they are."""
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    return Item(raw, json.dumps(metadata if metadata is not None else {"sourceId": "web"}).encode())


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool() -> AsyncIterator[Pool]:
    """One worker's pool, started once per module."""
    made = Pool()
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def run(pool: Pool) -> Run:
    """`await run(source, *events, **options)`: per event a list of outputs, or the `Failed`."""

    async def running(
        source: str, *events: Any, metadata: Any = None, libraries: dict[str, str] | None = None, **options: Any
    ) -> list[Any]:
        libs = tuple(Library(name, code, f"lib/{name}.py") for name, code in (libraries or {}).items())
        script = Script("case", source, file="case.py", libraries=libs, **options)
        results = await pool.run(script, [item(event, metadata) for event in events])
        return [ran if isinstance(ran, Failed) else [json.loads(raw) for raw in ran.events] for ran in results]

    return running
