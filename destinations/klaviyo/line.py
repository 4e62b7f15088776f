"""The requests of an exchange in their order: profiles and events one by one, subscriptions together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from typing import Any

from turnout import Context, Event, Outcome, Request, Response, Verdict, filtered, pause, retry
from turnout.destination import BEHIND, UNSENT
from turnout.packing import carrying, size_of
from turnout.verdict import worst

__all__ = ["Line", "Steps"]

Steps = Generator[Request, Response | None, None]
Part = tuple[int, Request]
THROTTLED = 429


class Line:
    """What each event was told so far, and the subscriptions that wait to leave together.

    Those of events of one kind that follow each other wait, by `group`; whatever else comes lets them go first. Of a
    user with several such events the profiles go out in order, and then the subscriptions in order.
    """

    def __init__(self, events: Sequence[Event], at: Context, judge: Callable[[Request, Response], Verdict],
                 merge: Callable[[Sequence[Request]], Request]) -> None:
        self.found: list[Verdict | None] = [None] * len(events)
        self._events, self._ordered = events, at.delivery.order == "user"
        self._most, self._room = max(1, at.delivery.batch), at.delivery.batch_bytes
        self._judge, self._merge = judge, merge
        self._held: set[int] = set()
        self._stop: Verdict | None = None
        self._waiting: dict[Hashable, list[Part]] = {}
        self._sizes: dict[Hashable, int] = {}
        self._users: dict[int, Hashable] = {}

    def may(self, i: int) -> bool:
        """Whether the next request of an event may leave; where it may not, its verdict says why."""
        found = self.found[i]
        if found is not None and found.outcome not in (Outcome.DELIVERED, Outcome.FILTERED):
            return False
        why = self._stop or (retry(BEHIND) if self._events[i].key in self._held else None)
        if why is not None:
            self.found[i] = worst(found, why)
        return why is None

    def tell(self, i: int, verdict: Verdict) -> None:
        """What became of a request of an event, or of all of it."""
        self.found[i] = worst(self.found[i], verdict)
        if verdict.final:
            return
        key = self._events[i].key
        if self._ordered and key:
            self._held.add(key)
        if self._stop is None and verdict.outcome is Outcome.PAUSE:
            self._stop = pause(f"{UNSENT}{verdict.reason}")
        elif self._stop is None and verdict.status == THROTTLED:
            self._stop = retry(f"{UNSENT}{verdict.reason}", after=verdict.after)

    def send(self, i: int, request: Request) -> Generator[Request, Response | None, Response | None]:
        """Send what travels alone; the answer, or None where it may not leave."""
        if not self.may(i):
            return None
        response = yield carrying(request, (i,))
        assert response is not None
        return response

    def ahead(self, i: int, group: Hashable) -> Steps:
        """Send what waits, where an event of a user would end before an earlier one that waits in another group."""
        if self._events[i].key in self._users and self._users[self._events[i].key] != group:
            yield from self.go()

    def wait(self, i: int, request: Request, group: Hashable) -> Steps:
        """Let a subscription wait for others of its group."""
        key, size = self._events[i].key if self._ordered else 0, size_of(request)
        full = len(self._waiting.get(group, ())) >= self._most or self._sizes.get(group, 0) + size > self._room
        if full and group in self._waiting:
            yield from self.go()
        self._waiting.setdefault(group, []).append((i, request))
        self._sizes[group] = self._sizes.get(group, 0) + size
        if key:
            self._users[key] = group

    def go(self) -> Steps:
        """Send all that waits."""
        waiting, self._waiting = self._waiting, {}
        self._sizes, self._users = {}, {}
        for parts in waiting.values():
            yield from self._together(parts)

    def _together(self, parts: Sequence[Part]) -> Steps:
        """One request for several; one that is refused is halved until who it is refused for is alone."""
        parts = [part for part in parts if self.may(part[0])]
        if not parts:
            return
        request = self._merge([request for _, request in parts]) if len(parts) > 1 else parts[0][1]
        response = yield carrying(request, tuple(i for i, _ in parts))
        assert response is not None
        verdict = self._judge(request, response)
        if verdict.outcome is Outcome.DEAD and len(parts) > 1:
            half = len(parts) // 2
            yield from self._together(parts[:half])
            yield from self._together(parts[half:])
            return
        for i, _ in parts:
            self.tell(i, verdict)

    def verdicts(self, nothing: str) -> list[Verdict]:
        """One for each event, in their order."""
        return [one or filtered(nothing) for one in self.found]


def duplicate(response: Response) -> str:
    """The id of the profile that a new one would be the same as, where Klaviyo says so; "" where it does not.

    Source: https://developers.klaviyo.com/en/reference/create_profile (409, `meta.duplicate_profile_id`).
    """
    said = response.json() if response.status == 409 else None
    rows: Any = said.get("errors") if isinstance(said, Mapping) else None
    for row in rows if isinstance(rows, list) else ():
        meta = row.get("meta") if isinstance(row, Mapping) else None
        found = meta.get("duplicate_profile_id") if isinstance(meta, Mapping) else None
        if isinstance(found, str) and found:
            return found
    return ""


def created(response: Response) -> str:
    """The id of a profile that was just made; "" where the answer has none."""
    said = response.json() if 200 <= response.status < 300 else None
    data = said.get("data") if isinstance(said, Mapping) else None
    found = data.get("id") if isinstance(data, Mapping) else None
    return found if isinstance(found, str) else ""
