"""Rows of replays in the state file. Cursors and exceptions of a running one stand in the tables of
destinations, under its own name `replay:<id>`, and so does its count of verdicts."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace

import msgspec

from dataplane.deliver.pausing import Refused
from dataplane.deliver.replay import Definition
from dataplane.deliver.state import Changes, DestinationRow, State

__all__ = ["ReplayRow", "ReplayRows", "name_of"]

KEPT = 200
"""Replays that are over are kept so long as there are no more of them."""
_definition = msgspec.json.Decoder(Definition).decode


def name_of(ident: int) -> str:
    """What a replay is called among the destinations; no id of a config has a colon."""
    return f"replay:{ident}"


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """One replay. `first` and `end` are event numbers (end excluded), `at` and `over` Unix seconds.

    `state` is running, done or cancelled; `missed` counts numbers the log had let go of; `letters` is
    the id of the last dead letter that its verdicts look at.
    """

    id: int
    definition: Definition
    state: str
    at: float
    first: int
    end: int
    over: float | None = None
    missed: int = 0
    reason: str = ""
    letters: int = 0

    @property
    def name(self) -> str:
        """`replay:<id>`."""
        return name_of(self.id)

    def put(self, changes: Changes) -> None:
        """Store it whole."""
        changes.statements.append((
            "INSERT OR REPLACE INTO replay VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                self.id, msgspec.json.encode(self.definition), self.state, self.at, self.first, self.end,
                self.over, self.missed, self.reason, self.letters,
            ),
        ))  # fmt: skip

    def finished(self, changes: Changes, state: str, at: float, reason: str = "") -> ReplayRow:
        """Store that it is over; the row as it is now. A cancelled one keeps its cursors, to be resumed."""
        row = replace(self, state=state, over=at, reason=reason)
        row.put(changes)
        if state == "done":
            changes.statements.append(("DELETE FROM destination WHERE id=?", (self.name,)))
        changes.statements.append(("DELETE FROM exception WHERE destination=?", (self.name,)))
        changes.statements.append(("DELETE FROM job WHERE destination=?", (self.name,)))
        old = "SELECT id FROM replay WHERE state<>'running' ORDER BY id DESC LIMIT -1 OFFSET ?"
        for sql in (
            f"DELETE FROM count WHERE scope='destination' AND id IN (SELECT 'replay:'||id FROM ({old}))",  # noqa: S608 -- constants
            f"DELETE FROM destination WHERE id IN (SELECT 'replay:'||id FROM ({old}))",  # noqa: S608
            f"DELETE FROM replay WHERE id IN ({old})",  # noqa: S608
        ):
            changes.statements.append((sql, (KEPT,)))
        return row


class ReplayRows:
    """Reads them from the state file."""

    def __init__(self, state: State) -> None:
        self._rows = state.rows

    def all(self) -> list[ReplayRow]:
        """Every replay that is kept, oldest first."""
        rows = self._rows("SELECT * FROM replay ORDER BY id")
        return [ReplayRow(row[0], _definition(row[1]), *row[2:]) for row in rows]

    def place(self, ident: int) -> DestinationRow | None:
        """Where one stands; None where it never began, or is done."""
        sql = "SELECT id, position, cursors, active, refused, reason, since FROM destination WHERE id=?"
        for name, position, cursors, active, *refused in self._rows(sql, name_of(ident)):
            found = Refused(*refused) if refused[0] else None
            return DestinationRow(name, position, array("Q", cursors), active, found)
        return None

    def last_letter(self) -> int:
        """The id of the newest dead letter; 0 where there never was one."""
        return int(self._rows("SELECT coalesce(max(id), 0) FROM dead")[0][0])

    def dead(self, destination: str, upto: int) -> frozenset[int]:
        """Numbers of events with a dead letter of a destination, up to the letter `upto`."""
        rows = self._rows("SELECT number FROM dead WHERE destination=? AND id<=?", destination, upto)
        return frozenset(row[0] for row in rows)
