"""`turnout alerts list|test`."""

from __future__ import annotations

from pathlib import Path

import typer

from dataplane.cli.client import Client, find_socket
from dataplane.cli.output import json_line, say, table
from turnout import codec

__all__ = ["listing", "test"]


def listing(config: Path, socket: Path | None, *, as_json: bool) -> None:
    """List what stands."""
    found = Client(find_socket(config, socket)).get("/alerts")
    if as_json:
        json_line(found)
        return
    if found["active"]:
        columns = ("kind", "subject", "since", "summary")
        table("", columns, ([row[name] for name in columns] for row in found["active"]))
    else:
        say("no alert stands")
    for name, reason in found["failing"].items():
        say(f"the channel {name} does not take them: {reason} ({found['waiting'].get(name, 0)} waiting)")


def test(config: Path, socket: Path | None, channel: str, *, as_json: bool) -> None:
    """Send a test alert; exit 1 where a channel did not take it."""
    body = codec.dumps({"channel": channel} if channel else {})
    found = Client(find_socket(config, socket)).post("/alerts/test", body)
    if as_json:
        json_line(found)
    else:
        for row in found["tested"]:
            answer = f"HTTP {row['status']} {row['answer']}".rstrip() if row["status"] else ""
            said = "; ".join(part for part in (answer, row["error"]) if part)
            say(f"{row['channel']}: {'taken' if row['ok'] else 'NOT taken'}: {said}")
    if not all(row["ok"] for row in found["tested"]):
        raise typer.Exit(1)
