"""The partitions of the log as one: sums, and the worst of what can go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["combine"]

_SUMS = ("head", "floor", "bytes", "records")


def combine(partitions: Mapping[int, dict[str, Any]]) -> dict[str, Any] | None:
    """{open, full, reason, head, floor, bytes, records, partitions} of the states of partitions.

    Open where all are, full where any is; positions and bytes are added up. The reason names its
    partition where there are several. None where none is known.
    """
    if not partitions:
        return None
    several = len(partitions) > 1
    ordered = dict(sorted(partitions.items()))
    reasons = [
        f"partition {number}: {state['reason']}" if several else state["reason"]
        for number, state in sorted(ordered.items(), key=lambda item: item[1]["open"])
        if state["reason"]
    ]
    return {
        "open": all(state["open"] for state in ordered.values()),
        "full": any(state["full"] for state in ordered.values()),
        "reason": reasons[0] if reasons else "",
        **{what: sum(state[what] for state in ordered.values()) for what in _SUMS},
        "partitions": {str(number): state for number, state in ordered.items()},
    }
