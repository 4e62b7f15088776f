"""Facts about events, in one SQLite file per pipeline process: cursors, exceptions, dead letters, counts.

Everything that changes together is written in one transaction by one thread. Cursors refer to the
sequence's sidecar, which is synced before. SQLite runs in WAL mode with synchronous=NORMAL: a
killed process loses at most the last commit interval, a power cut may lose a little more, and both
lose cursors, exceptions and counts *together*, so that the log is simply read again from there.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataplane.deliver.pausing import Refused
from dataplane.deliver.renames import Renames, fact, read
from dataplane.deliver.schema import migrate
from dataplane.deliver.segments import Place
from dataplane.metrics.log import logger
from turnout.errors import Unavailable

__all__ = ["Changes", "DestinationRow", "ExceptionRow", "Places", "State", "last_letter", "last_number"]

log = logger()


@dataclass(frozen=True, slots=True)
class DestinationRow:
    """Where a destination stands: reader position, one cursor per lane, seconds in which it could be
    delivered to so far, and whether the tool refuses us."""

    id: str
    position: int
    cursors: array[int]
    active: float
    refused: Refused | None = None


@dataclass(slots=True)
class ExceptionRow:
    """An event put aside. `kind`: tried (has a payload), waiting (behind one), aside (held too long).

    `child` is -1 for a waiting reference: it is transformed when its turn comes. Times are Unix
    seconds; `active` is what the destination's active time was when it was first tried.
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
    active: float = 0.0
    reason: str = ""
    parts: int = 0


@dataclass(slots=True)
class Places:
    """Where the payloads of one commit stand, in the order of its lists; None where they are not written yet."""

    dead: list[Place] | None = None
    refused: list[Place] | None = None
    moved: list[Place] = field(default_factory=list)


@dataclass(slots=True)
class Changes:
    """What one commit writes.

    `dead` and `refused` are pairs of an index row and a payload, which goes to a segment; `moved` are
    `(table, key, payload)` of letters that leave a sparse segment. `places` says where they all are once
    they are there. `durable` asks that a power cut does not take it back.
    """

    destinations: list[DestinationRow] = field(default_factory=list)
    statements: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    dead: list[tuple[tuple[Any, ...], bytes]] = field(default_factory=list)
    refused: list[tuple[tuple[Any, ...], bytes]] = field(default_factory=list)
    moved: list[tuple[str, int, bytes]] = field(default_factory=list)
    counts: list[tuple[str, str, str, int]] = field(default_factory=list)
    counted: int = 0
    places: Places = field(default_factory=Places)
    durable: bool = False

    @property
    def empty(self) -> bool:
        """True where it holds nothing but places of cursors, which the next one holds again."""
        return not (self.statements or self.dead or self.refused or self.moved or self.counted)

    def put(self, row: ExceptionRow, payload: bytes | None, options: bytes | None) -> None:
        """Store an exception whole."""
        self.statements.append((
            "INSERT OR REPLACE INTO exception (destination, number, child, key, kind, source, attempts,"
            " first_at, next_at, active, reason, payload, options, parts) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                row.destination, row.number, row.child, row.key.to_bytes(8, "little"), row.kind,
                row.source, row.attempts, row.first_at, row.next_at, row.active, row.reason,
                payload, options, row.parts,
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


    def begin(self, destination: str, number: int) -> None:
        """A destination is new and begins at event `number`."""
        self.statements.append(("INSERT OR REPLACE INTO fact VALUES (?,?)", (f"began {destination}", number)))

    def follow(self, letters: int) -> None:
        """The file was made for a process that follows, in the place of one that was lost: ids of its dead letters
        begin behind `letters`."""
        self.statements += [
            ("DELETE FROM sqlite_sequence WHERE name='dead'", ()),
            ("INSERT INTO sqlite_sequence (name, seq) VALUES ('dead', ?)", (letters,)),
            ("INSERT OR REPLACE INTO fact VALUES ('follows', 1)", ()),
        ]

    def rename(self, old: str, new: str, at: float) -> None:
        """A destination has another id from `at` (Unix seconds) on: its place, exceptions, dead letters, archive and
        counts follow; of the journal, which is never written again, it is remembered."""
        for sql in (
            "UPDATE destination SET id=? WHERE id=?",
            "UPDATE exception SET destination=? WHERE destination=?",
            "UPDATE dead SET destination=? WHERE destination=?",
            "UPDATE count SET id=? WHERE scope='destination' AND id=?",
            "UPDATE archive SET destination=? WHERE destination=?",
            "UPDATE job SET destination=? WHERE destination=?",
        ):
            self.statements.append((sql, (new, old)))
        self.statements.append(("UPDATE fact SET name=? WHERE name=?", (f"began {new}", f"began {old}")))
        self.statements.append(("INSERT OR REPLACE INTO fact VALUES (?,?)", (fact(old, new), int(at * 1000) + 1)))

    def forget(self, destination: str) -> None:
        """A destination is removed: its place, exceptions, counts; its dead letters and archive stay."""
        for sql in (
            "DELETE FROM destination WHERE id=?",
            "DELETE FROM exception WHERE destination=?",
            "DELETE FROM job WHERE destination=?",
            "DELETE FROM count WHERE scope='destination' AND id=?",
        ):
            self.statements.append((sql, (destination,)))
        self.statements.append(("DELETE FROM fact WHERE name=?", (f"began {destination}",)))


def last_letter(rows: Callable[[str], Iterable[tuple[Any, ...]]]) -> int:
    """The highest id of a dead letter that a state file ever had; 0 where it had none."""
    return max((row[0] or 0 for row in rows("SELECT seq FROM sqlite_sequence WHERE name='dead'")), default=0)


def last_number(rows: Callable[[str], Iterable[tuple[Any, ...]]]) -> int:
    """The highest event number that a state file speaks of: every event up to it was numbered."""
    numbers = [row[0] for row in rows("SELECT value FROM fact WHERE name='counted'")]
    for position, cursors in rows("SELECT position, cursors FROM destination WHERE id NOT LIKE 'replay:%'"):
        numbers.append(max(position, *array("Q", cursors)) - 1)
    return max(numbers, default=0)


def _opened(path: Path, begins: Callable[[], None]) -> sqlite3.Connection:
    """The file, brought to the newest version; one that is no database any more is put aside, and said."""
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise _unusable(path, error) from None
    try:
        path.chmod(0o600)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            begins()  # while it has no tables: what fails here is done at the next start
        migrate(db, path)
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok":
            return db
        reason = "a page of it is damaged"
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            db.close()
            raise _unusable(path, error) from None
        reason = str(error)
    db.close()
    log.error("state.damaged", file=path.name, reason=reason)
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(part.with_name(f"{part.name}.bad"))
    return _opened(path, begins)


def _unusable(path: Path, error: sqlite3.Error) -> Unavailable:
    return Unavailable(f"{path} cannot be opened: {error}")


def refuse(path: Path, destination: str, refused: Refused) -> None:
    """Pause a destination in a state file that another connection may be writing; raises sqlite3.Error."""
    with closing(sqlite3.connect(path, timeout=5.0, isolation_level=None)) as db:
        db.execute("UPDATE destination SET refused=?, reason=?, since=? WHERE id=?", (*refused, destination))


class State:
    """The file. Reads come from any thread with `read_*`; `commit` from one."""

    def __init__(self, path: Path, begins: Callable[[], None] = lambda: None) -> None:
        """`begins` is called before the file is made anew: nothing is known of what lies beside it."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = _opened(path, begins)
        self._reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._reader.execute("PRAGMA query_only=ON")

    def commit(self, changes: Changes) -> None:
        """Write everything in one transaction; its `places` say where the payloads stand."""
        db, places = self._db, changes.places
        if changes.durable:
            db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in changes.statements:
                db.execute(sql, values)
            db.executemany(
                "INSERT OR REPLACE INTO destination (id, position, cursors, active, refused, reason, since)"
                " VALUES (?,?,?,?,?,?,?)",
                [
                    (r.id, r.position, r.cursors.tobytes(), r.active, *(r.refused or ("", "", 0.0)))
                    for r in changes.destinations
                ],
            )
            db.executemany(
                "INSERT INTO dead (destination, source, number, child, key, at, status, reason, replay, class, event,"
                " message_id, segment, offset, length) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                [(*row, *where) for (row, _), where in zip(changes.dead, places.dead or (), strict=True)],
            )
            # A number that is there already was read again after a crash: it is the same event.
            db.executemany(
                "INSERT INTO refused VALUES (?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                [(*row, *where) for (row, _), where in zip(changes.refused, places.refused or (), strict=True)],
            )
            for (table, key, _), where in zip(changes.moved, places.moved, strict=True):
                sql = "UPDATE {} SET segment=?, offset=?, length=? WHERE {}=?"
                db.execute(sql.format(table, "id" if table == "dead" else "number"), (*where, key))
            db.executemany("INSERT OR REPLACE INTO count VALUES (?,?,?,?)", changes.counts)
            if changes.counted:
                db.execute("INSERT OR REPLACE INTO fact VALUES ('counted', ?)", (changes.counted,))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk has rolled it back already
                db.execute("ROLLBACK")
            raise
        finally:
            if changes.durable:
                db.execute("PRAGMA synchronous=NORMAL")

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

    def forget_references(self, before: int | None = None) -> None:
        """Remove what waits behind another and is known by its number only; of events before a number, or all."""
        number = (1 << 63) - 1 if before is None else before
        self._db.execute("DELETE FROM exception WHERE kind='waiting' AND number<?", (number,))

    def destinations(self) -> dict[str, DestinationRow]:
        """Every destination that has a place in the log, also those no longer in the config; no replay."""
        rows = self._db.execute(
            "SELECT id, position, cursors, active, refused, reason, since FROM destination"
            " WHERE id NOT LIKE 'replay:%'"
        ).fetchall()
        return {
            r[0]: DestinationRow(r[0], r[1], array("Q", r[2]), r[3], Refused(*r[4:]) if r[4] else None)
            for r in rows
        }

    def exceptions(self, destination: str) -> Iterable[ExceptionRow]:
        """A destination's exceptions by number, without payloads."""
        rows = self._db.execute(
            "SELECT destination, number, child, key, kind, source, attempts, first_at, next_at, active,"
            " reason, parts FROM exception WHERE destination=? ORDER BY number, child",
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

    def follows(self) -> bool:
        """Whether it was made for a process that counts no sources, so that it may be empty."""
        return bool(self.rows("SELECT 1 FROM fact WHERE name='follows'"))

    def kept(self) -> dict[tuple[str, str], int]:
        """Dead letters there are now, by destination and class."""
        rows = self._reader.execute("SELECT destination, class, n FROM dead_count WHERE n>0")
        return {(r[0], r[1]): r[2] for r in rows.fetchall()}

    def dead_of(self, number: int) -> list[dict[str, Any]]:
        """Index rows of one event's dead letters, oldest first."""
        cursor = self._reader.execute("SELECT * FROM dead WHERE number=? ORDER BY at, id", (number,))
        names = [c[0] for c in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def began(self, destination: str) -> int | None:
        """The first event that a destination was to have; None where it began before this was noted."""
        row = self._reader.execute("SELECT value FROM fact WHERE name=?", (f"began {destination}",)).fetchone()
        return int(row[0]) if row else None

    def renames(self, current: Collection[str] = ()) -> Renames:
        """What destinations were called before; `current` are those of the config."""
        return read(self._reader.execute("SELECT name, value FROM fact").fetchall(), current)

    def refused_row(self, number: int) -> tuple[str, str, str] | None:
        """Source, code and message of a refused event."""
        sql = "SELECT source, code, message FROM refused WHERE number=?"
        row = self._reader.execute(sql, (number,)).fetchone()
        return None if row is None else (row[0], row[1], row[2])

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query of a topic that has a file of its own; it can only read."""
        return self._reader.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close both connections."""
        self._reader.close()
        self._db.close()
