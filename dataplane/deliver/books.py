"""The books of the pipeline process: what is written down, how often, and what the log may let go.

Counts, cursors, exceptions and dead letters of one moment are one transaction of the ledger.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from dataplane.deliver.courier import Courier
from dataplane.deliver.history import History
from dataplane.deliver.journal import referenced
from dataplane.deliver.ledger import Ledger
from dataplane.deliver.state import DestinationRow
from dataplane.metrics.log import logger
from dataplane.pipeline.numbered import Numbered
from turnout.clock import Clock

__all__ = ["Books"]

log = logger()

COMMIT_EVERY = 0.1
RELEASE_EVERY = 5.0
CHECKPOINT_EVERY = 300.0
KEPT = 3600.0
"""Seconds that a config and its scripts are kept, whatever the journal says."""


class Books:
    """`keep` and `release` run for ever. `written` is called after every commit."""

    def __init__(
        self,
        sequencer: Numbered,
        *,
        couriers: Mapping[str, Courier],
        ledger: Ledger,
        history: History,
        clock: Clock,
        written: Callable[[], None],
    ) -> None:
        self._sequencer = sequencer
        self._couriers = couriers
        self._ledger = ledger
        self._history = history
        self._clock = clock
        self._written = written
        self._counted: Counter[tuple[str, str]] = Counter()
        self._released: dict[int, int] = {}
        self._recounted: set[str] = set()
        ledger.flush = self.commit

    async def keep(self) -> None:
        """Write down what changed ten times a second, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(COMMIT_EVERY)
            self._ledger.journal.flush(loop.time())
            was_stuck = self._ledger.stuck
            await self.commit()
            self._written()
            if was_stuck and not self._ledger.stuck:
                for courier in self._couriers.values():
                    courier.pump()

    def recount(self, first: int = 1) -> None:
        """Source counts up to what the sidecar knows; the last tenth of a second may be missing.

        Events before number `first` are left out where nothing is known of them.
        """
        state = self._ledger.state
        for (scope, ident, what), n in state.counts().items():
            if scope == "source":
                self._counted[ident, what] = n
        counted = max(state.counted(), first - 1)
        if counted + 1 < self._sequencer.next_number:
            found = self._sequencer.recount(counted + 1)
            self._counted.update(found)
            self._recounted = {source for source, _ in found}

    def source_counts(self) -> Counter[tuple[str, str]]:
        """Unique, duplicate and refused events per source, since the beginning."""
        return self._counted + self._sequencer.counts

    async def commit(self) -> None:
        """Write down everything that changed until now, in one transaction."""
        sequencer = self._sequencer
        if sequencer.counts or sequencer.refused or self._recounted:
            self._counted.update(sequencer.counts)
            changed = {source for source, _ in sequencer.counts} | self._recounted
            self._recounted = set()
            changes = self._ledger.changes
            changes.counts.extend(
                ("source", source, what, n)
                for (source, what), n in self._counted.items()
                if source in changed
            )
            changes.counted = sequencer.next_number - 1
            self._ledger.refuse(sequencer.refused)
            sequencer.refused.clear()
            sequencer.counts.clear()
        if self._ledger.due:
            await self._ledger.commit(self._rows, sequencer.sidecar.sync)

    def _rows(self, idents: Iterable[str]) -> list[DestinationRow]:
        return [self._couriers[i].snapshot() for i in idents if i in self._couriers]

    async def release(self) -> None:
        """Tell the log what no one needs any more, and keep the message ids safe."""
        loop = asyncio.get_running_loop()
        checkpoint = loop.time() + CHECKPOINT_EVERY
        while True:
            await asyncio.sleep(RELEASE_EVERY)
            if self._ledger.journal.pruned:
                self._ledger.journal.pruned = False
                await asyncio.to_thread(self._forget)
            number = self.lowest()
            await self.commit()
            if self._ledger.stuck or self._ledger.writing:
                continue  # the log is released only up to what is written down
            try:
                partitions, sidecar = self._sequencer.partitions, self._sequencer.sidecar
                positions = sidecar.positions_of(number)
                if positions != self._released:
                    await self._ledger.release(number)  # else a power cut takes cursors back behind it
                    partitions.release(positions)
                    self._released = positions
                self._sequencer.trim(number)
                if loop.time() >= checkpoint:
                    checkpoint = loop.time() + CHECKPOINT_EVERY
                    await asyncio.to_thread(self._sequencer.save)
            except (OSError, sqlite3.Error) as error:  # disk full: said, and tried again
                log.error("release.failed", error=type(error).__name__, reason=str(error))

    def _forget(self) -> None:
        """Delete old configs and scripts that nothing in the journal refers to any more."""
        journal = self._ledger.journal
        configs, scripts = referenced(journal.folder)
        for courier in list(self._couriers.values()):
            configs.add(courier.plan.origin.config)
            scripts.update(version for _, version in courier.plan.origin.scripts)
        self._history.prune(configs, scripts, self._clock.now().timestamp() - KEPT)

    def lowest(self) -> int:
        """The first event that some destination still needs from the log."""
        needing = (courier.lowest() for courier in self._couriers.values() if courier.pins())
        return min([self._sequencer.next_number, *needing])
