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

__all__ = ["DEAD", "REFUSED", "Filter", "Index", "Row", "Spot", "Table", "place", "spot", "spot_text", "whole"]

Row = dict[str, Any]
Spot = tuple[int, int]
"""Where a row stands in the order of its table: its time in Unix milliseconds (0 where that is not asked), its key."""


@dataclass(frozen=True, slots=True)
class Table:
    """One of the two kinds. `fields` can be filtered by; `groups` is what `summary` counts by.

    Rows are in the order of their keys, or of `moment` (SQL, milliseconds) first: keys that several processes gave
    are in no order of time.
    """

    name: str
    key: str
    fields: tuple[str, ...]
    groups: tuple[str, str]
    moment: str = ""

    def spot(self, row: Row) -> Spot:
        """Where a row stands."""
        return (int(row["at"] * 1000) if self.moment else 0, row[self.key])

    def beyond(self, sign: str, at: Spot) -> tuple[str, list[Any]]:
        """As SQL, with its parameters: behind a place (`sign` is >) or before it (<)."""
        millis, key = at
        if not self.moment:
            return f"{self.key}{sign}?", [key]
        return f"{self.moment}{sign}=? AND ({self.moment}{sign}? OR {self.key}{sign}?)", [millis, millis, key]

    def order(self, way: str = "") -> str:
        """As SQL; `way` is DESC for the newest first."""
        return ", ".join(f"{column} {way}" for column in (self.moment, self.key) if column)

    @property
    def delete(self) -> str:
        """The statement that deletes one row by its key."""
        return f"DELETE FROM {self.name} WHERE {self.key}=?"


DEAD = Table(
    "dead", "id", ("destination", "source", "class", "event", "message_id"), ("destination", "class"),
    moment="CAST(at * 1000 AS INTEGER)",
)
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


def spot_text(millis: int, key: int) -> str:
    """A place as a cursor says it."""
    return f"{millis}_{key}" if millis else str(key)


def spot(text: str) -> Spot | None:
    """The place that a cursor says; None where it says none."""
    first, _, second = text.rpartition("_")
    millis, key = whole(first or "0"), whole(second)
    return None if millis is None or key is None else (millis, key)


def whole(text: str) -> int | None:
    """A whole number that SQLite can hold; None where the text is none."""
    found = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 1 << 63
    return found if found < 1 << 63 else None


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

    def latest(self, table: Table, wanted: Filter, before: Spot | None, limit: int) -> list[Row]:
        """A page of rows, newest first; `before` is where the last one of the page before stands."""
        sql, values = wanted.where()
        if before is not None:
            beyond, more = table.beyond("<", before)
            sql, values = f"{sql} AND {beyond}", [*values, *more]
        return self._rows(
            f"SELECT * FROM {table.name} WHERE {sql} ORDER BY {table.order('DESC')} LIMIT ?", [*values, limit]
        )

    def after(self, table: Table, wanted: Filter, after: Spot, upto: int, limit: int) -> list[Row]:
        """Rows behind a place, with keys up to `upto`, oldest first."""
        sql, values = wanted.where()
        beyond, more = table.beyond(">", after)
        return self._rows(
            f"SELECT * FROM {table.name} WHERE {sql} AND {beyond} AND {table.key}<=? ORDER BY {table.order()} LIMIT ?",
            [*values, *more, upto, limit],
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
