"""`turnout forget`: users are deleted at the tools."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

from dataplane.cli.client import Client, find_socket
from dataplane.cli.output import counted, json_line, say, table, warn
from dataplane.cli.progress import Progress
from turnout import codec
from turnout.errors import Fixable, Refused
from turnout.user import User

__all__ = ["forget"]

CALL = 100
"""Users in one call."""
SHOWN = 20
"""Most users that are named by their place where something failed."""
GROUPS = ("done", "skipped", "failed", "retry")


def forget(
    config: Path, socket: Path | None, one: dict[str, str], file: str, destinations: Sequence[str], *,
    dry_run: bool, as_json: bool,
) -> None:
    """Delete the user `one`, or those of a file; exit 1 where something is left to be done."""
    given = {key: value for key, value in one.items() if value}
    if bool(given) == bool(file):
        raise Fixable("name a user (--user-id, --email, --anonymous-id), or a --file of users")
    users = _read(file) if file else [given]
    client = Client(find_socket(config, socket))
    found: dict[str, dict[str, Any]] = {}
    with Progress("asked about", len(users)) as progress:
        left = list(range(len(users)))
        while left:
            asked, left = left[:CALL], left[CALL:]
            body = {"users": [users[i] for i in asked], "destinations": list(destinations), "dry_run": dry_run}
            told = client.post("/forget", codec.dumps(body))["destinations"]
            _add(found, told, asked)
            if not dry_run:
                _rest(client, users, {ident: [asked[i] for i in row["unsent"]] for ident, row in told.items()}, found)
            progress.at(len(users) - len(left))
    _report(found, len(users), named=bool(destinations), dry_run=dry_run, as_json=as_json)


def _rest(
    client: Client, users: Sequence[Any], again: dict[str, list[int]], found: dict[str, dict[str, Any]]
) -> None:
    """Go on with those for whom one call had no time, a destination at a time."""
    for ident, places in again.items():
        rows = places
        while rows:
            body = {"users": [users[i] for i in rows], "destinations": [ident]}
            told = client.post("/forget", codec.dumps(body))["destinations"]
            _add(found, told, rows)
            rows = [rows[i] for i in told[ident]["unsent"]]


def _add(found: dict[str, dict[str, Any]], told: dict[str, Any], asked: Sequence[int]) -> None:
    for ident, row in told.items():
        one = found.setdefault(ident, {
            "type": row["type"], "outcome": row["outcome"], **dict.fromkeys(GROUPS, 0), "reasons": {}, "again": [],
            "would_ask": 0, "retry_after": None,
        })  # fmt: skip
        for group in GROUPS:
            one[group] += row[group]
        one["would_ask"] += row["would_ask"]
        one["reasons"] = dict(Counter(one["reasons"]) + Counter(row["reasons"]))
        one["again"] += [asked[i] + 1 for i in row["again"]]
        one["retry_after"] = max((x for x in (one["retry_after"], row["retry_after"]) if x is not None), default=None)
        if row["outcome"] != "not_supported":
            one["outcome"] = "failed" if one["failed"] else "retry" if one["retry"] else "done"


def _report(
    found: dict[str, dict[str, Any]], users: int, *, named: bool, dry_run: bool, as_json: bool
) -> None:
    unable = [ident for ident, row in found.items() if row["outcome"] == "not_supported"]
    failed = any(row["failed"] or row["retry"] for row in found.values()) or (named and bool(unable))
    if as_json:
        json_line({"users": users, "dry_run": dry_run, "destinations": found})
    elif dry_run:
        for ident, row in found.items():
            say(f"{ident} ({row['type']}): {'cannot delete users' if ident in unable else _would(row, users)}")
    else:
        table("", ("destination", "type", "outcome", *GROUPS), (
            (ident, row["type"], row["outcome"].replace("_", " "), *(row[group] for group in GROUPS))
            for ident, row in found.items()
        ))
        _advice(found, unable)
    if failed:
        raise typer.Exit(1)


def _would(row: dict[str, Any], users: int) -> str:
    """What a destination would do now."""
    asked = row["would_ask"]
    about = "" if asked == users else f" about {asked:,} of {users:,} users"
    told = [f"would be asked{about}"] if asked else ["would not be asked"]
    return "; ".join(told + [f"{counted(n, 'user')}: {reason}" for reason, n in row["reasons"].items()])


def _advice(found: dict[str, dict[str, Any]], unable: Sequence[str]) -> None:
    for ident, row in found.items():
        for reason, n in row["reasons"].items():
            warn(f"{ident}: {counted(n, 'user')}: {reason}")
        if row["again"]:
            places = ", ".join(map(str, row["again"][:SHOWN])) + (" …" if len(row["again"]) > SHOWN else "")
            wait = f" in {row['retry_after']:.0f} s" if row["retry_after"] else ""
            what = "ask again" + wait if row["retry"] else "ask again once that is mended"
            warn(f"{ident}: {what}, for user {places}")
    if unable:
        warn(f"cannot delete users, do it there by hand: {', '.join(unable)}")
    warn("the log, dead letters and the archive keep events until their own bounds: docs/privacy.md")


def _read(file: str) -> list[Any]:
    """Users of a file of JSON lines (- is standard input); raises `Fixable` with the line that is none."""
    users: list[Any] = []
    try:
        lines: Iterable[bytes] = sys.stdin.buffer if file == "-" else Path(file).read_bytes().splitlines()
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = codec.loads(line)
                User.read(row)
            except Refused as error:
                raise Fixable(f"{file}:{number}: {error.message}") from None
            users.append(row)
    except OSError as error:
        raise Fixable(f"{file}: {error.strerror}") from None
    if not users:
        raise Fixable(f"{file}: no users in it: one JSON object a line, as {{\"userId\": \"…\"}}")
    return users
