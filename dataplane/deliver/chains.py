"""Events put aside at one destination, and who waits behind them.

Pure. A chain holds a user's exceptions in order: the head was tried (or has its turn now), the rest
are references. `aside` rows left their chain because they held it back too long; they are retried
on their own. Memory is bounded by the caps; payloads are not kept here.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable
from itertools import count
from random import Random

from dataplane.deliver.retry import LONGEST
from dataplane.deliver.state import ExceptionRow

__all__ = ["CAP", "CAP_USER", "SOON", "Chains"]

CAP = 20_000
CAP_USER = 1_000
SOON = 5.0
PER_SECOND = 200
"""How fast rows come back after an outage."""
SPARE = 1_000
"""Rows without a use that are kept beside as many again as have one."""


class Chains:
    """All exceptions of a destination. `ordered` False (order: none) makes every row stand alone."""

    def __init__(
        self,
        rows: Iterable[ExceptionRow] = (),
        *,
        ordered: bool = True,
        flying: Iterable[tuple[int, int]] = (),
        of: int = 1,
    ) -> None:
        """`of` processes share the cap of a destination."""
        self.ordered = ordered
        self._cap = max(1, CAP // of)
        self._rows: dict[tuple[int, int], ExceptionRow] = {}
        self._chains: dict[int, deque[ExceptionRow]] = {}
        self._heap: list[tuple[float, int, ExceptionRow]] = []
        self._holding: list[tuple[float, int, ExceptionRow]] = []
        self._held: set[int] = set()  # those in _holding, by identity
        self._references: list[int] = []
        self.flying: set[tuple[int, int]] = set(flying)
        self.waiting = 0
        """How many are references behind another."""
        self._serial = count()
        for row in rows:
            self.add(row)

    def __len__(self) -> int:
        return len(self._rows)

    def holds(self, number: int, child: int) -> bool:
        """Whether this output of an event is among them."""
        return (number, child) in self._rows

    def blocked(self, key: int) -> bool | None:
        """Whether an event of this user must wait; None where there is no room for another."""
        if not self.ordered:
            return None if len(self._rows) >= self._cap else False
        chain = self._chains.get(key)
        if not chain:
            return None if len(self._rows) >= self._cap else False
        return None if len(chain) >= CAP_USER or len(self._rows) >= self._cap else True

    def add(self, row: ExceptionRow) -> None:
        """Put a row at the end of its user's chain (or on its own)."""
        self._rows[row.number, row.child] = row
        if row.kind == "waiting":
            self.waiting += 1
            heapq.heappush(self._references, row.number)
        if self._alone(row):
            self._schedule(row)
            return
        chain = self._chains.setdefault(row.key, deque())
        chain.append(row)
        if len(chain) == 1:
            self._leads(row)

    def _alone(self, row: ExceptionRow) -> bool:
        return not self.ordered or row.kind == "aside"

    def _schedule(self, row: ExceptionRow) -> None:
        heapq.heappush(self._heap, (row.next_at, next(self._serial), row))
        if len(self._heap) > 2 * len(self._rows) + SPARE:
            self._heap = [one for one in self._heap if not self._stale(*one)]
            heapq.heapify(self._heap)

    def _leads(self, row: ExceptionRow) -> None:
        """A row is the first of its user now."""
        self._schedule(row)
        self._hold(row)

    def _hold(self, row: ExceptionRow) -> None:
        if row.kind == "tried" and id(row) not in self._held:
            self._held.add(id(row))
            heapq.heappush(self._holding, (row.active, next(self._serial), row))
            if len(self._holding) > 2 * len(self._rows) + SPARE:
                self._clear_away()

    def _clear_away(self) -> None:
        """Let go of those that hold nobody back any more: one that does for long keeps them from the top."""
        self._holding = [one for one in self._holding if self._holds_back(one[2])]
        heapq.heapify(self._holding)
        self._held = {id(row) for _, _, row in self._holding}

    def _holds_back(self, row: ExceptionRow) -> bool:
        chain = self._chains.get(row.key)
        if row.kind != "tried" or not chain or chain[0] is not row:
            return False
        return (row.number, row.child) not in self.flying

    def longest(self) -> ExceptionRow | None:
        """The row that was first tried before all others that hold back their users; not one that is in flight, which
        is judged when it has landed."""
        while self._holding:
            row = self._holding[0][2]
            if self._holds_back(row):
                return row
            heapq.heappop(self._holding)
            self._held.discard(id(row))
        return None

    def next_at(self) -> float | None:
        """When the next row is due; None where none is."""
        while self._heap and self._stale(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _stale(self, at: float, _: int, row: ExceptionRow) -> bool:
        ident = (row.number, row.child)
        return self._rows.get(ident) is not row or row.next_at != at or ident in self.flying

    def due(self, now: float, limit: int) -> list[ExceptionRow]:
        """Up to `limit` rows whose time has come, one per user; they are in flight until settled."""
        found: list[ExceptionRow] = []
        while len(found) < limit:
            at = self.next_at()
            if at is None or at > now:
                break
            row = heapq.heappop(self._heap)[2]
            self.flying.add((row.number, row.child))
            found.append(row)
        return found

    def hasten(self, now: float, rng: Random, *, told: bool = False) -> None:
        """The destination is there again: try soon what waits only because it was not.

        Spread over some seconds. What waits longer than a retry ever does was told to by the tool, and is left alone
        but where `told` says so. One behind another, tried in the same request, is due as soon.
        """
        latest = math.inf if told else now + LONGEST
        spread = max(SOON, len(self._rows) / PER_SECOND)
        for row in self._rows.values():
            if now + spread < row.next_at <= latest and (row.number, row.child) not in self.flying:
                row.next_at = now + rng.uniform(0, spread)
                if self.ahead_of(row) is None:
                    self._schedule(row)

    def again(self, row: ExceptionRow) -> None:
        """A row was tried and stays; `row.next_at` says when it is due, where it waits behind no other."""
        self.flying.discard((row.number, row.child))
        if self.ahead_of(row) is None:
            self._schedule(row)
            if not self._alone(row):
                self._hold(row)

    def stand_aside(self, row: ExceptionRow) -> None:
        """A row held its user back too long: it leaves the chain and is retried on its own."""
        self.let_pass(row)
        self.again(row)

    def let_pass(self, row: ExceptionRow) -> None:
        """The same for a row that a job has: it leaves the chain, and the job goes on with it."""
        row.kind = "aside"
        self._leave(row)

    def remove(self, row: ExceptionRow) -> None:
        """A row has its verdict."""
        self._forget(row)
        self._leave(row)

    def replace(self, row: ExceptionRow, rows: list[ExceptionRow]) -> None:
        """A reference had its turn: the outputs that must be retried take its place."""
        self._forget(row)
        chain = self._chains.get(row.key)
        if chain is None or row not in chain:
            for new in rows:
                self.add(new)
            return
        at = chain.index(row)  # not the head, where order was given up and promised again while it was in flight
        del chain[at]
        for place, new in enumerate(rows, at):
            chain.insert(place, new)
            self._rows[new.number, new.child] = new
        if not at:
            self._head(row.key, chain)

    def _forget(self, row: ExceptionRow) -> None:
        ident = (row.number, row.child)
        self.flying.discard(ident)
        if self._rows.pop(ident, None) is not None and row.kind == "waiting":
            self.waiting -= 1

    def _leave(self, row: ExceptionRow) -> None:
        chain = self._chains.get(row.key)
        if chain is None:
            return
        was_head = bool(chain) and chain[0] is row
        if was_head:
            chain.popleft()
        elif row in chain:
            chain.remove(row)
        if was_head or not chain:
            self._head(row.key, chain)

    def _head(self, key: int, chain: deque[ExceptionRow]) -> None:
        if not chain:
            self._chains.pop(key, None)
        else:
            self._leads(chain[0])

    def rows(self) -> Iterable[ExceptionRow]:
        """Every row, in no order."""
        return self._rows.values()

    def of(self, number: int) -> list[ExceptionRow]:
        """The rows of one event."""
        return [row for row in self._rows.values() if row.number == number]

    def ahead_of(self, row: ExceptionRow) -> ExceptionRow | None:
        """The row that a row waits for: the first of its user; None where it waits for none."""
        if self._alone(row):
            return None
        chain = self._chains.get(row.key)
        return chain[0] if chain and chain[0] is not row else None

    def lowest(self) -> int | None:
        """The lowest event number a reference still needs from the log."""
        heap = self._references
        while heap and (heap[0], -1) not in self._rows:
            heapq.heappop(heap)
        return heap[0] if heap else None
