"""`turnout status` and `turnout reload`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer

from dataplane.cli.client import Client, find_socket
from dataplane.cli.output import clear, json_line, say, table
from turnout.durations import write_span

__all__ = ["reload", "status"]

YEAR = 365 * 86_400.0
"""Seconds; a log that takes longer to fill does not fill."""


def status(config: Path, socket: Path | None, *, watch: bool, as_json: bool) -> None:
    """Show the status, once or every second; exit 1 when it is not well."""
    client = Client(find_socket(config, socket))
    while True:
        found = client.get("/status")
        if as_json:
            json_line(found)
        else:
            if watch:
                clear()
            _show(found)
        if not watch:
            break
        time.sleep(1)
    if not found["health"]["ok"]:
        raise typer.Exit(1)


def reload(config: Path, socket: Path | None, *, as_json: bool) -> None:
    """Apply the configuration again."""
    found = Client(find_socket(config, socket, broken=False)).post("/reload")
    if as_json:
        json_line(found)
    else:
        say(f"applied: configuration {found['hash']}; {_difference(found)}")


def _difference(found: dict[str, Any]) -> str:
    """What a reload changed, added and removed."""
    fresh = {*found["added"], *found["removed"]}
    parts = {
        "added": found["added"], "changed": [name for name in found["changed"] if name not in fresh],
        "removed": found["removed"],
    }  # fmt: skip
    told = [f"{word}: {', '.join(names)}" for word, names in parts.items() if names]
    return "; ".join(told) or "changed: no setting, secret or script"


def _show(found: dict[str, Any]) -> None:
    health = found["health"]
    how = "is well" if health["ok"] else "is NOT well"
    say(f"turnout {found['version']} {how}: {found['url']}, process {found['pid']}")
    for problem in health["problems"]:
        say(_indented(f"problem: {problem}"))
    for warning in health["warnings"]:
        say(_indented(f"warning: {warning}"))
    for alert in found["alerts"]["active"]:
        say(f"  alert since {alert['since']}: {alert['summary']}")
    say("")
    table("", ("role", "state", "pid", "restarts", "last exit"), (
        (name, role["state"], role["pid"], role["restarts"], role["last_exit"])
        for name, role in found["roles"].items()
    ))
    for name, moment in found["stale"].items():
        how = f"what is said of its events is of {moment}" if moment else "nothing is known of its events yet"
        say(f"  {name} does not answer: {how}")
    # Of what damage took before it was counted, nobody knows the source.
    _section("source", {name or "(unknown)": row for name, row in (found.get("sources") or {}).items()})
    _destinations(found.get("destinations") or {})
    for ident, row in (found.get("replays") or {}).items():
        held = "; the log keeps what it has not read" if row["holds_log"] else ""
        waits = f", {row['reason']}" if row["reason"] else ""
        share = (row["position"] - row["first"]) / max(1, row["end"] - row["first"])
        say(f"\nreplay {ident} to {row['file'] or row['destination']}: {share:.0%} read, "
            f"{row['pending']} pending{waits}{held}")  # fmt: skip
    if pauses := found.get("pauses"):
        say("")
        columns = ("kind", "name", "since", "by", "reason")
        table("", ("paused", *columns[1:]), ([row[key] for key in columns] for row in pauses))
    if buffer := found.get("buffer"):
        left = buffer["full_in"]
        full = "" if left is None or left > YEAR else f", full in {write_span(left)} at this rate"
        say(f"\nundelivered: {buffer['held']:,} of {buffer['capacity']:,} bytes ({buffer['share']:.0%}){full}")
    if log := found.get("log"):
        how = ("open" if log["open"] else "CLOSED") + (", FULL" if log["full"] else "")
        say(f"\nlog: {how}, {log['bytes']:,} bytes")
        if len(log["partitions"]) > 1:
            table("", ("partition", "role", "open", "full", "bytes", "records since start", "unsequenced bytes"), (
                (number, part["role"], part["open"], part["full"], f"{part['bytes']:,}", part["records"],
                 None if part["sequenced"] is None else part["head"] - part["sequenced"])
                for number, part in log["partitions"].items()
            ))
    config = found["config"]
    last = config["last_reload"]
    reloaded = f", last reload {last['result']} {last['at']}" if last else ""
    say(f"config: {config['file']} ({config['hash']}){reloaded}")


def _indented(text: str) -> str:
    """One of the lines below the first; what a reload was refused for may have several itself."""
    return "  " + text.replace("\n", "\n    ")


def _section(title: str, rows: dict[str, dict[str, Any]]) -> None:
    """A table of what the engine says of each source or destination; plain values only."""
    if not rows:
        return
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    say("")
    cells = ((name, *(_cell(row.get(key)) for key in columns)) for name, row in rows.items())
    table("", (title, *columns), cells)


def _destinations(rows: dict[str, dict[str, Any]]) -> None:
    """A line for each, and below why one does not run and its jobs at the tool; `--json` has every figure."""
    if not rows:
        return
    say("")
    columns = ("destination", "type", "state", "delivered", "filtered", "dead", "archived", "to go", "backlog")
    table("", columns, (
        (
            name, row["type"], row["state"], row["delivered"], row["filtered"], _kept(row), row["archived"],
            None if row["pending"] is None else row["pending"] + row["unread"], _backlog(row.get("backlog")),
        )
        for name, row in rows.items()
    ))  # fmt: skip
    for name, row in rows.items():
        if row["state"] != "unknown" and (row["state"] != "running" or row.get("reason")):
            since = f" since {row['since']}" if row["since"] else ""
            probe = f"; tried again at {row['next_probe_at']}" if row["next_probe_at"] else ""
            say(f"  {name}: {row['state']}{since}: {row['reason']}{probe}")
        if jobs := row["jobs"]:
            say(f"  {name}: {jobs:,} {'job' if jobs == 1 else 'jobs'} under way at the tool")


def _kept(row: dict[str, Any]) -> int | None:
    """Dead letters that are kept; None where nobody has said yet."""
    return None if row["dead"] is None else row["dead"] - row["revived"] - row["discarded"] - row["dropped"]


def _backlog(held: dict[str, Any] | None) -> str:
    """How old, how large, and how near to its bound."""
    if not held or not held["bytes"]:
        return ""
    return f"{write_span(held['age'])}, {held['bytes']:,} bytes, {held['share']:.0%} of its bound"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_cell(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)
