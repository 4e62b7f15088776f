"""What a verdict changes: counts, exceptions, dead letters. Nothing here sends or waits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from random import Random
from typing import Any, TypeVar, cast

from dataplane.deliver.chains import SOON, Chains
from dataplane.deliver.entry import Entry, Part
from dataplane.deliver.exchange import Sent, all_delivered
from dataplane.deliver.failure import EXPIRED
from dataplane.deliver.journal import Origin
from dataplane.deliver.ledger import Ledger
from dataplane.deliver.plan import Replayed
from dataplane.deliver.retry import delay, told
from dataplane.deliver.state import ExceptionRow
from turnout.clock import Clock
from turnout.destination import BEHIND, UNSENT, Delivery
from turnout.durations import write_span
from turnout.verdict import Outcome, Verdict, dead, retry

__all__ = ["Settler"]


M = TypeVar("M", bound=Callable[..., Any])


def whole(method: M) -> M:
    """Of a method that is left half way the books in memory are not whole: nobody may write them."""

    @wraps(method)
    def kept(self: Settler, *args: Any, **named: Any) -> Any:
        try:
            return method(self, *args, **named)
        except Exception as error:
            self.ledger.unsettled(self.id, error)
            raise

    return cast(M, kept)


NOWHERE = Origin("", "", (), 0)
IN_JOB = "in a job that the tool has not finished"


class Settler:
    """The books of one destination. `id` and `delivery` follow its plan at a reload.

    `active` says how many seconds the destination could be delivered to so far.
    """

    def __init__(
        self,
        ident: str,
        delivery: Delivery,
        *,
        chains: Chains,
        ledger: Ledger,
        active: Callable[[], float],
        clock: Clock,
    ) -> None:
        self.id = ident
        self.delivery = delivery
        self.secrets: Collection[str] = ()
        self.origin: Origin = NOWHERE
        self.replay: Replayed | None = None
        self.chains = chains
        self.ledger = ledger
        self._active = active
        self._clock = clock
        self._rng = Random(ident)  # noqa: S311 -- jitter

    @property
    def _most(self) -> float:
        """Seconds that a tool may have an event wait."""
        return self.delivery.retry_after.total_seconds()

    @whole
    def settle(self, entry: Entry, rows: Sequence[Sent]) -> None:
        """Verdicts of an event from the lanes: count, bury, or put aside."""
        if len(rows) == len(entry.parts) == 1 and rows[0].verdict.outcome is Outcome.DELIVERED:
            # Nearly every event there is, in half the time; the same as below.
            self.ledger.counts[self.id, "delivered"] += 1
            if self.ledger.watch is not None:
                self.ledger.watch.reached(self.id, entry, 0, entry.parts[0][0], rows[0].verdict)
            return
        if len(entry.parts) > 1:
            self.ledger.add(self.id, "born", len(entry.parts) - 1)
        answers = iter(rows)
        for child, (raw, options, decided) in enumerate(entry.parts):
            one = Sent(decided) if decided is not None else next(answers)
            if one.verdict.final:
                self.final(entry, child, raw, options, one, attempts=0 if decided else 1)
            else:
                row = self._row(entry, child, one.verdict)
                self.chains.add(row)
                self.ledger.keep(row, raw, options)
                self._waits(entry, child, raw, one.verdict)

    def delivered(self, entries: Sequence[Entry], sent: Sequence[Sent]) -> bool:
        """Settle many events at once, where each has one output and all were delivered; else False."""
        if self.ledger.watch is not None or len(sent) != len(entries) or not all_delivered(sent):
            return False
        if False in [entry.plain for entry in entries]:
            return False
        self.ledger.counts[self.id, "delivered"] += len(entries)
        return True

    @whole
    def passed(self, numbers: Mapping[str, Sequence[int]]) -> None:
        """Events, by reason, that are not for this destination: they were never in its lanes."""
        for reason, those in numbers.items():
            self.ledger.reason(self.id, reason, len(those))
            self.ledger.add(self.id, "filtered", len(those))
            for number in those:
                self.ledger.journal.filtered(self.origin, reason, number)

    @whole
    def decided(self, entry: Entry) -> None:
        self.settle(entry, ())
        self.ledger.dirty.add(self.id)

    @whole
    def unsent(self, entry: Entry) -> None:
        """An event left the lanes unsent: decided before, or held back behind one of its user."""
        if entry.decided:
            self.decided(entry)
            return
        now = self._clock.now().timestamp()
        row = ExceptionRow(
            self.id, entry.number, -1, entry.key, "waiting", entry.source,
            first_at=now, active=self._active(), reason=BEHIND,
        )  # fmt: skip
        self.chains.add(row)
        self.ledger.keep(row, None, {})
        self._waits(entry, 0, entry.parts[0][0], retry(BEHIND))
        self.ledger.dirty.add(self.id)

    def _row(self, entry: Entry, child: int, verdict: Verdict) -> ExceptionRow:
        now = self._clock.now().timestamp()
        tried = _attempted(verdict)
        wait = delay(1, verdict.after, self._rng, self._most) if tried else 0.0
        return ExceptionRow(
            self.id, entry.number, child, entry.key, "tried", entry.source,
            attempts=1 if tried else 0, first_at=now, next_at=now + wait, active=self._active(),
            reason=told(verdict, self._most), parts=len(entry.parts),
        )  # fmt: skip

    def final(
        self, entry: Entry, child: int, raw: bytes, options: Mapping[str, Any], one: Sent, *,
        attempts: int, parts: int = 0,
    ) -> None:
        """A verdict that ends it; `parts` is how many outputs its event had, where the entry does not say."""
        verdict = one.verdict
        if verdict.outcome is Outcome.FILTERED:
            self.ledger.reason(self.id, verdict.reason)
            self.ledger.journal.filtered(self.origin, verdict.reason, entry.number, child)
        elif verdict.outcome is Outcome.DEAD:
            self.ledger.bury(
                self.replay.target if self.replay else self.id, entry, child, raw, options,
                one=one, attempts=attempts, parts=parts, secrets=self.secrets,
                replay=self.replay.id if self.replay else None,
            )  # fmt: skip
        self.ledger.add(self.id, verdict.outcome.value)
        if self.ledger.watch is not None:
            self.ledger.watch.reached(self.id, entry, child, raw, verdict)

    def _waits(self, entry: Entry, child: int, raw: bytes, verdict: Verdict) -> None:
        if self.ledger.watch is not None:
            self.ledger.watch.reached(self.id, entry, child, raw, verdict)

    @whole
    def adopt(self, entry: Entry, row: ExceptionRow | None = None) -> list[tuple[ExceptionRow, Entry]]:
        """An event whose exchange is to be gone on with becomes exceptions that are in flight, one for each output
        that is being sent. `row` is what it was before; None for an event from the lanes."""
        if row is not None and row.kind != "waiting":
            return [(row, entry)]
        if len(entry.parts) > 1:
            self.ledger.add(self.id, "born", len(entry.parts) - 1)
        made: list[tuple[ExceptionRow, Entry]] = []
        for child, (raw, options, decided) in enumerate(entry.parts):
            if decided is not None:
                self.final(entry, child, raw, options, Sent(decided), attempts=0)
                continue
            new = self._row(entry, child, retry(IN_JOB))
            new.attempts = 0
            self.ledger.keep(new, raw, options)
            made.append((new, Entry(entry.number, entry.key, entry.source, entry.at, [(raw, options, None)])))
        if row is not None:
            self.ledger.changes.drop(row)
            self.chains.replace(row, [new for new, _ in made])
        for new, _ in made:
            if row is None:
                self.chains.add(new)
            self.chains.flying.add((new.number, new.child))
        return made

    def expired(self, row: ExceptionRow) -> bool:
        """Whether an event was tried for as long as one is."""
        return self._active() - row.active > self.delivery.retry_for.total_seconds()

    @whole
    def stays(self, row: ExceptionRow) -> None:
        """A row of a job waits on; where it held its user back too long, the user goes on without it."""
        if row.kind == "tried" and self._active() - row.active > self.delivery.hold_for.total_seconds():
            self.chains.let_pass(row)
            self.ledger.tried(row)

    @whole
    def pass_by(self, wall: float) -> float | None:
        """Let users go on whose event has held them back for `hold_for`; when the next one will have, where nothing
        happens to the destination until then. Unix seconds.

        Not where that event is tried in a moment: after the time that a tool asked for, all would be overtaken.
        """
        hold = self.delivery.hold_for.total_seconds()
        while (row := self.chains.longest()) is not None:
            left = row.active + hold - self._active()
            if left > 0:
                return wall + left
            if row.next_at <= wall + min(SOON, hold):
                return None
            self.chains.let_pass(row)
            self.ledger.tried(row)
        return None

    @whole
    def retried(self, row: ExceptionRow, entry: Entry, rows: Sequence[Sent]) -> None:
        if row.kind == "waiting":
            self._turn(row, entry, rows)
            return
        one = rows[0]
        raw, options, _ = entry.parts[0]
        row.attempts += _attempted(one.verdict)
        now = self._clock.now().timestamp()
        age = self._active() - row.active
        if not one.verdict.final and self.expired(row):
            tried = write_span(self.delivery.retry_for.total_seconds())
            verdict = dead(f"{EXPIRED}{tried}: {one.verdict.reason}", one.verdict.status)
            one = Sent(verdict, one.request, one.response)
        if one.verdict.final:
            self.final(entry, row.child, raw, options, one, attempts=row.attempts, parts=row.parts)
            self.chains.remove(row)
            self.ledger.changes.drop(row)
            return
        self._waits(entry, row.child, raw, one.verdict)
        row.next_at = now + delay(row.attempts, one.verdict.after, self._rng, self._most)
        row.reason = told(one.verdict, self._most)
        if row.kind == "tried" and age > self.delivery.hold_for.total_seconds():
            self.chains.stand_aside(row)
        else:
            self.chains.again(row)
        self.ledger.tried(row)

    @whole
    def revive(self, entry: Entry, mine: Sequence[tuple[int, Part]], parts: int, *, adopted: bool) -> None:
        """A dead letter is tried again, as the outputs `mine` (child and part) of the `parts` of its event.

        Each stands alone, out of its user's order: the user went on long ago. A letter that is `adopted`
        died in a replay, so this destination never counted it as dead.
        """
        if not adopted:
            self.ledger.add(self.id, "revived")
        if born := len(mine) - (not adopted):
            self.ledger.add(self.id, "born", born)
        now = self._clock.now().timestamp()
        for child, (raw, options, decided) in mine:
            if decided is not None:
                self.final(entry, child, raw, options, Sent(decided), attempts=0, parts=parts)
                continue
            row = ExceptionRow(
                self.id, entry.number, child, entry.key, "aside", entry.source, first_at=now, next_at=now,
                active=self._active(), reason="retried by hand", parts=parts,
            )  # fmt: skip
            self.ledger.keep(row, raw, options)
            self.chains.add(row)
        self.ledger.dirty.add(self.id)

    def _turn(self, row: ExceptionRow, entry: Entry, rows: Sequence[Sent]) -> None:
        """A reference had its turn: its outputs get verdicts, or become rows of their own."""
        if len(entry.parts) > 1:
            self.ledger.add(self.id, "born", len(entry.parts) - 1)
        answers = iter(rows)
        again: list[ExceptionRow] = []
        self.ledger.changes.drop(row)
        for child, (raw, options, decided) in enumerate(entry.parts):
            one = Sent(decided) if decided is not None else next(answers)
            if one.verdict.final:
                self.final(entry, child, raw, options, one, attempts=0 if decided else 1)
                continue
            new = self._row(entry, child, one.verdict)
            again.append(new)
            self.ledger.keep(new, raw, options)
            self._waits(entry, child, raw, one.verdict)
        self.chains.replace(row, again)


def _attempted(verdict: Verdict) -> bool:
    """Whether the event itself was tried, and did not only wait for another or for the destination."""
    return verdict.reason != BEHIND and not verdict.reason.startswith(UNSENT)
