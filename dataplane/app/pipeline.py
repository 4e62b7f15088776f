"""The pipeline role: reads the log, runs transformations, delivers."""

from __future__ import annotations

import gc
from typing import Any

from dataplane.app.borrower import Borrower
from dataplane.app.place import Place
from dataplane.clock import SystemClock
from dataplane.config import Config
from dataplane.config.pauses import Pauses
from dataplane.deliver import desk, verbs
from dataplane.deliver.engine import Engine
from dataplane.deliver.holds import Found
from dataplane.deliver.reach import Outside
from dataplane.inspect.explain import explain
from dataplane.log.partitions import Partitions, open_partitions
from dataplane.pipeline.scripts import Texts
from dataplane.pipeline.share import Share
from transformations.pool import Pool
from turnout.errors import Unavailable

__all__ = ["Pipeline"]

COLLECT = (10_000, 20, 50)
"""Decoded events are thousands of objects that no cycle holds: looking through them as often as Python does
(700, 10, 10) takes a third of the time of sending."""


class Pipeline:
    """Carries accepted events to their verdicts."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._pool: Pool | None = None
        self._log: Partitions | None = None
        self._outside: Outside | None = None
        self._next: Outside | None = None
        self._pauses = Pauses()
        self._found: Found = {}

    async def start(self, config: Config, place: Place, texts: Texts | None = None) -> dict[str, Any]:
        """Start the workers and the engine; {}."""
        share = Share(place.process, config.processes.pipeline)
        log = open_partitions(config.data / "log", config.processes.ingest, run=place.run, consumer=share.name)
        outside = _outside(config)
        pool = Pool(share.part(config.processes.transform), sandbox=config.sandbox, reach=outside)
        engine = Engine(
            data=config.data, partitions=log, runner=pool, clock=SystemClock(), share=share,
            lender=None if share.alone or place.ask is None else Borrower(place.ask),
        )  # fmt: skip
        engine.pauses, engine.found = self._pauses, self._found
        try:
            await pool.start()
            await engine.start(config, texts)
        except BaseException:
            await pool.stop()
            await outside.close()
            log.close()
            raise
        self._log, self._pool, self._engine, self._outside = log, pool, engine, outside
        gc.set_threshold(*COLLECT)
        return {}

    async def hold(self, orders: dict[str, Any]) -> None:
        """Pause and resume destinations, and follow what other pipeline processes found out about tools."""
        self._pauses = Pauses.of(orders.get("pauses") or [])
        self._found = orders.get("found") or {}
        if self._engine is not None:
            self._engine.hold(self._pauses, self._found, orders.get("left"))

    async def prepare(self, config: Config, texts: Texts | None = None) -> None:
        """Compile scripts and build destinations; raises `Fixable` and changes nothing."""
        await self._running().prepare(config, texts)
        self._next = _outside(config)

    async def commit(self) -> None:
        """Switch between two requests."""
        await self._running().commit()
        if self._next is not None and self._outside is not None:
            self._outside.follow(self._next)
            self._next = None

    async def abort(self) -> None:
        """Forget what was prepared."""
        self._running().abort()
        if self._next is not None:
            await self._next.close()
            self._next = None

    def stats(self) -> list[Any]:
        """Samples of the engine and the workers."""
        engine = self._running()
        assert self._pool is not None
        assert self._outside is not None
        return [*desk.stats(engine), *(_sample(*sample) for sample in self._pool.stats()), *self._outside.stats()]

    async def status(self) -> dict[str, Any]:
        """What the engine says of sources and destinations, and the workers' health."""
        engine = self._running()
        assert self._pool is not None
        missing = self._outside.missing if self._outside is not None else ""
        return {**desk.status(engine), "transformations": self._pool.health(), "geolocation": {"missing": missing}}

    async def call(self, verb: str, args: dict[str, Any]) -> Any:
        """Answer a verb of the engine (dataplane/deliver/verbs.py), or `explain`."""
        engine = self._running()
        if verb == "explain":
            assert self._pool is not None
            source, brief = str(args.get("source") or ""), bool(args.get("brief"))
            return await explain(engine, self._pool, str(args["id"]), source, brief=brief)
        return await verbs.call(engine, verb, args)

    async def drain(self, deadline: float) -> None:
        """Stop reading, finish what is in flight, store cursors, stop the workers."""
        await self._running().drain(deadline)
        assert self._pool is not None
        assert self._log is not None
        await self._pool.stop()
        if self._outside is not None:
            await self._outside.close()
        self._log.close()

    def _running(self) -> Engine:
        if self._engine is None:
            raise Unavailable("the pipeline role has not started")
        return self._engine


def _outside(config: Config) -> Outside:
    """What scripts may reach, as the config says."""
    return Outside(allow_private=config.egress.allow_private, database=config.geolocation.database)


def _sample(name: str, labels: list[str], number: float) -> list[Any]:
    """A sample of the pool under the name it is exported by: the pool stands alone and has no prefix."""
    gauge = name in ("transform_workers", "transform_stopped")
    return [f"turnout_{name}" + ("" if gauge else "_total"), labels, number]
