"""Who holds a destination: the config, a person, or the pause of one of its transformations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dataplane.config.pauses import Pauses
from dataplane.deliver.pausing import Passed
from dataplane.deliver.plan import Plan

__all__ = ["Found", "Held", "Left", "held"]


class Held(NamedTuple):
    """Why the config or a person lets a destination send nothing: `state` is disabled or paused, `since`
    ISO 8601 where it is known, `script` whether one of its transformations is paused, be that the reason or not;
    `elsewhere` where another process found that the tool is down or refuses us, and probes it."""

    state: str
    reason: str
    since: str | None = None
    script: bool = False
    elsewhere: bool = False


Found = Mapping[str, Sequence[Any]]
"""What other processes found out, by destination: state, reason, since (ISO 8601)."""

Left = Mapping[str, Passed]
"""Destinations that refuse a process which has nothing to probe them with."""


def held(plan: Plan, pauses: Pauses, found: Found | None = None) -> Held | None:
    """What holds a destination; None where nothing does. `found` is what other processes know of it.

    Just after a rename the pause still has the old name. A replay to a destination is held with it.
    """
    scripts = ((script.name, pauses.find("transformation", script.name)) for script in plan.scripts)
    name, mended = next((one for one in scripts if one[1] is not None), ("", None))
    script = mended is not None
    if not plan.enabled:
        return Held("disabled", "enabled: false in the config", script=script)
    ident = plan.replay.target if plan.replay else plan.id
    if (pause := pauses.find("destination", ident, plan.was or ident)) is not None:
        return Held("paused", pause.why, pause.since, script)
    if mended is not None:
        return Held("paused", f"transformation {name} ({mended.why})", mended.since, script)
    if found and plan.replay is None and (known := found.get(plan.id)) is not None:
        state, reason, since = known
        return Held(state, reason, since, elsewhere=True)
    return None
