"""A courier as people are shown it: what it does, since when and why, and what waits."""

from __future__ import annotations

from typing import Any

from dataplane.deliver.courier import Courier
from turnout.clock import from_millis, iso

__all__ = ["found_out", "show"]


def show(courier: Courier) -> dict[str, Any]:
    """For `turnout status`; plain JSON."""
    state, reason, since = _state(courier)
    return {
        "type": courier.plan.adapter.slug,
        "state": state,
        "reason": reason,
        "since": since,
        "queued": courier.lanes.count,
        "in_flight": courier.lanes.flying,
        "retrying": len(courier.chains) - courier.chains.waiting,
        "waiting": courier.chains.waiting,
        "jobs": len(courier.jobs),
        "next_retry_at": min(filter(None, (courier.chains.next_at(), courier.jobs.next_at())), default=None),
        "next_probe_at": _next_probe(courier),
        "oldest_queued_at": courier.lanes.oldest,
    }


def _state(courier: Courier) -> tuple[str, str, str | None]:
    if courier.held is not None:
        return courier.held.state, courier.held.reason, courier.held.since
    if courier.stopped is not None:
        return "paused", str(courier.stopped), _moment(courier.stopped.since)
    if (found := found_out(courier)) is not None:
        return found
    if not courier.sending and courier.ledger.stuck:
        return "stalled", "its state cannot be written", None
    return "running", courier.condition.asks, None


def found_out(courier: Courier) -> tuple[str, str, str] | None:
    """State, reason and since when, where its own answers told that the tool is down or refuses us."""
    condition = courier.condition
    if (refused := condition.refusal.now) is not None:
        return "paused", refused.reason, _moment(refused.since)
    if condition.breaker.open and condition.down_since is not None:
        why = f"its requests fail, the last with: {condition.failing}; probed with one event at a time"
        return "down", why, _moment(condition.down_since)
    return None


def _next_probe(courier: Courier) -> str | None:
    """When a script that is stopped, or a tool that refuses us, is tried with one event."""
    if courier.held is not None:
        return None
    if courier.stopped is not None:
        return _moment(courier.stopped.since + courier.stopped.after)
    probe = courier.condition.refusal.next_probe()
    return None if probe is None else _moment(probe)


def _moment(seconds: float) -> str:
    return iso(from_millis(int(seconds * 1000)))
