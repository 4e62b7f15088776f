"""What ends a pause that nobody asked for, and what stops the intake, as the engine answers it."""

from __future__ import annotations

from typing import Any

from dataplane.deliver.engine import Engine
from turnout.errors import Fixable

__all__ = ["VERBS"]


def _resume(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """Forget that a tool refused us or was down; {changed, still}."""
    courier = engine.couriers.get(str(args.get("destination")))
    if courier is None:
        raise Fixable(f"there is no destination {args.get('destination')}")
    changed = courier.condition.down
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


def _intake(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """Which destinations want no more events taken, and why."""
    return {"stopping": dict(engine.backlogs.stopping)}


VERBS = {"destination.resume": _resume, "transformation.resume": _resume_script, "intake": _intake}
