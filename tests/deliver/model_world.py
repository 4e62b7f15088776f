"""The model's side: destinations with moods, what each was sent, and what that must have come to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from destinations.webhook import Webhook
from turnout.destination import Context, judge
from turnout.request import Json, JsonArray, Request, Response
from turnout.testing.fake_clock import FakeClock
from turnout.verdict import Verdict

__all__ = ["Attempt", "Ident", "Itemised", "Sender", "Side", "idents"]

Ident = tuple[str, int, int]
"""One part of an event: its user, its number among the user's events, and which of its outputs."""


class Itemised(Webhook):
    """A webhook whose tool answers per item: the body is a list of statuses."""

    def verdicts(self, request: Request, response: Response, at: Context) -> Sequence[Verdict]:
        """By item where the answer has items."""
        if response.status != 207:
            return super().verdicts(request, response, at)
        return [judge(Response(status), at.now) for status in json.loads(response.body)]


@dataclass(slots=True)
class Attempt:
    """One sending of one event; `status` is None while it is in flight, or for ever after a crash."""

    life: int
    at: float
    status: int | None = None

    @property
    def final(self) -> bool:
        """Whether the answer is a verdict."""
        return self.status is not None and not (self.status in (0, 401, 408, 425, 429) or self.status >= 500)


@dataclass
class Side:
    """A destination as the world sees it: how it answers, what it was sent, which rules it was sent by.

    `bad` users are answered 503, `poison` is the share of events that are refused for good.
    """

    clock: FakeClock
    mood: str = "ok"
    bad: set[str] = field(default_factory=set)
    latency: float = 0.01
    life: int = 0
    enabled: bool = True
    paused: bool = False
    concurrency: int = 8
    batch: int = 1
    ordered: bool = True
    hold_for: float = 60.0
    since: int = 0
    """Events of the world from this serial on promise order; a change of `order` sets it anew."""
    older: frozenset[asyncio.Future[None]] = frozenset()
    """Work that was begun by the config before."""
    anew: int = 0
    """What was queued must be made by this version of the script, or a later one; but for what was `kept`."""
    kept: frozenset[Ident] = frozenset()
    tried: dict[Ident, list[Attempt]] = field(default_factory=dict)
    flying: list[frozenset[str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    random: Random = field(default_factory=lambda: Random(3))

    def begin(
        self, items: Sequence[Ident], expected: dict[str, list[tuple[int, int, int]]], versions: Sequence[int] = ()
    ) -> list[Attempt]:
        """A request leaves; judged against every rule. `expected` has per user (n, serial, parts), `versions` by
        which of the script each item was made."""
        self._made_anew(items, versions)
        if self._settled and len(items) > self.batch and len({(user, n) for user, n, _ in items}) > 1:
            self.wrong.append(f"{len(items)} events in a request, {self.batch} allowed")
        self.leaves(items, expected)
        if self.ordered:
            for place, item in enumerate(items):
                self._in_turn(item, items[:place], expected)
        made = []
        for item in items:
            rows = self.tried.setdefault(item, [])
            if any(row.final and row.life == self.life for row in rows):
                self.wrong.append(f"{item} was sent again after its verdict {rows}")
            rows.append(Attempt(self.life, self.clock.monotonic()))
            made.append(rows[-1])
        return made

    def leaves(self, items: Sequence[Ident], expected: dict[str, list[tuple[int, int, int]]]) -> None:
        """A request about these items is in flight from now on, the first or one more."""
        users = _users(items)
        self._within_rules(items)
        if self.ordered:
            for other in self.flying:
                if both := users & other:
                    self._note_flying(both, expected)
        self.flying.append(users)

    def lands(self, items: Sequence[Ident]) -> None:
        """It is not any more."""
        self.flying.remove(_users(items))

    def _made_anew(self, items: Sequence[Ident], versions: Sequence[int]) -> None:
        for item, version in zip(items, versions, strict=False):
            if version < self.anew and item not in self.tried and item not in self.kept and self._settled:
                self.wrong.append(f"{item} was made by version {version} of the script, {self.anew} is in force")

    @property
    def _settled(self) -> bool:
        """Whether what was begun before a change is over: until then it is finished as it was begun."""
        return all(task.done() for task in self.older)

    def _within_rules(self, items: Sequence[Ident]) -> None:
        if not self._settled:
            return
        if not self.enabled or self.paused:
            self.wrong.append(f"sent {items} while {'paused' if self.paused else 'disabled'}")
        if len(self.flying) >= self.concurrency:
            self.wrong.append(f"{len(self.flying) + 1} requests in flight, {self.concurrency} allowed")

    def _note_flying(self, users: frozenset[str], expected: dict[str, list[tuple[int, int, int]]]) -> None:
        for user in users:
            if all(serial >= self.since for _, serial, _ in expected[user]) and not self._aside(user):
                self.wrong.append(f"two requests with events of {user} in flight")

    def _aside(self, user: str) -> bool:
        """Whether an event of the user may stand aside by now, and fly beside later ones."""
        now = self.clock.monotonic()
        return any(who == user and now - rows[0].at >= self.hold_for for (who, _, _), rows in self.tried.items())

    def _in_turn(
        self, item: Ident, before: Sequence[Ident], expected: dict[str, list[tuple[int, int, int]]]
    ) -> None:
        """Every earlier event of the user has a verdict, stood aside, or is ahead in the same request."""
        user, number, _ = item
        if item in self.tried:
            return  # sent again, after a failure or a crash: its first sending was in its turn
        serial = next(serial for n, serial, _ in expected[user] if n == number)
        for n, earlier, parts in expected[user]:
            if n == number:
                return
            if earlier < self.since or serial < self.since:
                continue
            for child in range(parts):
                rows = self.tried.get((user, n, child), [])
                done = any(row.final for row in rows)
                aside = bool(rows) and self.clock.monotonic() - rows[0].at >= self.hold_for
                if not (done or aside or (user, n, child) in before):
                    self.wrong.append(f"{item} was sent before {(user, n, child)} had a verdict: {rows}")

    def refuses(self) -> Response | None:
        """What the tool says to every request, where it is not well."""
        now = {"down": 503, "throttled": 429, "locked": 401, "gone": 0}.get(self.mood)
        if now == 0:
            return Response(0, error="connection reset")
        if now is not None:
            says = self.mood == "throttled" and self.random.random() < 0.5
            return Response(now, {"Retry-After": "3"} if says else {})
        return None

    def answer(self, items: Sequence[Ident]) -> Response:
        """What the tool says to a request, by its mood."""
        if (refused := self.refuses()) is not None:
            return refused
        statuses = [self.status(item) for item in items]
        if self.mood == "itemised":
            return Response(207, {}, json.dumps(statuses).encode())
        return Response(max(statuses))

    def status(self, item: Ident) -> int:
        """What becomes of one item."""
        user, n, child = item
        if user in self.bad:
            return 503
        return 422 if (n * 7 + child) % 5 == 0 and self.mood in ("itemised", "picky") else 200

    def end(self, made: Sequence[Attempt], items: Sequence[Ident], response: Response) -> None:
        """The answer has arrived."""
        self.lands(items)
        statuses = json.loads(response.body) if response.status == 207 else [response.status] * len(items)
        for attempt, status in zip(made, statuses, strict=True):
            attempt.status = status


class Sender:
    """A `dataplane.deliver.exchange.Sender` that asks the world."""

    def __init__(self, side: Side, expected: dict[str, list[tuple[int, int, int]]]) -> None:
        self._side = side
        self._expected = expected

    async def send(self, request: Request, timeout: float) -> Response:
        """One request, which takes the side's latency."""
        side, items = self._side, idents(request)
        life = side.life
        made = side.begin(items, self._expected, _versions(request))
        try:
            await asyncio.sleep(min(side.latency, timeout))
        except asyncio.CancelledError:  # a crash, or a stop: nobody hears the answer
            if side.life == life:
                side.lands(items)
            raise
        response = side.answer(items) if side.latency < timeout else Response(0, error="timed out")
        side.end(made, items, response)
        return response

    async def close(self) -> None:
        """Nothing is held."""


def idents(request: Request) -> list[Ident]:
    """The items of a request, in order."""
    return [
        (value["userId"], value["properties"]["n"], value["properties"].get("child", 0)) for value in _values(request)
    ]


def _versions(request: Request) -> list[int]:
    return [value["properties"]["made"] for value in _values(request) if "made" in value["properties"]]


def _values(request: Request) -> Sequence[Any]:
    body = request.body
    assert isinstance(body, Json | JsonArray)
    return [body.value] if isinstance(body, Json) else body.values


def _users(items: Sequence[Ident]) -> frozenset[str]:
    return frozenset(user for user, _, _ in items)
