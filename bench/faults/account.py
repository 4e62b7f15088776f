"""What was promised to the users against what arrived, and the books against both."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["WINDOW", "Arrival", "Fate", "Outcome", "arrived", "sums", "verdicts"]

WINDOW = 2.0
"""Seconds before a kill in which an event may have arrived that comes again: what was in flight, the tenth of a
second of cursors, and what a busy machine adds to both. A quiet one stays below 0.3."""


@dataclass(slots=True)
class Outcome:
    """One row of the table.

    `lost` were acknowledged and never arrived (`missing`: which, by user and number); `again` arrived more often
    than they should have, and `window` is the most seconds between such an arrival and the kill that explains it;
    `stray` are those that no kill explains; `disordered` were sent before an earlier event of their user had its
    answer; `wrong` says which sums and counts do not hold. `skipped` says why it was not run.
    """

    scenario: str
    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    again: int = 0
    window: float = 0.0
    stray: int = 0
    disordered: int = 0
    wrong: list[str] = field(default_factory=list)
    missing: set[tuple[int, int]] = field(default_factory=set)
    note: str = ""
    skipped: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Nothing lost, order kept, duplicates in their window, the sums hold."""
        return not (self.lost or self.stray or self.disordered or self.wrong)


class Fate(NamedTuple):
    """What must become of one event at one destination: how many copies of it are delivered, and its counts."""

    delivered: int = 1
    dead: int = 0
    filtered: int = 0
    born: int = 0


Fates = Mapping[str, Callable[[int], Fate]]
"""By destination, the fate of a user's `n`-th event."""


class Arrival(NamedTuple):
    """An event that reached a destination: `at` by the monotonic clock (None: not known), in which life of the
    process that sends, and whether it was accepted. What was refused for good is `final` too. `request` is the same
    for what came in one."""

    user: int
    n: int
    at: float | None = None
    life: int = 0
    accepted: bool = True
    final: bool = True
    request: int = -1


def sums(status: Mapping[str, Any], acknowledged: int | None) -> list[str]:
    """The sums of docs/architecture.md (Words) that do not hold, as sentences.

    `acknowledged` is how many events there must be; None: as many as it says.
    """
    unique = sum(row["unique"] for row in status["sources"].values())
    wrong = []
    if acknowledged is not None and unique != acknowledged:
        wrong = [f"unique {unique}, sent and acknowledged {acknowledged}"]
    for ident, row in status["destinations"].items():
        came = unique + row["born"] + row["revived"]
        went = sum(row[name] for name in ("delivered", "filtered", "dead", "pending", "unread", "archived"))
        if came != went:
            wrong.append(f"{ident}: {unique} unique + {row['born']} born + {row['revived']} revived is not "
                         f"{went}, the sum of its verdicts")
    return wrong


def verdicts(status: Mapping[str, Any], acknowledged: Mapping[int, int], fates: Fates) -> list[str]:
    """The counts of verdicts that are not what the events' fates come to, as sentences."""
    wrong = []
    for ident, fate in fates.items():
        row = status["destinations"][ident]
        due = [fate(n) for count in acknowledged.values() for n in range(count)]
        for name in Fate._fields:
            wanted = sum(getattr(one, name) for one in due)
            if row[name] != wanted:
                wrong.append(f"{ident}: {row[name]} {name}, not {wanted}")
    return wrong


def arrived(
    outcome: Outcome, arrivals: Sequence[Arrival], acknowledged: Mapping[int, int], fate: Callable[[int], Fate],
    kills: Sequence[float] = (), *, reread: bool = False,
) -> Outcome:
    """Add to lost, again, window, stray and disordered what one destination was sent, in order of arrival.

    `acknowledged` is the number of events per user, from 0; `kills` when each life of the sender ended. With
    `reread` it was told to read again what it may have sent, so that repetitions are looked at by nobody.
    """
    outcome.acknowledged = sum(acknowledged.values())
    times: dict[tuple[int, int], list[Arrival]] = {}
    for one in arrivals:
        if one.accepted:
            times.setdefault((one.user, one.n), []).append(one)
    for user, count in acknowledged.items():
        for n in range(count):
            if (away := fate(n).delivered - len(times.get((user, n), ()))) > 0:
                outcome.lost += away
                outcome.missing.add((user, n))
    for (user, n), found in times.items():
        most = fate(n).delivered if n < acknowledged.get(user, 0) else 0
        if len(found) > most:
            outcome.again += len(found) - most
            if not reread:
                _explain(outcome, found, most, kills)
    outcome.disordered += _disordered(arrivals, reread)
    return outcome


def _explain(outcome: Outcome, found: Sequence[Arrival], most: int, kills: Sequence[float]) -> None:
    """Whether kills explain that an event came more than `most` times.

    In one life of the sender it comes once, and again in a later one only when it had come just before the end of
    the one before.
    """
    lives = Counter(one.life for one in found)
    outcome.stray += sum(max(0, count - most) for count in lives.values())
    for life in sorted(lives)[:-1]:
        last = max((one.at for one in found if one.life == life and one.at is not None), default=None)
        if last is None:
            continue
        # What was on its way at the kill may be read by the sink a moment after it.
        away = abs(kills[life] - last)
        outcome.window = max(outcome.window, away)
        outcome.stray += away > WINDOW


def _disordered(arrivals: Sequence[Arrival], reread: bool) -> int:
    """Events sent while an earlier one of their user had no final answer yet and was not in the same request, or
    accepted after a later one in the same life.

    What never arrived at all is nobody's predecessor: a script dropped it, or it is counted as lost.
    """
    due: dict[int, list[int]] = {}
    for user, n in sorted({(one.user, one.n) for one in arrivals}):
        due.setdefault(user, []).append(n)
    first = dict.fromkeys(due, 0)  # place in `due` of the first event without a final answer
    begins: dict[tuple[int, int], int] = {}  # the earliest event of a user in a request
    final: set[tuple[int, int]] = set()
    last: dict[tuple[int, int], int] = {}
    wrong = 0
    for one in arrivals:
        user, n = one.user, one.n
        begin = begins.setdefault((one.request, user), n) if one.request >= 0 else n
        early = bisect_left(due[user], begin) > first[user]
        back = one.final and not reread and n < last.get((user, one.life), -1)
        wrong += early or back
        if one.final:
            last[user, one.life] = max(n, last.get((user, one.life), -1))
            final.add((user, n))
            while first[user] < len(due[user]) and (user, due[user][first[user]]) in final:
                first[user] += 1
    return wrong
