"""Answers of several pipeline processes as one: pages miss nothing and repeat nothing, sums are sums."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.app.orders import elsewhere
from dataplane.deliver.index import spot, spot_text
from dataplane.inspect import together
from dataplane.inspect.health import judge
from turnout.clock import from_millis, iso
from turnout.errors import Fixable

SPAN = 10_000


@st.composite
def letters(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """Per process its letters, oldest first. No two share an id; those of one process are in no order of time where it
    took letters over of one that is no more."""
    times = draw(st.lists(st.lists(st.integers(1, 50), max_size=12), min_size=2, max_size=4))
    return [
        sorted(
            [{"id": process * SPAN + n, "at": iso(from_millis(at))} for n, at in enumerate(mine, 1)],
            key=lambda row: (row["at"], row["id"]),
        )
        for process, mine in enumerate(times)
    ]


def stands(row: dict[str, Any]) -> tuple[int, int]:
    return int(row["at"][-4:-1]), row["id"]


def page(mine: list[dict[str, Any]], cursor: str, limit: int) -> dict[str, Any]:
    """As a process answers `dead.list`."""
    before = spot(cursor)
    rows = [row for row in reversed(mine) if before is None or stands(row) < before][:limit]
    return {"dead": rows, "cursor": spot_text(*stands(rows[-1])) if len(rows) == limit else None}


def export(mine: list[dict[str, Any]], cursor: str, limit: int) -> dict[str, Any]:
    """As a process answers `dead.export`."""
    after, _, upto = cursor.partition("-") if cursor else ("0", "", str(max((row["id"] for row in mine), default=0)))
    rows = [row for row in mine if (spot(after) or (0, 0)) < stands(row) and row["id"] <= int(upto)][:limit]
    return {"dead": rows, "cursor": f"{spot_text(*stands(rows[-1]))}-{upto}" if len(rows) == limit else None}


@given(letters(), st.integers(1, 7), st.booleans())
def test_pages_over_all_are_in_order_and_have_each_letter_once(
    kept: list[list[dict[str, Any]]], limit: int, newest: bool
) -> None:
    ask, merge = (page, together.newest) if newest else (export, together.oldest)
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(100):
        places = together.places(cursor, len(kept))
        pages = [None if at is None else ask(mine, at, limit) for mine, at in zip(kept, places, strict=True)]
        merged = merge("dead", pages, places, limit)
        assert len(merged["dead"]) <= limit
        found += merged["dead"]
        cursor = merged["cursor"]
        if cursor is None:
            break
    assert cursor is None
    times = [row["at"] for row in found]
    assert times == sorted(times, reverse=newest)
    assert sorted(row["id"] for row in found) == sorted(row["id"] for mine in kept for row in mine)


def test_a_cursor_of_another_number_of_processes_is_no_cursor() -> None:
    for cursor in ("12", "1.2.3", "5", "x.x"):
        with pytest.raises(Fixable, match="cursor"):
            together.places(cursor, 2)


def test_counts_in_groups_are_added_up() -> None:
    one = {"total": 3, "destinations": {"crm": {"rejected": 3}}}
    other = {"total": 5, "destinations": {"ads": {"invalid": 1}, "crm": {"expired": 2, "rejected": 2}}}
    assert together.summed([one, other]) == {
        "total": 8, "destinations": {"ads": {"invalid": 1}, "crm": {"expired": 2, "rejected": 5}},
    }  # fmt: skip


def test_a_backlog_is_as_far_as_the_process_that_is_furthest_behind() -> None:
    other = {"crm": {"unread": 3, "aside": 4}, "disk": {"unread": 1, "aside": 0}}
    both = {"crm": {"unread": 5, "aside": 6}, "disk": {"unread": 1, "aside": 0}}
    assert together.left([{"crm": {"unread": 5, "aside": 2}}, other]) == both
    assert together.left([{}, {}]) == {}


def test_ids_are_unknown_where_no_process_knows_them() -> None:
    one = {"retried": 1, "left": [], "full": None, "not_found": [2, 3], "cursor": None}
    other = {"retried": 1, "left": [{"id": 2, "reason": "no"}], "full": "crm", "not_found": [1, 3], "cursor": None}
    assert together.walked([one, other]) == {
        "retried": 2, "left": [{"id": 2, "reason": "no"}], "full": "crm", "not_found": [3], "cursor": None,
    }  # fmt: skip
    assert together.walked([one], "pipeline-1: gone") == {
        "retried": 1, "left": [{"id": key, "reason": "pipeline-1: gone"} for key in (2, 3)], "full": None,
        "not_found": [], "cursor": None,
    }  # fmt: skip


def row(**said: Any) -> dict[str, Any]:
    return {"type": "webhook", "state": "running", "reason": "", "since": None, "queued": 0, "delivered": 0,
            "unread": 0.0, "next_retry_at": None, "backlog": {"bytes": 0, "share": 0.0}, **said}  # fmt: skip


def status(**destination: Any) -> dict[str, Any]:
    pool = {"alive": True, "locked": True, "busy": 1, "idle": 0, "waiting": 0, "benched": [], "stopped": {}}
    return {
        "destinations": {"hook": row(**destination)}, "state_stuck": False, "lost_letters": {},
        "buffer": {"share": 0.1, "held": 1},
        "stopping_intake": {}, "transformations": pool, "sequenced": 7, "sources": {"web": {"unique": 7}},
    }  # fmt: skip


def test_a_destination_is_as_the_process_says_that_is_worst_off() -> None:
    down = status(state="down", reason="HTTP 503", since="s", queued=3, delivered=2, unread=5.0, next_retry_at=9.0)
    held = status(delivered=4, unread=5.0, next_retry_at=7.0, backlog={"bytes": 8, "share": 0.5})
    found = together.status([held, down, {**status(delivered=1, unread=0.5), "state_stuck": True}])
    assert found["destinations"]["hook"] == row(
        state="down", reason="HTTP 503", since="s", queued=3, delivered=7, unread=11, next_retry_at=7.0,
        backlog={"bytes": 8, "share": 0.5},
    )  # fmt: skip
    assert found["state_stuck"]
    assert found["transformations"]["busy"] == 3
    assert found["sources"] == {"web": {"unique": 7}}
    assert together.status([]) == {}
    assert together.status([held]) is held


def test_of_a_process_that_does_not_answer_figures_are_as_they_were() -> None:
    types = {"hook": "webhook", "crm": "http"}
    whole = together.seen(status(delivered=4), types, {}, answered=True)
    assert whole["destinations"] == {"hook": row(delivered=4)}
    assert whole["stale"] == {}

    half = together.seen(status(state="down", delivered=4), {"hook": "webhook"}, {"pipeline-1": "then"}, answered=True)
    assert half["destinations"]["hook"] == row(state="down", delivered=4), "who answers knows how it is"
    assert half["stale"] == {"pipeline-1": "then"}

    gone = together.seen(status(delivered=4, unread=2.0), types, {"pipeline": "then"}, answered=False)
    assert gone["destinations"]["hook"] == row(
        delivered=4, unread=2.0, state="unknown", since="then", reason=together.SILENT, next_probe_at=None
    )
    fresh = gone["destinations"]["crm"]
    assert (fresh["type"], fresh["state"], fresh["delivered"]) == ("http", "unknown", None)
    assert together.seen(status(), {}, {"pipeline": "then"}, answered=False)["destinations"] == {}, "removed since"

    never = together.seen({}, types, {"pipeline": None}, answered=False)
    assert {one["state"] for one in never["destinations"].values()} == {"unknown"}
    assert never.keys() >= status().keys()
    assert judge({**never, "roles": {"pipeline": {"state": "restarting"}}})["problems"] == ["pipeline: restarting"]


def test_of_those_that_found_a_tool_down_the_first_probes_and_all_others_wait() -> None:
    found = {"pipeline-10": {"crm": ["down", "x", "s"]}, "pipeline-2": {"crm": ["down", "y", "s"]}, "pipeline": {}}
    known = {"crm": ["down", "y", "s"]}
    assert elsewhere(found, "pipeline") == elsewhere(found, "pipeline-10") == known
    assert elsewhere(found, "pipeline-2") == {}
    assert elsewhere({}, "pipeline") == {}
