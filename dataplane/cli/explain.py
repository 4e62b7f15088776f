"""`turnout explain`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataplane.cli.client import Client, find_socket, segment
from dataplane.cli.output import counted, json_line, styled
from turnout.durations import write_time
from turnout.errors import Fixable

__all__ = ["explain", "lines"]

Line = tuple[str, str]
"""Text and the style it is shown in."""
SHORT = 100
ATTEMPTS = 4
STYLES = {
    "delivered": "green", "filtered": "yellow", "dead": "red", "pending": "cyan", "archived": "yellow",
    "none": "dim", "unknown": "magenta",
    "unique": "green", "duplicate": "yellow", "refused": "red",
}  # fmt: skip
SIGNS = {"add": "+", "remove": "-", "change": "~"}


def explain(config: Path, socket: Path | None, event: str, source: str, *, full: bool, as_json: bool) -> None:
    """Print what became of an event."""
    if not event:
        raise Fixable("say which event: its messageId, or '#' and its number")
    found = Client(find_socket(config, socket)).get(f"/explain/{segment(event)}", source=source)
    if as_json:
        json_line(found)
    else:
        styled(lines(found, full=full))


def lines(found: Mapping[str, Any], *, full: bool) -> Iterator[Line]:
    """What people are shown of an answer of `explain`."""
    yield from _event(found, full=full)
    for name, one in found["destinations"].items():
        yield "", ""
        yield from _destination(name, one, full=full)


def _event(found: Mapping[str, Any], *, full: bool) -> Iterator[Line]:
    event, decision = found["event"], found["decision"]
    if event is None:
        yield f"event #{found['number']}: its bytes are not in the log any more", "bold"
    else:
        of = f", {event['place'] + 1} of {event['of']} in its request" if event["of"] > 1 else ""
        yield f"event #{found['number']}  {event['message_id']}", "bold"
        yield f"  received {event['received_at']} from {event['source']} ({event['bytes']:,} bytes{of})", ""
        who = event["user_id"] or event["anonymous_id"]
        yield f"  {event['type'] or 'no type'} {event['event']}".rstrip() + (f" of {who}" if who else ""), ""
        body = event["text"] if event["json"] is None else _text(event["json"], full=full)
        yield from _indented(body, "  ", full=full, style="dim")
    yield from _decided(decision)
    if found["enrichment"] and full:
        yield "  added by the server:", ""
        yield from _changes(found["enrichment"], "    ", full=full)


def _decided(decision: Mapping[str, Any]) -> Iterator[Line]:
    result = decision["result"]
    if decision["other_sources"]:
        others = ", ".join(f"--source {name}" for name in decision["other_sources"])
        yield f"  another event has the same messageId: {others}", "bold"
    if result == "refused":
        yield f"  refused at the gateway: {decision['message']} ({decision['code']})", STYLES["refused"]
    elif result == "duplicate":
        first = decision["duplicate_of"]
        of = f"of #{first}: turnout explain '#{first}'" if first else "of an event that is not known any more"
        yield f"  duplicate {of}", STYLES["duplicate"]
    elif result == "unique":
        again = ", ".join(f"#{number}" for number in decision["duplicates"])
        partly = "" if decision["duplicates_searched"] else " (not all later events were looked at)"
        yield "  unique" + (f"; came again as {again}, dropped" if again else "") + partly, STYLES["unique"]
    elif decision["message"]:
        yield f"  {decision['message']}", "dim"


def _destination(name: str, one: Mapping[str, Any], *, full: bool) -> Iterator[Line]:
    kind = f" ({one['type']})" if one["type"] else ""
    if one["type"] == "replay":
        kind = f" (replay to {one['target']})"
    yield f"{name}{kind}: {one['verdict']}: {one['why']}", f"bold {STYLES[one['verdict']]}"
    way = one["reconstructed"]
    if way is not None and (way["steps"] or way["notes"] or any(p["verdict"] == "send" for p in way["parts"])):
        yield from _way(way, full=full)
    attempts = one["attempts"]
    left_out = 0 if full else max(0, len(attempts) - ATTEMPTS)
    for place, attempt in enumerate(attempts):
        if left_out and 1 <= place <= left_out:
            if place == 1:
                yield f"  … {left_out} more attempts (--full shows them)", "dim"
            continue
        said = attempt["error"] or (f"HTTP {attempt['status']}" if attempt["status"] else "written")
        many = f", with {counted(attempt['events'] - 1, 'other')}" if attempt["events"] > 1 else ""
        child = f", output {attempt['child']}" if attempt["child"] else ""
        yield f"  {attempt['at']}  {said} after {write_time(attempt['seconds'])}{many}{child}", ""
    for letter in one["dead"]:
        yield f"  dead letter {letter['id']} at {letter['at']}, {counted(letter['attempts'], 'attempt')}", "red"
        if letter["answer"]:
            yield from _indented(f"answer {letter['answer']['status']}: {letter['answer']['body']}", "    ", full=full)
    for wait in one["waits"][1:]:
        yield f"  also waits: {wait['kind']}, {wait['reason']}, next at {wait['next_at']}", "cyan"


def _way(way: Mapping[str, Any], *, full: bool) -> Iterator[Line]:
    by = "what is in force now" if way["running"] else f"what was in force then (config {way['config']})"
    yield f"  reconstructed by {by}:", "dim"
    for note in way["notes"]:
        yield f"    {note}", "yellow"
    route = way["route"]
    if route is not None:
        yield f"    route: {route['rule'] if route['verdict'] == 'send' else 'filtered, ' + route['reason']}", ""
    for step in way["steps"]:
        yield from _step(step, full=full)
    ended = any(output["outcome"] != "made" for step in way["steps"] for output in step["outputs"])
    for child, part in enumerate(way["parts"]):
        if part["verdict"] == "send" or not ended:  # else the step has said it
            yield from _part(part, child if len(way["parts"]) > 1 else None, full=full)


def _step(step: Mapping[str, Any], *, full: bool) -> Iterator[Line]:
    of = "the source's " if step["of"] == "source" else ""
    name = f"    {of}{step['script']} ({step['version']})"
    for output in step["outputs"]:
        if output["outcome"] == "dropped":
            yield f"{name}: dropped the event", "yellow"
        elif output["outcome"] == "failed":
            yield f"{name}: failed: {output['reason']}", "red"
        elif not output["changes"]:
            yield f"{name}: no change", ""
        else:
            yield f"{name}:", ""
            yield from _changes(output["changes"], "      ", full=full)


def _changes(rows: Sequence[Mapping[str, Any]], indent: str, *, full: bool) -> Iterator[Line]:
    for row in rows:
        values = [_line(row[key], full=full) for key in ("from", "to") if key in row]
        style = {"add": "green", "remove": "red"}.get(row["op"], "")
        yield f"{indent}{SIGNS[row['op']]} {row['at']}: {' -> '.join(values)}", style


def _part(part: Mapping[str, Any], child: int | None, *, full: bool) -> Iterator[Line]:
    name = "    " if child is None else f"    output {child}: "
    if part["verdict"] != "send":
        yield f"{name}{part['verdict']}: {part['reason']}", "yellow"
    for request in part["requests"]:
        yield f"{name}{request['method']} {request['url']}", ""
        if full:
            for key, value in request["headers"].items():
                yield f"      {key}: {value}", ""
        for body in request["body"].values():
            yield from _indented(_text(body, full=full), "      ", full=full, style="dim")
    for record in part["records"]:
        key = "" if record["key"] is None else f", key {record['key']}"
        yield f"{name}record for {record['target']}{key}", ""
        yield from _indented(_text(record["body"], full=full), "      ", full=full, style="dim")


def _text(value: Any, *, full: bool) -> str:
    """A JSON value on one line, cut, or whole on several."""
    if full and isinstance(value, dict | list):
        return json.dumps(value, indent=2, ensure_ascii=False)
    return _line(value, full=full)


def _line(value: Any, *, full: bool) -> str:
    """A JSON value on one line, cut or whole."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if full or len(text) <= SHORT else text[: SHORT - 1] + "…"


def _indented(text: str, indent: str, *, full: bool, style: str = "") -> Iterator[Line]:
    for line in text.splitlines() if full else [text[:SHORT]]:
        yield indent + line, style
