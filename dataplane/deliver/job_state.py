"""A job as it is stored: the events of an exchange that is to be gone on with, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dataplane.deliver.state import Changes, State
from turnout import codec

__all__ = ["JobRow", "last_job", "stored_jobs"]


@dataclass(frozen=True, slots=True)
class JobRow:
    """`events` are the `(number, child)` of its exceptions, in the order in which the adapter had them.

    `type` is the slug of the adapter that made `state`; `next_at` in Unix seconds; `reason` is why it waits.
    """

    id: int
    destination: str
    type: str
    state: Any
    events: tuple[tuple[int, int], ...]
    attempts: int
    next_at: float
    reason: str

    def put(self, changes: Changes) -> None:
        """Store it whole."""
        changes.statements.append((
            "INSERT OR REPLACE INTO job VALUES (?,?,?,?,?,?,?,?)",
            (
                self.id, self.destination, self.type, codec.dumps(self.state), codec.dumps(self.events),
                self.attempts, self.next_at, self.reason,
            ),
        ))  # fmt: skip


def drop(job: int, changes: Changes) -> None:
    """It ended: its events have their verdicts, or are exceptions like others."""
    changes.statements.append(("DELETE FROM job WHERE id=?", (job,)))


def stored_jobs(state: State, destination: str) -> Iterable[JobRow]:
    """The jobs of a destination, oldest first."""
    sql = (
        "SELECT id, destination, type, state, events, attempts, next_at, reason FROM job"
        " WHERE destination=? ORDER BY id"
    )
    for row in state.rows(sql, destination):
        events = tuple((number, child) for number, child in codec.loads(row[4]))
        yield JobRow(row[0], row[1], row[2], codec.loads(row[3]), events, *row[5:])


def last_job(state: State) -> int:
    """The highest id there is; 0 where there is none."""
    return int(state.rows("SELECT coalesce(max(id), 0) FROM job")[0][0])
