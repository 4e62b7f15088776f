"""How much one event, and one exchange, may come to; wherever an exchange is run."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Final

from turnout.errors import Refused
from turnout.request import Checkpoint, Request, Response
from turnout.verdict import Verdict

__all__ = ["MOST_ITEMS", "MOST_REQUESTS", "Bounded", "Endless", "most_steps"]

MOST_REQUESTS: Final = 1_000
"""That one event may come to: strangers write lists of products, tags and groups."""
MOST_ITEMS: Final = 5_000
"""Products that an adapter looks at one by one; nobody's cart has more, and a stranger writes them."""
PER_EVENT: Final = 20


class Endless(Refused):
    """An exchange asked for more than any may; the message names the adapter."""


def most_steps(events: int) -> int:
    """How many requests and checkpoints an exchange of so many events (or users) may yield.

    Twice what one event may come to, since each may be looked up before, and twenty more for each event: a batch
    that is halved until its poison is found takes two for each.
    """
    return 2 * MOST_REQUESTS + PER_EVENT * events


class Bounded:
    """An exchange of the adapter `slug` that ends: `send` as of a generator, which raises `Endless`."""

    __slots__ = ("_left", "_most", "_send", "_slug", "close")

    def __init__(
        self, slug: str, steps: Generator[Request | Checkpoint, Response | None, Sequence[Verdict]], events: int
    ) -> None:
        self._slug = slug
        self._send = steps.send
        self.close = steps.close
        self._left = self._most = most_steps(events)

    def send(self, answer: Response | None) -> Request | Checkpoint:
        """The next step; raises StopIteration with the verdicts."""
        asked = self._send(answer)
        if not self._left:
            what = f"{self._slug}: its exchange asked for more than {self._most:,} requests and checkpoints"
            raise Endless("endless", f"{what} without an end")
        self._left -= 1
        return asked
