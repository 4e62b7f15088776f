"""Exchanges that are gone on with: what a `Checkpoint` makes of the events of one.

From the first checkpoint on, the events of an exchange are a job: exceptions that only it may send, in
the order in which the adapter had them, and the adapter's own state. A job goes on from its state
after a crash, a restart, a retry. It ends when every event has a final verdict, or when the adapter says
that there is nothing to go on from (`Checkpoint(None)`): what must be retried is then tried afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from dataplane.deliver.entry import Entry
from dataplane.deliver.exchange import Sent
from dataplane.deliver.job_state import JobRow, drop, stored_jobs
from dataplane.deliver.retry import OBEYED, delay, obeyed, told
from dataplane.deliver.settle import Settler
from dataplane.deliver.state import ExceptionRow
from dataplane.metrics.log import logger
from turnout.clock import Clock
from turnout.event import Event
from turnout.request import Checkpoint

if TYPE_CHECKING:
    from dataplane.deliver.courier import Courier

__all__ = ["Job", "Jobs"]

log = logger()
FAULT = 5.0
"""Seconds until a job goes on after a fault of ours."""

Adopted = list[tuple[ExceptionRow, Entry]]


class Job:
    """One exchange; `rows` is empty until its first checkpoint, and then has a row for each of its events."""

    def __init__(self, jobs: Jobs, adopt: Callable[[], Adopted]) -> None:
        self.id = 0
        self.type = ""
        self.state: Any = None
        self.rows: list[ExceptionRow] = []
        self.entries: list[Entry] = []
        self.attempts = 0
        self.next_at = 0.0
        self.reason = ""
        self.running = True
        self._jobs = jobs
        self._adopt = adopt

    @property
    def kept(self) -> bool:
        """Whether its events are its own, and no longer those of who had them before."""
        return bool(self.rows)

    async def keep(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint durable; returns when it is on disk."""
        state = checkpoint.plain()
        if self._jobs.given_up:
            return
        if not self.rows:
            adopted = self._adopt()
            self.rows, self.entries = [row for row, _ in adopted], [entry for _, entry in adopted]
        self.state = state
        await self._jobs.stored(self)

    def waits(self, sent: Sequence[Sent]) -> bool:
        """Whether there is something to go on from, and for."""
        return self.state is not None and any(not one.verdict.final for one in sent)


class Jobs:
    """The jobs of one courier, which asks for those that are due."""

    def __init__(self, courier: Courier, settler: Settler, clock: Clock) -> None:
        self._courier = courier
        self._settler = settler
        self._clock = clock
        self._rng = Random(courier.plan.id)  # noqa: S311 -- jitter
        self._jobs: dict[int, Job] = {}
        for row in stored_jobs(courier.ledger.state, courier.plan.id):
            self._take_up(row)

    @property
    def given_up(self) -> bool:
        """Whether its destination was removed, so that nothing of it is stored any more."""
        return self._courier.given_up

    def __len__(self) -> int:
        return len(self._jobs)

    def begin(self, adopt: Callable[[], Adopted]) -> Job:
        """An exchange begins; `adopt` makes its events exceptions, should there be a checkpoint."""
        return Job(self, adopt)

    def of(self, row: ExceptionRow) -> Job | None:
        """The job that a row is in."""
        return next((job for job in self._jobs.values() if row in job.rows), None)

    def next_at(self) -> float | None:
        """When the next one may go on (Unix seconds); None where none waits."""
        return min((job.next_at for job in self._jobs.values() if not job.running), default=None)

    def due(self, wall: float) -> Job | None:
        """One that may go on at `wall`; hand it to `resume`."""
        waiting = [job for job in self._jobs.values() if not job.running and job.next_at <= wall]
        if not waiting:
            return None
        found = min(waiting, key=lambda job: job.next_at)
        found.running = True
        return found

    def hasten(self, now: float) -> None:
        """The destination may be there again."""
        for job in self._jobs.values():
            job.next_at = min(job.next_at, now)

    async def resume(self, job: Job) -> None:
        """Go on with a job from its state, and settle what becomes of it."""
        courier, plan = self._courier, self._courier.plan
        if job.type != plan.adapter.slug or not self._load(job):
            log.warning("deliver.job_given_up", destination=plan.id, type=job.type, events=len(job.rows))
            courier.condition.unsent()
            self._disband(job)
            return
        events: list[Event] = []
        for row, entry in zip(job.rows, job.entries, strict=True):
            (event,) = plan.events(entry)
            event.child = row.child
            events.append(event)
        try:
            sent = await courier.exchange(plan, events, plan.keys(job.entries), 1 + job.attempts, job)
        except BaseException:
            courier.condition.fault()
            self.rest(job)
            raise
        self.ended(job, sent)

    def rest(self, job: Job) -> None:
        """Something of ours failed, or time was up: go on later from where it stands."""
        job.next_at = self._clock.now().timestamp() + FAULT
        job.running = False

    def ended(self, job: Job, sent: Sequence[Sent]) -> None:
        """An exchange is over: its job waits, or its events are settled."""
        if self._courier.given_up:
            return
        job.attempts += 1
        settler = self._settler
        if job.waits(sent) and not any(settler.expired(row) for row in job.rows):
            self._wait(job, sent)
        else:
            self._forget(job)
            for row, entry, one in zip(job.rows, job.entries, sent, strict=True):
                settler.retried(row, entry, [one])
        courier = self._courier
        courier.lanes.unstall()
        courier.ledger.dirty.add(courier.plan.id)

    # ---- what is stored

    async def stored(self, job: Job) -> None:
        """Write down where a job stands, and what became of its events; returns when it is on disk."""
        courier = self._courier
        if job.state is None:
            self._forget(job)
        else:
            if not job.id:
                job.id, job.type = courier.ledger.next_job(), courier.plan.adapter.slug
                job.next_at = self._clock.now().timestamp()
            self._jobs[job.id] = job
            self._row(job).put(courier.ledger.changes)
        courier.ledger.dirty.add(courier.plan.id)
        await courier.ledger.durable()

    def _row(self, job: Job) -> JobRow:
        events = tuple((row.number, row.child) for row in job.rows)
        return JobRow(
            job.id, self._courier.plan.id, job.type, job.state, events, job.attempts, job.next_at, job.reason
        )

    def _forget(self, job: Job) -> None:
        if self._jobs.pop(job.id, None) is not None:
            drop(job.id, self._courier.ledger.changes)
        job.id = 0

    def _wait(self, job: Job, sent: Sequence[Sent]) -> None:
        """Nothing of it is settled: whatever is final already is said again when it ends."""
        open_ = [one.verdict for one in sent if not one.verdict.final]
        after = max((v.after for v in open_ if v.after is not None), default=None)
        # A tool that says when to look again is taken at its word; else as any retry.
        most = self._settler.delivery.retry_after.total_seconds()
        wait = delay(job.attempts, None, self._rng) if after is None else obeyed(after, most)
        job.next_at = self._clock.now().timestamp() + wait
        job.reason = told(open_[0], most)
        job.running = False
        for row in job.rows:
            row.attempts, row.reason, row.next_at = row.attempts + 1, job.reason, job.next_at
            self._settler.stays(row)
        job.entries = []
        self._row(job).put(self._courier.ledger.changes)

    def _load(self, job: Job) -> bool:
        """Have what its events are to be sent as; False where some of it is gone."""
        if job.entries:
            return True
        entries: list[Entry] = []
        for row in job.rows:
            found = self._courier.ledger.payload(row)
            if found is None:
                return False
            raw, options = found
            entries.append(Entry(row.number, row.key, row.source, 0, [(raw, options, None)]))
        job.entries = entries
        return True

    def _disband(self, job: Job) -> None:
        """Its state means nothing any more: its events are tried afresh, like any others."""
        self._forget(job)
        for row in job.rows:
            row.next_at = self._clock.now().timestamp()
            self._settler.chains.again(row)
        self._courier.ledger.dirty.add(self._courier.plan.id)

    def _take_up(self, stored: JobRow) -> None:
        """One that was stored before a restart."""
        job = Job(self, list)
        held = {(row.number, row.child): row for row in self._settler.chains.rows()}
        job.rows = [held[one] for one in stored.events if one in held]
        job.id, job.type, job.state = stored.id, stored.type, stored.state
        job.attempts, job.reason = stored.attempts, stored.reason
        job.next_at = min(stored.next_at, self._clock.now().timestamp() + OBEYED)
        job.running = False
        for row in job.rows:
            row.reason, row.attempts = job.reason or row.reason, max(row.attempts, job.attempts)
            self._settler.chains.flying.add((row.number, row.child))
        self._jobs[job.id] = job
        if len(job.rows) != len(stored.events):  # the two tables are written together: somebody else wrote here
            log.error("deliver.job_broken", destination=self._courier.plan.id, events=len(stored.events))
            self._disband(job)

