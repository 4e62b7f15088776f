"""The event loop: uvloop where it is installed, asyncio's own elsewhere."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

T = TypeVar("T")
THREADS = 64
"""Twice as many as names that are looked up at once; they are made at the first look-up."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on a fresh loop."""
    # libuv looks names up in its thread pool, in half of its threads at most: with the usual four, two destinations
    # whose name servers are silent would keep every other one waiting for its own.
    os.environ.setdefault("UV_THREADPOOL_SIZE", str(THREADS))
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
