"""Answers of several pipeline processes as one. Pure.

Each process knows the events of its own lanes: numbers are added up, lists are merged, and where one of them says that
something is wrong, it is wrong. A cursor of a page over all is the cursors of each, with a dot between them: empty
where it has not begun, `x` where it is at its end.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Any

from dataplane.deliver.index import spot_text
from dataplane.deliver.ledger import COUNTED
from dataplane.inspect.conclude import conclude
from turnout.clock import parse
from turnout.errors import Fixable

__all__ = [
    "PAGE", "cursor", "explained", "left", "lines", "newest", "oldest", "places", "seen", "status", "summed", "walked",
]

PAGE = 100
"""Rows of a page, where nobody says how many."""
ENDED = "x"
STATES = ("disabled", "paused", "down", "stalled", "running")
"""What is said of a destination where processes differ: the first of these."""
SILENT = "no pipeline process answers; figures are as they were last"
_UNKNOWN: Mapping[str, Any] = {
    "type": "", "state": "unknown", "reason": SILENT, "since": None,
    **dict.fromkeys(("queued", "in_flight", "retrying", "waiting", "jobs")),
    **dict.fromkeys(("next_retry_at", "next_probe_at", "oldest_queued_at")),
    **dict.fromkeys(what for what in COUNTED if what != "cancelled"), "unread": None, "pending": None,
}
"""What is said of a destination of which no process said anything yet."""
_NOTHING: Mapping[str, Any] = {
    "sources": {}, "destinations": {}, "sequenced": None, "position": None, "head": None, "positions": {},
    "replays": {}, "state_stuck": False, "lost_letters": {}, "buffer": None, "stopping_intake": {},
    "transformations": None, "geolocation": None,
}
"""What there is to say before any process has answered."""
Json = dict[str, Any]


# ---- pages

def places(cursor: Any, count: int) -> list[str | None]:
    """Where each process goes on, "" at its beginning, None at its end; raises `Fixable`."""
    if cursor in (None, ""):
        return [""] * count
    parts = str(cursor).split(".")
    if len(parts) != count or not set(parts) - {ENDED}:  # behind the last page there is none
        raise Fixable("cursor is what the page before said")
    return [None if part == ENDED else part for part in parts]


def cursor(found: Sequence[str | None]) -> str | None:
    """The cursor behind a page; None where all are at their end."""
    if all(place is None for place in found):
        return None
    return ".".join(ENDED if place is None else place for place in found)


def newest(kind: str, pages: Sequence[Json | None], before: Sequence[str | None], limit: int) -> Json:
    """A page, newest first."""
    rows = [[] if page is None else page[kind] for page in pages]
    taken, counts = _merged(rows, [True] * len(rows), limit, newest=True)
    found: list[str | None] = []
    for page, mine, count, place in zip(pages, rows, counts, before, strict=True):
        if page is None or (count == len(mine) and page["cursor"] is None):
            found.append(None)
        else:
            found.append(_spot(mine[count - 1]) if count else place)
    return {kind: taken, "cursor": cursor(found)}


def oldest(kind: str, pages: Sequence[Json | None], before: Sequence[str | None], limit: int) -> Json:
    """A page, oldest first. It ends where the next row may be one that a process has not given yet."""
    rows = [[] if page is None else page[kind] for page in pages]
    whole = [page is None or page["cursor"] is None for page in pages]
    taken, counts = _merged(rows, whole, limit, newest=False)
    found: list[str | None] = []
    for page, mine, count, place in zip(pages, rows, counts, before, strict=True):
        if page is None or count == len(mine):
            found.append(None if page is None else page["cursor"])
            continue
        after, _, upto = (place or "0-").partition("-")
        newest = str(page["cursor"]).partition("-")[2] if page["cursor"] else str(max(row["id"] for row in mine))
        upto = upto or newest
        found.append(f"{_spot(mine[count - 1]) if count else after}-{upto}")
    return {kind: taken, "cursor": cursor(found)}


def _spot(row: Json) -> str:
    """Where a row stands among those of its process."""
    moment = parse(row["at"])
    assert moment is not None, "it was written a moment ago"
    return spot_text(round(moment.timestamp() * 1000), row["id"])


def _merged(
    rows: Sequence[Sequence[Json]], whole: Sequence[bool], limit: int, *, newest: bool
) -> tuple[list[Json], list[int]]:
    """The first rows by their time, each list in its own order, and how many are of each list.

    Behind the last row of a list that is not `whole` nothing is taken.
    """
    counts = [0] * len(rows)
    taken: list[Json] = []
    tagged = ([(row, number) for row in mine] for number, mine in enumerate(rows))
    for row, number in heapq.merge(*tagged, key=lambda one: str(one[0]["at"]), reverse=newest):
        if len(taken) >= limit:
            break
        taken.append(row)
        counts[number] += 1
        if counts[number] == len(rows[number]) and not whole[number]:
            break
    return taken, counts


def summed(found: Sequence[Json]) -> Json:
    """Counts in groups, added up."""
    total: Json = {}
    for one in found:
        _add(total, one)
    return {name: _in_order(value) for name, value in total.items()}


def left(found: Sequence[Json]) -> Json:
    """Backlogs of destinations: each process read its own lanes up to a number, and put its own events aside."""
    total: Json = {}
    for one in found:
        for ident, row in one.items():
            mine = total.setdefault(ident, {"unread": 0, "aside": 0})
            total[ident] = {"unread": max(mine["unread"], row["unread"]), "aside": mine["aside"] + row["aside"]}
    return total


def _add(total: Json, one: Mapping[str, Any]) -> None:
    for name, value in one.items():
        if isinstance(value, Mapping):
            _add(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value


def _in_order(value: Any) -> Any:
    return {name: _in_order(value[name]) for name in sorted(value)} if isinstance(value, dict) else value


# ---- what was done

def walked(found: Sequence[Json], silent: str = "") -> Json:
    """What became of letters that were named by their ids: each is known to one process at most.

    `silent` says that another one did not answer: what nobody knows may be of that one, and is left.
    """
    told: Json = {}
    for one in found:
        for name, value in one.items():
            if name == "not_found":
                common = set(value) if name not in told else set(told[name]) & set(value)
                told[name] = [key for key in value if key in common]
            elif isinstance(value, int | list):
                told[name] = told[name] + value if name in told else value
            elif told.get(name) is None:
                told[name] = value
    if silent:
        told["left"] = [*told.get("left", []), *({"id": key, "reason": silent} for key in told["not_found"])]
        told["not_found"] = []
    return told


def lines(found: Sequence[Json]) -> Json:
    """What was watched since the last question, in the order in which it happened."""
    rows = heapq.merge(*(one["lines"] for one in found), key=lambda line: str(line["at"]))
    return {"lines": list(rows), "not_shown": sum(one["not_shown"] for one in found)}


# ---- explain

def explained(whole: Json, others: Sequence[Json]) -> Json:
    """One event: it stands where the process says whose lane it is; what happened may be known to any."""
    told = {**whole, "destinations": {}}
    answers = [whole, *others]
    owner = next((one for one in answers if one["mine"]), whole)
    for ident in dict.fromkeys(name for one in (owner, *answers) for name in one["destinations"]):
        parts = [one["destinations"][ident] for one in answers if ident in one["destinations"]]
        told["destinations"][ident] = _destination(owner["destinations"].get(ident, parts[0]), parts)
    del told["mine"]
    return told


def _destination(mine: Json, parts: Sequence[Json]) -> Json:
    one = dict(mine)
    for name in ("attempts", "filtered"):
        one[name] = sorted((row for part in parts for row in part[name]), key=lambda row: str(row["at"]))
    one["dead"] = sorted((row for part in parts for row in part["dead"]), key=lambda row: str(row["at"]))
    one["waits"] = [row for part in parts for row in part["waits"]]
    if any(part["stands"] == "archived" for part in parts) and one["stands"] == "settled":
        one["stands"] = "archived"
    last = max(parts, key=_last)
    if last["attempts"] or last["filtered"]:
        one["reconstructed"] = last["reconstructed"]
    one["verdict"], one["why"] = conclude(one)
    return one


def _last(part: Json) -> str:
    """When something happened last, as a process knows it."""
    return max((str(row["at"]) for row in (*part["attempts"], *part["filtered"])), default="")


# ---- status

def status(found: Sequence[Json]) -> Json:
    """The status of all pipeline processes that answered, the one that sequences first."""
    if len(found) <= 1:
        return found[0] if found else {}
    first = found[0]
    idents = dict.fromkeys(ident for one in found for ident in one["destinations"])
    return {
        **first,
        "destinations": {
            ident: _row([one["destinations"][ident] for one in found if ident in one["destinations"]])
            for ident in idents
        },
        "state_stuck": any(one["state_stuck"] for one in found),
        "lost_letters": {folder: size for one in found for folder, size in one["lost_letters"].items()},
        "buffer": max((one["buffer"] for one in found), key=lambda buffer: float(buffer["share"])),
        "stopping_intake": {name: why for one in found for name, why in one["stopping_intake"].items()},
        "transformations": _pools([one["transformations"] for one in found]),
    }


def seen(found: Json, types: Mapping[str, str], stale: Mapping[str, str | None], *, answered: bool) -> Json:
    """The pipeline's part of the status: `found`, though some or all of its processes do not answer now.

    `stale` says of each that does not when it did last. Destinations are those of the configuration, in `types` by
    id; where none of the processes `answered`, nobody knows their state, and figures are as they were.
    """
    rows = found.get("destinations", {})
    if stale:
        moment = min((at for at in stale.values() if at is not None), default=None)
        fresh = {**_UNKNOWN, "since": moment}
        rows = {ident: rows.get(ident) or {**fresh, "type": types[ident]} for ident in sorted(types)}
        if not answered:
            said = {"state": "unknown", "reason": SILENT, "since": moment, "next_probe_at": None}
            rows = {ident: {**row, **said} for ident, row in rows.items()}
    return {**_NOTHING, **found, "destinations": rows, "stale": dict(stale)}


def _row(rows: Sequence[Json]) -> Json:
    """One destination: counts are added up, and what is said of it is said by the process that is worst off."""
    said = min(rows, key=lambda row: STATES.index(row["state"]))
    merged: Json = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row]
        if name.endswith("_at"):
            merged[name] = min((value for value in values if value is not None), default=None)
        elif name == "backlog":
            merged[name] = {key: max(value[key] for value in values) for key in values[0]}
        elif isinstance(values[0], int | float):
            merged[name] = math.ceil(sum(values))  # what is not read is a share of what is not read by all
        else:
            merged[name] = said[name]
    return merged


def _pools(pools: Sequence[Json]) -> Json:
    """Workers of all; a script that is stopped in one is said."""
    return {
        **pools[0],
        "alive": all(pool["alive"] for pool in pools),
        "locked": all(pool["locked"] for pool in pools),
        **{name: sum(pool[name] for pool in pools) for name in ("busy", "idle", "waiting")},
        "benched": sorted({name for pool in pools for name in pool["benched"]}),
        "stopped": {name: row for pool in pools for name, row in pool["stopped"].items()},
    }
