"""Whether an event is for a destination: routing decisions, remembered."""

from __future__ import annotations

import functools
from typing import Any, Protocol

from dataplane.deliver.lanes import Lanes
from dataplane.deliver.plan import Plan
from dataplane.pipeline.route import SEND, Route, route
from turnout import codec
from turnout.errors import Refused

__all__ = ["Addressee", "Name", "routed"]

Name = tuple[bytes, str, str]
"""What an event is routed by: its integrations object as it stands there, its type and its source."""


class Addressee(Protocol):
    """What events can be made ready for: a courier, or (in `turnout plan`) something that sends nothing."""

    plan: Plan
    routes: dict[Name, Route]
    lanes: Lanes

    @property
    def watched(self) -> bool:
        """Whether somebody sees its verdicts as they are reached."""
        ...


ROUTES = 4_096
LONGEST = 1_024
"""Bytes of an integrations object and a type whose decision is remembered."""


def _decoded(integrations: bytes) -> Any:
    try:
        return codec.loads(integrations)
    except Refused:
        return None  # not an object: filtered with that reason


_integrations = functools.lru_cache(maxsize=4_096)(_decoded)


def routed(courier: Addressee, integrations: bytes, kind: str, source: str) -> Route:
    """The decision for one event at one destination; decisions repeat, so they are remembered.

    Not those of long texts: anyone may send them, ever different, and memory is bounded.
    """
    gate = courier.plan.gate
    if gate is None:
        return SEND
    if len(integrations) + len(kind) > LONGEST:
        decoded = _decoded(integrations) if integrations else None
        return route(decoded, kind, source, gate, present=bool(integrations))
    known = courier.routes
    key = (integrations, kind, source)
    found = known.get(key)
    if found is None:
        if len(known) >= ROUTES:
            known.clear()
        decoded = _integrations(integrations) if integrations else None
        found = known[key] = route(decoded, kind, source, gate, present=bool(integrations))
    return found
