"""`turnout preview`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from dataplane.cli.output import json_line, say
from dataplane.cli.sandbox import workers
from dataplane.cli.source import read_events
from dataplane.clock import SystemClock
from dataplane.config import load
from dataplane.inspect.cases import Case, answer
from dataplane.inspect.preview import Previewer
from turnout import codec
from turnout.errors import Fixable, Refused

__all__ = ["cases", "preview"]

_TYPES = {
    "json": "application/json", "json_array": "application/json", "xml": "application/xml",
    "form": "application/x-www-form-urlencoded",
}
"""What a body is sent as; a form is shown as an object, field by field, and would be taken for JSON without it."""


def cases(lines: Iterable[str]) -> None:
    """Answer one case a line, in order; raises `Fixable` with the number of a line that is none."""
    clock = SystemClock()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            case = Case.model_validate(codec.loads(line.encode("utf-8", "replace")))
        except Refused as error:
            raise Fixable(f"line {number} is no case: {error.message}") from None
        except ValidationError as error:
            found = error.errors(include_input=False)[0]
            where = ".".join(str(part) for part in found["loc"])
            raise Fixable(f"line {number} is no case: {where}: {found['msg']}") from None
        json_line(answer(case, clock))


def preview(config: Path, destination: str, file: str, source: str, *, as_json: bool) -> None:
    """Show what would be sent for each event; exit 1 where nothing would be for any of them."""
    results = asyncio.run(_results(config, destination, read_events(file), source))
    for result in results:
        if as_json:
            json_line(result)
        else:
            _show(result, destination)
    if not any(part["verdict"] == "send" for result in results for part in result["parts"]):
        raise typer.Exit(1)


async def _results(
    path: Path, destination: str, events: list[dict[str, Any]], source: str
) -> list[dict[str, Any]]:
    config = load(path)
    async with workers(config.sandbox) as pool:
        previewer = await Previewer.of(config, destination, source, pool, SystemClock())
        return [await previewer.show(event) for event in events]


def _show(result: dict[str, Any], destination: str) -> None:
    name = f"event {result['message_id']}" if result["message_id"] else "event"
    for part in result["parts"]:
        if part["verdict"] != "send":
            say(f"# {name}: {part['verdict']}: {part['reason']}")
            continue
        say(f"# {name} to {destination} ({part['rule']})")
        for request in part["requests"]:
            say(f"{request['method']} {request['url']}")
            for key, value in {**request["params"]}.items():
                say(f"  ?{key}={value}")
            for key, value in request["headers"].items():
                say(f"{key}: {value}")
            for kind, value in request["body"].items():
                if kind in _TYPES and "content-type" not in {key.lower() for key in request["headers"]}:
                    say(f"Content-Type: {_TYPES[kind]}")
                say("\n" + (value if isinstance(value, str) else _pretty(value)))
        for record in part["records"]:
            key = "" if record["key"] is None else f", key {record['key']}"
            say(f"record for {record['target']}{key}\n\n{_pretty(record['body'])}")
        say("")


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
