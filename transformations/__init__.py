"""The data team's own code, run in locked worker processes.

`Pool` is imported on first use: the workers import this package too, and must stay lean (a worker
holds only what a script may need, so that an escape finds nothing else in its memory).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformations.pool import Pool

__all__ = ["Pool"]


def __getattr__(name: str) -> Any:
    if name == "Pool":
        from transformations.pool import Pool

        return Pool
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
