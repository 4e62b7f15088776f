"""Time and chance as a script sees them: those of the event in hand, the same on every run.

A replay must make the same events, so a script's clock stands at the event's `receivedAt` and its
random numbers are seeded by messageId and script.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

__all__ = ["MOMENT", "Moment", "seconds"]


class Moment:
    """The event in hand; `item` is its place in the batch, the callables tell more when asked."""

    __slots__ = ("_drawn", "_random", "_read", "_seconds", "identity", "item", "received", "script")

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311  # reproducible on purpose, and said so in the guide
        self.begin("", lambda _: "", lambda _: None)

    def begin(
        self, script: str, identity: Callable[[int], str], received: Callable[[int], float | None]
    ) -> None:
        """Start a batch; `identity` and `received` give an event's messageId and receivedAt."""
        self.script, self.identity, self.received = script, identity, received
        self.item = 0
        self._drawn = self._read = -1
        self._seconds = 0.0

    def random(self) -> random.Random:
        """The generator of this event, seeded at its first use."""
        if self._drawn != self.item:
            self._random.seed(f"{self.script}\0{self.identity(self.item)}")
            self._drawn = self.item
        return self._random

    def time(self) -> float:
        """Seconds since 1970 of the event's receivedAt; the machine's time where it has none."""
        if self._read != self.item:
            received = self.received(self.item)
            self._seconds = time.time() if received is None else received
            self._read = self.item
        return self._seconds

    def now(self, zone: Any = None) -> datetime:
        """The same as a datetime: of a time zone, or naive in UTC."""
        if zone is None:
            return datetime.fromtimestamp(self.time(), UTC).replace(tzinfo=None)
        return datetime.fromtimestamp(self.time(), zone)


def seconds(value: object) -> float | None:
    """A `receivedAt` as seconds since 1970; None where it is not a time."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) / 1000
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


MOMENT = Moment()
"""The one of this process: a worker runs one batch of one script at a time."""
