"""What Mixpanel's answers mean, where the status table does not say.

Sources: https://docs.mixpanel.com/troubleshooting/errors/400-bad-request and
https://docs.mixpanel.com/reference/profile-set: profiles are answered with 200 whatever became of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from turnout import Rule, Verdict, dead

__all__ = ["RULES", "failed"]

RULES: Final = (
    Rule("dead", "Mixpanel refuses an update of this request", status=200, path="error"),
    Rule("dead", "Mixpanel refuses an update of this request", status=200, path="status", values=(0,)),
)
_BLAMED: Final = frozenset({
    "data", "event", "properties", "properties.$insert_id", "properties.distinct_id", "properties.time",
    "properties.token",
})
"""Fields of an event that an answer may blame by name; any other name could be a person's data."""


def failed(row: Mapping[str, Any]) -> Verdict:
    """What a row of `failed_records` means for its event."""
    field = row.get("field")
    blamed = f": {field}" if isinstance(field, str) and field in _BLAMED else ""
    return dead(f"HTTP 400: Mixpanel refuses this event{blamed}", 400)
