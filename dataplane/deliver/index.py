"""Questions about the index of dead letters and of refused events, which is in the state file.

It has a connection of its own and may be asked from any thread: an answer over a million rows takes
longer than the event loop may stand still.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataplane.deliver.segments import Place

__all__ = ["DEAD", "REFUSED", "Filter", "Index", "Row", "Table", "place"]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """One of the two kinds. `fields` can be filtered by; `groups` is what `summary` counts by."""

    name: str
    key: str
    fields: tuple[str, ...]
    groups: tuple[str, str]

    @property
    def delete(self) -> str:
        """The statement that deletes one row by its key."""
        return f"DELETE FROM {self.name} WHERE {self.key}=?"


DEAD = Table("dead", "id", ("destination", "source", "class", "event", "message_id"), ("destination", "class"))
REFUSED = Table("refused", "number", ("source", "code"), ("source", "code"))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are meant: equal to every given field, and from `since` until before `until` (Unix s)."""

    fields: Mapping[str, str] = field(default_factory=dict)
    since: float | None = None
    until: float | None = None

    def where(self) -> tuple[str, list[Any]]:
        """As SQL, with its parameters. Names of fields come from a `Table`, never from outside."""
        parts = [f"{name}=?" for name in self.fields]
        values: list[Any] = list(self.fields.values())
        for sign, moment in ((">=", self.since), ("<", self.until)):
            if moment is not None:
                parts.append(f"at{sign}?")
                values.append(moment)
        return " AND ".join(parts) or "1", values


EVERY = Filter()


def place(row: Row) -> Place:
    """Where a row's payload stands."""
    return Place(row["segment"], row["offset"], row["length"])


class Index:
    """Read only; what is written goes through the ledger."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA query_only=ON")
        self._lock = threading.Lock()

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        with self._lock:
            cursor = self._db.execute(sql, values)
            names = [c[0] for c in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def newest(self, table: Table) -> int:
        """The highest key there is; 0 where there is none."""
        return int(self._rows(f"SELECT max({table.key}) AS n FROM {table.name}")[0]["n"] or 0)

    def latest(self, table: Table, wanted: Filter, before: int | None, limit: int) -> list[Row]:
        """A page of rows, newest first; `before` is the last key of the page before."""
        sql, values = wanted.where()
        values += [(1 << 63) - 1 if before is None else before, limit]
        return self._rows(
            f"SELECT * FROM {table.name} WHERE {sql} AND {table.key}<? ORDER BY {table.key} DESC LIMIT ?",
            values,
        )

    def after(self, table: Table, wanted: Filter, after: int, upto: int, limit: int) -> list[Row]:
        """Rows with keys above `after` up to `upto`, oldest first."""
        sql, values = wanted.where()
        return self._rows(
            f"SELECT * FROM {table.name} WHERE {sql} AND {table.key}>? AND {table.key}<=?"
            f" ORDER BY {table.key} LIMIT ?",
            [*values, after, upto, limit],
        )

    def some(self, table: Table, keys: Iterable[int]) -> list[Row]:
        """The rows of these keys that there are, in the order given, each once."""
        found: list[Row] = []
        for key in dict.fromkeys(keys):
            found += self._rows(f"SELECT * FROM {table.name} WHERE {table.key}=?", (key,))
        return found

    def summary(self, table: Table, wanted: Filter = EVERY) -> dict[tuple[str, str], int]:
        """How many rows there are by `table.groups`."""
        first, second = table.groups
        if not (wanted.fields.keys() - {first, second}) and wanted.since is None and wanted.until is None:
            sql, values = wanted.where()
            rows = self._rows(f"SELECT * FROM {table.name}_count WHERE {sql} AND n>0", values)
        else:
            sql, values = wanted.where()
            rows = self._rows(
                f"SELECT {first}, {second}, count(*) AS n FROM {table.name} WHERE {sql} GROUP BY 1, 2",
                values,
            )
        return {(row[first], row[second]): row["n"] for row in rows}

    def segments(self, table: Table) -> dict[int, int]:
        """Bytes of payload that rows still name, by segment."""
        rows = self._rows(f"SELECT segment, bytes FROM {table.name}_segment WHERE letters>0")
        return {row["segment"]: row["bytes"] for row in rows}

    def in_segment(self, table: Table, segment: int, limit: int) -> list[Row]:
        """Some rows whose payload is in a segment."""
        return self._rows(f"SELECT * FROM {table.name} WHERE segment=? LIMIT ?", (segment, limit))

    def older(self, table: Table, moment: float, limit: int) -> list[Row]:
        """Some rows from before a moment."""
        return self._rows(f"SELECT * FROM {table.name} WHERE at<? ORDER BY at LIMIT ?", (moment, limit))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._db.close()
