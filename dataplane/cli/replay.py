"""`turnout replay`, and `turnout replay list|status|cancel|resume`."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from dataplane.cli.client import Client, find_socket
from dataplane.cli.output import cut, json_line, say, table, warn
from dataplane.cli.progress import Bar
from turnout import clock, codec
from turnout.durations import duration
from turnout.errors import Fixable, Unavailable

__all__ = ["begin", "change", "listing", "status"]

LOOK = 0.5
"""Seconds between looks at a running replay."""
COUNTING = 10.0
"""Most seconds of counting before a person is asked; a dry run counts to the end."""
GONE = 60.0
"""Seconds a restart of Turnout may take while a replay is followed."""
VERDICTS = ("delivered", "filtered", "dead", "cancelled", "missed")


def begin(
    config: Path, socket: Path | None, asked: dict[str, Any], *, dry_run: bool, wait: bool, yes: bool,
    as_json: bool,
) -> None:
    """Count, ask, begin, follow. Exit 1 where it ends otherwise than done."""
    wanted = {name: value for name, value in asked.items() if value not in (None, "", [])}
    for name in ("from", "to"):
        if name in wanted:
            wanted[name] = moment(wanted[name], datetime.now(UTC), f"--{name}")
    client = Client(find_socket(config, socket))
    if dry_run:
        _show_count(_count(client, wanted, None), as_json=as_json)
        return
    if not yes and "file" not in wanted:  # a new file harms nobody
        _ask(client, wanted)
    row = client.post("/replays", codec.dumps(wanted))
    if not as_json:
        say(f"replay {row['id']} to {_target(row)} has begun")
    if wait:
        row = _follow(client, row, as_json=as_json)
    if as_json:
        json_line(row)
    if wait and row["state"] != "done":
        raise typer.Exit(1)


def listing(config: Path, socket: Path | None, *, as_json: bool) -> None:
    """List replays."""
    found = Client(find_socket(config, socket)).get("/replays")
    if as_json:
        json_line(found)
    elif not found["replays"]:
        say("no replays")
    else:
        rows = found["replays"]
        words = (" or ".join(sorted({_word(row, name) for row in rows})) for name in VERDICTS)
        columns = ("id", "to", "state", "begun", "read", "selected", "pending", *words, "reason")
        table("", columns, (
            (row["id"], _target(row), row["state"], row["at"], f"{_share(row):.0%}", row["selected"],
             row["pending"], *(row[name] for name in VERDICTS), row["reason"])
            for row in rows
        ))  # fmt: skip


def status(config: Path, socket: Path | None, ident: str, *, follow: bool, as_json: bool) -> None:
    """Show one replay, until it is over where asked."""
    client = Client(find_socket(config, socket))
    row = client.get(f"/replays/{_number(ident)}")
    if follow:
        row = _follow(client, row, as_json=as_json)
    if as_json:
        json_line(row)
    elif not follow:
        say(json.dumps(row, indent=2, ensure_ascii=False))


def change(config: Path, socket: Path | None, ident: str, verb: str, *, as_json: bool) -> None:
    """Cancel or resume one."""
    row = Client(find_socket(config, socket)).post(f"/replays/{_number(ident)}/{verb}")
    if as_json:
        json_line(row)
    elif verb == "cancel":
        say(f"replay {row['id']} is cancelled: {_counts(row)}")
        if row["position"] < row["end"]:
            say(f"`turnout replay resume {row['id']}` goes on where it stood")
    else:
        say(f"replay {row['id']} goes on: `turnout replay status {row['id']} --follow` shows how far it is")


def moment(text: str, now: datetime, option: str) -> str:
    """A time as RFC 3339: `2h` means two hours before `now`; a time without a zone is UTC."""
    try:
        return clock.iso(now - duration(text))
    except (ValueError, OverflowError):
        found = clock.parse(text)
    if found is None:
        raise Fixable(f"{option}: {cut(text, 40)} is neither a time (2026-11-23T09:30Z) nor a while ago (90m, 2h, 7d)")
    return clock.iso(found)


def _number(ident: str) -> str:
    if not ident.isascii() or not ident.isdigit():
        said = "the id of a replay is a number; `turnout replay list` shows them"
        raise Fixable(f"{cut(ident, 40) or 'nothing'}: {said}")
    return ident


def _target(row: dict[str, Any]) -> str:
    return str(row["file"] or row["destination"])


def _share(row: dict[str, Any]) -> float:
    span = row["end"] - row["first"]
    return 1.0 if span <= 0 else (row["position"] - row["first"]) / span


def _word(row: dict[str, Any], verdict: str) -> str:
    """How a verdict is called for people: nobody was delivered anything by a file that was written."""
    return "written" if row["file"] and verdict == "delivered" else verdict


def _counts(row: dict[str, Any]) -> str:
    parts = [f"{row['selected']:,} selected"]
    parts += [f"{row[name]:,} {_word(row, name)}" for name in VERDICTS if row[name]]
    return ", ".join(parts)


# ---- counting without sending


def _count(client: Client, wanted: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    """The sum of a dry run's parts; `complete` says whether it came to the end."""
    until = None if seconds is None else time.monotonic() + seconds
    routes: Counter[str] = Counter()
    total: dict[str, Any] = {"selected": 0, "sample": []}
    given: dict[str, Any] = {}
    with Bar("counting") as shown:
        while True:
            body = {**wanted, **given, "sample": max(0, 5 - len(total["sample"]))}
            part = client.post("/replays/count", codec.dumps(body))
            total.setdefault("first", part["first"])
            total["selected"] += part["selected"]
            total["sample"] += part["sample"]
            routes.update(part["routes"])
            total |= {name: part[name] for name in ("position", "end", "rate")}
            given = {name: part[name] for name in ("first", "position", "end", "letters")}
            shown(total["position"] - total["first"], total["end"] - total["first"], f"{total['selected']:,} found")
            if part["position"] >= part["end"] or (until is not None and time.monotonic() > until):
                break
    return {**total, "routes": dict(routes), "complete": total["position"] >= total["end"]}


def _show_count(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        json_line(found)
        return
    say(_summary(found))
    _say_routes(found["routes"])
    if found["sample"]:
        say("\nThe first ones, through the transformations, as they would be sent:")
    for one in found["sample"]:
        say(f"\n# event {one['message_id']} from {one['source']}, received {one['received_at']}")
        for part in one["parts"]:
            if part["verdict"] != "send":
                say(f"# {part['verdict']}: {part['reason']}")
            for request in part["requests"]:
                say(request["curl"])
            for record in part["records"]:
                say(json.dumps(record["body"], ensure_ascii=False))


def _say_routes(routes: dict[str, int]) -> None:
    """How many take which way; scripts have run only over the few that are shown."""
    for name, number in sorted(routes.items(), key=lambda item: -item[1]):
        say(f"  {number:,} {'to be sent, unless a script drops them' if name == 'send' else name}")


def _summary(found: dict[str, Any]) -> str:
    read = found["position"] - found["first"]
    if found["complete"]:
        counted = f"{found['selected']:,} of {read:,} stored events are selected"
    else:
        share = read / max(1, found["end"] - found["first"])
        counted = f"about {int(found['selected'] / share) if share else 0:,} events are selected"
    seconds = found["routes"].get("send", 0) / found["rate"]
    took = f"; at {found['rate']:g} a second that takes {seconds / 60:,.0f} minutes" if seconds > 120 else ""
    return counted + took


def _ask(client: Client, wanted: dict[str, Any]) -> None:
    if not sys.stdin.isatty():
        client.post("/replays/count", codec.dumps({**wanted, "sample": 0}))  # what is wrong with it comes first
        raise Fixable("this sends events again: say --yes where nobody can be asked (--dry-run shows them first)")
    found = _count(client, {**wanted}, COUNTING)
    say(_summary(found))
    _say_routes(found["routes"])
    if not typer.confirm(f"Replay to {wanted.get('file') or wanted.get('destination')}?"):
        raise typer.Exit(1)


# ---- following a running one


def _follow(client: Client, row: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    """Show a bar until it is over; Ctrl-C leaves the replay running and says so."""
    ident = row["id"]
    try:
        with Bar(f"replay {ident}", quiet=as_json) as shown:
            while row["state"] == "running":
                note = _counts(row) + (f" · {row['reason']}" if row["reason"] else "")
                shown(row["position"] - row["first"], row["end"] - row["first"], note)
                time.sleep(LOOK)
                row = _look(client, ident)
            shown(row["position"] - row["first"], row["end"] - row["first"], _counts(row))
    except KeyboardInterrupt:
        warn(f"replay {ident} goes on; `turnout replay cancel {ident}` ends it, "
             f"`turnout replay status {ident} --follow` shows it again")  # fmt: skip
        raise
    if not as_json:
        say(f"replay {ident} is {row['state']}: {_counts(row)}" + (f" ({row['reason']})" if row["reason"] else ""))
        if row["dead"]:
            say("`turnout dead list` shows why some were given up")
    return row


def _look(client: Client, ident: int) -> dict[str, Any]:
    """Its status; a restart of Turnout is waited for, the replay goes on by itself."""
    until = None
    while True:
        try:
            found: dict[str, Any] = client.get(f"/replays/{ident}")
            return found
        except Unavailable as error:
            if until is None:
                until = time.monotonic() + GONE
                warn(f"{error}; replay {ident} goes on when it runs, which is waited for during {GONE:.0f} seconds")
            elif time.monotonic() > until:
                raise Unavailable(
                    f"{error}; replay {ident} goes on then, `turnout replay status {ident} --follow` shows it"
                ) from None
            time.sleep(LOOK)
