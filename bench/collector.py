"""Python's garbage collector set as in a pipeline process, where a row runs an engine in the bench's own."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from dataplane.app.pipeline import COLLECT

__all__ = ["as_in_a_role"]


@contextmanager
def as_in_a_role() -> Iterator[None]:
    """What is there now is not looked through again, and the rest as seldom as there."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
