"""A destination's queue: 256 lanes by order key, each with at most one request in flight.

Pure: it decides what may be sent next and where the cursors stand; it sends and stores nothing.
Events of one user are always in the same lane and leave it in order. A lane's cursor is the number
of its first event that has no verdict yet: what a restart reads again.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from turnout.event import Event
from turnout.verdict import Verdict

__all__ = ["LANES", "Entry", "Lanes", "Part", "lane_of"]

LANES = 256
_MASK = LANES - 1

Part = tuple[bytes, Mapping[str, Any], Verdict | None]
"""One output of an event: its JSON, the options of its integrations object, or its verdict already."""


def lane_of(key: int) -> int:
    """The lane of an order key's hash."""
    return key & _MASK


class Entry:
    """One event with all its outputs. `at` is when it was received, in ms.

    What no script touched and no destination has options for is one entry for all of them, so nobody changes
    an entry. `event` is then the event itself, decoded once for all while it is there.
    """

    __slots__ = ("at", "decided", "event", "key", "lane", "number", "parts", "plain", "size", "source")

    def __init__(self, number: int, key: int, source: str, at: int, parts: Sequence[Part]) -> None:
        self.event: Event | None = None
        self.number = number
        self.key = key
        self.lane = key & _MASK
        self.source = source
        self.at = at
        self.parts = parts
        self.plain = False  # one output, to be sent
        if len(parts) == 1:  # nearly all: three times faster than the general form
            raw, _, verdict = parts[0]
            self.size = len(raw)
            self.decided = verdict is not None
            self.plain = verdict is None
            return
        self.size = sum(len(raw) for raw, _, _ in parts)
        self.decided = all(verdict is not None for _, _, verdict in parts)


class Lanes:
    """The queue. `offer` in number order; `take`, then `settle` or `put_back` what was taken."""

    def __init__(self, position: int, cursors: Sequence[int] | None = None) -> None:
        self.position = position
        self._offered = list(cursors) if cursors is not None else [position] * LANES
        self._highest = max(self._offered)
        self._queues: list[deque[Entry]] = [deque() for _ in range(LANES)]
        self._flying: list[int] = [0] * LANES
        self._ready: deque[int] = deque()
        self._waits = bytearray(LANES)  # 1 where the lane is in _ready
        self.stalled: set[int] = set()
        self.count = 0
        self.bytes = 0
        self.flying = 0

    def wanted(self, number: int, key: int) -> bool:
        """False for an event that was offered already, or had its verdict before a restart."""
        return number >= self._offered[key & _MASK] and number >= self.position

    def fresh(self, number: int) -> bool:
        """True where every event from this one on is wanted."""
        return number >= self._highest and number >= self.position

    def idle(self, key: int) -> bool:
        """Whether nothing of this key's lane waits or is in flight, so that a decided event is settled now."""
        lane = key & _MASK
        return not self._queues[lane] and not self._flying[lane]

    @property
    def empty(self) -> bool:
        """Whether every lane is idle."""
        return not self.count and not self.flying

    def offer(self, entry: Entry) -> bool:
        """Queue an event; True where it is decided and its lane is idle, so the caller settles it now."""
        lane = entry.lane
        queue = self._queues[lane]
        self._offered[lane] = entry.number + 1
        self._highest = max(self._highest, entry.number + 1)
        if entry.decided and not queue and not self._flying[lane]:
            return True
        queue.append(entry)
        self.count += 1
        self.bytes += entry.size
        if not self._flying[lane]:
            self._wake(lane)
        return False

    def offer_all(self, entries: Sequence[Entry], upto: int) -> list[Entry]:
        """Queue many events, the last there are before number `upto`; gives those to be settled now."""
        queues, flying, waits, ready, stalled = self._queues, self._flying, self._waits, self._ready, self.stalled
        done: list[Entry] = []
        for entry in entries:
            lane = entry.lane
            if entry.decided and not queues[lane] and not flying[lane]:
                done.append(entry)
                continue
            queues[lane].append(entry)
            if not waits[lane] and not flying[lane] and lane not in stalled:
                waits[lane] = 1
                ready.append(lane)
        self.count += len(entries) - len(done)
        self.bytes += sum([entry.size for entry in entries]) - sum([entry.size for entry in done])
        self.position = upto  # so no lane needs to be told
        return done

    def _wake(self, lane: int) -> None:
        if not self._waits[lane] and lane not in self.stalled:
            self._waits[lane] = 1
            self._ready.append(lane)

    def take(
        self, events: int, size: int, blocked: Callable[[int], bool | None] | None
    ) -> tuple[list[Entry], list[Entry]]:
        """What to send in one request, and what is settled without sending (decided or held back).

        `blocked(key)` says whether an earlier event of this user waits: True holds the event back
        (the caller keeps a reference), None means there is no room for more of them, and the lane
        stalls until `unstall`; no `blocked` at all holds nothing back. At least one event is taken where
        one may be, whatever its size.
        """
        queues, flying, waits, ready = self._queues, self._flying, self._waits, self._ready
        send: list[Entry] = []
        settled: list[Entry] = []
        used = room = gone = 0
        for _ in range(len(ready)):
            if used >= events:
                break
            lane = ready.popleft()
            waits[lane] = 0
            queue = queues[lane]
            if len(queue) == 1 and blocked is None:  # nearly always; the same as below
                entry = queue[0]
                if entry.plain and (room + entry.size <= size or not used):
                    queue.clear()
                    send.append(entry)
                    used += 1
                    room += entry.size
                    flying[lane] = entry.number
                    continue
            first = 0
            while queue:
                entry = queue[0]
                hold = False if blocked is None or entry.decided else blocked(entry.key)
                if hold is None:
                    self.stalled.add(lane)
                    break
                if entry.decided or hold:
                    if first:
                        break
                    settled.append(entry)
                    gone += entry.size
                else:
                    parts = len(entry.parts)
                    if used and (used + parts > events or room + entry.size > size):
                        break
                    send.append(entry)
                    used += parts
                    room += entry.size
                    if not first:
                        first = entry.number
                queue.popleft()
                if used >= events:
                    break
            if first:
                flying[lane] = first
            elif queue:
                self._wake(lane)
        self.count -= len(send) + len(settled)
        self.bytes -= room + gone
        self.flying += len(send)
        return send, settled

    def settle(self, entries: Sequence[Entry]) -> None:
        """What was taken to be sent has its verdicts (or is kept elsewhere): its lanes go on."""
        queues, flying = self._queues, self._flying
        self.flying -= len(entries)
        for entry in entries:
            lane = entry.lane
            flying[lane] = 0
            if queues[lane]:
                self._wake(lane)

    def put_back(self, entries: Sequence[Entry]) -> None:
        """What was taken was not delivered and goes back to the heads of its lanes."""
        for entry in reversed(entries):
            self._queues[entry.lane].appendleft(entry)
            self.count += 1
            self.bytes += entry.size
        self.settle(entries)

    def rewind(self) -> None:
        """Forget what is queued, so that it is read again; what is in flight stays. Not while a batch
        is being offered."""
        was = self.position
        for lane, queue in enumerate(self._queues):
            if queue:
                self._offered[lane] = queue[0].number
                self.position = min(self.position, queue[0].number)
                queue.clear()
            else:
                self._offered[lane] = max(was, self._offered[lane])
        self._highest = max(self._offered)
        self.count = self.bytes = 0
        self.stalled.clear()

    def skip(self, number: int) -> None:
        """Everything before event `number` has its verdict or is kept elsewhere. Nothing may be queued
        or in flight."""
        self._offered = [max(number, offered) for offered in self._offered]
        self._highest = max(self._offered)
        self.position = max(self.position, number)

    def unstall(self) -> None:
        """There may be room again for events that are held back."""
        lanes, self.stalled = self.stalled, set()
        for lane in lanes:
            if self._queues[lane] and not self._flying[lane]:
                self._wake(lane)

    @property
    def ready(self) -> bool:
        """True where `take` may find something."""
        return bool(self._ready)

    @property
    def oldest(self) -> int | None:
        """When the oldest queued event was received, in ms; None where nothing is queued."""
        return min((queue[0].at for queue in self._queues if queue), default=None)

    def stands(self, number: int, key: int) -> Literal["unread", "queued", "sending", "settled"]:
        """Where an event of an order key's hash is."""
        lane = key & _MASK
        queue = self._queues[lane]
        if number >= self._offered[lane] and number >= self.position:
            return "unread"
        if queue and number >= queue[0].number:
            return "queued"
        return "sending" if 0 < self._flying[lane] <= number else "settled"

    def ahead(self, number: int, key: int) -> int:
        """How many queued events of its lane come before an event."""
        return sum(entry.number < number for entry in self._queues[key & _MASK])

    def lowest(self) -> int:
        """The lowest cursor, in a tenth of the time that all of them take."""
        idle = max(self.position, min(self._offered))
        if not self.count and not self.flying:
            return idle
        queued = min((queue[0].number for queue in self._queues if queue), default=idle)
        return min(idle, queued, min(filter(None, self._flying), default=idle))

    def cursors(self) -> array[int]:
        """The cursor of every lane, to be stored together with what was settled."""
        position = self.position
        if position >= self._highest:
            found = array("Q", (position,)) * LANES
        else:
            found = array("Q", [max(position, offered) for offered in self._offered])
        if not self.empty:
            for lane, (flying, queue) in enumerate(zip(self._flying, self._queues, strict=True)):
                if flying or queue:
                    found[lane] = flying or queue[0].number
        return found
