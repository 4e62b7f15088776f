"""What is healthy, what is a problem, what is only a warning."""

from __future__ import annotations

from typing import Any

import pytest

from dataplane.app.supervisor import needs_restart
from dataplane.config import parse
from dataplane.inspect.health import judge


def _status(**changed: Any) -> dict[str, Any]:
    role = {"state": "running", "crash_loop": False, "last_exit": ""}
    log = {"open": True, "full": False, "reason": ""}
    return {"roles": {"ingest": role, "pipeline": role}, "log": log, "destinations": {}, **changed}


def test_all_running_is_well() -> None:
    assert judge(_status()) == {"ok": True, "problems": [], "warnings": []}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"roles": {"ingest": {"state": "restarting"}}}, "ingest: restarting"),
        ({"roles": {"pipeline": {"state": "running", "crash_loop": True, "last_exit": "SIGKILL"}}}, "SIGKILL"),
        ({"log": {"open": False, "full": False, "reason": "fsync: I/O error"}}, "closed: fsync"),
        ({"log": {"open": True, "full": True, "reason": "no space"}}, "full: no space"),
        ({"state_stuck": True}, "state"),
    ],
)
def test_what_stops_events_is_a_problem(changed: dict[str, Any], said: str) -> None:
    health = judge(_status(**changed))
    assert not health["ok"]
    assert said in " ".join(health["problems"])


def test_one_destination_that_needs_a_person_is_a_warning() -> None:
    health = judge(_status(destinations={"crm": {"state": "paused", "reason": "HTTP 401", "dead": 3, "revived": 1}}))
    assert health["ok"]
    assert health["warnings"][0] == "crm: paused: HTTP 401"
    assert "2 dead" in health["warnings"][1]


def test_dead_letters_that_were_discarded_or_dropped_need_nobody() -> None:
    row = {"state": "running", "dead": 4, "revived": 1, "discarded": 2, "dropped": 1}
    assert judge(_status(destinations={"crm": row}))["warnings"] == []


BASE = "sources: {web: {write_key: k}}\n"


@pytest.mark.parametrize(
    ("text", "stuck"),
    [
        ("server: {port: 1}\n", ["server.port"]),
        ("data: elsewhere\n", ["data"]),
        ("log: {retention: 1d}\n", ["log"]),
        ("processes: {transform: 2}\n", ["processes"]),
        ("server: {limits: {events: 7}}\n", []),
        ("egress: {allow_private: true}\n", []),
    ],
)
def test_what_a_reload_cannot_change(text: str, stuck: list[str]) -> None:
    changed = needs_restart(parse(BASE, "/c/config.yaml"), parse(BASE + text, "/c/config.yaml"))
    assert [name for name in changed if name != "admin"] == stuck


def test_a_backlog_near_its_bound_and_a_log_that_fills_are_warnings_before_they_are_problems() -> None:
    backlog = {"share": 0.85, "bytes": 1_000, "age": 90_000}
    buffer = {"share": 0.81, "capacity": 5_000, "full_in": 8_000}
    health = judge(_status(destinations={"crm": {"state": "down", "reason": "x", "backlog": backlog}}, buffer=buffer))
    assert health["ok"]
    assert "crm: its backlog is at 85% of its bound (1,000 bytes, oldest 1 d 1 h)" in health["warnings"]
    assert "log: undelivered events hold 81% of its 5,000 bytes, full in 2 h 13 min at this rate" in health["warnings"]
    assert judge(_status(buffer={"share": 0.79, "capacity": 5_000, "full_in": 10}))["warnings"] == []


def test_a_stopped_intake_is_a_problem() -> None:
    health = judge(_status(stopping_intake={"crm": "the backlog of crm has reached its bound"}))
    assert health["problems"] == ["no events are taken: the backlog of crm has reached its bound"]


def test_a_stopped_script_and_a_sandbox_without_its_filter_are_said() -> None:
    row = {"since": "2026-11-18T11:06:40.000Z", "reason": "killed", "next_probe_at": "2026-11-18T11:07:40.000Z"}
    found = judge({"transformations": {"locked": False, "sandbox": "off", "stopped": {"mark": row}}})
    assert found["ok"]
    assert found["warnings"] == [
        "transformation mark: stopped since 2026-11-18T11:06:40.000Z: killed; what uses it waits, "
        "tried again at 2026-11-18T11:07:40.000Z (turnout resume transformation mark)",
        "transformations run without a system-call filter (sandbox: off): for trusted authors only",
    ]
