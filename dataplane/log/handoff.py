"""Handing items from the event loop to one thread, which takes all there are at once.

A `queue.SimpleQueue` takes a lock for every item on both sides; here the thread is only told when it sleeps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

__all__ = ["Handoff"]

T = TypeVar("T")


class Handoff(Generic[T]):
    """A queue with one taker."""

    __slots__ = ("_asleep", "_bell", "_items")

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._asleep = False
        self._bell: SimpleQueue[None] = SimpleQueue()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Queue one item, from any thread."""
        self.extend((item,))

    def extend(self, items: Iterable[T]) -> None:
        """Queue several, which the taker finds together; from any thread."""
        self._items.extend(items)
        if self._asleep:
            self._asleep = False
            self._bell.put(None)

    def ring(self) -> None:
        """Have the taker come back at once, also with nothing."""
        self._bell.put(None)

    def wait(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for something; may come back with nothing earlier."""
        items = self._items
        if not items:
            self._asleep = True  # before the second look: whoever puts after it rings
            if not items:
                with suppress(Empty):  # the time is over
                    self._bell.get(timeout=timeout)
            self._asleep = False

    def take(self, timeout: float = 0) -> list[T]:
        """All that is queued, in order, after waiting for something up to `timeout` seconds."""
        if timeout:
            self.wait(timeout)
        pop = self._items.popleft
        return [pop() for _ in range(len(self._items))]
