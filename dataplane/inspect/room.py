"""How full the disk and the log are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dataplane.config.model import LogConfig

__all__ = ["room"]


def room(data: Path, log: LogConfig, used: int | None) -> dict[str, Any]:
    """{disk: {free, total, share}, log: {bytes, max_bytes, share}}; `used` is the log's size in bytes.

    A share of 1 is where the gateway answers 503. What cannot be looked at is missing.
    """
    found: dict[str, Any] = {}
    try:
        disk = os.statvfs(data)
    except OSError:
        pass
    else:
        free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        usable = max(total - log.min_free_bytes, 1)
        share = min(1.0, max(0.0, 1 - max(0, free - log.min_free_bytes) / usable))
        found["disk"] = {"free": free, "total": total, "share": round(share, 4)}
    if used is not None:
        found["log"] = {"bytes": used, "max_bytes": log.max_bytes, "share": round(used / log.max_bytes, 4)}
    return found
