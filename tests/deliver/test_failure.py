"""Every way to die has one class, whoever words the reason."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.deliver.failure import CLASSES, classify
from dataplane.deliver.schema import STEPS, migrate
from turnout.destination import judge
from turnout.request import Response

TABLE = [
    ("HTTP 400", 400, "rejected"),
    ("HTTP 302", 302, "rejected"),
    ("HTTP 404", 404, "rejected"),
    ("email is missing", 422, "rejected"),
    ("HTTP 403", 403, "refused_credentials"),
    ("HTTP 407", 407, "refused_credentials"),
    ("gave up after 1 d: HTTP 503", 503, "expired"),
    ("gave up after 1 d: crm.example: the name does not resolve", None, "expired"),
    ("gave up after 1 d: HTTP 401: the tool refuses these credentials", 401, "expired"),
    ("script mark.py:5: ZeroDivisionError: division by zero", None, "script"),
    ("script mark: the script ran longer than 4 s", None, "script"),
    ("script output: the event is not a JSON object", None, "script"),
    ("adapter error: KeyError at crm.py:12", None, "adapter"),
    ("crm: adapter failed: KeyError at crm.py:12", None, "adapter"),
    ("an email is needed", None, "invalid"),
    ("", None, "invalid"),
    ("cannot be sent: the address is not http or https", None, "unsendable"),
    ("10.0.0.1:80: a private address; egress.allow_private permits it", None, "blocked"),
    ("unreadable: the body is not valid JSON", None, "unreadable"),
    ("lost: the payload of the retry is gone", None, "lost"),
]


@pytest.mark.parametrize(("reason", "status", "wanted"), TABLE)
def test_classes(reason: str, status: int | None, wanted: str) -> None:
    assert classify(reason, status) == wanted


def test_every_class_is_in_the_table() -> None:
    assert {wanted for _, _, wanted in TABLE} == set(CLASSES)


@given(st.text(), st.one_of(st.none(), st.integers(0, 999)))
def test_the_set_is_closed(reason: str, status: int | None) -> None:
    assert classify(reason, status) in CLASSES


@given(st.integers(200, 599))
def test_what_the_status_table_gives_up_is_the_tools_answer(status: int) -> None:
    verdict = judge(Response(status), datetime.now(UTC))
    if verdict.outcome == "dead":
        assert classify(verdict.reason, verdict.status) in ("rejected", "refused_credentials")


def test_rows_of_the_first_version_get_their_classes_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.db"
    db = sqlite3.connect(path, isolation_level=None)
    migrate(db, path, STEPS[:1])
    before = {  # as the first version worded them
        "drop.py:1: KeyError: 'n'": "script",
        "the body is not valid JSON": "unreadable",
        "the payload of the retry is gone": "lost",
    }
    rows = [(r, s, w) for r, s, w in TABLE if w not in ("script", "unreadable", "lost")]
    rows += [(reason, None, wanted) for reason, wanted in before.items()]
    for number, (reason, status, _) in enumerate(rows):
        db.execute(
            "INSERT INTO dead (destination, source, number, child, key, at, status, reason, segment, offset, length)"
            " VALUES ('hook', 'web', ?, 0, x'00', 1.0, ?, ?, 1, 8, 10)",
            (number, status, reason),
        )
    db.execute("INSERT INTO refused VALUES (7, 'web', 'bad', 'not good', 1795000000000, 0, 0)")
    migrate(db, path)
    found = dict(db.execute("SELECT number, class FROM dead"))
    assert [found[number] for number in range(len(rows))] == [wanted for _, _, wanted in rows]
    assert dict(db.execute("SELECT class, n FROM dead_count")) == {
        name: sum(wanted == name for _, _, wanted in rows) for name in CLASSES
    }
    assert db.execute("SELECT * FROM dead_segment").fetchall() == [(1, len(rows), 10 * len(rows))]
    assert db.execute("SELECT number, code, at FROM refused").fetchall() == [(7, "bad", 1795000000.0)]
    db.close()
