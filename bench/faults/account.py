"""What was promised to the users against what arrived, and the books against both."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.plane import Plane
from bench.sink import Arrival, Sink

__all__ = ["COPIES", "Answers", "Outcome", "account", "settled", "sums"]

COPIES: Mapping[str, Callable[[int], int]] = {
    "plain": lambda n: 0 if n % 20 == 11 else 1,
    "shaped": lambda n: {3: 0, 7: 0, 5: 2}.get(n % 10, 1),
}
"""How often a user's event `n` must be accepted, by destination: `Answers` refuses some of *plain* for
good, and the script of *shaped* drops some, raises on some and doubles some."""


@dataclass(slots=True)
class Outcome:
    """One row of the table.

    `lost` were acknowledged and never arrived; `again` arrived more often than they should have, and
    `window` is the most seconds between the first arrival of one of them and a kill; `disordered` came
    first after a later event of their user; `wrong` says which sums do not hold.
    """

    scenario: str
    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    again: int = 0
    window: float = 0.0
    disordered: int = 0
    wrong: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def ok(self) -> bool:
        """Nothing lost, order kept, the sums hold."""
        return not self.lost and not self.disordered and not self.wrong


class Answers:
    """The destination's answers: to *plain*, event 11 of 20 is refused and event 13 of 100 fails the first time."""

    def __init__(self) -> None:
        self._failed: set[bytes] = set()

    def __call__(self, path: str, body: bytes) -> int:
        """The status for one request."""
        n = json.loads(body)["properties"]["n"] if "plain" in path else 0
        if n % 20 == 11:
            return 400
        if n % 100 == 13 and body not in self._failed:
            self._failed.add(body)
            return 503
        return 200


def settled(plane: Plane, timeout: float = 120.0) -> dict[str, Any]:
    """Wait until every event has its verdict; the status then. Raises `TimeoutError` with the status."""
    until = time.monotonic() + timeout
    while True:
        status = plane.status()
        if _quiet(status):
            return status
        if time.monotonic() > until:
            raise TimeoutError(f"not settled after {timeout:g} s: {json.dumps(status)}")
        time.sleep(0.1)


def _quiet(status: Mapping[str, Any]) -> bool:
    rows = status.get("destinations")
    if rows is None or status["log"] is None or status["position"] < status["log"]["head"]:
        return False
    return all(row["pending"] == 0 and row["unread"] == 0 for row in rows.values())


def sums(status: Mapping[str, Any], acknowledged: int) -> list[str]:
    """The sums of docs/architecture.md (Words) that do not hold, as sentences."""
    unique = sum(row["unique"] for row in status["sources"].values())
    wrong = [] if unique == acknowledged else [f"unique {unique}, sent and acknowledged {acknowledged}"]
    for ident, row in status["destinations"].items():
        came = unique + row["born"] + row["revived"]
        went = row["delivered"] + row["filtered"] + row["dead"] + row["pending"] + row["unread"]
        if came != went:
            wrong.append(f"{ident}: {unique} unique + {row['born']} born + {row['revived']} revived is not "
                         f"{went}, the sum of its verdicts")
    return wrong


def account(
    outcome: Outcome, sink: Sink, acknowledged: Mapping[int, int], kills: Sequence[float] = (),
    copies: Mapping[str, Callable[[int], int]] = COPIES,
) -> Outcome:
    """Fill in lost, again, window and disordered from what the sink accepted.

    `acknowledged` is the number of events per user, from 0; `kills` their moments (monotonic).
    """
    outcome.acknowledged = sum(acknowledged.values())
    for path, wanted in copies.items():
        came = _arrivals([a for a in sink.arrivals if path in a.path and a.status == 200])
        outcome.disordered += _disordered(came)
        for user, count in acknowledged.items():
            for n in range(count):
                times, expected = came.get((user, n), []), wanted(n)
                outcome.lost += max(0, expected - len(times))
                if len(times) > expected:
                    outcome.again += len(times) - expected
                    if not kills:
                        continue
                    # What was on its way at the kill may be read by the sink a moment after it.
                    away = min(abs(kill - times[0]) for kill in kills)
                    outcome.window = max(outcome.window, away)
    return outcome


def _arrivals(arrivals: Sequence[Arrival]) -> dict[tuple[int, int], list[float]]:
    """When each event was accepted, events by their first time."""
    found: dict[tuple[int, int], list[float]] = {}
    for arrival in arrivals:
        value = arrival.json
        for one in value if isinstance(value, list) else [value]:
            found.setdefault((int(one["userId"][1:]), one["properties"]["n"]), []).append(arrival.at)
    return found


def _disordered(came: Mapping[tuple[int, int], Sequence[float]]) -> int:
    """First arrivals after that of a later event of their user."""
    last: dict[int, int] = {}
    wrong = 0
    for user, n in came:  # in order of first arrival
        wrong += n < last.get(user, -1)
        last[user] = max(n, last.get(user, -1))
    return wrong
