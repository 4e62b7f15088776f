"""`turnout send`."""

from __future__ import annotations

from pathlib import Path

import typer

from dataplane.cli.client import Client, find_socket
from dataplane.cli.output import json_line, say
from dataplane.cli.source import read_events
from turnout import codec

__all__ = ["send"]


def send(config: Path, socket: Path | None, file: str, source: str, *, as_json: bool) -> None:
    """Send events; exit 1 where the gateway did not take them."""
    events = read_events(file)
    body = codec.dumps(events[0] if len(events) == 1 else events)
    answer = Client(find_socket(config, socket)).post("/send", body, source=source)
    if as_json:
        json_line(answer)
    else:
        say(f"HTTP {answer['status']} {codec.dumps(answer['reply']).decode()}")
    if answer["status"] != 200:
        raise typer.Exit(1)
