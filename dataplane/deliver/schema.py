"""The schema of the state file, as steps: each is a version, none is ever changed once released.

An older file is copied beside itself (`pipeline.db.v1`) before the first step that it lacks; a newer
one is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from turnout.errors import FormatError

__all__ = ["STEPS", "migrate"]

_COUNTED = """
CREATE TABLE {t}_count (
    {a} TEXT NOT NULL, {b} TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY ({a}, {b})
) WITHOUT ROWID;
CREATE TABLE {t}_segment (segment INTEGER PRIMARY KEY, letters INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO {t}_count SELECT {a}, {b}, count(*) FROM {t} GROUP BY 1, 2;
INSERT INTO {t}_segment SELECT segment, count(*), sum(length) FROM {t} GROUP BY 1;
CREATE TRIGGER {t}_added AFTER INSERT ON {t} BEGIN
    INSERT INTO {t}_count VALUES (new.{a}, new.{b}, 1) ON CONFLICT DO UPDATE SET n = n + 1;
    INSERT INTO {t}_segment VALUES (new.segment, 1, new.length)
        ON CONFLICT DO UPDATE SET letters = letters + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER {t}_removed AFTER DELETE ON {t} BEGIN
    UPDATE {t}_count SET n = n - 1 WHERE {a} = old.{a} AND {b} = old.{b};
    UPDATE {t}_segment SET letters = letters - 1, bytes = bytes - old.length WHERE segment = old.segment;
    DELETE FROM {t}_segment WHERE segment = old.segment AND letters = 0;
END;
CREATE TRIGGER {t}_renamed AFTER UPDATE OF {a} ON {t} BEGIN
    UPDATE {t}_count SET n = n - 1 WHERE {a} = old.{a} AND {b} = old.{b};
    INSERT INTO {t}_count VALUES (new.{a}, new.{b}, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER {t}_moved AFTER UPDATE OF segment ON {t} BEGIN
    UPDATE {t}_segment SET letters = letters - 1, bytes = bytes - old.length WHERE segment = old.segment;
    DELETE FROM {t}_segment WHERE segment = old.segment AND letters = 0;
    INSERT INTO {t}_segment VALUES (new.segment, 1, new.length)
        ON CONFLICT DO UPDATE SET letters = letters + 1, bytes = bytes + excluded.bytes;
END;
"""
"""How many rows table {t} has by columns {a} and {b}, and how many bytes by segment.

Kept by triggers, so that they change with the rows and neither a start nor /metrics counts a million.
"""


def _counted(table: str, first: str, second: str) -> str:
    return _COUNTED.replace("{t}", table).replace("{a}", first).replace("{b}", second)


STEPS: tuple[str, ...] = (
    """
CREATE TABLE destination (
    id TEXT PRIMARY KEY, position INTEGER NOT NULL, cursors BLOB NOT NULL, paused REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE exception (
    destination TEXT NOT NULL, number INTEGER NOT NULL, child INTEGER NOT NULL, key BLOB NOT NULL,
    kind TEXT NOT NULL, source TEXT NOT NULL, attempts INTEGER NOT NULL, first_at REAL NOT NULL,
    next_at REAL NOT NULL, paused REAL NOT NULL, reason TEXT NOT NULL, payload BLOB, options BLOB,
    PRIMARY KEY (destination, number, child)
) WITHOUT ROWID;
CREATE TABLE dead (
    id INTEGER PRIMARY KEY AUTOINCREMENT, destination TEXT NOT NULL, source TEXT NOT NULL,
    number INTEGER NOT NULL, child INTEGER NOT NULL, key BLOB NOT NULL, at REAL NOT NULL,
    status INTEGER, reason TEXT NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL
);
CREATE INDEX dead_by_destination ON dead (destination, id);
CREATE TABLE refused (
    number INTEGER PRIMARY KEY, source TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
    at INTEGER NOT NULL, position INTEGER NOT NULL, place INTEGER NOT NULL
);
CREATE TABLE count (
    scope TEXT NOT NULL, id TEXT NOT NULL, what TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (scope, id, what)
) WITHOUT ROWID;
CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
""",
    """
CREATE TABLE archive (
    id INTEGER PRIMARY KEY, destination TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    events INTEGER NOT NULL, bytes INTEGER NOT NULL, oldest INTEGER NOT NULL, newest INTEGER NOT NULL
);
CREATE INDEX archive_by_destination ON archive (destination, id);
""",
    """
CREATE TABLE replay (
    id INTEGER PRIMARY KEY, definition BLOB NOT NULL, state TEXT NOT NULL, at REAL NOT NULL,
    first INTEGER NOT NULL, end INTEGER NOT NULL, over REAL, missed INTEGER NOT NULL,
    reason TEXT NOT NULL, letters INTEGER NOT NULL
);
ALTER TABLE dead ADD COLUMN replay INTEGER;
""",
    "".join(("""
ALTER TABLE exception ADD COLUMN parts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN class TEXT NOT NULL DEFAULT '';
ALTER TABLE dead ADD COLUMN event TEXT NOT NULL DEFAULT '';
ALTER TABLE dead ADD COLUMN message_id TEXT NOT NULL DEFAULT '';
UPDATE dead SET class = CASE
    WHEN reason LIKE 'gave up after %' THEN 'expired'
    WHEN status IN (401, 403, 407) THEN 'refused_credentials'
    WHEN status > 0 THEN 'rejected'
    WHEN reason LIKE 'cannot be sent: %' THEN 'unsendable'
    WHEN reason LIKE 'adapter error: %' OR reason LIKE '%: adapter failed: %' THEN 'adapter'
    WHEN reason LIKE '%: a private address; %' THEN 'blocked'
    WHEN reason LIKE 'the stored event cannot be read%' OR reason LIKE 'the payload of %' THEN 'lost'
    WHEN reason LIKE 'the body is not %' OR reason LIKE 'the event is not %' THEN 'unreadable'
    WHEN reason LIKE '%.py:%' THEN 'script'
    ELSE 'invalid' END;
CREATE INDEX dead_by_class ON dead (class, id);
CREATE INDEX dead_by_message ON dead (message_id);
CREATE INDEX dead_by_segment ON dead (segment);
CREATE INDEX dead_by_time ON dead (at);
ALTER TABLE refused RENAME TO refused_before;
CREATE TABLE refused (
    number INTEGER PRIMARY KEY, source TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
    at REAL NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL
);
INSERT INTO refused SELECT number, source, code, message, at / 1000.0, 0, 0, 0 FROM refused_before;
DROP TABLE refused_before;
CREATE INDEX refused_by_source ON refused (source, number);
CREATE INDEX refused_by_segment ON refused (segment);
CREATE INDEX refused_by_time ON refused (at);
""", _counted("dead", "destination", "class"), _counted("refused", "source", "code"))),
    """
CREATE INDEX dead_by_number ON dead (number);
""",
    # Events tried before this step begin their `retry_for` anew: what was stored measured another time.
    """
ALTER TABLE destination RENAME COLUMN paused TO active;
ALTER TABLE destination ADD COLUMN refused TEXT NOT NULL DEFAULT '';
ALTER TABLE destination ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE destination ADD COLUMN since REAL NOT NULL DEFAULT 0;
ALTER TABLE exception RENAME COLUMN paused TO active;
UPDATE destination SET active = 0;
UPDATE exception SET active = 0;
""",
    """
CREATE TABLE job (
    id INTEGER PRIMARY KEY, destination TEXT NOT NULL, type TEXT NOT NULL, state BLOB NOT NULL,
    events BLOB NOT NULL, attempts INTEGER NOT NULL, next_at REAL NOT NULL, reason TEXT NOT NULL
);
""",
    # Letters are in the order of their times: ids are not, where they are of several processes.
    """
DROP INDEX dead_by_destination;
DROP INDEX dead_by_class;
CREATE INDEX dead_by_moment ON dead (CAST(at * 1000 AS INTEGER), id);
CREATE INDEX dead_by_destination ON dead (destination, CAST(at * 1000 AS INTEGER), id);
CREATE INDEX dead_by_class ON dead (class, CAST(at * 1000 AS INTEGER), id);
""",
)


def migrate(db: sqlite3.Connection, path: Path, steps: Sequence[str] = STEPS) -> None:
    """Bring the open file to the newest version; raises `FormatError` where it is newer still."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > len(steps):
        raise FormatError(
            f"{path.name} was written by a newer Turnout (version {version}; this one knows {len(steps)})"
        )
    if 0 < version < len(steps):
        _copy(db, path.with_name(f"{path.name}.v{version}"))
    for number in range(version, len(steps)):
        db.executescript(f"BEGIN;{steps[number]}PRAGMA user_version={number + 1};COMMIT")


def _copy(db: sqlite3.Connection, path: Path) -> None:
    path.touch(0o600)
    copy = sqlite3.connect(path)
    try:
        db.backup(copy)
    finally:
        copy.close()
