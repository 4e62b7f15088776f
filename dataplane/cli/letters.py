"""`turnout dead` and `turnout refused`: list, summary, show, retry, discard."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from dataplane.cli.client import Client, find_socket
from dataplane.cli.output import counted, cut, json_line, say, table, warn
from dataplane.cli.progress import Progress
from turnout import clock, codec
from turnout.durations import duration
from turnout.errors import Fixable

__all__ = ["client", "dead_filter", "discard", "listing", "refused_filter", "retry", "show", "summary"]

IDS = 500
"""Ids in one request."""
DIGITS = 20
"""What has so many digits is no id."""
CUT = 200
"""Characters of a refused event in a list; `show` and `--json` have more."""
WAIT = 0.5
"""Seconds between looks whether a destination has room again."""
SHOWN = 10
"""Ids of letters that were left for one reason; `--json` has all."""
WORD = {"dead": "dead letter", "refused": "refused event"}
WORDS = {kind: f"{word}s" for kind, word in WORD.items()}
KEYS = {"dead": "id", "refused": "number"}
COLUMNS = {
    "dead": ("id", "at", "destination", "source", "class", "status", "reason", "event", "message_id"),
    "refused": ("number", "at", "source", "code", "message", "event"),
}


def client(config: Path, socket: Path | None) -> Client:
    """Speaks to the running data plane."""
    return Client(find_socket(config, socket))


def dead_filter(  # noqa: PLR0917 - the options, in their order
    destination: str, source: str, class_: str, event: str, message_id: str, since: str, until: str
) -> dict[str, Any]:
    """Filters of dead letters as the API takes them; without those that are not given."""
    found = {
        "destination": destination, "source": source, "class": class_, "event": event, "message_id": message_id,
        "from": _moment("--from", since), "to": _moment("--to", until),
    }
    return {name: value for name, value in found.items() if value}


def refused_filter(source: str, code: str, since: str, until: str) -> dict[str, Any]:
    """Filters of refused events as the API takes them; without those that are not given."""
    found = {"source": source, "code": code, "from": _moment("--from", since), "to": _moment("--to", until)}
    return {name: value for name, value in found.items() if value}


def _moment(option: str, text: str) -> str:
    """A moment, or how long ago, as the API's timestamp."""
    if not text:
        return ""
    if (moment := clock.parse(text)) is not None:
        return clock.iso(moment)
    try:
        return clock.iso(datetime.now(UTC) - duration(text))
    except (ValueError, OverflowError):
        said = f"{option} {cut(text, 40)}: write a moment (2026-11-23T09:36) or how long ago (15m, 2h, 7d)"
        raise Fixable(said) from None


def listing(
    client: Client, kind: str, wanted: dict[str, Any], limit: int, cursor: str, *, as_json: bool
) -> None:
    """List a page of them."""
    found = client.get(f"/{kind}", limit=limit, cursor=cursor, **wanted)
    if as_json:
        json_line(found)
        return
    rows: list[dict[str, Any]] = found[kind]
    if not rows:
        say(f"no {WORDS[kind]}" + (" of that kind" if wanted else ""))
        return
    columns = [*COLUMNS[kind], *(["replay"] if any(row.get("replay") for row in rows) else [])]
    table("", columns, ([_short(row.get(key)) for key in columns] for row in rows))
    if found.get("cursor"):
        say(f"more: turnout {kind} list --cursor {found['cursor']} (and the same options)")


def _short(value: Any) -> Any:
    return cut(value, CUT) if isinstance(value, str) else value


def summary(client: Client, kind: str, wanted: dict[str, Any], *, as_json: bool) -> None:
    """Count them in groups."""
    found = client.get(f"/{kind}/summary", **wanted)
    if as_json:
        json_line(found)
    elif not found["total"]:
        say(f"no {WORDS[kind]}" + (" of that kind" if wanted else ""))
    else:
        _counts(kind, found)


def _counts(kind: str, found: dict[str, Any]) -> None:
    first, second = ("destination", "class") if kind == "dead" else ("source", "code")
    rows = [(one, two, n) for one, group in found[f"{first}s"].items() for two, n in group.items()]
    table("", (first, second, WORDS[kind]), rows)


def show(client: Client, kind: str, key: str, *, as_json: bool) -> None:
    """Show one of them with all that is kept."""
    found = client.get(f"/{kind}/{_ids(kind, [key])[0]}")
    if as_json:
        json_line(found)
    else:
        say(json.dumps(found, indent=2, ensure_ascii=False))


def _check(ids: list[str], wanted: dict[str, Any], every: bool) -> None:
    if bool(ids) == bool(every or wanted):
        raise Fixable("say which: ids, or options such as --destination and --class, or --all")


def retry(
    client: Client, ids: list[str], wanted: dict[str, Any], *, every: bool, retransform: bool, as_json: bool
) -> None:
    """Try dead letters again; exit 1 where some had to be left."""
    _check(ids, wanted, every)
    flags = {"retransform": True} if retransform else {}
    letters = _ids("dead", ids)
    total = len(letters) or client.get("/dead/summary", **wanted)["total"]
    found: dict[str, Any] = {"retried": 0, "left": [], "not_found": [], "held": {}}
    try:
        with Progress("on their way again:", total) as progress:
            if letters:
                _retry_ids(client, letters, flags, found, progress)
            else:
                _retry_all(client, wanted, flags, found, progress)
    except BaseException:
        if any(found.values()):
            _said(found, as_json=as_json)
        raise
    _said(found, as_json=as_json)
    if found["left"] or found["not_found"] or found["held"]:
        raise typer.Exit(1)


def _said(found: dict[str, Any], *, as_json: bool) -> None:
    """What was done, also as far as it came until it was interrupted."""
    if as_json:
        json_line(found)
        return
    groups: dict[str, list[str]] = {}
    for one in found["left"]:
        groups.setdefault(one["reason"], []).append(str(one["id"]))
    for reason, ids in groups.items():
        more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
        warn(f"{', '.join(ids[:SHOWN])}{more}: left: {reason}")
    for key in found["not_found"]:
        warn(f"{key}: there is no dead letter of this id")
    for name, why in found["held"].items():
        warn(f"{name}: the others stay in the list, it takes no more for now ({why}): repeat this when it goes on")
    if found["retried"]:
        say(f"{found['retried']} on their way again: `turnout dead list` shows which come back")
    else:
        say("none were tried again")


def _retry_ids(
    client: Client, ids: list[int], flags: dict[str, Any], found: dict[str, Any], progress: Progress
) -> None:
    for at in range(0, len(ids), IDS):
        _post(client, {"ids": ids[at : at + IDS], **flags}, found)
        progress.at(found["retried"])


def _retry_all(
    client: Client, wanted: dict[str, Any], flags: dict[str, Any], found: dict[str, Any], progress: Progress
) -> None:
    """Destination by destination in turns, so that one without room does not hold the others up. One that is paused
    makes no room, so what it has no room for stays."""
    names = client.get("/dead/summary", **wanted)["destinations"]
    cursors: dict[str, str | None] = dict.fromkeys(names)
    while cursors:
        moved, full = 0, []
        for name in list(cursors):
            body = {**wanted, "destination": name, **flags}
            if cursors[name]:
                body["cursor"] = cursors[name]
            answer = _post(client, body, found)
            moved += answer["retried"] + len(answer["left"])
            if answer["full"]:
                full.append(name)
            if answer["held"]:
                found["held"][name] = answer["held"]
            if answer["cursor"] is None or answer["held"]:
                del cursors[name]
            else:
                cursors[name] = answer["cursor"]
            waits = f"waiting until {', '.join(full)} has fewer events put aside" if full else ""
            progress.at(found["retried"], waits)
        if cursors and not moved:
            time.sleep(WAIT)


def _post(client: Client, body: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/dead/retry", codec.dumps(body))
    found["retried"] += answer["retried"]
    found["left"] += answer["left"]
    found["not_found"] += answer["not_found"]
    return answer


def discard(
    client: Client, kind: str, ids: list[str], wanted: dict[str, Any], *, every: bool, yes: bool, as_json: bool
) -> None:
    """Give them up for good; without `yes` only say how many, exit 1."""
    _check(ids, wanted, every)
    numbers = _ids(kind, ids)
    found = {"total": len(numbers)} if numbers else client.get(f"/{kind}/summary", **wanted)
    if not yes:
        if as_json:
            json_line({"matching": found["total"], "discarded": 0})
        else:
            if not numbers and found["total"]:
                _counts(kind, found)
            what = f"what is kept under {counted(len(numbers), KEYS[kind])}" if numbers \
                else counted(found["total"], WORD[kind])
            say(f"{what} would be discarded for good: say --yes to do it")
        raise typer.Exit(1)
    bodies: list[dict[str, Any]] = [{"ids": numbers[at : at + IDS]} for at in range(0, len(numbers), IDS)]
    done, missing, left = 0, [], []
    with Progress("discarded", found["total"]) as progress:
        for body in bodies or [{**wanted, "all": every}]:
            cursor: str | None = ""
            while cursor is not None:
                more = {**body, "cursor": cursor} if cursor else body
                answer = client.post(f"/{kind}/discard", codec.dumps(more))
                done += answer["discarded"]
                missing += answer["not_found"]
                left += answer["left"]
                cursor = answer["cursor"]
                progress.at(done)
    if as_json:
        json_line({"matching": found["total"], "discarded": done, "left": left, "not_found": missing})
    else:
        for one in left:
            warn(f"{one['id']}: left: {one['reason']}")
        for key in missing:
            warn(f"{key}: none of the {WORDS[kind]} has this {KEYS[kind]}")
        say(f"{counted(done, WORD[kind])} discarded")
    if left or missing:
        raise typer.Exit(1)


def _ids(kind: str, texts: list[str]) -> list[int]:
    """The ids that are given, each once; raises `Fixable` for what is none."""
    for text in texts:
        if not (text.isascii() and text.isdigit() and len(text) < DIGITS):
            raise Fixable(f"{cut(text, 40) or 'nothing'}: an id is a number, as `turnout {kind} list` shows them")
    return list(dict.fromkeys(map(int, texts)))
