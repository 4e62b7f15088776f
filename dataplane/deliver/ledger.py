"""What must be written down: collects changes on the event loop, commits them in one thread.

Cursors, exceptions, dead letters and counts of one moment are one transaction. Until it is
committed, payloads of new exceptions are kept here, so that a retry that is due at once finds them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from dataplane.config.model import JournalConfig
from dataplane.deliver.dead import KEPT, DeadLetter, RefusedLetter, dead_segments, pack, refused_segments
from dataplane.deliver.entry import Entry
from dataplane.deliver.evidence import Evidence
from dataplane.deliver.exchange import Sent
from dataplane.deliver.failure import classify
from dataplane.deliver.index import Index
from dataplane.deliver.job_state import last_job
from dataplane.deliver.journal import Journal
from dataplane.deliver.state import Changes, DestinationRow, ExceptionRow, State
from dataplane.deliver.watch import Watch
from dataplane.metrics.log import logger
from dataplane.pipeline import head as heads
from dataplane.pipeline.numbered import RefusedEvent
from dataplane.pipeline.secret import identity_of
from turnout import codec
from turnout.clock import Clock
from turnout.errors import Refused

__all__ = ["COUNTED", "Ledger"]

log = logger()
COUNTED = ("delivered", "filtered", "dead", "born", "revived", "discarded", "dropped", "archived", "expired",
           "cancelled")
"""What is counted per destination; `expired` are archived events that were deleted there, `cancelled` only in a
replay.

A letter that is discarded or dropped stays counted as dead."""
NAME = 256
"""Most characters of a messageId or an event's name in the index."""
REASON = 1_000
"""Most characters that are stored of why an event failed; an adapter may quote what it met."""
REASONS = 5_000
AGAIN = 0.1
"""Seconds until what could not be written is tried again."""

Payload = tuple[bytes | None, bytes | None]


class Ledger:
    """One per pipeline process."""

    def __init__(
        self, data: Path, clock: Clock, bounds: JournalConfig | None = None, home: Path | None = None
    ) -> None:
        """`home` is the folder of what this process writes, where it is not `data`."""
        home = home or data
        self.letters = dead_segments(home)
        self.refusals = refused_segments(home)
        self.state = State(home / "state" / "pipeline.db", self._keep_unknown)
        self.index = Index(home / "state" / "pipeline.db")
        self.lost = {**self.letters.aside(), **self.refusals.aside()}
        """Folders of letters whose index is gone, and their bytes."""
        sequence = identity_of(data / "sequence")
        self.journal = Journal(home / "journal", clock, bounds or JournalConfig(), sequence)
        self.changes = Changes()
        self.dirty: set[str] = set()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.failures: Counter[tuple[str, str]] = Counter()
        self.stuck = False
        self.unsettled: Callable[[str, Exception], None] = lambda destination, error: None
        """Told of a fault that left an event of a destination half settled: what is in memory must not be written."""
        self.commits = 0
        self.flush: Callable[[], Awaitable[None]]
        """Commits at once; the books say how."""
        self.watch: Watch | None = None
        """Who sees verdicts as they are reached; None while nobody does."""
        self._clock = clock
        self._evidence = Evidence()
        self._fresh: dict[tuple[str, int, int], Payload] = {}
        self._renamed: dict[str, str] = {}
        self._queue: list[tuple[Changes, dict[tuple[str, int, int], Payload]]] = []
        self._new: dict[tuple[str, int, int], Payload] = {}
        self._turn = asyncio.Lock()
        self._writing: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._last_job = last_job(self.state)
        for (scope, ident, what), n in self.state.counts().items():
            if scope == "destination":
                self.counts[ident, what] = n

    def add(self, destination: str, what: str, n: int = 1) -> None:
        """Count verdicts of a destination."""
        self.counts[destination, what] += n

    def reason(self, destination: str, text: str, n: int = 1) -> None:
        """Count why events of a destination were filtered; a script can make up reasons without end."""
        name = (destination, text)
        if name not in self.reasons and len(self.reasons) >= REASONS:
            name = (destination, "another reason")
        self.reasons[name] += n

    def keep(self, row: ExceptionRow, raw: bytes | None, options: Mapping[str, Any]) -> None:
        """Store a new exception, and its payload."""
        packed = _packed(options)
        row.reason = said(row.reason)
        self.changes.put(row, raw, packed)
        if raw is not None:
            ident = (row.destination, row.number, row.child)
            self._fresh[ident] = self._new[ident] = (raw, packed)

    def tried(self, row: ExceptionRow) -> None:
        """Store that an exception was tried again."""
        row.reason = said(row.reason)
        self.changes.touch(row)

    def payload(self, row: ExceptionRow) -> tuple[bytes, Mapping[str, Any]] | None:
        """What a row is to be sent as."""
        found = self._fresh.get((row.destination, row.number, row.child))
        if found is None:
            found = self.state.payload(row.destination, row.number, row.child)
        if found is None and (old := self._renamed.get(row.destination)):  # which is not written yet
            found = self.state.payload(old, row.number, row.child)
        if found is None or found[0] is None:
            return None
        return found[0], codec.loads(found[1]) if found[1] else {}

    def bury(
        self,
        destination: str,
        entry: Entry,
        child: int,
        raw: bytes,
        options: Mapping[str, Any],
        *,
        one: Sent,
        attempts: int,
        parts: int = 0,
        secrets: Collection[str] = (),
        replay: int | None = None,
    ) -> None:
        """Keep a dead letter: the event as it was to be sent, the request and the answer.

        `replay` is the replay that gave it up, if it was one.
        """
        event, message_id = _names(raw)
        letter = DeadLetter(raw, _packed(options) or b"", message_id, attempts, parts=parts or len(entry.parts))
        reason = said(one.verdict.reason)
        name = classify(reason, one.verdict.status)
        self.failures[destination, name] += 1
        now = self._clock.now().timestamp()
        row = (
            destination, entry.source, entry.number, child, entry.key.to_bytes(8, "little"), now,
            one.verdict.status, reason, replay, name, event, message_id,
        )  # fmt: skip
        self.changes.dead.append((row, self._with_evidence(letter, one, secrets)))

    def _with_evidence(self, letter: DeadLetter, one: Sent, secrets: Collection[str]) -> bytes:
        """The payload; without request and answer where those, which come from anywhere, cannot be stored."""
        try:
            request = self._evidence.request(one.request, secrets, len(letter.event))
            answer = self._evidence.answer(one.response, secrets)
            return pack(msgspec.structs.replace(letter, request=request, answer=answer))
        except Exception as error:  # noqa: BLE001 -- the letter counts, and its lane waits for it
            log.failure("letters.no_evidence", error)
            return pack(letter)

    def _keep_unknown(self) -> None:
        """The index is gone: what no row names would be deleted, and with it all that was given up."""
        for files, kind in ((self.letters, "dead"), (self.refusals, "refused")):
            if (aside := files.set_aside()) is not None:
                log.error("letters.index_lost", kind=kind, kept=str(aside))

    def refuse(self, events: Iterable[RefusedEvent]) -> None:
        """Keep refused events, which the log lets go of with everything else."""
        for one in events:
            row = (one.number, one.source, one.code, one.message, one.received_at / 1000)
            letter = RefusedLetter(one.raw[:KEPT], len(one.raw), one.protocol, one.kind)
            self.changes.refused.append((row, pack(letter)))

    def renamed(self, old: str, new: str) -> None:
        """Letters and payloads that are not committed yet follow their destination's new id."""
        self._renamed[new] = old
        # The letters of a commit are written behind its statements, and so behind the one that renames.
        self.changes.dead = [
            ((new, *row[1:]) if row[0] == old else row, payload) for row, payload in self.changes.dead
        ]
        for payloads in (self._fresh, self._new, *(fresh for _, fresh in self._queue)):
            for ident in [i for i in payloads if i[0] == old]:
                payloads[new, ident[1], ident[2]] = payloads.pop(ident)

    @property
    def writing(self) -> bool:
        """Whether some changes are not written yet."""
        return bool(self._queue)

    @property
    def due(self) -> bool:
        """Whether there is anything to commit."""
        c = self.changes
        return bool(self.dirty or self._queue or c.counted or not c.empty)

    async def commit(
        self,
        rows: Callable[[Iterable[str]], list[DestinationRow]],
        before: Callable[[], None],
    ) -> bool:
        """Write everything collected so far; False where it could not be written (it is kept).

        `rows` gives the rows of the dirty destinations as they are now; `before` runs in the
        thread ahead of the transaction (the sidecar's sync).
        """
        changes, self.changes = self.changes, Changes()
        dirty, self.dirty = self.dirty, set()
        changes.destinations = rows(dirty)
        for ident in dirty:
            for what in COUNTED:
                if n := self.counts.get((ident, what)):
                    changes.counts.append(("destination", ident, what, n))
        fresh, self._new = self._new, {}
        if self.stuck and self._queue and changes.empty:
            self.dirty.update(dirty)
        else:
            self._queue.append((changes, fresh))
        async with self._turn:
            while self._queue:
                if not await self._write_first(before):
                    return False
        if self.changes.empty:
            self._renamed.clear()
        if self.stuck:
            log.info("state.recovered")
        self.stuck = False
        return True

    async def release(self, number: int) -> None:
        """Make what is committed safe from a power cut, as `State.release`; raises sqlite3.Error."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.state.release, number)

    async def _write_first(self, before: Callable[[], None]) -> bool:
        """Write the oldest changes. A caller that is cancelled leaves the write to the next one: what a
        thread has begun is never begun again."""
        changes, fresh = self._queue[0]
        if self._writing is None:
            loop = asyncio.get_running_loop()
            self._writing = loop.run_in_executor(self._thread, self._write, changes, before)
        try:
            await asyncio.shield(self._writing)
        except Exception as error:  # noqa: BLE001 -- disk full, I/O error: said, kept, tried again
            self._writing = None
            if not self.stuck:
                log.error("state.stuck", error=f"{type(error).__name__}: {error}")
            self.stuck = True
            return False
        self._writing = None
        self._queue.pop(0)
        self.commits += 1
        for name, payload in fresh.items():
            if self._fresh.get(name) is payload:
                del self._fresh[name]
        return True

    def _write(self, changes: Changes, before: Callable[[], None]) -> None:
        before()
        places, stores = changes.places, {"dead": self.letters, "refused": self.refusals}
        # What one of them has taken is not written again where the other had no room.
        if places.dead is None:
            places.dead = self.letters.append([payload for _, payload in changes.dead])
        if places.refused is None:
            places.refused = self.refusals.append([payload for _, payload in changes.refused])
        for table, group in groupby(changes.moved[len(places.moved) :], itemgetter(0)):
            places.moved += stores[table].append([payload for _, _, payload in group])
        self.state.commit(changes)

    async def in_turn(self, work: Callable[[], None]) -> None:
        """Do something with the segments in the thread that writes them, between two commits."""
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def next_job(self) -> int:
        """An id for a job."""
        self._last_job += 1
        return self._last_job

    async def durable(self) -> None:
        """Write down what was collected until now, safe from a power cut. Waits where it cannot be written."""
        mark = self.changes
        mark.durable = True
        while True:
            await self.flush()
            if self.changes is not mark and not any(changes is mark for changes, _ in self._queue):
                return
            await asyncio.sleep(AGAIN)

    def close(self) -> None:
        """Stop the thread and close the files."""
        self._thread.shutdown()
        self.journal.close()
        self.letters.close()
        self.refusals.close()
        self.index.close()
        self.state.close()


def said(reason: str) -> str:
    """A reason as it can be stored, whoever made it: one that cannot be would keep everything else from it."""
    return reason[:REASON].encode("utf-8", "replace").decode()


def _packed(options: Mapping[str, Any]) -> bytes | None:
    """Options of the integrations object as stored; those that cannot be written are left out."""
    if not options:
        return None
    try:
        return codec.dumps(dict(options))
    except Refused:
        return None


def _names(raw: bytes) -> tuple[str, str]:
    """The event's name (or type, where it has none) and messageId, as the index has them."""
    try:
        head = heads.read(raw)
    except Refused:
        return "", ""
    return (head.event or head.type or "")[:NAME], heads.text(head.messageId)[:NAME]

