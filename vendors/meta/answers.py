"""What the errors of Meta's Graph API mean.

Source: https://developers.facebook.com/docs/graph-api/guides/error-handling (codes and what to do about each) and
https://developers.facebook.com/docs/graph-api/overview/rate-limiting (4, 17, 32, 613 and 800xx). The code in the
body decides whatever the status is: Graph answers the same error with 400 or with 500.
"""

from __future__ import annotations

from typing import Any, Final

from turnout import Response, Rule, codec
from turnout.errors import Refused
from turnout.values import number

__all__ = ["CODE", "RULES", "regained"]

CODE: Final = "error.code"
LONGEST: Final = 3600.0
"""Seconds that are waited at most, whatever the header says."""
_THROTTLED: Final = (4, 17, 32, 613, *range(80000, 80015))
_PASSING: Final = (1, 2, 341, 368, 5000)
_FINAL: Final = (3, 10, 100, 506, 803, 2500, *range(200, 300))

RULES: Final = (
    Rule("throttle", "Meta takes no more calls for now", path=CODE, values=_THROTTLED),
    Rule("pause", "the access token expired, was revoked or is not valid", path=CODE, values=(102, 190)),
    Rule("retry", "Meta calls this error a passing one", path="error.is_transient", values=(True,)),
    Rule("retry", "Meta has trouble, which passes", path=CODE, values=_PASSING),
    Rule("dead", "Meta refuses this event, or the token may not send to this data set", path=CODE, values=_FINAL),
    Rule("retry", "an error that Meta does not document", path=CODE),
)


def regained(response: Response) -> float | None:
    """Seconds until calls are taken again, as `X-Business-Use-Case-Usage` tells it; None where it does not.

    The header is JSON, in minutes: `{"<id>": [{"type": …, "estimated_time_to_regain_access": 5}]}`.
    """
    told = response.header("X-Business-Use-Case-Usage")
    if not told:
        return None
    try:
        found: Any = codec.loads(told.encode("utf-8", "replace"))
    except Refused:
        return None
    rows = [row for one in found.values() if isinstance(one, list) for row in one] if isinstance(found, dict) else []
    waits = [number(row.get("estimated_time_to_regain_access")) for row in rows if isinstance(row, dict)]
    longest = max((wait for wait in waits if wait), default=0)
    return min(longest * 60.0, LONGEST) if longest > 0 else None
