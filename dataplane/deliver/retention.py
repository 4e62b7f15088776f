"""How long dead letters and refused events are kept, and the one way in which they go.

Everything that removes letters (a retry, a discard, these bounds) does so one at a time, in slices that
are each one transaction: index rows, counts and what becomes of the letters instead.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from dataplane.config.model import Config
from dataplane.deliver.courier import Courier
from dataplane.deliver.index import DEAD, REFUSED, Row, Table, place
from dataplane.deliver.ledger import Ledger
from dataplane.deliver.segments import SEGMENT, Segments
from dataplane.metrics.log import logger
from dataplane.pipeline.share import WHOLE, Share
from turnout.clock import Clock
from turnout.errors import FormatError, Unavailable

__all__ = ["Bounds", "Retention", "bounds", "overfull", "sparse"]

log = logger()

SWEEP_EVERY = 10.0
SLICE = 500
"""Letters in one transaction."""
SPARSE = 4
"""A segment is rewritten when less than one in so many of its bytes is still a letter."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds and bytes."""

    max_age: float
    max_bytes: int


def bounds(config: Config, share: Share = WHOLE) -> dict[str, Bounds]:
    """The bounds of each kind, by the name of its table. Refused events are kept by one process."""
    return {
        "dead": Bounds(config.dead_letters.max_age.total_seconds(), share.part(config.dead_letters.max_bytes)),
        "refused": Bounds(config.refused.max_age.total_seconds(), config.refused.max_bytes),
    }


def overfull(sizes: Mapping[int, int], max_bytes: int) -> list[int]:
    """The segments that must go until the rest fits: the first of `sizes`, which has the oldest first."""
    total = sum(sizes.values())
    found: list[int] = []
    for segment in sizes:
        if total <= max_bytes:
            break
        found.append(segment)
        total -= sizes[segment]
    return found


def sparse(sizes: Mapping[int, int], live: Mapping[int, int]) -> list[int]:
    """The segments of which most bytes are of letters that are gone, while some are not."""
    return [n for n, size in sorted(sizes.items()) if 0 < live.get(n, 0) * SPARSE < size]


class Retention:
    """`keep` runs for ever. `bounds` follow the config at a reload."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        couriers: Mapping[str, Courier],
        commit: Callable[[], Awaitable[None]],
        bounds: Mapping[str, Bounds],
    ) -> None:
        self.bounds = bounds
        self.dropped: Counter[tuple[str, str]] = Counter()
        self._ledger = ledger
        self._clock = clock
        self._couriers = couriers
        self._commit = commit
        self._turn = asyncio.Lock()

    async def keep(self) -> None:
        """Hold the bounds, for ever."""
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            if self._ledger.stuck:
                continue
            try:
                await self.sweep()
            except (OSError, Unavailable) as error:  # disk full or failing: said, and tried again
                log.error("letters.not_swept", reason=str(error))

    async def sweep(self) -> None:
        """Drop what is too old or too much, and the files of what is gone."""
        for table, files in ((DEAD, self._ledger.letters), (REFUSED, self._ledger.refusals)):
            bound = self.bounds[table.name]
            files.limit = min(SEGMENT, max(1 << 20, bound.max_bytes // 8))
            await self._expire(table, self._clock.now().timestamp() - bound.max_age)
            await self._clear(table, files)
            for segment in overfull(await asyncio.to_thread(files.sizes), bound.max_bytes):
                await self._drop(table, segment)
            await self._compact(table, files)
            await self._clear(table, files)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Remove letters while nobody else does; the index shows every removal before.

        Raises `Unavailable` while the books cannot be written.
        """
        async with self._turn:
            await self.written()
            yield

    async def written(self) -> None:
        """Write the books; raises `Unavailable` where they cannot be."""
        await self._commit()
        if self._ledger.stuck:
            raise Unavailable("the state cannot be written (see the log); what was begun is written as soon as it can")

    def remove(self, table: Table, rows: Sequence[Row], what: str) -> None:
        """Take letters out of the index; `what` is how their destinations count it.

        What a replay gave up is in that replay's sums, not in those of the destination.
        """
        for row in rows:
            self.take(table, row)
            if table is DEAD and row["replay"] is None and row["destination"] in self._couriers:
                self._ledger.add(row["destination"], what)
                self._ledger.dirty.add(row["destination"])

    def take(self, table: Table, row: Row) -> None:
        """Take one letter out of the index; what becomes of it is for the caller to write."""
        self._ledger.changes.statements.append((table.delete, (row[table.key],)))

    async def _expire(self, table: Table, moment: float) -> None:
        await self._drop_slices(table, "age", partial(self._ledger.index.older, table, moment, SLICE))

    async def _drop(self, table: Table, segment: int) -> None:
        await self._drop_slices(table, "bytes", partial(self._ledger.index.in_segment, table, segment, SLICE))

    async def _drop_slices(self, table: Table, reason: str, more: Callable[[], list[Row]]) -> None:
        total = 0
        while True:
            async with self.alone():
                rows = await asyncio.to_thread(more)
                self.remove(table, rows, "dropped")
                await self.written()
            total += len(rows)
            self.dropped[table.name, reason] += len(rows)
            if len(rows) < SLICE:
                break
        if total:
            log.warning("letters.dropped", kind=table.name, reason=reason, letters=total)

    async def _clear(self, table: Table, files: Segments) -> None:
        """Delete the files that hold no letter any more.

        In the thread that writes them, so that no letter is on its way into one; and not while some
        changes wait to be written, whose payloads may be there already.
        """

        def work() -> None:
            if self._ledger.writing:
                return
            live = self._ledger.index.segments(table)
            for segment in files.sizes():
                if segment not in live:
                    files.remove(segment)

        await self._ledger.in_turn(work)

    async def _compact(self, table: Table, files: Segments) -> None:
        """Move the few letters of a segment into the active one, so that its file can go."""
        sizes = await asyncio.to_thread(files.sizes)
        found = sparse(sizes, await asyncio.to_thread(self._ledger.index.segments, table))
        if files.active in found:
            if sizes[files.active] < files.limit // 2:
                found.remove(files.active)  # it still fills
            else:
                await self._ledger.in_turn(files.close)
        for segment in found:
            moved = SLICE
            while moved:
                moved = await self._move(table, files, segment)

    async def _move(self, table: Table, files: Segments, segment: int) -> int:
        async with self.alone():
            rows = await asyncio.to_thread(self._ledger.index.in_segment, table, segment, SLICE)
            payloads = await asyncio.to_thread(files.read_all, [place(row) for row in rows])
            lost = [row for row, payload in zip(rows, payloads, strict=True) if isinstance(payload, FormatError)]
            for row, payload in zip(rows, payloads, strict=True):
                if not isinstance(payload, FormatError):
                    self._ledger.changes.moved.append((table.name, row[table.key], payload))
            if lost:
                self.remove(table, lost, "dropped")
                self.dropped[table.name, "damaged"] += len(lost)
                log.error("letters.damaged", kind=table.name, letters=len(lost))
            await self.written()
        return len(rows)
