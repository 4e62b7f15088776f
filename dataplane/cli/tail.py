"""`turnout tail`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataplane.cli.client import Client, find_socket
from dataplane.cli.output import json_line, styled

__all__ = ["tail"]

STYLES = {"delivered": "green", "filtered": "yellow", "dead": "red", "pending": "cyan"}


def tail(config: Path, socket: Path | None, wanted: Mapping[str, str], *, as_json: bool) -> None:
    """Print verdicts as they are reached, until Ctrl-C or the end of the data plane."""
    lines = Client(find_socket(config, socket)).stream("/tail", **wanted)
    if as_json:
        for line in lines:
            json_line(line)
    else:
        styled(_shown(line) for line in lines)


def _shown(line: Mapping[str, Any]) -> tuple[str, str]:
    if "not_shown" in line:
        return f"… {line['not_shown']:,} not shown", "dim"
    if "note" in line:
        return f"… {line['note']}", "dim"
    return _line(line), STYLES.get(line["verdict"], "")


def _line(line: Mapping[str, Any]) -> str:
    what = f"{line['type']} {line['event']}".strip() or f"#{line['number']}"
    user = f" of {line['user']}" if line["user"] else ""
    status = f" {line['status']}" if line["status"] else ""
    reason = f": {line['reason']}" if line["reason"] else ""
    moment = line["at"][11:23]
    return f"{moment}  {line['source']}  {what}{user}  > {line['destination']}  {line['verdict']}{status}{reason}"
