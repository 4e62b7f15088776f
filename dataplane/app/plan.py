"""`turnout plan`: a candidate configuration against the running one, in the app's process.

The app is not on the way of an event, has the environment that a reload would read, and may start a
sandbox of its own: a candidate's scripts never share a worker with the running ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from dataplane.app.reading import difference, read
from dataplane.app.supervisor import Supervisor, needs_restart
from dataplane.clock import SystemClock
from dataplane.deliver.reload import named, occupied, undecided
from dataplane.deliver.sampling import scripts_of, unpacked
from dataplane.inspect.planning import Side, changes, refusals
from transformations.pool import Pool
from turnout.errors import Unavailable

__all__ = ["plan", "progress"]

_one = asyncio.Lock()
"""One at a time: each has a sandbox and a sample in memory."""
_progress: dict[str, Any] = {}


def progress() -> dict[str, Any]:
    """How far the plan is that is being made: {step, done, total}, `total` None while nobody knows; {} without one.

    The steps are `sampling`, `comparing` and `fixtures`.
    """
    return dict(_progress)


def _at(step: str, done: int = 0, total: int | None = None) -> None:
    _progress.update(step=step, done=done, total=total)


async def plan(
    supervisor: Supervisor, file: Path, *, last: timedelta, limit: int, sources: Sequence[str], examples: int
) -> dict[str, Any]:
    """`{"same", "events", "of", "restart", "refused", "destinations", …}`; see docs/plan.md.

    Raises `ConfigError` for a candidate that is not good, `Unavailable` where the pipeline is down.
    """
    if _one.locked():
        raise Unavailable("another plan is being made: try again in a minute")
    async with _one:
        try:
            return await _plan(supervisor, file, last=last, limit=limit, sources=sources, examples=examples)
        finally:
            _progress.clear()


async def _plan(
    supervisor: Supervisor, file: Path, *, last: timedelta, limit: int, sources: Sequence[str], examples: int
) -> dict[str, Any]:
    _at("sampling")
    reading = await asyncio.to_thread(read, file)
    before, candidate = supervisor.reading, reading.config
    running = before.config
    clock = SystemClock()
    since = int((clock.now() - last).timestamp() * 1000)
    asked = {"since": since, "limit": limit, "sources": list(sources)}
    sample = await supervisor.ask("pipeline", "plan.sample", asked)
    taken = sorted(named(candidate, running.destinations))
    left = await supervisor.ask("pipeline", "plan.left", {"taken": taken})
    events = unpacked(sample["events"])
    pool = Pool(1, sandbox=running.sandbox)
    try:
        await pool.start()
        _at("comparing", 0, len(events))
        found = await changes(
            Side(running, scripts_of(sample["scripts"])), Side(candidate), events,
            runner=pool, clock=clock, examples=examples, left=left,
            step=lambda done: _at("comparing", done, len(events)),
        )
        refused = occupied(candidate, running.destinations)
        decided = {*named(candidate), *candidate.discard}
        refused += [undecided(name, **one) for name, one in left.items() if name not in decided]
        _at("fixtures")
        refused += await refusals(candidate, pool)
    finally:
        await pool.stop()
    restart = needs_restart(running, candidate)
    counts = {"sampled": len(events), "of": sample["of"]}
    return {**found, **counts, **difference(before, reading), "restart": restart, "refused": refused}
