"""What other pipeline processes wrote down, to be read by this one: it is theirs, and never changed here.

What they have in memory is asked by the app. Here is what must be right also while one of them is down: where a
destination began, which numbers were given out, and what a replay reads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from dataplane.deliver.archive import Archive, Restore, Shelf
from dataplane.deliver.state import last_letter, last_number
from dataplane.pipeline.share import Share
from turnout.errors import Unavailable

__all__ = ["Rows", "Siblings"]


class Rows:
    """Answers queries of a state file that another process writes, or is to write; nothing where there is none, or one
    that is damaged, which its own process puts aside."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        try:
            db = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=5.0)
        except sqlite3.OperationalError:
            return []  # put aside as damaged, and not made anew yet
        with closing(db):
            try:
                db.execute("PRAGMA query_only=ON")
                return db.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                    raise Unavailable(f"{self._path} cannot be read: {error}") from None
                return []


class Siblings:
    """The other processes beside `share`; nobody, where it is alone."""

    def __init__(self, data: Path, share: Share) -> None:
        self._homes = {one.process: one.home(data) for one in share.others()}
        self._states = {process: Rows(home / "state" / "pipeline.db") for process, home in self._homes.items()}

    @property
    def journals(self) -> list[Path]:
        """The folders of their journals."""
        return [home / "journal" for home in self._homes.values()]

    def shelves(self, restore: Restore) -> list[Archive]:
        """Their archives."""
        return [Shelf(home / "archive", self._states[process], restore) for process, home in self._homes.items()]

    def began(self, destination: str) -> int | None:
        """Where the process that sequences says that a destination begins; None where it does not, or is this one."""
        if 0 not in self._states:
            return None
        rows = self._states[0].rows("SELECT value FROM fact WHERE name=?", f"began {destination}")
        return int(rows[0][0]) if rows else None

    def last_number(self) -> int:
        """The highest event number that any of them speaks of; 0 where there is none."""
        return max((last_number(state.rows) for state in self._states.values()), default=0)

    def last_letter(self) -> int:
        """The highest id of a dead letter that any of them gave; 0 where there is none."""
        return max((last_letter(state.rows) for state in self._states.values()), default=0)

    def dead(self, destination: str, until: float) -> Iterator[int]:
        """Numbers of events with a dead letter of a destination that they buried until then (Unix seconds)."""
        for state in self._states.values():
            for (number,) in state.rows("SELECT number FROM dead WHERE destination=? AND at<=?", destination, until):
                yield number
