"""One word for the whole data plane, and the reasons for it."""

from __future__ import annotations

from typing import Any

from dataplane.deliver.room import ALARM
from turnout.durations import write_span

__all__ = ["judge"]


def judge(status: dict[str, Any]) -> dict[str, Any]:
    """{ok, problems, warnings} of an assembled status.

    A problem means that events are not taken or not carried on; a warning that one destination
    needs a person.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for name, role in status.get("roles", {}).items():
        if role.get("crash_loop"):
            problems.append(f"{name}: dies again and again ({role.get('last_exit')}); see its log lines")
        elif role.get("state") != "running":
            problems.append(f"{name}: {role.get('state')}")
        elif role.get("error"):
            problems.append(role["error"])
    log = status.get("log")
    if log is not None and not log["open"]:
        problems.append(f"log: closed: {log['reason']}")
    elif log is not None and log["full"]:
        problems.append(f"log: full: {log['reason']}")
    for name, destination in (status.get("destinations") or {}).items():
        state = destination.get("state")
        if state in ("paused", "down", "stalled"):
            warnings.append(f"{name}: {state}: {destination.get('reason')}")
        backlog = destination.get("backlog") or {}
        if backlog.get("share", 0) >= ALARM:
            warnings.append(
                f"{name}: its backlog is at {backlog['share']:.0%} of its bound "
                f"({backlog['bytes']:,} bytes, oldest {write_span(backlog['age'])})"
            )
        gone = sum(destination.get(name) or 0 for name in ("revived", "discarded", "dropped"))
        dead = (destination.get("dead") or 0) - gone
        if dead > 0:
            warnings.append(f"{name}: {dead} dead (turnout dead list --destination {name})")
    for folder, size in (status.get("lost_letters") or {}).items():
        warnings.append(
            f"letters: {size:,} bytes are kept in {folder}, whose index went with the state file: nothing reads them "
            "(docs/dead-letters.md); remove the folder once they are not needed"
        )
    if missing := (status.get("geolocation") or {}).get("missing"):
        warnings.append(f"geolocation: {missing}; scripts are told that it is not available, until a reload finds it")
    warnings.extend(_scripts(status.get("transformations") or {}))
    for pause in status.get("pauses") or ():
        if pause["kind"] == "source":
            why = f": {pause['reason']}" if pause["reason"] else ""
            warnings.append(f"source {pause['name']}: paused by {pause['by']} since {pause['since']}{why}")
    warnings.extend(_filling(status.get("buffer") or {}))
    problems.extend(f"no events are taken: {reason}" for reason in (status.get("stopping_intake") or {}).values())
    if status.get("state_stuck"):
        problems.append("state: cannot be written (is the disk full?); nothing is delivered until it can")
    for name, reason in ((status.get("alerts") or {}).get("failing") or {}).items():
        warnings.append(f"alerts: the channel {name} does not take them: {reason}")
    reload = (status.get("config") or {}).get("last_reload")
    if reload and reload["result"] == "rejected":
        warnings.append(f"config: the last reload was rejected: {reload['reason']}")
    return {"ok": not problems, "problems": problems, "warnings": warnings}


def _scripts(found: dict[str, Any]) -> list[str]:
    """Warnings about transformations: stopped ones, and a sandbox without its filter."""
    told = [
        f"transformation {name}: stopped since {row['since']}: {row['reason']}; what uses it waits, "
        f"tried again at {row['next_probe_at']} (turnout resume transformation {name})"
        for name, row in (found.get("stopped") or {}).items()
    ]
    if found.get("locked") is False:
        why = "sandbox: off" if found.get("sandbox") == "off" else "this machine has none"
        told.append(f"transformations run without a system-call filter ({why}): for trusted authors only")
    return told


def _filling(buffer: dict[str, Any]) -> list[str]:
    """A warning where undelivered events fill most of what the log may have."""
    if buffer.get("share", 0) < ALARM:
        return []
    left = buffer.get("full_in")
    when = "" if left is None else f", full in {write_span(left)} at this rate"
    return [f"log: undelivered events hold {buffer['share']:.0%} of its {buffer['capacity']:,} bytes{when}"]
