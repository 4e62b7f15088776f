"""What a candidate configuration would change, from what both made of the same events. Pure.

`compare` says per destination how many events would end otherwise, and shows some of them; it knows
nothing of configurations, scripts or adapters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataplane.inspect.difference import difference

__all__ = ["Outcome", "Stood", "compare", "keys"]

MOST = 20
"""Differences shown of one event."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one configuration makes of one event at one destination.

    `status` is sent, filtered or dead (a split event has the first of these that holds for a part),
    `reason` why it is not sent. `asked` is every request or record as plain JSON values with nothing
    masked, only for comparing; `shown` the same with secrets masked, for people.
    """

    status: str
    reason: str = ""
    asked: Any = ()
    shown: Any = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Stood:
    """One destination under both configurations; None where it is not there.

    `settings` are the dotted keys of its configuration that differ.
    """

    before: Sequence[Outcome] | None
    after: Sequence[Outcome] | None
    was: str = ""
    settings: Sequence[str] = ()


def compare(
    events: Sequence[Mapping[str, Any]], destinations: Mapping[str, Stood], examples: int = 3
) -> dict[str, Any]:
    """`{"same", "destinations": {id: {"state", "settings", "before", "after", "changes", …}}}`.

    `events` is how each event is named to people, in the order of the outcomes. `state` is same,
    changed, new, removed or renamed. `changes` are `{"kind", "count", "reasons", "examples"}`, most
    frequent first; a kind is `sent → filtered`, `request`, `reason`.
    """
    found = {name: _destination(events, stood, examples) for name, stood in sorted(destinations.items())}
    return {"same": all(one["state"] == "same" for one in found.values()), "destinations": found}


def _destination(events: Sequence[Mapping[str, Any]], stood: Stood, examples: int) -> dict[str, Any]:
    shown: dict[str, Any] = {"state": "same", "settings": list(stood.settings)}
    for name, outcomes in (("before", stood.before), ("after", stood.after)):
        shown[name] = None if outcomes is None else dict(Counter(one.status for one in outcomes))
    shown["changes"] = []
    if stood.before is None or stood.after is None:
        shown["state"] = "new" if stood.before is None else "removed"
        return shown
    kinds: dict[str, dict[str, Any]] = {}
    if not stood.before and not stood.after:  # the same by construction, or there are no events
        events = ()
    for event, before, after in zip(events, stood.before, stood.after, strict=True):
        change = _change(before, after)
        if change is None:
            continue
        kind, reason, differing = change
        row = kinds.setdefault(kind, {"kind": kind, "count": 0, "reasons": Counter(), "examples": []})
        row["count"] += 1
        if reason:
            row["reasons"][reason] += 1
        if len(row["examples"]) < examples:
            row["examples"].append(_example(event, before, after, differing))
    shown["changes"] = sorted(kinds.values(), key=lambda row: (-row["count"], row["kind"]))
    if kinds:
        shown["state"] = "changed"
    if stood.was:
        shown["was"] = stood.was
        shown["state"] = "renamed"
    return shown


def _change(before: Outcome, after: Outcome) -> tuple[str, str, list[str]] | None:
    """The kind of a change, the reason it is counted under, and the paths that differ."""
    if before.status != after.status:
        return f"{before.status} → {after.status}", after.reason or before.reason, []
    if before.status != "sent":
        if before.reason != after.reason:
            return "reason", f"{before.status}: {after.reason}", []
        return None
    paths = [row["at"] for row in difference(before.asked, after.asked)]
    return ("request", "", paths) if paths or before.reason != after.reason else None


def _example(
    event: Mapping[str, Any], before: Outcome, after: Outcome, paths: Sequence[str]
) -> dict[str, Any]:
    made: dict[str, Any] = {**event, "before": before.reason or before.status, "after": after.reason or after.status}
    if paths:
        rows = {row["at"]: row for row in difference(before.shown, after.shown)}
        made["diff"] = [_shown(path, rows.get(path)) for path in paths[:MOST]]
        if len(paths) > MOST:
            made["more"] = len(paths) - MOST
    elif after.status == "sent" and before.status != "sent":
        made["asked"] = after.shown
    return made


def _shown(path: str, row: Mapping[str, Any] | None) -> dict[str, Any]:
    """One difference; where both sides look the same it is a secret that differs."""
    if row is None:
        return {"path": path, "secret": True}
    sides = (("before", "from"), ("after", "to"))
    return {"path": path, **{side: row[name] for side, name in sides if name in row}}


def keys(before: Any, after: Any) -> list[str]:
    """The dotted keys that differ between two configurations of a destination; never their values."""
    return sorted({row["at"] for row in difference(before, after)})
