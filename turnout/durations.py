"""Durations and sizes as people write them: `15m`, `24h`, `7d`; `500kB`, `10GB`."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

__all__ = ["Duration", "PositiveDuration", "PositiveSize", "Size", "duration", "size", "write_duration",
           "write_size", "write_span", "write_time"]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4,
          "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_LONGEST = timedelta(days=36_500)  # a moment plus this is still in the calendar
_LARGEST = (1 << 63) - 1  # what SQLite and struct hold
_DIGITS = 24  # more of them are a mistake, and float() or int() of very many is slow


def duration(value: Any) -> timedelta:
    """Read a duration: a number is seconds, text is a number and ms, s, m, h or d.

    Raises ValueError with a sentence for people.
    """
    if isinstance(value, timedelta):
        made = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        made = _seconds(value)
    elif isinstance(value, str) and (m := re.fullmatch(r"\s*([\d.]+)\s*(ms|s|m|h|d|)\s*", value, re.ASCII)):
        made = _seconds(_number(m[1], _DURATION_HINT) * _UNITS.get(m[2], 1))
    else:
        raise ValueError(_DURATION_HINT)
    if made < timedelta(0):
        raise ValueError("must not be negative")
    if made > _LONGEST:
        raise ValueError(f"must be at most {_LONGEST.days}d")
    return made


def size(value: Any) -> int:
    """Read a size in bytes: a whole number, or text such as `500kB` (1000) or `64MiB` (1024).

    Raises ValueError with a sentence for people.
    """
    made = -1
    if isinstance(value, int) and not isinstance(value, bool):
        made = value
    elif isinstance(value, str) and (m := re.fullmatch(r"\s*([\d.]+)\s*([a-zA-Z]*)\s*", value, re.ASCII)):
        if m[2].lower() not in _SIZES:
            raise ValueError(_SIZE_HINT)
        made = int(_number(m[1], _SIZE_HINT) * _SIZES[m[2].lower()])
    else:
        raise ValueError(_SIZE_HINT)
    if made < 0:
        raise ValueError("must not be negative")
    if made > _LARGEST:
        raise ValueError("must be less than 8 EiB")
    return made


def write_duration(value: timedelta) -> str:
    """The shortest spelling that reads back as the same duration."""
    millis = round(value / timedelta(milliseconds=1))
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if millis and millis % length == 0:
            return f"{millis // length}{unit}"
    return f"{millis}ms" if millis else "0s"


def write_span(seconds: float) -> str:
    """A length of time for people: `3 d 4 h`, `12 min`, `8 s`; seconds only below a minute."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if count := left // length:
            parts.append(f"{count} {unit}")
            left -= count * length
        if len(parts) == 2 or (parts and length == 60):
            break
    return " ".join(parts) or "0 s"


def write_time(seconds: float) -> str:
    """How long something took, for people: `4.0 s`, `18 ms`, `640 µs`."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1e3:.0f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f} µs"


def write_size(value: int) -> str:
    """The shortest spelling that reads back as the same number of bytes."""
    for unit in ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB"):
        length = _SIZES[unit.lower()]
        if value and value % length == 0:
            return f"{value // length}{unit}"
    return str(value)


_DURATION_HINT = "must be a duration such as 500ms, 10s, 15m, 24h or 7d"
_SIZE_HINT = "must be a size such as 500kB, 10MB or 2GB"


def _number(text: str, hint: str) -> float | int:
    try:
        if len(text) > _DIGITS:
            raise ValueError(text)
        return float(text) if "." in text else int(text)
    except ValueError:
        raise ValueError(hint) from None


def _seconds(value: float) -> timedelta:
    if not math.isfinite(value) or abs(value) > _LONGEST.total_seconds() * 2:
        raise ValueError(f"must be at most {_LONGEST.days}d")
    return timedelta(seconds=value)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return value


_DURATION_SCHEMA = WithJsonSchema({
    "anyOf": [{"type": "string", "pattern": r"^\s*[\d.]+\s*(ms|s|m|h|d)?\s*$"}, {"type": "number"}],
})
_SIZE_SCHEMA = WithJsonSchema({
    "anyOf": [{"type": "integer", "minimum": 0},
              {"type": "string", "pattern": r"^\s*[\d.]+\s*([kKmMgGtT]?[iI]?[bB])?\s*$"}],
})
Duration = Annotated[timedelta, BeforeValidator(duration), _DURATION_SCHEMA]
"""Written `500ms`, `10s`, `15m`, `24h`, `7d`, or a number of seconds."""
PositiveDuration = Annotated[
    timedelta, BeforeValidator(duration), AfterValidator(_positive), _DURATION_SCHEMA,
]
Size = Annotated[int, BeforeValidator(size), _SIZE_SCHEMA]
"""Bytes: a number, or `500kB`, `10MB`, `2GiB`."""
PositiveSize = Annotated[int, BeforeValidator(size), Field(gt=0), _SIZE_SCHEMA]
