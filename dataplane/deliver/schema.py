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
