"""`turnout dead list|show|retry`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dataplane.cli.client import Client, find_socket
from dataplane.cli.output import json_line, say, table
from turnout import codec
from turnout.errors import Fixable

__all__ = ["listing", "retry", "show"]


def listing(
    config: Path, socket: Path | None, destination: str, limit: int, cursor: str, *, as_json: bool
) -> None:
    """List dead letters."""
    client = Client(find_socket(config, socket))
    found = client.get("/dead", destination=destination, limit=limit, cursor=cursor)
    if as_json:
        json_line(found)
        return
    rows: list[dict[str, Any]] = found["dead"] if isinstance(found, dict) else found
    if not rows:
        say("no dead letters" + (f" of {destination}" if destination else ""))
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table("", columns, ([row.get(key) for key in columns] for row in rows))
    if isinstance(found, dict) and found.get("cursor"):
        say(f"more: turnout dead list --cursor {found['cursor']}")


def show(config: Path, socket: Path | None, letter: str, *, as_json: bool) -> None:
    """Show one dead letter."""
    found = Client(find_socket(config, socket)).get(f"/dead/{letter}")
    if as_json:
        json_line(found)
    else:
        say(json.dumps(found, indent=2, ensure_ascii=False))


def retry(
    config: Path, socket: Path | None, letters: list[str], every: bool, destination: str, *, as_json: bool
) -> None:
    """Try dead letters again."""
    if bool(letters) == every:
        raise Fixable("give ids, or --all (with --destination to limit it)")
    wanted: dict[str, Any] = {"all": True} if every else {"ids": [_id(letter) for letter in letters]}
    if destination:
        wanted["destination"] = destination
    found = Client(find_socket(config, socket)).post("/dead/retry", codec.dumps(wanted))
    if as_json:
        json_line(found)
        return
    count = found.get("retried") if isinstance(found, dict) else found
    say(f"{count} on their way again: `turnout dead list` shows which come back")


def _id(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text
