"""Times as Google Ads wants them, `2026-01-02 03:04:05+00:00`."""

from __future__ import annotations

import re
from typing import Any

from turnout.errors import Refused
from turnout.values import moment

__all__ = ["stamp"]

_READY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d")
_ZONED = re.compile(r"(?:Z|[+-]\d\d:?\d\d|GMT|UTC)\s*$", re.IGNORECASE)


def stamp(value: Any, name: str) -> str:
    """A time with its zone, as it is where it has Google's form already; in UTC otherwise.

    `name` is where it was found. Raises `Refused` for what is no time, and for one without a zone: it could be hours
    from what was meant.
    """
    if isinstance(value, str):
        if _READY.fullmatch(value):
            return value
        if not _ZONED.search(value) and not value.strip().isdigit():
            raise Refused("no_zone", f"{name} needs a time with a zone, such as 2026-01-02 03:04:05+00:00")
    found = moment(value)
    if found is None:
        raise Refused("no_time", f"{name} is no time such as 2026-01-02 03:04:05+00:00")
    return found.strftime("%Y-%m-%d %H:%M:%S+00:00") if found.year >= 1000 else found.isoformat(" ", "seconds")
