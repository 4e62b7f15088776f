"""A destination's queue: 256 lanes by order key, each with at most one request in flight.

Pure: it decides what may be sent next and where the cursors stand; it sends and stores nothing.
Events of one user are always in the same lane and leave it in order. A lane's cursor is the number
of its first event that has no verdict yet: what a restart reads again.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from dataplane.pipeline.share import LANES
from turnout.event import Event
from turnout.verdict import Verdict

__all__ = ["LANES", "NO_OPTIONS", "Batch", "Entry", "Lanes", "Part", "lane_of"]

_MASK = LANES - 1

Part = tuple[bytes, Mapping[str, Any], Verdict | None]
"""One output of an event: its JSON, the options of its integrations object, or its verdict already."""
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def lane_of(key: int) -> int:
    """The lane of an order key's hash."""
    return key & _MASK


class Entry:
    """One event with all its outputs. `at` is when it was received, in ms; 0 where nobody knows.

    What no script touched and no destination has options for is one entry for all of them, so nobody changes
    an entry. `event` is then the event itself, decoded once for all while it is there.
    """

    __slots__ = ("__weakref__", "at", "decided", "event", "key", "lane", "number", "parts", "plain", "size", "source")

    def __init__(self, number: int, key: int, source: str, at: int, parts: Sequence[Part]) -> None:
        self.event: Event | None = None
        self.number = number
        self.key = key
        self.lane = key & _MASK
        self.source = source
        self.at = at
        self.parts = parts
        if len(parts) == 1:  # nearly all: three times faster than the general form
            raw, _, verdict = parts[0]
            self.size = len(raw)
            plain = self.plain = verdict is None  # one output, to be sent
            self.decided = not plain
            return
        self.plain = False
        self.size = sum(len(raw) for raw, _, _ in parts)
        self.decided = all(verdict is not None for _, _, verdict in parts)


class Batch:
    """Events in number order, the last there are before number `upto`.

    What every destination would find out about them anew is found out once: whether each is in a lane of its own and
    to be sent (`apart`), and their bytes.
    """

    __slots__ = ("apart", "entries", "lanes", "size", "upto")

    def __init__(self, entries: Sequence[Entry], upto: int) -> None:
        self.entries = entries
        self.upto = upto
        self.lanes = lanes = [entry.lane for entry in entries]
        self.size = sum([entry.size for entry in entries])
        self.apart = len(set(lanes)) == len(lanes) and True not in [entry.decided for entry in entries]


class Lanes:
    """The queue. `offer` in number order; `take`, then `settle` or `put_back` what was taken."""

    def __init__(self, position: int, cursors: Sequence[int] | None = None) -> None:
        self.position = position
        self._offered = list(cursors) if cursors is not None else [position] * LANES
        self._highest = max(self._offered)
        # Nearly all lanes hold one event or none: the first of each in one short list, and what is behind it, where
        # something is. 256 queues would be a megabyte that every batch of every destination walks through.
        self._heads: list[Entry | None] = [None] * LANES
        self._rest: dict[int, list[Entry]] = {}
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
        return self._heads[lane] is None and not self._flying[lane]

    @property
    def empty(self) -> bool:
        """Whether every lane is idle."""
        return not self.count and not self.flying

    def offer(self, entry: Entry) -> bool:
        """Queue an event; True where it is decided and its lane is idle, so the caller settles it now."""
        lane = entry.lane
        self._offered[lane] = entry.number + 1
        self._highest = max(self._highest, entry.number + 1)
        if self._heads[lane] is None:
            if entry.decided and not self._flying[lane]:
                return True
            self._heads[lane] = entry
        else:
            self._behind(lane, entry)
        self.count += 1
        self.bytes += entry.size
        if not self._flying[lane]:
            self._wake(lane)
        return False

    def offer_all(self, batch: Batch) -> list[Entry]:
        """Queue many events; gives those to be settled now."""
        heads, flying, waits, ready, stalled = self._heads, self._flying, self._waits, self._ready, self.stalled
        entries, lanes = batch.entries, batch.lanes
        done: list[Entry] = []
        self.position = batch.upto  # so no lane needs to be told
        if batch.apart and not (self.count or self.flying or ready or stalled):
            for lane, entry in zip(lanes, entries, strict=True):  # as below, where all is idle and no lane there twice
                heads[lane] = entry
                waits[lane] = 1
            ready.extend(lanes)
            self.count, self.bytes = len(lanes), batch.size
            return done
        for lane, entry in zip(lanes, entries, strict=True):
            if heads[lane] is not None:
                self._behind(lane, entry)
                continue
            if entry.decided and not flying[lane]:
                done.append(entry)
                continue
            heads[lane] = entry
            if not waits[lane] and not flying[lane] and lane not in stalled:
                waits[lane] = 1
                ready.append(lane)
        self.count += len(entries) - len(done)
        self.bytes += batch.size
        if done:
            self.bytes -= sum([entry.size for entry in done])
        return done

    def _behind(self, lane: int, entry: Entry) -> None:
        """Put an event at the end of a lane that has some."""
        rest = self._rest.get(lane)
        if rest is None:
            self._rest[lane] = [entry]
        else:
            rest.append(entry)

    def _shift(self, lane: int) -> Entry | None:
        """Take the first event out of a lane; gives the one that is first then."""
        rest = self._rest.get(lane)
        if rest is None:
            self._heads[lane] = None
            return None
        head = self._heads[lane] = rest.pop(0)
        if not rest:
            del self._rest[lane]
        return head

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
        if blocked is None and self.count <= events and self.bytes <= size and self.count == len(self._ready):
            whole = self._all()
            if whole:
                return whole, []
        heads, rest, flying, waits, ready = self._heads, self._rest, self._flying, self._waits, self._ready
        send: list[Entry] = []
        settled: list[Entry] = []
        used = room = gone = 0
        for _ in range(len(ready)):
            if used >= events:
                break
            lane = ready.popleft()
            waits[lane] = 0
            entry = heads[lane]
            if (
                blocked is None and entry is not None and entry.plain and lane not in rest
                and (room + entry.size <= size or not used)
            ):  # nearly always; the same as below
                heads[lane] = None
                send.append(entry)
                used += 1
                room += entry.size
                flying[lane] = entry.number
                continue
            first = 0
            while entry is not None:
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
                entry = self._shift(lane)
                if used >= events:
                    break
            if first:
                flying[lane] = first
            elif entry is not None:
                self._wake(lane)
        self.count -= len(send) + len(settled)
        self.bytes -= room + gone
        self.flying += len(send)
        return send, settled

    def _all(self) -> list[Entry]:
        """Take all that waits, where that is one event to be sent for each lane that is ready; else nothing."""
        send = [entry for lane in self._ready if (entry := self._heads[lane]) is not None]
        if len(send) != self.count or False in [entry.plain for entry in send]:
            return []
        flying = self._flying
        for entry in send:
            flying[entry.lane] = entry.number
        self._heads = [None] * LANES  # that was all there is
        self._ready.clear()
        self._waits = bytearray(LANES)
        self.count = self.bytes = 0
        self.flying += len(send)
        return send

    def settle(self, entries: Sequence[Entry]) -> None:
        """What was taken to be sent has its verdicts (or is kept elsewhere): its lanes go on."""
        self.flying -= len(entries)
        if not self.count and not self.flying:
            self._flying = [0] * LANES
            return
        heads, flying = self._heads, self._flying
        for entry in entries:
            lane = entry.lane
            flying[lane] = 0
            if heads[lane] is not None:
                self._wake(lane)

    def put_back(self, entries: Sequence[Entry]) -> None:
        """What was taken was not delivered and goes back to the heads of its lanes."""
        for entry in reversed(entries):
            lane, head = entry.lane, self._heads[entry.lane]
            self._heads[lane] = entry
            if head is not None:
                self._rest.setdefault(lane, []).insert(0, head)
            self.count += 1
            self.bytes += entry.size
        self.settle(entries)

    def rewind(self) -> None:
        """Forget what is queued, so that it is read again; what is in flight stays. Not while a batch
        is being offered."""
        was = self.position
        for lane, head in enumerate(self._heads):
            if head is not None:
                self._offered[lane] = head.number
                self.position = min(self.position, head.number)
                self._heads[lane] = None
            else:
                self._offered[lane] = max(was, self._offered[lane])
        self._rest.clear()
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
            if self._heads[lane] is not None and not self._flying[lane]:
                self._wake(lane)

    @property
    def ready(self) -> bool:
        """True where `take` may find something."""
        return bool(self._ready)

    @property
    def oldest(self) -> int | None:
        """When the oldest queued event was received, in ms; None where nothing is queued of which that is known."""
        return min((head.at for head in self._heads if head is not None and head.at), default=None)

    def stands(self, number: int, key: int) -> Literal["unread", "queued", "sending", "settled"]:
        """Where an event of an order key's hash is."""
        lane = key & _MASK
        head = self._heads[lane]
        if number >= self._offered[lane] and number >= self.position:
            return "unread"
        if head is not None and number >= head.number:
            return "queued"
        return "sending" if 0 < self._flying[lane] <= number else "settled"

    def ahead(self, number: int, key: int) -> int:
        """How many queued events of its lane come before an event."""
        lane = key & _MASK
        head = self._heads[lane]
        if head is None:
            return 0
        return sum(entry.number < number for entry in (head, *self._rest.get(lane, ())))

    def lowest(self) -> int:
        """The lowest cursor, in a tenth of the time that all of them take."""
        idle = max(self.position, min(self._offered))
        if not self.count and not self.flying:
            return idle
        queued = min((head.number for head in self._heads if head is not None), default=idle)
        return min(idle, queued, min(filter(None, self._flying), default=idle))

    def cursors(self) -> array[int]:
        """The cursor of every lane, to be stored together with what was settled."""
        position = self.position
        if position >= self._highest:
            found = array("Q", (position,)) * LANES
        else:
            found = array("Q", [max(position, offered) for offered in self._offered])
        if not self.empty:
            for lane, (flying, head) in enumerate(zip(self._flying, self._heads, strict=True)):
                if flying:
                    found[lane] = flying
                elif head is not None:
                    found[lane] = head.number
        return found
