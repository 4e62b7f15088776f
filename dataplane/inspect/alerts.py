"""Which alerts begin and which are over, as a pure function of the status and of what stood before.

An alert begins when its condition has held for `hold`, and is over when it has been gone for as long;
a share or a rate must fall well below its threshold to be gone. What cannot be seen (a role is down, a
rate has no minute of history yet) neither begins nor ends anything. What is about a destination that the
configuration no longer has is over at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dataplane.config.model import ALERTS, Alerts

__all__ = ["Alert", "Memory", "Standing", "changes", "observe"]

AT_ONCE = frozenset(("crash_loop", "destination_paused", "log_closed"))
"""Kinds whose condition is already the end of a wait: they begin when they are seen."""
MINUTE = 60.0
CALM = 0.9
"""A share below this part of its threshold is over; a rate below half of it."""
TEXT = 200
_OF_DESTINATION = frozenset(("backlog", "dead_letters", "destination_down", "destination_paused"))
"""Kinds whose subject is a destination."""
_OVER = {
    "backlog": "the backlog of {} is well below its bound again",
    "crash_loop": "the {} process stays up again",
    "dead_letters": "{}: few or no dead letters any more",
    "destination_down": "{} is no longer down",
    "destination_paused": "{} is no longer paused",
    "disk": "the {} has room again",
    "log_closed": "the {} is open again",
    "log_full": "events are taken again ({})",
    "script": "the transformation {} runs as usual again",
    "state": "the state can be written again ({})",
}
"""What is said of a subject when an alert of a kind is over."""

Key = tuple[str, str]
"""Kind and subject: what an alert is about."""
Counts = tuple[tuple[float, Mapping[str, int]], ...]
"""Dead letters per destination at earlier times, oldest first."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What a channel is told; `summary` says how it is now. No personal data, no secrets.

    `since` and `at` are Unix seconds.
    """

    kind: str
    subject: str
    state: Literal["firing", "resolved", "test"]
    summary: str
    since: float
    at: float

    @property
    def id(self) -> str:
        """Equal for the beginning and the end of one alert, and only for these."""
        return f"{self.kind}:{self.subject}:{int(self.since * 1000)}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A condition that holds, or held a moment ago. `gone` is since when it does not, or None."""

    summary: str
    since: float
    told: bool = False
    gone: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What one look hands to the next."""

    standing: Mapping[Key, Standing] = field(default_factory=dict)
    dead: Counts = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """The conditions that hold, and the kinds that cannot be judged now."""

    found: dict[Key, str]
    blind: frozenset[str]


def changes(
    memory: Memory, status: Mapping[str, Any], limits: Alerts, now: float
) -> tuple[Memory, list[Alert]]:
    """The alerts that begin or are over at `now` (Unix seconds), and the memory for the next look."""
    dead = _counted(memory.dead, status, now)
    before = frozenset(key for key, one in memory.standing.items() if one.told)
    seen = observe(status, limits, _rates(dead, now), before)
    hold = limits.hold.total_seconds()
    standing: dict[Key, Standing] = {}
    told: list[Alert] = []
    for key in {**memory.standing, **seen.found}:
        one = _next(memory.standing.get(key), seen, key, now)
        wait = 0.0 if key[0] in AT_ONCE else hold
        if _removed(key, status):
            if one.told:
                told.append(Alert(*key, "resolved", f"{key[1]} is gone from the configuration", one.since, now))
            continue
        if one.gone is None and not one.told and now - one.since >= wait:
            one = replace(one, told=True)
            told.append(Alert(*key, "firing", one.summary, one.since, now))
        elif one.gone is not None and (not one.told or now - one.gone >= hold):
            if one.told:
                told.append(Alert(*key, "resolved", _OVER[key[0]].format(key[1]), one.since, now))
            continue
        standing[key] = one
    return Memory(standing, dead), told


def _removed(key: Key, status: Mapping[str, Any]) -> bool:
    """Whether it is about a destination that is known to be there no more."""
    return key[0] in _OF_DESTINATION and key[1] not in status["destinations"]


def _unseen(status: Mapping[str, Any]) -> bool:
    """Whether no pipeline process answered, so that what is said of destinations is old."""
    return bool(status.get("stale")) and all(row["state"] == "unknown" for row in status["destinations"].values())


def _next(old: Standing | None, seen: _Seen, key: Key, now: float) -> Standing:
    summary = seen.found.get(key)
    if old is None:
        assert summary is not None
        return Standing(summary, now)
    if summary is not None:
        return replace(old, summary=summary, gone=None)
    if key[0] in seen.blind or old.gone is not None:
        return old
    return replace(old, gone=now)


def observe(
    status: Mapping[str, Any], limits: Alerts, rates: Mapping[str, float] | None, standing: frozenset[Key]
) -> _Seen:
    """The conditions that hold in a status. `rates` are dead letters per minute, None where unknown."""
    found: dict[Key, str] = {}
    blind: set[str] = set()
    for name, role in status.get("roles", {}).items():
        if role.get("crash_loop"):
            found["crash_loop", name] = f"the {name} process dies again and again ({role.get('last_exit')})"
    log = status.get("log")
    if log is None:
        blind |= {"log_closed", "log_full", "disk"}
    else:
        found |= _log(log)
    unseen = _unseen(status)
    found |= _room(status, {} if unseen else status, limits, standing)
    if unseen:
        blind |= set(ALERTS) - {"crash_loop", "log_closed"}  # also what the pipeline says of the log
    else:
        found |= _destinations(status, limits, standing)
    if rates is None:
        blind.add("dead_letters")
    for name, rate in (rates or {}).items():
        bound = limits.dead_letters * (0.5 if ("dead_letters", name) in standing else 1.0)
        if rate >= bound:
            found["dead_letters", name] = (
                f"{name}: {rate:.0f} dead letters in a minute; turnout dead list --destination {name}"
            )
    assert {kind for kind, _ in found} <= set(ALERTS)
    return _Seen(found, frozenset(blind))


def _log(log: Mapping[str, Any]) -> dict[Key, str]:
    if not log["open"]:
        return {("log_closed", "log"): f"the log is closed, no event is taken: {_cut(log['reason'])}"}
    if log["full"]:
        return {("log_full", "log"): f"the log has no room, events are answered 503: {_cut(log['reason'])}"}
    return {}


def _room(
    status: Mapping[str, Any], told: Mapping[str, Any], limits: Alerts, standing: frozenset[Key]
) -> dict[Key, str]:
    """The disk, and the log as the buffer of what is undelivered, as the pipeline `told`."""
    found: dict[Key, str] = {}
    disk, buffer = (status.get("disk") or {}).get("share"), told.get("buffer") or {}
    if disk is not None and _above(disk, limits, ("disk", "disk"), standing):
        found["disk", "disk"] = f"the disk of the data folder is {disk:.0%} full"
    share, left = buffer.get("share"), buffer.get("full_in")
    soon = limits.full_in.total_seconds() * (1 / CALM if ("disk", "log") in standing else 1.0)
    if share is not None and _above(share, limits, ("disk", "log"), standing):
        found["disk", "log"] = f"undelivered events fill {share:.0%} of the log"
    elif left is not None and left < soon:
        found["disk", "log"] = f"undelivered events fill the log in about {_span(left)} at this rate"
    for name, reason in (told.get("stopping_intake") or {}).items():
        found["log_full", name] = f"no events are taken: {_cut(reason)}"
    return found


def _destinations(status: Mapping[str, Any], limits: Alerts, standing: frozenset[Key]) -> dict[Key, str]:
    found: dict[Key, str] = {}
    for name, row in status["destinations"].items():
        reason = _cut(row.get("reason") or "")
        if row.get("state") == "paused":
            found["destination_paused", name] = f"{name} is paused: {reason}"
        elif row.get("state") == "down":
            found["destination_down", name] = f"{name} is down: {reason}"
        share = (row.get("backlog") or {}).get("share")
        if share is not None and _above(share, limits, ("backlog", name), standing):
            found["backlog", name] = f"the backlog of {name} is at {share:.0%} of its bound"
    if status.get("state_stuck"):
        found["state", "pipeline"] = "the state cannot be written, nothing is delivered (is the disk full?)"
    scripts = status.get("transformations") or {}
    for name in scripts.get("benched", ()):
        found["script", name] = f"the transformation {name} was killed lately; it shares a worker with others like it"
    for name, row in (scripts.get("stopped") or {}).items():
        found["script", name] = f"the transformation {name} is stopped, its destinations wait: {_cut(row['reason'])}"
    return found


def _above(share: float, limits: Alerts, key: Key, standing: frozenset[Key]) -> bool:
    return bool(share >= limits.share * (CALM if key in standing else 1.0))


def _counted(
    dead: Counts, status: Mapping[str, Any], now: float
) -> Counts:
    """Counts of dead letters up to now, back to the last one that is a minute old."""
    if _unseen(status):
        return dead
    rows = status["destinations"].items()
    counts = {name: row.get("dead", 0) for name, row in rows if row.get("dead", 0) is not None}
    dead = (*(sample for sample in dead if sample[0] < now), (now, counts))
    old = [sample for sample in dead if sample[0] <= now - MINUTE]
    return (*old[-1:], *(sample for sample in dead if sample[0] > now - MINUTE))


def _rates(dead: Counts, now: float) -> dict[str, float] | None:
    """Dead letters of the last minute per destination; None before there is a minute to look back."""
    if not dead or dead[0][0] > now - MINUTE or dead[-1][0] != now:
        return None
    (began, before), (_, after) = dead[0], dead[-1]
    minutes = max(1.0, (now - began) / MINUTE)
    return {name: max(0, n - before.get(name, n)) / minutes for name, n in after.items()}


def _cut(text: str) -> str:
    return text if len(text) <= TEXT else text[: TEXT - 1] + "…"


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"
