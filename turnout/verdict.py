"""What became of an event at a destination, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Outcome", "Verdict", "dead", "delivered", "filtered", "pause", "retry", "worst"]


class Outcome(StrEnum):
    """The five outcomes an adapter may give; the engine turns the last two into *pending*."""

    DELIVERED = "delivered"
    FILTERED = "filtered"
    DEAD = "dead"
    RETRY = "retry"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One event's outcome. `reason` is for people and holds no payload and no secret.

    `status` is the HTTP status that decided it, where one did. `after` is how many seconds to
    wait before the next attempt, where the tool said so.
    """

    outcome: Outcome
    reason: str = ""
    status: int | None = None
    after: float | None = None

    @property
    def final(self) -> bool:
        """True where nothing more will be tried."""
        return self.outcome in (Outcome.DELIVERED, Outcome.FILTERED, Outcome.DEAD)


_DELIVERED: dict[int | None, Verdict] = {None: Verdict(Outcome.DELIVERED)}


def delivered(status: int | None = None) -> Verdict:
    """The tool has it."""
    verdict = _DELIVERED.get(status)
    if verdict is None:
        verdict = _DELIVERED[status] = Verdict(Outcome.DELIVERED, "", status)
    return verdict


def filtered(reason: str) -> Verdict:
    """Not meant for this destination; `reason` names the rule."""
    return Verdict(Outcome.FILTERED, reason)


def dead(reason: str, status: int | None = None) -> Verdict:
    """Given up: trying again cannot help."""
    return Verdict(Outcome.DEAD, reason, status)


def retry(reason: str, *, status: int | None = None, after: float | None = None) -> Verdict:
    """Try again, not before `after` seconds where given."""
    return Verdict(Outcome.RETRY, reason, status, after)


def pause(reason: str, status: int | None = None) -> Verdict:
    """The destination itself is refused (a revoked key): stop sending and tell a person."""
    return Verdict(Outcome.PAUSE, reason, status)


_RANK = {Outcome.FILTERED: 0, Outcome.DELIVERED: 1, Outcome.DEAD: 2, Outcome.RETRY: 3, Outcome.PAUSE: 4}


def worst(one: Verdict | None, other: Verdict) -> Verdict:
    """The verdict of an event sent as several requests: the worst of its parts."""
    if one is None or _RANK[other.outcome] > _RANK[one.outcome]:
        return other
    return one
