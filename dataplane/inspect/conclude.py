"""From what is known of an event at a destination to its verdict, in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["conclude"]


def conclude(known: Mapping[str, Any]) -> tuple[str, str]:
    """Verdict and sentence: delivered, filtered, dead, pending, archived, none (not concerned) or unknown.

    `known` is a destination's part of the answer of `explain`. An event of several outputs has the
    worst verdict among them.
    """
    if known["stands"] == "before":
        return "none", f"the destination began at event #{known['began']}, behind this one"
    if known["waits"]:
        return "pending", _waiting(known)
    if known["stands"] in ("unread", "queued", "sending"):
        return "pending", _underway(known)
    if known["stands"] == "archived":
        return "archived", "left a full backlog undelivered; it is kept in the archive, for `turnout replay --archive`"
    if known["dead"]:
        last = known["dead"][-1]
        return "dead", f"{last['reason']} (turnout dead show {last['id']})"
    if known["attempts"]:
        return _attempted(known)
    if known["filtered"]:
        return "filtered", known["filtered"][-1]["reason"]
    return _reconstructed(known)


def _waiting(known: Mapping[str, Any]) -> str:
    wait = known["waits"][0]
    if wait["sending"]:
        return "is being sent"
    if wait["behind"] is not None:
        behind = wait["behind"]
        return f"waits behind #{behind['number']} of its user, tried next at {behind['next_at']} ({behind['reason']})"
    if wait["kind"] == "waiting":
        return "its turn has come; it is sent next"
    later = max(filter(None, (wait["next_at"], known["sends_at"])))
    return f"{wait['reason']}; tried next at {later}{_state(known)}"


def _state(known: Mapping[str, Any]) -> str:
    return "" if known["state"] == "running" else f"; the destination is {known['state']}: {known['reason']}"


def _held(known: Mapping[str, Any]) -> str:
    if known["state"] == "running" and known["reason"] and known["sends_at"]:
        return f"; {known['reason']}; it is sent to again at {known['sends_at']}"
    return _state(known) + (f"; it is sent to again at {known['sends_at']}" if known["sends_at"] else "")


def _underway(known: Mapping[str, Any]) -> str:
    if known["stands"] == "sending":
        return "is being sent"
    ahead = "it is next"
    if known["ahead"]:
        ahead = "1 event comes before it" if known["ahead"] == 1 else f"{known['ahead']:,} events come before it"
    if known["stands"] == "unread":
        return f"not read yet: {ahead}{_held(known)}"
    fills = f"; its batch waits for more events until {known['fills_until']}" if known["fills_until"] else ""
    return f"queued: {ahead} in its lane{fills}{_held(known)}"


def _attempted(known: Mapping[str, Any]) -> tuple[str, str]:
    last: dict[int, Mapping[str, Any]] = {one["child"]: one for one in known["attempts"]}
    bad = [one for one in last.values() if one["error"] or not (one["status"] == 0 or 200 <= one["status"] < 300)]
    if bad:
        said = bad[-1]["error"] or f"HTTP {bad[-1]['status']}"
        if known["state"] == "removed":
            return "unknown", f"not delivered when the destination was removed from the config; the last answer: {said}"
        if known["state"] == "cancelled":
            return "unknown", f"not delivered when the replay was cancelled; the last answer: {said}"
        if known["expired"]:
            return "unknown", f"{said}; then it died or left a full backlog, and its copy is not kept{_gone(known)}"
        return "dead", f"{said}; its dead letter is not kept any more"
    one = known["attempts"][-1]
    how = f"HTTP {one['status']}" if one["status"] else "written"
    return "delivered", f"{how} at {one['at']}"


def _reconstructed(known: Mapping[str, Any]) -> tuple[str, str]:
    """Settled, and the journal says nothing of it: what the way looks like by what is in force now."""
    way = known["reconstructed"]
    parts = way["parts"] if way else []
    if parts and all(part["verdict"] != "send" for part in parts):
        verdict = "dead" if any(part["verdict"] == "dead" for part in parts) else "filtered"
        return verdict, f"{parts[-1]['reason']} (reconstructed; the journal does not go back so far)"
    return "unknown", f"has its verdict, but the journal does not go back so far{_gone(known)}"


def _gone(known: Mapping[str, Any]) -> str:
    """Of the events that left the archive at its bound, only how many they were is known."""
    count = known["expired"]
    return f" (the archive had to let go of {count:,} of the destination's events)" if count else ""
