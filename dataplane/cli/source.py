"""Events as people hand them to a command: one JSON value, or one a line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from turnout import codec
from turnout.errors import Fixable, Refused

__all__ = ["parse_events", "read_events"]

LIMIT = 8 << 20
"""Most bytes a command reads."""


def read_events(file: str) -> list[dict[str, Any]]:
    """The events of a file or of standard input (`-`): an object, an array, `{batch}`, or NDJSON.

    Raises `Fixable` with the line that is no JSON.
    """
    if file == "-":
        data = sys.stdin.buffer.read(LIMIT + 1)
    else:
        with Path(file).open("rb") as stream:
            data = stream.read(LIMIT + 1)
    return parse_events(data, "standard input" if file == "-" else file)


def parse_events(data: bytes, name: str) -> list[dict[str, Any]]:
    """The events in `data`; errors call it `name`."""
    if len(data) > LIMIT:
        raise Fixable(f"{name} is larger than {LIMIT >> 20} MiB")
    if not data.strip():
        raise Fixable(f"{name} is empty: an event is a JSON object")
    found = _parse(data, name)
    for place, event in enumerate(found, 1):
        if not isinstance(event, dict):
            raise Fixable(f"{name}: event {place} is not a JSON object")
    return found


def _parse(data: bytes, name: str) -> list[Any]:
    try:
        whole = codec.loads(data)
    except Refused as error:
        lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
        if len(lines) == 1:
            raise Fixable(f"{name}: {error.message}") from None
        return [_line(line, number, name) for number, line in lines]
    if isinstance(whole, dict) and isinstance(whole.get("batch"), list):
        return list(whole["batch"])
    return whole if isinstance(whole, list) else [whole]


def _line(line: bytes, number: int, name: str) -> Any:
    try:
        return codec.loads(line)
    except Refused as error:
        raise Fixable(f"{name}:{number}: {error.message}") from None
