"""The condition of one destination as its answers tell: sending, throttled, down, or refusing us."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from dataplane.deliver.exchange import Sent
from dataplane.deliver.pausing import Pause
from dataplane.deliver.retry import Breaker
from dataplane.metrics.log import logger
from turnout.clock import Clock
from turnout.destination import BEHIND, UNSENT
from turnout.verdict import Outcome

__all__ = ["Condition"]

log = logger()
FORBIDDEN_USERS = 3
LONGEST_WAIT = 3600.0


class Condition:
    """When the next request may leave. `now` is the loop's time in seconds."""

    def __init__(self, ident: str, paused: float, clock: Clock) -> None:
        self.id = ident
        self.pause = Pause(paused, clock)
        self.breaker = Breaker(rng=Random(ident))  # noqa: S311 -- jitter
        self._clock = clock
        self._not_before = 0.0
        self._next_slot = 0.0
        self._forbidden: set[int] = set()

    def changed(self) -> None:
        """Its config changed: whatever held it back may be mended."""
        self.pause.resume()
        self.breaker.succeeded()
        self._not_before = 0.0
        self._forbidden.clear()

    def leaves(self, now: float, rate: float | None) -> None:
        """A request leaves; `rate` is requests per second."""
        self.breaker.sent()
        if rate:
            self._next_slot = max(now, self._next_slot) + 1 / rate

    @property
    def down(self) -> bool:
        """It answers nothing, or refuses us: its events stay in the lanes."""
        return self.breaker.open or self.pause.until() is not None

    def gate(self, now: float) -> float | None:
        """When sending may go on; None where it may now."""
        if (at := self.pause.until()) is not None:
            return now + max(0.0, at - self._clock.now().timestamp())
        if not self.breaker.allows(now):
            return max(self.breaker.until, now + 1.0) if self.breaker.probing else self.breaker.until
        latest = max(self._not_before, self._next_slot)
        return latest if latest > now else None

    def judge(self, sent: Sequence[Sent], keys: Sequence[int], now: float) -> None:
        """What the answers say about the destination itself: down, throttling, or refusing us."""
        verdicts = [one.verdict for one in sent]
        tried = [v for v in verdicts if v.reason != BEHIND and not v.reason.startswith(UNSENT)]
        if tried and all(v.outcome is Outcome.RETRY and v.status != 429 for v in tried):
            self.breaker.failed(now)
        else:
            self.breaker.succeeded()
        after = [v.after for v in tried if v.after is not None]
        if after:
            self._not_before = max(self._not_before, now + min(max(after), LONGEST_WAIT))
        for verdict, key in zip(verdicts, keys, strict=True):
            if verdict.outcome is Outcome.DELIVERED:
                self._forbidden.clear()
            elif verdict.status == 403 and verdict.outcome is Outcome.DEAD:
                self._forbidden.add(key)
        refused = next((v for v in tried if v.outcome is Outcome.PAUSE), None)
        reason = refused.reason if refused else ""
        if len(self._forbidden) >= FORBIDDEN_USERS:
            reason = "HTTP 403 for three or more users"
            self._forbidden.clear()
        if reason:
            self.pause.refused(reason)
            log.warning("deliver.paused", destination=self.id, reason=reason)
        elif any(v.outcome is Outcome.DELIVERED for v in tried):
            self.pause.answered()
