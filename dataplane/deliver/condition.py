"""The condition of one destination as its answers tell: sending, throttled, down, or refusing us."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from dataplane.deliver.breaker import Breaker, Rejects
from dataplane.deliver.exchange import Sent, all_delivered
from dataplane.deliver.pace import Pace
from dataplane.deliver.pausing import Active, Kind, Passed, Refusal, Refused
from dataplane.deliver.retry import OBEYED, asked, obeyed
from dataplane.metrics.log import logger
from turnout.clock import Clock
from turnout.destination import BEHIND, UNSENT
from turnout.verdict import Outcome

__all__ = ["Condition"]

log = logger()
FORBIDDEN_USERS = 3
FAULT = 5.0
"""Seconds without a request after a fault of ours, which would send the same again and again."""


class Condition:
    """When the next request may leave, and how long the destination could be delivered to."""

    def __init__(self, ident: str, active: float, refused: Refused | None, clock: Clock) -> None:
        self.id = ident
        self.refusal = Refusal(refused, clock)
        self.breaker = Breaker(rng=Random(ident))  # noqa: S311 -- jitter
        self.down_since: float | None = None
        self.failing = ""
        """Why the last request that failed as a whole did."""
        self._rejects = Rejects()
        self._active = Active(active, clock)
        self._clock = clock
        self._not_before = 0.0
        self._asks = ""
        self.pace = Pace()
        self._forbidden: set[int] = set()
        self._resting = False
        self._changed = 0.0
        self._count()

    def changed(self, passed: Passed | None = None) -> None:
        """Its config changed, or a person says so: whatever held it back may be mended. Where another process `passed`
        on that it is refused, one event at a time finds out. Requests that are under way were sent to what it was."""
        self._changed = self._clock.monotonic()
        self.refusal.over()
        if passed is not None:
            self.refusal.take(passed)
        self.breaker.reset()
        self._rejects = Rejects()
        self._not_before = 0.0
        self._forbidden.clear()
        self._count()

    def well(self) -> None:
        """It took an event of another process: as a probe that went well."""
        self.breaker.succeeded()
        self._forbidden.clear()
        self.refusal.over()
        self._count()

    def rest(self, resting: bool) -> None:
        """Nothing is sent for reasons that are not the tool's: a pause, a disk that is full."""
        if resting != self._resting:
            self._resting = resting
            self._count()

    def active(self) -> float:
        """Seconds in which it could be delivered to; see `Active`."""
        return self._active.total()

    def _count(self) -> None:
        self._active.run(not (self._resting or self.down))
        if not self.breaker.open:
            self.down_since = None
        elif self.down_since is None:
            self.down_since = self._clock.now().timestamp()

    def leaves(self, rate: float | None) -> None:
        """A request leaves; `rate` is requests per second."""
        self.breaker.sent()
        if self.refusal.now is not None:
            self.refusal.probing = True
        self.paced(rate)

    def paced(self, rate: float | None) -> None:
        """A request takes its turn at `rate` requests per second, and says nothing of the destination."""
        if rate:
            self.pace.take(self._clock.monotonic(), rate)

    def unsent(self) -> None:
        """What left asked nothing: another request may be the probe."""
        self.breaker.unsent()
        self.refusal.probing = False

    def fault(self) -> None:
        """Something of ours failed: what left may leave again, but not at once."""
        self.unsent()
        self._not_before = max(self._not_before, self._clock.monotonic() + FAULT)

    @property
    def down(self) -> bool:
        """It answers nothing, or refuses us: its events stay in the lanes, and one at a time probes it."""
        return self.breaker.open or self.refusal.now is not None

    def wait(self) -> float:
        """Seconds until a request may leave; 0 where one may leave now."""
        if (left := self.refusal.wait()) > 0:
            return left
        now = self._clock.monotonic()
        if not self.breaker.allows(now):
            left = self.breaker.until - now
            return max(left, 1.0) if self.breaker.probing else left
        return max(0.0, self._not_before - now, self.pace.at - now)

    @property
    def throttled(self) -> bool:
        """Nothing is sent because it asked for time, or something of ours failed a moment ago."""
        return self._clock.monotonic() < self._not_before

    @property
    def asks(self) -> str:
        """Why nothing is sent though it is well: it asked for time; else ""."""
        return self._asks if self.throttled else ""

    def judge(self, sent: Sequence[Sent], keys: Iterable[int], left: float, most: float = OBEYED) -> bool:
        """What the answers to a request that left at `left` say about the destination itself: down,
        throttling (for `most` seconds at most), or refusing us. True where it was down or refused us until now.
        A request of before the last change says nothing of what is there now, but that it is well."""
        before = self.down
        if not before and all_delivered(sent):  # as nearly always
            self.breaker.succeeded()
            self._forbidden.clear()
            self._rejects.delivered(len(sent))
            return False
        if left < self._changed:
            return False
        verdicts = [one.verdict for one in sent]
        tried = [v for v in verdicts if v.reason != BEHIND and not v.reason.startswith(UNSENT)]
        now = self._clock.monotonic()
        if not tried:
            self.unsent()
        elif all(v.outcome is Outcome.RETRY and v.status != 429 for v in tried):
            self.failing = tried[-1].reason
            self.breaker.failed(now, left)
        else:
            self.breaker.succeeded()
        asking = max((v for v in tried if v.after is not None), key=lambda v: v.after or 0.0, default=None)
        if asking is not None and asking.after is not None:
            self._not_before = max(self._not_before, now + obeyed(asking.after, most))
            self._asks = asked(asking, most)
        rejected = False
        for verdict, key in zip(verdicts, keys, strict=True):
            if verdict.outcome is Outcome.DELIVERED:
                self._forbidden.clear()
                self._rejects.delivered(1)
            elif verdict.outcome is Outcome.DEAD:
                if verdict.status == 403:
                    self._forbidden.add(key)
                rejected |= self._rejects.dead(key)
        outcomes = {v.outcome for v in tried}
        refused = next((v for v in tried if v.outcome is Outcome.PAUSE), None)
        if refused is not None:
            self._refuse("credentials", refused.reason)
        elif len(self._forbidden) >= FORBIDDEN_USERS:
            self._forbidden.clear()
            self._refuse("forbidden", "HTTP 403 for three or more users")
        elif rejected:
            reason = next((v.reason for v in tried if v.outcome is Outcome.DEAD), "")
            self._refuse("rejects", f"rejects practically every event, the last with: {reason}")
        elif self.refusal.now is not None and outcomes:
            self._probed(outcomes)
        self._count()
        return before and not self.down

    def answered(self, *, asked: bool) -> bool:
        """What was `asked` was taken, and there is no verdict yet: a job runs. True where it was down or refused
        us until now."""
        before = self.down
        if not asked:
            self.unsent()
            return False
        self.breaker.succeeded()
        if self.refusal.now is not None:
            self._probed({Outcome.DELIVERED} if self.refusal.now.kind == "credentials" else set())
        self._count()
        return before and not self.down

    def _refuse(self, kind: Kind, reason: str) -> None:
        if self.refusal.refuse(kind, reason):
            log.warning("deliver.paused", destination=self.id, reason=reason)

    def _probed(self, outcomes: set[Outcome]) -> None:
        """An answer came while it refuses us, and is no refusal of the same kind."""
        assert self.refusal.now is not None
        known = self.refusal.now.kind == "credentials" and Outcome.DEAD in outcomes  # they were looked at
        if Outcome.DELIVERED in outcomes or known:
            self.refusal.over()
            log.info("deliver.resumed", destination=self.id)
        elif self.refusal.probing:
            self.refusal.again()
