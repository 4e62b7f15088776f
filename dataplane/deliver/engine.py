"""The pipeline process's engine: readers hand events to couriers, the books keep what happened.

It puts them together, swaps the config under them, and answers what people ask.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import ChainMap, Counter
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from dataplane.config.model import Config, JournalConfig
from dataplane.config.pauses import Pauses
from dataplane.deliver import plans, recover, reload
from dataplane.deliver.archive import Archive, Archives
from dataplane.deliver.auth import Accounts, Lender
from dataplane.deliver.backlog import Backlogs
from dataplane.deliver.books import Books
from dataplane.deliver.courier import Courier
from dataplane.deliver.history import History
from dataplane.deliver.holds import Found, Left, held
from dataplane.deliver.ledger import Ledger
from dataplane.deliver.moving import letters_begin
from dataplane.deliver.pace import Paces
from dataplane.deliver.pausing import unsettled
from dataplane.deliver.plan import Plan
from dataplane.deliver.readers import Readers
from dataplane.deliver.replays import Replays
from dataplane.deliver.retention import Retention, bounds
from dataplane.deliver.siblings import Siblings
from dataplane.deliver.state import DestinationRow, last_letter, refuse
from dataplane.log.partitions import Partitions
from dataplane.metrics.log import logger
from dataplane.pipeline.follow import Follower
from dataplane.pipeline.numbered import Numbered
from dataplane.pipeline.proof import Proof
from dataplane.pipeline.scripts import Texts, read_scripts
from dataplane.pipeline.sequence import Sequencer
from dataplane.pipeline.share import WHOLE, Share
from transformations.base import Script, Tester
from turnout.clock import Clock
from turnout.errors import Unavailable

__all__ = ["Engine"]

log = logger()


class Engine:
    """`start`, then `prepare`/`commit` for reloads, `drain` at the end. One per pipeline process."""

    def __init__(
        self,
        *,
        data: Path,
        partitions: Partitions,
        runner: Tester,
        clock: Clock,
        on_fault: Callable[[BaseException], None] | None = None,
        share: Share = WHOLE,
        lender: Lender | None = None,
    ) -> None:
        """`share` is what this process has of it all; `lender` keeps access tokens for several processes."""
        self._on_fault = on_fault or _die
        self._data = data
        self._partitions = partitions
        self._runner = runner
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._prepared: dict[str, Plan] | None = None
        self._config: Config | None = None
        self._coming: Config | None = None
        self._left_off: int | None = None
        self._proof = Proof()
        self._home = share.home(data)
        self._share = share
        self._paces = Paces(data, share)
        self.siblings = Siblings(data, share)
        self.accounts = Accounts(clock, lender)
        self.couriers: dict[str, Courier] = {}
        self.pauses = Pauses()
        self.found: Found = {}

    async def start(self, config: Config, texts: Texts | None = None) -> None:
        """Open the state, take up where the last process stopped, and begin to read.

        `texts` are those of the scripts, as `read_scripts` takes them.
        Raises `Fixable` where the config cannot be used (a script that does not compile, a removed
        destination with a backlog).
        """
        self.ledger = Ledger(self._data, self._clock, self._journal(config), self._home)
        self.ledger.unsettled = self._unsettled
        self.history = History(self._home / "history")
        self.sequencer = self._sequence(config)
        self._left_off = recover.left_off(self.ledger.state, self.sequencer)
        if self._share.follows and not self.ledger.state.follows():  # its own was lost, and this one made anew
            last = max(self.siblings.last_letter(), last_letter(self.ledger.state.rows))
            self.ledger.changes.follow(letters_begin(self._share.process, last))
        self.archive = Archive(
            self._home / "archive", self.ledger.state, self.sequencer.restore,
            lost=None if self._left_off is None else self.ledger.changes,
        )
        self.archives = Archives([self.archive, *self.siblings.shelves(self.sequencer.restore)])
        self.replays = Replays(self)
        self.readers = Readers(
            self.sequencer, self._runner,
            couriers=self.couriers, ledger=self.ledger, spawn=self.spawn,
        )
        self.books = Books(
            self.sequencer,
            couriers=ChainMap(self.couriers, self.replays.couriers), ledger=self.ledger,
            history=self.history, clock=self._clock,
            written=self.readers.send,
        )
        self.retention = Retention(
            self.ledger, self._clock, couriers=self.couriers, commit=self.books.commit,
            bounds=bounds(config, self._share),
        )
        self.backlogs = Backlogs(
            self._data, self.sequencer, archive=self.archive, couriers=self.couriers,
            ledger=self.ledger, clock=self._clock, commit=self.books.commit,
        )
        self.books.recount(self._left_off or 1)
        self.ledger.journal.flush(asyncio.get_running_loop().time())
        await self.prepare(config, texts)
        await self.commit()
        self.replays.take_up()
        self._left_off = None
        forever = (
            self.readers.front(), self.books.keep(), self.books.release(), self.retention.keep(),
            self.backlogs.keep(),
        )
        for work in forever:
            self.spawn(work).add_done_callback(self._stopped)

    def _sequence(self, config: Config) -> Numbered:
        """What gives events their numbers, or follows the process that does."""
        folder, dedup, share = self._data / "sequence", config.dedup, self._share
        if share.follows:
            return Follower(self._partitions, folder, share, dedup=dedup.enabled)
        return Sequencer(
            self._partitions, folder, share=share,
            dedup=dedup.enabled, window=dedup.window.total_seconds(), max_ids=dedup.max_ids,
            known=recover.known(self.ledger.state, self.siblings.last_number()),
        )  # fmt: skip

    def _journal(self, config: Config) -> JournalConfig:
        """The bounds of its own journal."""
        return config.journal.model_copy(update={"max_bytes": self._share.part(config.journal.max_bytes)})

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.failure("engine.fault", error)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """A loop of the engine never ends by itself: a fault ends the process, which is restarted."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fault(error)

    def _unsettled(self, destination: str, error: Exception) -> None:
        """Half an event is settled in memory. The process begins again from what is written, with the destination
        paused: else the same event would end it again, for all of them."""
        now = self._clock.now().timestamp()
        try:
            refuse(self._home / "state" / "pipeline.db", destination, unsettled(destination, error, now))
        except sqlite3.Error as other:
            log.failure("state.not_refused", other, destination=destination)
        log.failure("deliver.unsettled", error, destination=destination)
        self._on_fault(error)

    # ---- config

    async def prepare(self, config: Config, texts: Texts | None = None) -> None:
        """Make everything of a new config ready; raises `Fixable`, and changes nothing that runs."""
        reload.check_removed(config, self.couriers, self.ledger, self.sequencer.next_number)
        self._prepared = await plans.build(
            config, self._runner, read_scripts(config, texts), self._prove, accounts=self.accounts,
            share=self._share,
        )
        self._coming = config

    async def _prove(self, config: Config, scripts: Mapping[str, Script]) -> None:
        """Run fixtures; at a start only those of versions that were never in force, so that it is quick
        and an event is not kept waiting for a fixture that was broken since."""
        proven = self.history.knows if self._config is None else None
        await self._proof.of(config, scripts, self._runner, proven=proven)

    async def commit(self) -> None:
        """Swap to what was prepared, between two requests, and store where new destinations begin."""
        self._swap()
        self.retention.bounds = bounds(self.config, self._share)
        scripts = [script for courier in self.couriers.values() for script in courier.plan.scripts]
        await asyncio.to_thread(self.history.keep, self.config, scripts)
        await self.books.commit()

    def _swap(self) -> None:
        if self._prepared is None or self._coming is None:
            raise Unavailable("no config is prepared")
        prepared, self._prepared = self._prepared, None
        self._config = self._coming
        self.readers.forget()
        self.backlogs.config = self._config
        if any(item.was for item in self._config.destinations.values()):
            self.ledger.journal.flush(asyncio.get_running_loop().time())  # what is not written yet is of the old names
        now = self._clock.now().timestamp()
        gone = reload.rename_and_remove(self._config, prepared, self.couriers, self.ledger, now)
        stored = self.ledger.state.destinations()
        for name in reload.changed_scripts(self.couriers, prepared):
            self._runner.resume(name)
        for plan in prepared.values():
            courier = self.couriers.get(plan.id)
            if courier is None:
                self.couriers[plan.id] = self._courier(plan, self._config, stored)
            else:
                old = courier.plan
                courier.configure(plan)
                self.spawn(reload.retire(old, courier))
        for courier in gone:  # their requests land, and count nowhere
            self.spawn(courier.stop(asyncio.get_running_loop().time() + 30))
        self.ledger.journal.bounds = self._journal(self._config)
        self.replays.configure()
        for ident, courier in self.couriers.items():
            if (pace := self._paces.of(ident)) is not None:
                courier.condition.pace = pace
        self.hold(self.pauses, self.found)

    def hold(self, pauses: Pauses, found: Found | None = None, left: Left | None = None) -> None:
        """What people paused, and what other processes found out, whole: it replaces what was said before. `left` is
        who is refused though nobody probes: who has waited for that does."""
        if pauses != self.pauses:
            self.readers.forget()
        self.pauses, self.found = pauses, found or {}
        for courier in (*self.couriers.values(), *self.replays.couriers.values()):
            courier.hold(held(courier.plan, pauses, self.found), (left or {}).get(courier.plan.id))

    def abort(self) -> None:
        """Forget what was prepared."""
        prepared, self._prepared = self._prepared, None
        for plan in (prepared or {}).values():
            self.spawn(reload.retire(plan))

    def _courier(self, plan: Plan, config: Config, stored: dict[str, DestinationRow]) -> Courier:
        item = config.destinations[plan.id]
        row = stored.get(plan.id) or (stored.get(item.was) if item.was else None)
        if row is None:
            now = self.siblings.began(plan.id) or self.sequencer.next_number
            number = now if item.start == "now" else 1
            number = number if self._left_off is None else self._left_off
            row = reload.fresh_row(plan.id, number)
            self.ledger.changes.begin(plan.id, number)
        rows = recover.exceptions(self.ledger.state, row.id, self._clock.now().timestamp())
        for one in rows:
            one.destination = plan.id
        self.ledger.dirty.add(plan.id)
        return Courier(
            plan, row, rows, ledger=self.ledger, clock=self._clock, materialize=self.readers.materialize
        )

    async def drain(self, deadline: float) -> None:
        """Stop reading, finish what is in flight within `deadline` seconds, store everything."""
        self.readers.draining = True
        loop = asyncio.get_running_loop()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        until = loop.time() + deadline
        everyone = {**self.couriers, **self.replays.couriers}
        await asyncio.gather(*(c.stop(until) for c in everyone.values()))
        self.ledger.dirty.update(everyone)
        await self.books.commit()
        self.readers.close()
        self.sequencer.close()
        self.ledger.close()

    # ---- asking

    def source_counts(self) -> Counter[tuple[str, str]]:
        """Unique, duplicate and refused events per source, since the beginning."""
        return self.books.source_counts()

    @property
    def runner(self) -> Tester:
        """What runs transformations."""
        return self._runner

    @property
    def clock(self) -> Clock:
        """The clock it was given."""
        return self._clock

    @property
    def config(self) -> Config:
        """The config in force; raises `Unavailable` before the start."""
        if self._config is None:
            raise Unavailable("the engine has not started")
        return self._config

    @property
    def data(self) -> Path:
        """The folder of everything that is stored."""
        return self._data

def _die(error: BaseException) -> None:
    """End the process at once: everything durable is in its files, and the app starts it again."""
    log.critical("engine.died", error=type(error).__name__)
    os._exit(70)
