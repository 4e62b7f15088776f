"""Which destination an event is for: one pure function with a truth table.

Look-up order in the event's `integrations` object: the destination's id, its `name`, the tool's
names (without case), then `All` (missing means true). The first key that is *present* decides:
true and an object send (the object holds options), false filters, null and other scalars fall
back to `All`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from turnout import codec
from turnout.errors import Refused

__all__ = ["SEND", "Filtered", "Gate", "Route", "Send", "decide", "route"]


@dataclass(frozen=True, slots=True)
class Send:
    """The event goes there; `options` is what its integrations object says to this tool."""

    options: Mapping[str, Any]
    rule: str


@dataclass(frozen=True, slots=True)
class Filtered:
    """The event is not for it; `reason` names the rule."""

    reason: str


Route = Send | Filtered
SEND: Final = Send({}, "default")


@dataclass(frozen=True, slots=True)
class Gate:
    """What routing needs to know of one destination. `keys` are its spellings, lower-cased, in order.

    `sources` is None where it takes all; `options` the keys that may reach the adapter.
    """

    id: str
    keys: tuple[str, ...]
    kinds: frozenset[str]
    sources: frozenset[str] | None = None
    options: frozenset[str] = frozenset()


def route(integrations: Any, kind: str, source: str, gate: Gate, *, present: bool = True) -> Route:
    """Decide for one event and one destination.

    `integrations` is the decoded object; `present` is False where the event has none. `kind` is
    the event's type in lower case.
    """
    if gate.sources is not None and source not in gate.sources:
        return Filtered(f"source {source} is not connected")
    decided = _by_integrations(integrations, gate) if present else SEND
    if isinstance(decided, Filtered):
        return decided
    if kind not in gate.kinds:
        return Filtered(f"type {kind or '(none)'} is not supported")
    return decided


def decide(integrations: bytes, kind: str, source: str, gate: Gate) -> Route:
    """The same for an integrations object as it stands in the event, b"" where there is none."""
    try:
        decoded = codec.loads(integrations) if integrations else None
    except Refused:
        decoded = None  # not an object: filtered with that reason
    return route(decoded, kind, source, gate, present=bool(integrations))


def _by_integrations(integrations: Any, gate: Gate) -> Route:
    if not isinstance(integrations, Mapping):
        return Filtered("integrations is not an object")
    if not integrations:
        return SEND
    key = _present_key(integrations, gate)
    if key is not None:
        value = integrations[key]
        if value is True:
            return Send({}, f"integrations.{key} is true")
        if value is False:
            return Filtered(f"integrations.{key} is false")
        if isinstance(value, Mapping):
            allowed = {name: value[name] for name in gate.options if name in value}
            return Send(allowed, f"integrations.{key} is an object")
    return _by_all(integrations)


def _present_key(integrations: Mapping[str, Any], gate: Gate) -> str | None:
    if gate.id in integrations:
        return gate.id
    lowered: dict[str, str] | None = None
    for wanted in gate.keys:
        if lowered is None:
            lowered = {}
            for name in integrations:
                if isinstance(name, str) and name.lower() != "all":
                    lowered.setdefault(name.lower(), name)
        if wanted in lowered:
            return lowered[wanted]
    return None


def _by_all(integrations: Mapping[str, Any]) -> Route:
    value = integrations.get("All", integrations.get("all", True))
    if value is True:
        return SEND
    if value is False:
        return Filtered("integrations.All is false")
    return Filtered("integrations.All is not a boolean")
