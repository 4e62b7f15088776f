"""How scripts stand with the pool: whose workers were killed lately, and which are stopped."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from transformations.base import Failed, Item, Ran
from transformations.breaker import Breaker
from turnout.clock import from_millis, iso
from turnout.errors import Stopped

__all__ = ["Standing", "Standings"]

PROBATION = 60.0
"""Seconds a script sits on the bench after its last kill."""
KNOWN = 1_000
"""Most events remembered that alone killed a script that was then stopped."""


@dataclass(slots=True)
class Standing:
    """One version of a script: its breaker, and the events that alone killed it just before that opened.

    These have no verdict yet when the breaker opens, since the whole batch goes back. They are not tried
    again: it would open for them, at the head of every batch, for ever.
    """

    name: str
    key: Hashable
    breaker: Breaker = field(default_factory=Breaker)
    opened: float = 0.0
    culprits: dict[bytes, Failed] = field(default_factory=dict)

    def killed(self, kind: str) -> bool:
        """A run of it ended by a kill; True where that stops it."""
        if not self.breaker.killed(kind, time.monotonic()):
            return False
        self.opened = time.time()
        return True

    def known(self, items: Sequence[Item]) -> dict[int, Failed]:
        """The results of items that need not be run."""
        if not self.culprits:
            return {}
        found = ((i, self.culprits.get(_digest(item))) for i, item in enumerate(items))
        return {i: failed for i, failed in found if failed is not None}

    def remember(self, items: Sequence[Item], results: Sequence[Ran | None]) -> None:
        """The batch goes back: keep what is known of its events that alone killed it."""
        for item, ran in zip(items, results, strict=True):
            if isinstance(ran, Failed) and ran.kind != "error":
                self.culprits[_digest(item)] = ran
        while len(self.culprits) > KNOWN:
            del self.culprits[next(iter(self.culprits))]

    def forget(self, item: Item) -> None:
        """It went well after all."""
        self.culprits.pop(_digest(item), None)

    def stopped(self) -> Stopped:
        """What is raised instead of running it."""
        breaker = self.breaker
        return Stopped(
            f"transformation {self.name} is stopped: {breaker.reason}", script=self.name, since=self.opened,
            left=breaker.left(time.monotonic()), after=breaker.until - (breaker.since or 0.0),
        )  # fmt: skip

    def shown(self) -> dict[str, Any]:
        """For the status: since when, why, and when it is tried again."""
        stopped = self.stopped()
        since, probe = (iso(from_millis(int(at * 1000))) for at in (stopped.since, stopped.since + stopped.after))
        return {"since": since, "reason": self.breaker.reason, "next_probe_at": probe, "probes": self.breaker.probes}


def _digest(item: Item) -> bytes:
    return blake2b(item.event, digest_size=16).digest()


class Standings:
    """Of all scripts: one breaker per name, for the version that runs; kills by version."""

    def __init__(self) -> None:
        self._by_name: dict[str, Standing] = {}
        self._suspects: dict[Hashable, float] = {}

    def of(self, name: str, key: Hashable) -> Standing:
        """The standing of a version that is to run; that of another one of this name is over."""
        found = self._by_name.get(name)
        if found is None or found.key != key:
            found = self._by_name[name] = Standing(name, key)
        return found

    def resume(self, name: str) -> bool:
        """Begin anew with a script; False where it was not stopped."""
        found = self._by_name.pop(name, None)
        return found is not None and found.breaker.open

    def stopped(self) -> Mapping[str, dict[str, Any]]:
        """Scripts that do not run, by name."""
        return {name: one.shown() for name, one in sorted(self._by_name.items()) if one.breaker.open}

    def suspect(self, key: Hashable) -> None:
        """One of its workers was killed now."""
        if len(self._suspects) > 1000:  # versions of scripts long replaced
            self._suspects = {one: at for one, at in self._suspects.items() if _lately(at)}
        self._suspects[key] = time.monotonic()

    def suspected(self, key: Hashable) -> bool:
        """Whether one was killed lately: then it has no claim on an ordinary seat."""
        return _lately(self._suspects.get(key))

    def suspects(self) -> list[Any]:
        """The keys of all that sit on the bench."""
        return [key for key, at in self._suspects.items() if _lately(at)]


def _lately(moment: float | None) -> bool:
    return moment is not None and time.monotonic() - moment < PROBATION
