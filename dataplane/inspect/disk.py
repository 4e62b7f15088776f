"""How full the disk under the data folder is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

__all__ = ["disk"]


def disk(data: Path, min_free: int) -> dict[str, Any]:
    """{free, total, share}: bytes, and the part in use of what `log.min_free_bytes` leaves.

    At a share of 1 the gateway answers 503. {} where it cannot be looked at.
    """
    try:
        found = os.statvfs(data)
    except OSError:
        return {}
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    usable = max(total - min_free, 1)
    share = min(1.0, max(0.0, 1 - max(0, free - min_free) / usable))
    return {"free": free, "total": total, "share": round(share, 4)}
