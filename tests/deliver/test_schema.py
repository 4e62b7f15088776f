"""The state file's versions: older is migrated behind a copy, newer is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from dataplane.deliver.index import DEAD, Filter, Index, Row
from dataplane.deliver.job_state import JobRow, stored_jobs
from dataplane.deliver.schema import STEPS, migrate
from dataplane.deliver.state import Changes, State
from turnout.errors import FormatError


def version(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    finally:
        db.close()


def test_a_new_file_has_the_newest_version_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.db"
    for _ in range(2):
        State(path).close()
        assert version(path) == len(STEPS)
    assert not list(tmp_path.glob("*.v*"))


def test_an_older_file_is_copied_then_migrated(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.db"
    db = sqlite3.connect(path, isolation_level=None)
    migrate(db, path, STEPS[:1])
    db.execute("INSERT INTO fact VALUES ('counted', 7)")
    migrate(db, path, (*STEPS[:1], "ALTER TABLE fact ADD COLUMN note TEXT;"))
    assert db.execute("SELECT name, value, note FROM fact").fetchall() == [("counted", 7, None)]
    db.close()
    copy = path.with_name("pipeline.db.v1")
    assert copy.stat().st_mode & 0o777 == 0o600
    old = sqlite3.connect(copy)
    assert old.execute("SELECT * FROM fact").fetchall() == [("counted", 7)]
    old.close()
    assert (version(copy), version(path)) == (1, 2)


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.db"
    State(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={len(STEPS) + 1}")
    db.close()
    with pytest.raises(FormatError, match=r"newer Turnout \(version"):
        State(path)


def test_a_file_from_before_there_were_jobs_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.db"
    before = next(i for i, step in enumerate(STEPS) if "CREATE TABLE job" in step)
    db = sqlite3.connect(path, isolation_level=None)
    migrate(db, path, STEPS[:before])
    db.close()
    state = State(path)
    changes = Changes()
    JobRow(1, "jobs", "bulk", {"step": 1}, ((7, 0), (8, 1)), 2, 3.5, "waits").put(changes)
    changes.durable = True
    state.commit(changes)
    assert list(stored_jobs(state, "jobs")) == [
        JobRow(1, "jobs", "bulk", {"step": 1}, ((7, 0), (8, 1)), 2, 3.5, "waits")
    ]
    state.close()


@pytest.mark.parametrize("fields", [{}, {"destination": "crm"}, {"class": "rejected"}])
def test_a_page_of_letters_is_read_in_its_order_and_never_sorted(tmp_path: Path, fields: dict[str, str]) -> None:
    path = tmp_path / "pipeline.db"
    State(path).close()
    index = Index(path)
    asked: list[tuple[str, tuple[object, ...]]] = []

    def said(sql: str, values: Sequence[object] = ()) -> list[Row]:
        asked.append((sql, tuple(values)))
        return []

    index._rows = said  # type: ignore[method-assign]
    index.latest(DEAD, Filter(fields), (5, 7), 100)
    index.after(DEAD, Filter(fields), (5, 7), 9, 100)
    index.close()
    db = sqlite3.connect(path)
    for sql, values in asked:
        plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values))
        assert "USING INDEX dead_by" in plan
        assert "B-TREE" not in plan
    db.close()
    assert len(asked) == 2
