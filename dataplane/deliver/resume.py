"""What ends a pause that nobody asked for, and what stops the intake, as the engine answers it."""

from __future__ import annotations

import math
from typing import Any

from dataplane.deliver.breaker import LONGEST
from dataplane.deliver.courier import Courier
from dataplane.deliver.engine import Engine
from dataplane.deliver.showing import found_out
from turnout.errors import Fixable

__all__ = ["VERBS"]


def _resume(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """Forget that a tool refused us, was down or wanted to be asked later; {changed, still}."""
    courier = engine.couriers.get(str(args.get("destination")))
    if courier is None:
        raise Fixable(f"there is no destination {args.get('destination')}")
    changed = courier.condition.down or courier.condition.throttled
    engine.hold(engine.pauses, {name: one for name, one in engine.found.items() if name != courier.plan.id})
    courier.resume()
    still = "" if courier.held is None else f"{courier.held.state}: {courier.held.reason}"
    return {"changed": changed, "still": still}


def _resume_script(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """Forget that a transformation was killed too often; {changed}."""
    changed = engine.runner.resume(str(args.get("transformation")))
    for courier in (*engine.couriers.values(), *engine.replays.couriers.values()):
        if courier.stopped is not None and courier.stopped.script == args.get("transformation"):
            courier.go_on()
            courier.hasten()
    engine.readers.send()
    return {"changed": changed}


def _faulty(courier: Courier) -> bool:
    refused = courier.condition.refusal.now
    return refused is not None and refused.kind == "fault"


def _probes(engine: Engine, courier: Courier) -> bool:
    """Whether it has, now or soon, something to ask the tool with."""
    due = [at for at in (courier.chains.next_at(), courier.jobs.next_at()) if at is not None]
    if courier.lanes.ready or courier.lanes.flying or courier.chains.flying:
        return True
    return min(due, default=math.inf) <= engine.clock.now().timestamp() + LONGEST


def _intake(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """Which destinations want no more events taken, and why; which of them this process found to be down or to refuse
    us, the fault not being its own: those in `found` it probes, for those in `idle` (None where it is down) it has
    nothing to do so with; and how many events each destination took."""
    known = {
        ident: (courier, said)
        for ident, courier in engine.couriers.items()
        if (said := found_out(courier)) is not None and not _faulty(courier)
    }
    found = {ident: said for ident, (courier, said) in known.items() if _probes(engine, courier)}
    idle = {
        ident: courier.condition.refusal.passed()
        for ident, (courier, _) in known.items() if ident not in found and courier.held is None
    }
    delivered = {ident: engine.ledger.counts[ident, "delivered"] for ident in engine.couriers}
    return {"stopping": dict(engine.backlogs.stopping), "found": found, "idle": idle, "delivered": delivered}


def _well(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """Another process delivers to a destination that this one has found not to be well; {changed}."""
    courier = engine.couriers.get(str(args.get("destination")))
    changed = courier is not None and courier.condition.down and not _faulty(courier)
    if courier is not None and changed:
        courier.condition.well()
        courier.hasten()
        engine.ledger.dirty.add(courier.plan.id)
        courier.pump()
    return {"changed": changed}


VERBS = {
    "destination.resume": _resume, "transformation.resume": _resume_script, "intake": _intake,
    "destination.well": _well,
}
