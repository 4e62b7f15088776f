"""A pool of transform workers for a command that runs scripts once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from transformations.base import Tester
from transformations.pool import Pool

__all__ = ["workers"]


@asynccontextmanager
async def workers(sandbox: Literal["auto", "required", "off"]) -> AsyncIterator[Tester]:
    """One worker, locked up as the configuration says, stopped at the end."""
    pool = Pool(1, sandbox=sandbox)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()
