"""A destination's queue: 256 lanes by order key, each with at most one request in flight.

Pure: it decides what may be sent next and where the cursors stand; it sends and stores nothing.
Events of one user are always in the same lane and leave it in order. A lane's cursor is the number
of its first event that has no verdict yet: what a restart reads again.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from dataplane.deliver.entry import Batch, Entry
from dataplane.pipeline.share import LANES

__all__ = ["LANES", "Lanes"]

_MASK = LANES - 1


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
        # Of what was queued since nothing was: whether each was one output to be sent, and the bytes of the largest.
        self._plain = True
        self._largest = 0

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
        self._queued(entry)
        if not self._flying[lane]:
            self._wake(lane)
        return False

    def _queued(self, entry: Entry) -> None:
        """Count an event that was put into a lane."""
        self._measure(entry.size, plain=entry.plain)
        self.count += 1
        self.bytes += entry.size

    def _measure(self, largest: int, *, plain: bool) -> None:
        """Know what is about to be queued, before it is counted."""
        if not self.count:
            self._plain, self._largest = True, 0
        self._plain = self._plain and plain
        self._largest = max(self._largest, largest)

    def offer_all(self, batch: Batch) -> Sequence[Entry]:
        """Queue many events; gives those to be settled now."""
        self.position = batch.upto  # so no lane needs to be told
        self._measure(batch.largest, plain=batch.plain)
        done = self._offer_each(batch.entries) if not batch.plain else self._offer_plain(batch)
        self.count += len(batch.entries) - len(done)
        self.bytes += batch.size - sum([entry.size for entry in done])
        return done

    def _offer_plain(self, batch: Batch) -> Sequence[Entry]:
        """Queue events of which none is decided, a lane at a time."""
        heads, rest, flying, waits, ready = self._heads, self._rest, self._flying, self._waits, self._ready
        behind = batch.behind
        if not (self.count or self.flying or ready or self.stalled):
            for lane, entry in batch.heads.items():
                heads[lane] = entry
                waits[lane] = 1
            ready.extend(batch.heads)
            for lane, entries in behind.items():
                rest[lane] = entries[:]
            return ()
        for lane, entry in batch.heads.items():
            if heads[lane] is None:
                heads[lane] = entry
                if lane in behind:
                    rest[lane] = behind[lane][:]
                if not waits[lane] and not flying[lane] and lane not in self.stalled:
                    waits[lane] = 1
                    ready.append(lane)
            else:
                rest.setdefault(lane, []).extend((entry, *behind.get(lane, ())))
        return ()

    def _offer_each(self, entries: Sequence[Entry]) -> list[Entry]:
        """Queue events; gives those that are decided and whose lanes are idle."""
        heads, flying = self._heads, self._flying
        done: list[Entry] = []
        for entry in entries:
            lane = entry.lane
            if heads[lane] is not None:
                self._behind(lane, entry)
            elif entry.decided and not flying[lane]:
                done.append(entry)
            else:
                heads[lane] = entry
                if not flying[lane]:
                    self._wake(lane)
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
        if blocked is None and self._plain and min(self.count, events) * self._largest <= size:
            return self._take_plain(events), []
        heads, flying, waits, ready = self._heads, self._flying, self._waits, self._ready
        send: list[Entry] = []
        settled: list[Entry] = []
        used = room = gone = 0
        for _ in range(len(ready)):
            if used >= events:
                break
            lane = ready.popleft()
            waits[lane] = 0
            entry = heads[lane]
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

    def _take_plain(self, events: int) -> list[Entry]:
        """Take up to so many, as `take`, where nothing is held back and neither outputs nor bytes need a look."""
        heads, rest, flying, waits, ready = self._heads, self._rest, self._flying, self._waits, self._ready
        send: list[Entry] = []
        left = events
        while ready and left:
            lane = ready.popleft()
            waits[lane] = 0
            entry = heads[lane]
            if entry is None:
                continue
            send.append(entry)
            flying[lane] = entry.number
            left -= 1
            more = rest.get(lane)
            if more is None:
                heads[lane] = None
            elif len(more) <= left:
                send += more
                left -= len(more)
                heads[lane] = None
                del rest[lane]
            else:
                send += more[:left]
                heads[lane] = more[left]
                del more[: left + 1]
                if not more:
                    del rest[lane]
                break
        self.count -= len(send)
        self.bytes -= sum([entry.size for entry in send])
        self.flying += len(send)
        return send

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
        for lane in {entry.lane: None for entry in entries}:
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
            self._queued(entry)
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
