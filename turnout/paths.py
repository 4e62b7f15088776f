"""Paths into events: `context.traits.email`, `properties.products[0].sku`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

__all__ = ["MISSING", "first", "get", "steps"]


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()
"""What `get` answers where there is nothing, so that `null` stays distinct from absent."""

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@lru_cache(maxsize=4096)
def steps(path: str) -> tuple[str | int, ...]:
    """The path taken apart: names, and places in lists as integers."""
    return tuple(name if name else int(index) for name, index in _STEP.findall(path))


def get(message: Any, path: str, default: Any = MISSING) -> Any:
    """Return the value at `path`, or `default` where any step is absent."""
    value = message
    for step in steps(path):
        if isinstance(step, str):
            if not isinstance(value, Mapping) or step not in value:
                return default
            value = value[step]
        else:
            if not isinstance(value, list) or step >= len(value):
                return default
            value = value[step]
    return value


def first(message: Any, *paths: str, default: Any = None) -> Any:
    """Return the first value among `paths` that is present, not null and not an empty string."""
    for path in paths:
        value = get(message, path)
        if value is not MISSING and value is not None and value != "":
            return value
    return default
