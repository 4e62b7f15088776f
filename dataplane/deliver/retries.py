"""Events that were put aside, tried again when their time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from dataplane.deliver.entry import Entry
from dataplane.deliver.exchange import Sent
from dataplane.deliver.failure import LOST
from dataplane.deliver.jobs import Job
from dataplane.deliver.settle import Settler
from dataplane.deliver.state import ExceptionRow
from turnout.clock import Clock
from turnout.errors import Stopped
from turnout.event import Event
from turnout.verdict import dead

if TYPE_CHECKING:
    from dataplane.deliver.courier import Courier

__all__ = ["Materialize", "Retries"]

FAULT = 5.0
"""Seconds until rows are tried again after a fault of ours."""

Materialize = Callable[["Courier", int], Awaitable[Entry | None]]


class Retries:
    """The retries of one courier, which asks for them and counts how many are in flight."""

    def __init__(self, courier: Courier, settler: Settler, materialize: Materialize, clock: Clock) -> None:
        self._courier = courier
        self._settler = settler
        self._materialize = materialize
        self._clock = clock
        self.flying = 0

    def due(self, wall: float, limit: int) -> list[ExceptionRow]:
        """Up to `limit` rows that are due at `wall` (Unix seconds); hand them to `send`."""
        rows = self._settler.chains.due(wall, limit)
        if rows:
            self.flying += 1
        return rows

    async def send(self, rows: Sequence[ExceptionRow]) -> None:
        """Send rows again in one request, and settle what becomes of them.

        What scripts made of a reference counts only where they are in force still when it is to leave: else the rows
        have their turn once more.
        """
        courier = self._courier
        job: Job | None = None
        outdated = courier.outdated
        try:
            entries = [await self._load(row) for row in rows]
            batch = [(row, entry) for row, entry in zip(rows, entries, strict=True) if entry is not None]
            if courier.outdated != outdated or courier.held is not None:
                self._later([row for row, _ in batch], 0.0)
            else:
                if courier.plan.adapter.resumable:
                    job = courier.jobs.begin(lambda: self._adopt(batch))
                await self._try(batch, job)
        except Stopped as stopped:
            anew = courier.outdated != outdated  # a script that is in force no more
            if not anew:
                courier.wait_for(stopped, asyncio.get_running_loop().time())
            self._later(rows, 0.0 if anew else max(1.0, stopped.left))
        except BaseException:
            if job is not None and job.kept:
                courier.condition.fault()
                courier.jobs.rest(job)
            else:
                self._later(rows, FAULT)
            raise
        finally:
            self.flying -= 1
        if not courier.given_up:
            courier.lanes.unstall()
            courier.ledger.dirty.add(courier.plan.id)

    def _adopt(self, batch: Sequence[tuple[ExceptionRow, Entry]]) -> list[tuple[ExceptionRow, Entry]]:
        return [one for row, entry in batch for one in self._settler.adopt(entry, row)]

    async def _try(self, batch: Sequence[tuple[ExceptionRow, Entry]], job: Job | None) -> None:
        """Send what rows have come to, and settle it; a job that has begun keeps its own."""
        courier, plan = self._courier, self._courier.plan
        events: list[Event] = []
        for row, entry in batch:
            made = plan.events(entry)
            for event in made:
                event.child = max(row.child, event.child)
            events.extend(made)
        sent: list[Sent] = []
        if events:
            keys = plan.keys([entry for _, entry in batch])
            sent = await courier.exchange(plan, events, keys, 1 + max(row.attempts for row, _ in batch), job)
        else:
            courier.condition.unsent()
        if courier.given_up:
            return
        if job is not None and job.kept:
            courier.jobs.ended(job, sent)
            return
        at = 0
        for row, entry in batch:
            share = sum(1 for part in entry.parts if part[2] is None)
            self._settler.retried(row, entry, sent[at : at + share])
            at += share

    def _later(self, rows: Sequence[ExceptionRow], seconds: float) -> None:
        """Nothing was asked; try them again."""
        self._courier.condition.unsent()
        later = self._clock.now().timestamp() + seconds
        for row in rows:
            row.next_at = later
            self._settler.chains.again(row)

    async def _load(self, row: ExceptionRow) -> Entry | None:
        """What a row is to be sent as; a reference is transformed now, when its turn has come."""
        if row.kind == "waiting":
            entry = await self._materialize(self._courier, row.number)
            self._courier.go_on()
            if entry is not None:
                return entry
            reason = f"{LOST}the log has not kept the event"
        else:
            found = self._courier.ledger.payload(row)
            if found is not None:
                raw, options = found
                return Entry(row.number, row.key, row.source, 0, [(raw, options, None)])
            reason = f"{LOST}the payload of the retry is gone"
        if self._courier.given_up:
            return None
        lost = Entry(row.number, row.key, row.source, 0, [(b"", {}, dead(reason))])
        self._settler.final(lost, max(row.child, 0), b"", {}, Sent(dead(reason)), attempts=row.attempts)
        self._settler.chains.remove(row)
        self._courier.ledger.changes.drop(row)
        return None
