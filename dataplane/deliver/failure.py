"""Error classes of dead letters: why an event was given up, in one of ten words."""

from __future__ import annotations

from dataplane.pipeline.numbered import LOST, UNREADABLE
from dataplane.pipeline.transform import SCRIPT
from turnout.destination import UNSENT

__all__ = ["BLOCKED", "CLASSES", "CLOSING", "EXPIRED", "LOST", "UNREADABLE", "UNSENT_BODY", "classify", "from_the_log"]

EXPIRED = "gave up after "
UNSENT_BODY = "cannot be sent: "
ADAPTER = ("adapter error: ", ": adapter failed: ")
BLOCKED = ": a private address; egress.allow_private permits it"
CLOSING = f"{UNSENT}closing"
"""Of what comes after a destination's connections were closed: whoever takes its place sends it."""

CLASSES: dict[str, str] = {
    "rejected": "the tool answered that it does not take this event (3xx, 4xx)",
    "refused_credentials": "the tool does not take our credentials for it (401, 403, 407)",
    "expired": "tried for `retry_for` without success",
    "script": "a transformation failed on it",
    "adapter": "the destination's own code failed on it",
    "invalid": "the destination's code found that the tool cannot take it",
    "unsendable": "it cannot be written as an HTTP request",
    "blocked": "it was to go to a private address, which `egress.allow_private` does not permit",
    "unreadable": "the stored event cannot be read",
    "lost": "its bytes were gone when its turn came",
}
"""Every class and its meaning; a closed set, for filters, metrics and counts."""


def classify(reason: str, status: int | None) -> str:
    """The class of a dead verdict. Pure: engine, adapters and sender begin their reasons with known words."""
    if reason.startswith(EXPIRED):
        return "expired"
    if status:
        return "refused_credentials" if status in (401, 403, 407) else "rejected"
    for start, name in ((SCRIPT, "script"), (UNREADABLE, "unreadable"), (LOST, "lost"), (UNSENT_BODY, "unsendable")):
        if reason.startswith(start):
            return name
    if reason.startswith(ADAPTER[0]) or ADAPTER[1] in reason:
        return "adapter"
    return "blocked" if reason.endswith(BLOCKED) else "invalid"


def from_the_log(name: str) -> bool:
    """Whether a letter of this class can only be tried again from the event as received.

    What it holds never passed its transformations, so it is nothing that may be sent.
    """
    return name in ("script", "unreadable")
