"""Facts about events, in one SQLite file per pipeline process: cursors, exceptions, dead letters, counts.

Everything that changes together is written in one transaction by one thread. Cursors refer to the
sequence's sidecar, which is synced before. SQLite runs in WAL mode with synchronous=NORMAL: a
killed process loses at most the last commit interval, a power cut may lose a little more, and both
lose cursors, exceptions and counts *together*, so that the log is simply read again from there.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataplane.deliver.schema import migrate

__all__ = ["Changes", "DestinationRow", "ExceptionRow", "State"]

REFUSED_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class DestinationRow:
    """Where a destination stands: reader position, one cursor per lane, seconds paused so far."""

    id: str
    position: int
    cursors: array[int]
    paused: float


@dataclass(slots=True)
class ExceptionRow:
    """An event put aside. `kind`: tried (has a payload), waiting (behind one), aside (held too long).

    `child` is -1 for a waiting reference: it is transformed when its turn comes. Times are Unix
    seconds; `paused` is what the destination's pauses summed up to when it was first tried.
    """

    destination: str
    number: int
    child: int
    key: int
    kind: str
    source: str
    attempts: int = 0
    first_at: float = 0.0
    next_at: float = 0.0
    paused: float = 0.0
    reason: str = ""


@dataclass(slots=True)
class Changes:
    """What one commit writes. `dead` are `(row, payload)` pairs whose payload goes to a segment,
    `places` where they are once they are there."""

    destinations: list[DestinationRow] = field(default_factory=list)
    statements: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    dead: list[tuple[tuple[Any, ...], bytes]] = field(default_factory=list)
    refused: Sequence[tuple[Any, ...]] = ()
    counts: list[tuple[str, str, str, int]] = field(default_factory=list)
    counted: int = 0
    places: list[tuple[int, int, int]] | None = None

    @property
    def empty(self) -> bool:
        """True where it holds nothing but places of cursors, which the next one holds again."""
        return not (self.statements or self.dead or self.refused or self.counted)

    def put(self, row: ExceptionRow, payload: bytes | None, options: bytes | None) -> None:
        """Store an exception whole."""
        self.statements.append((
            "INSERT OR REPLACE INTO exception VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                row.destination, row.number, row.child, row.key.to_bytes(8, "little"), row.kind,
                row.source, row.attempts, row.first_at, row.next_at, row.paused, row.reason,
                payload, options,
            ),
        ))  # fmt: skip

    def touch(self, row: ExceptionRow) -> None:
        """Store that an exception was tried again; its payload stays."""
        self.statements.append((
            "UPDATE exception SET kind=?, attempts=?, first_at=?, next_at=?, reason=?"
            " WHERE destination=? AND number=? AND child=?",
            (
                row.kind, row.attempts, row.first_at, row.next_at, row.reason,
                row.destination, row.number, row.child,
            ),
        ))  # fmt: skip

    def drop(self, row: ExceptionRow) -> None:
        """Remove an exception that has its verdict."""
        self.statements.append((
            "DELETE FROM exception WHERE destination=? AND number=? AND child=?",
            (row.destination, row.number, row.child),
        ))


    def rename(self, old: str, new: str) -> None:
        """A destination has another id now: its place, exceptions, dead letters, archive and counts follow."""
        for sql in (
            "UPDATE destination SET id=? WHERE id=?",
            "UPDATE exception SET destination=? WHERE destination=?",
            "UPDATE dead SET destination=? WHERE destination=?",
            "UPDATE count SET id=? WHERE scope='destination' AND id=?",
            "UPDATE archive SET destination=? WHERE destination=?",
        ):
            self.statements.append((sql, (new, old)))

    def forget(self, destination: str) -> None:
        """A destination is removed: its place, exceptions, counts; its dead letters and archive stay."""
        for sql in (
            "DELETE FROM destination WHERE id=?",
            "DELETE FROM exception WHERE destination=?",
            "DELETE FROM count WHERE scope='destination' AND id=?",
        ):
            self.statements.append((sql, (destination,)))


class State:
    """The file. Reads come from any thread with `read_*`; `commit` from one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        migrate(self._db, path)
        self._reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._reader.execute("PRAGMA query_only=ON")

    def commit(self, changes: Changes, dead: Sequence[tuple[int, int, int]]) -> None:
        """Write everything in one transaction; `dead` says where each dead letter's payload stands."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in changes.statements:
                db.execute(sql, values)
            db.executemany(
                "INSERT OR REPLACE INTO destination VALUES (?,?,?,?)",
                [(r.id, r.position, r.cursors.tobytes(), r.paused) for r in changes.destinations],
            )
            db.executemany(
                "INSERT INTO dead (destination, source, number, child, key, at, status, reason, replay,"
                " segment, offset, length) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                [(*row, *where) for (row, _), where in zip(changes.dead, dead, strict=True)],
            )
            if changes.refused:
                db.executemany("INSERT OR REPLACE INTO refused VALUES (?,?,?,?,?,?,?)", changes.refused)
                db.execute(
                    "DELETE FROM refused WHERE number <="
                    " (SELECT number FROM refused ORDER BY number DESC LIMIT 1 OFFSET ?)",
                    (REFUSED_KEPT,),
                )
            db.executemany("INSERT OR REPLACE INTO count VALUES (?,?,?,?)", changes.counts)
            if changes.counted:
                db.execute("INSERT OR REPLACE INTO fact VALUES ('counted', ?)", (changes.counted,))
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    def release(self, number: int) -> None:
        """Note that events before `number` are needed no more, safe from a power cut as all that was committed.

        A commit with synchronous=FULL syncs the WAL, and with it what earlier ones wrote there
        (sqlite.org/pragma.html#pragma_synchronous).
        """
        self._db.execute("PRAGMA synchronous=FULL")
        try:
            self._db.execute("INSERT OR REPLACE INTO fact VALUES ('released', ?)", (number,))
        finally:
            self._db.execute("PRAGMA synchronous=NORMAL")

    def destinations(self) -> dict[str, DestinationRow]:
        """Every destination that has a place in the log, also those no longer in the config; no replay."""
        rows = self._db.execute(
            "SELECT id, position, cursors, paused FROM destination WHERE id NOT LIKE 'replay:%'"
        ).fetchall()
        return {r[0]: DestinationRow(r[0], r[1], array("Q", r[2]), r[3]) for r in rows}

    def exceptions(self, destination: str) -> Iterable[ExceptionRow]:
        """A destination's exceptions by number, without payloads."""
        rows = self._db.execute(
            "SELECT destination, number, child, key, kind, source, attempts, first_at, next_at, paused,"
            " reason FROM exception WHERE destination=? ORDER BY number, child",
            (destination,),
        )
        for row in rows.fetchall():
            ident, number, child, key, *rest = row
            yield ExceptionRow(ident, number, child, int.from_bytes(key, "little"), *rest)

    def payload(self, destination: str, number: int, child: int) -> tuple[bytes, bytes | None] | None:
        """What an exception is to be sent as: the event, and its options."""
        row = self._reader.execute(
            "SELECT payload, options FROM exception WHERE destination=? AND number=? AND child=?",
            (destination, number, child),
        ).fetchone()
        return None if row is None or row[0] is None else (row[0], row[1])

    def counts(self) -> dict[tuple[str, str, str], int]:
        """All counts as stored: `(scope, id, what) → n`."""
        return {(r[0], r[1], r[2]): r[3] for r in self._db.execute("SELECT scope, id, what, n FROM count")}

    def counted(self) -> int:
        """The last event number that the source counts include."""
        row = self._db.execute("SELECT value FROM fact WHERE name='counted'").fetchone()
        return int(row[0]) if row else 0

    def dead(self, destination: str | None, before: int | None, limit: int) -> list[dict[str, Any]]:
        """Dead letters, newest first, without payload; `before` is the last id of the page before."""
        cursor = self._reader.execute(
            "SELECT id, destination, source, number, child, at, status, reason, replay FROM dead"
            " WHERE (?1 IS NULL OR destination=?1) AND (?2 IS NULL OR id<?2) ORDER BY id DESC LIMIT ?3",
            (destination, before, limit),
        )
        names = [c[0] for c in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def dead_row(self, ident: int) -> dict[str, Any] | None:
        """One dead letter's index row, with where its payload stands."""
        cursor = self._reader.execute("SELECT * FROM dead WHERE id=?", (ident,))
        row = cursor.fetchone()
        return None if row is None else dict(zip([c[0] for c in cursor.description], row, strict=True))

    def refused(self, source: str | None, limit: int) -> list[dict[str, Any]]:
        """Refused events, newest first."""
        cursor = self._reader.execute(
            "SELECT number, source, code, message, at, position, place FROM refused"
            " WHERE (?1 IS NULL OR source=?1) ORDER BY number DESC LIMIT ?2",
            (source, limit),
        )
        names = [c[0] for c in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query of a topic that has a file of its own; it can only read."""
        return self._reader.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close both connections."""
        self._reader.close()
        self._db.close()
