"""The ingest role: the gateway in front of the writer of one partition of the log."""

from __future__ import annotations

from typing import Any

from dataplane.app.folders import log_folder, rates_folder
from dataplane.app.listen import unheard
from dataplane.app.place import Place
from dataplane.clock import SystemClock
from dataplane.config import Config
from dataplane.config.pauses import Pauses
from dataplane.gateway import Gateway
from dataplane.log.base import Health, LogWriter
from dataplane.log.epochs import partitions
from dataplane.log.local import open_writer
from dataplane.pipeline.scripts import Texts
from turnout.errors import Fixable, Unavailable

__all__ = ["Ingest"]


class Ingest:
    """Takes requests and stores them; it reads nobody's state."""

    def __init__(self) -> None:
        self._gateway: Gateway | None = None
        self._writer: LogWriter | None = None
        self._partition = 0
        self._left: dict[int, LogWriter] = {}
        self._next: Config | None = None
        self._orders: dict[str, Any] = {}

    async def start(self, config: Config, place: Place, texts: Texts | None = None) -> dict[str, Any]:
        """Recover the log, then accept; {url, port}."""
        several = config.processes.ingest > 1
        try:
            self._open_log(config, place)
            assert self._writer is not None
            rates = rates_folder(config.data) if several else None
            self._gateway = Gateway(config, self._writer, SystemClock(), rates)
            self._obey()
            await self._gateway.start(joining=place.joining)
        except OSError as error:
            await self._close_log()
            where, why = f"{config.server.host}:{config.server.port}", unheard(error, "server.port")
            raise Fixable(f"server: cannot listen on {where}: {why}") from None
        except BaseException:
            await self._close_log()
            raise
        return {"url": self._gateway.url, "port": self._gateway.port}

    async def hold(self, orders: dict[str, Any]) -> None:
        """Turn away what paused sources send, or everything while a backlog is full."""
        self._orders = orders
        if self._gateway is not None:
            self._obey()

    def _obey(self) -> None:
        assert self._gateway is not None
        pauses = Pauses.of(self._orders.get("pauses") or [])
        self._gateway.hold(pauses.names("source"), bool(self._orders.get("stopping")))
    def _open_log(self, config: Config, place: Place) -> None:
        """The writer of this process's partition, and in the first process those of partitions that no
        process takes requests for any more: what is left in them is kept until it is released."""
        writers = config.processes.ingest
        numbers = sorted({*range(writers), *partitions(config.data / "log")})
        folders = {number: log_folder(config.data, number) for number in numbers}

        def writer(number: int) -> LogWriter:
            beside = [folder for other, folder in folders.items() if other != number]
            return open_writer(folders[number], config.log, run=place.run, beside=beside, writers=writers)

        self._partition = place.partition
        self._writer = writer(place.partition)
        if place.partition == 0:
            for number in numbers[writers:]:
                self._left[number] = writer(number)

    async def _close_log(self) -> None:
        if self._writer is not None:
            await self._writer.close()
        for left in self._left.values():
            await left.close()

    async def prepare(self, config: Config, texts: Texts | None = None) -> None:
        """Keep the parsed configuration; the gateway takes it at once when told."""
        self._next = config

    async def commit(self) -> None:
        """Swap sources and limits between two requests."""
        assert self._next is not None
        config, self._next = self._next, None
        self._running()[0].apply(config)

    async def abort(self) -> None:
        """Forget the prepared configuration."""
        self._next = None

    def stats(self) -> list[Any]:
        """Samples of the gateway and the log."""
        gateway, writer = self._running()
        health = writer.health()
        left = sum(one.health().bytes for one in self._left.values())
        return [
            *gateway.stats(),
            ["turnout_log_open", [], int(health.open and not health.full)],
            ["turnout_log_bytes", [], health.bytes + left],
            ["turnout_log_appended_total", [], health.appended],
            ["turnout_log_syncs_total", [], health.syncs],
            ["turnout_log_sync_seconds_total", [], health.sync_seconds],
        ]

    async def status(self) -> dict[str, Any]:
        """{url, log: {partition: {open, full, reason, head, floor, bytes, records}}}."""
        gateway, writer = self._running()
        written = {self._partition: writer, **self._left}
        return {"url": gateway.url, "log": {str(n): _state(one.health()) for n, one in written.items()}}

    async def call(self, verb: str, args: dict[str, Any]) -> Any:
        """The ingest role has no verbs of its own."""
        raise Unavailable(f"the ingest role does not answer {verb}")

    async def drain(self, deadline: float) -> None:
        """Stop accepting, finish requests in flight, flush and close the log."""
        gateway, _ = self._running()
        await gateway.drain(deadline)
        await self._close_log()

    def _running(self) -> tuple[Gateway, LogWriter]:
        if self._gateway is None or self._writer is None:
            raise Unavailable("the ingest role has not started")
        return self._gateway, self._writer


def _state(health: Health) -> dict[str, Any]:
    return {
        "open": health.open, "full": health.full, "reason": health.reason,
        "head": health.head, "floor": health.floor, "bytes": health.bytes,
        "records": health.appended,
    }
