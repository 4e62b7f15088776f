"""Events by their numbers, as *sequence* decided them: bytes from the log, decisions from the sidecar.

Read by everyone: the process that sequences, those that follow it, and whoever looks an event up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dataplane.log.base import Record
from dataplane.log.partitions import Partitions
from dataplane.metrics.log import logger
from dataplane.pipeline import head as heads
from dataplane.pipeline.blocks import Block
from dataplane.pipeline.enrich import Stamp, enrich, generated_id
from dataplane.pipeline.head import EventHead
from dataplane.pipeline.holes import Gaps
from dataplane.pipeline.recall import Recall
from dataplane.pipeline.secret import secret_of
from dataplane.pipeline.share import WHOLE, Share
from dataplane.pipeline.sidecar import Sidecar
from dataplane.protocols import PROTOCOLS
from turnout import clock
from turnout.errors import Refused
from turnout.protocol import Envelope, Unit

__all__ = [
    "LOST", "UNKNOWN", "UNREADABLE", "Numbered", "Received", "RefusedEvent", "Sequenced", "received", "restored",
    "split",
]

log = logger()
_envelope = msgspec.msgpack.Decoder(Envelope).decode
READ_BYTES = 512 << 10
LOAD_BYTES = 4 << 20
LOOK = 4_000
"""Events of all lanes that one of several processes looks at in one go, about, where few are its own."""
TOLD = 10_000
"""Damaged records that are remembered as said."""
UNREADABLE = "unreadable: "
LOST = "lost: "
DESTROYED = f"{LOST}its record in the log was damaged"


class RefusedEvent(NamedTuple):
    """An event the gateway took in a request but refused; `raw` as received, `received_at` in Unix ms."""

    number: int
    source: str
    code: str
    message: str
    received_at: int
    raw: bytes
    protocol: str
    kind: str


@dataclass(frozen=True, slots=True)
class Received:
    envelope: Envelope
    stamp: Stamp


class Sequenced:
    """One unique event: where it stands, its head, and (made on first use) its enriched bytes.

    `broken` says why it is dead at every destination, whatever its scripts and routes are; "" where it is not.
    """

    __slots__ = (
        "_enriched", "broken", "entry", "head", "key", "kind", "made", "message_id", "number", "raw", "received",
        "secret", "source",
    )  # fmt: skip

    def __init__(self, number: int, key: int, raw: bytes, received: Received, secret: bytes) -> None:
        self.entry: Any = None  # what delivery makes of it for all destinations alike, as it is
        self.made: tuple[Callable[[], Any], ...] = ()  # and of its transformations: weak, for those may be vast
        self.number, self.key, self.raw = number, key, raw
        self.broken = ""
        try:
            head = heads.read(raw)
        except Refused as error:  # it dies with this reason, for every destination
            head = EventHead()
            self.broken = f"{UNREADABLE}{error.message}"
        self.head = head
        self.received = received
        self.source = received.envelope.source
        """Id of its source in config.yaml."""
        self.kind = received.stamp.kind or (head.type or "").lower()
        """Its type: fixed by the path, else its own, in lower case."""
        self.secret = secret
        self.message_id = heads.text(head.messageId).strip() or generated_id(secret, number)
        """Its messageId, or the one derived from its number where it came without."""
        self._enriched: bytes | None = None

    @property
    def envelope(self) -> Envelope:
        """What the server added to its request; the same object for all events of a request."""
        return self.received.envelope

    @property
    def received_at(self) -> int:
        """When the server took it, Unix milliseconds."""
        return self.received.envelope.received_at

    @property
    def enriched(self) -> bytes:
        """The event with what the server adds, as JSON bytes."""
        if self._enriched is None:
            self._enriched = enrich(self.raw, self.head, self.received.stamp, self.message_id)
        return self._enriched

    @enriched.setter
    def enriched(self, raw: bytes) -> None:
        self._enriched = raw


class Numbered(ABC):
    """Unique events by number. `share` says which lanes are this process's own."""

    def __init__(
        self, partitions: Partitions, sidecar: Sidecar, folder: Path, share: Share, *, dedup: bool
    ) -> None:
        self.partitions = partitions
        self.sidecar = sidecar
        self.share = share
        self._secret = secret_of(folder)
        self._dedup = dedup
        self._recall = Recall(partitions, folder / "ids" if dedup else None, self._secret, self._sent, self.digest)
        self._gaps = Gaps(sidecar, partitions, self._recall)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.refused: list[RefusedEvent] = []
        self.lost = False
        self._told: set[tuple[int, int]] = set()

    @abstractmethod
    def next(self) -> list[Sequenced]:
        """Events of its own lanes beyond the last call, some at a time; [] at the head. Raises OSError (disk full)."""

    @abstractmethod
    async def wait(self, timeout: float) -> bool:
        """Return True as soon as there is something new, False after `timeout` seconds."""

    @abstractmethod
    def recount(self, number: int) -> Counter[tuple[str, str]]:
        """Counts per source of the events from `number` on, which whoever counts them has not."""

    @abstractmethod
    def find(self, digest: bytes) -> int:
        """The number at which an id is remembered; below 1 where it is not."""

    @abstractmethod
    def trim(self, number: int) -> None:
        """Let go of decisions about events that the log no longer has and that are before event `number`."""

    @abstractmethod
    def save(self) -> None:
        """Make safe from a power cut what is not yet. Runs in any thread."""

    @abstractmethod
    def close(self) -> None:
        """Write everything out and let go."""

    @property
    def next_number(self) -> int:
        """The number the next event will get."""
        return self.sidecar.next_number

    @property
    def positions(self) -> dict[int, int]:
        """Per partition the position behind the last sequenced record."""
        return {number: self.sidecar.positions.get(number, 0) for number in self.partitions.numbers}

    def _open(self, record: Record) -> tuple[Received, list[Unit]]:
        envelope = received(record.envelope)
        try:
            units = split(envelope.envelope, record.body)
        except Refused:
            units = []  # wholly refused requests are kept as they came, often as no JSON at all
        return envelope, units

    def _sent(self, record: Record) -> tuple[str, list[Unit]]:
        envelope, units = self._open(record)
        return envelope.envelope.source, units

    def restore(self, number: int, key: int, raw: bytes, envelope: bytes) -> Sequenced:
        """An event that is kept elsewhere than in the log, as `load` gave it."""
        return restored(number, key, raw, envelope, self._secret)

    def digest(self, source: str, message_id: str) -> bytes:
        """The hash by which an event's id is known."""
        return self._hash(source, message_id).digest()

    def _hash(self, source: str, text: str = "") -> blake2b:
        data = source.encode() + b"\0" + text.encode("utf-8", "replace")
        return blake2b(data, key=self._secret, digest_size=16)

    def load(self, number: int, most: int) -> tuple[list[Sequenced], int]:
        """Up to about `most` unique events, or 4 MB of them, from `number` on, and the number to go on with.

        For whoever looks events up: decisions come from the sidecar, bytes from the log. Those whose bytes are gone
        are left out.
        """
        return self._load(number, most, WHOLE, lost=False)

    def mine(self, number: int, most: int) -> tuple[list[Sequenced], int]:
        """The same for those who owe each event a verdict: only events of this process's own lanes, of which there
        may be none and yet more to go on with; those whose record damage took are there, and `broken`."""
        return self._load(number, most, self.share, lost=True)

    def _load(self, number: int, most: int, share: Share, *, lost: bool) -> tuple[list[Sequenced], int]:
        found: list[Sequenced] = []
        size = 0
        upto = number
        alone = share.alone
        until = None if alone else number + LOOK
        for block, record in self._records(number, READ_BYTES if most > 1 else 1):
            if record is None:
                found += self._lost(block, number) if lost else ()
            elif alone or any(not flags and share.has(key) for flags, _, key, _, _ in block):
                envelope, units = self._open(record)
                for index, (flags, _, key, offset, length) in enumerate(block):
                    at = block.first + index
                    if at < number or flags or not (alone or share.has(key)):
                        continue
                    raw = record.body[offset : offset + length] if length else units[index].raw
                    found.append(Sequenced(at, key, raw, envelope, self._secret))
                    size += len(raw)
            upto = block.first + block.count
            if len(found) >= most or size >= LOAD_BYTES or (until is not None and upto >= until):
                break
        else:
            upto = max(upto, self.sidecar.next_number)
        return found, upto

    @property
    def floors(self) -> dict[int, int]:
        """Where each partition begins now; they move when the log lets go of something."""
        return self.partitions.floors

    def held(self, number: int) -> int:
        """Bytes of the log from event `number` on that are there."""
        log = self.partitions
        before, floors = self.sidecar.positions_of(number), log.floors
        return sum(
            max(0, head - max(floors[partition], before.get(partition, 0)))
            for partition, head in log.heads.items()
        )

    def oldest(self) -> int:
        """A number at or before which the log has let go of everything; a dozen look-ups of the sidecar."""
        return self.sidecar.number_at(self.partitions.floors)

    def _records(self, number: int, chunk: int = READ_BYTES) -> Iterator[tuple[Block, Record | None]]:
        """Blocks from `number` on beside their records: None where damage took it. What the log has let go of is
        passed over.

        `chunk` is how many bytes of the log are read at once, at least a record.
        """
        held: dict[int, deque[Record]] = {n: deque() for n in self.partitions.numbers}
        chunk //= len(held)
        for block in self._gaps.blocks(number):
            records = held.setdefault(block.partition, deque())
            while records and records[0].position < block.position:
                records.popleft()
            if not records:
                records.extend(self.partitions.read(block.partition, block.position, chunk))
            if records and records[0].position == block.position:
                yield block, records.popleft()
            elif self._damaged(block):
                yield block, None

    def _damaged(self, block: Block) -> bool:
        """Whether damage took the record that is not where its block says, which is said once; else the log has let
        go of it."""
        if block.position < self.partitions.floors.get(block.partition, 0):
            return False
        place = (block.partition, block.position)
        if place not in self._told:
            if len(self._told) >= TOLD:
                self._told.clear()
            self._told.add(place)
            log.error("sequence.damaged", first=block.first, events=block.count)
        return True

    def _lost(self, block: Block, number: int = 0) -> list[Sequenced]:
        """The unique events of its own lanes in a block whose record is gone, from `number` on."""
        return [
            _destroyed(at, key, self._secret)
            for at, (flags, _, key, _, _) in enumerate(block, block.first)
            if at >= number and not flags and self.share.has(key)
        ]

    def block(self, number: int) -> Block | None:
        """What was decided of event `number`, also where that is damaged since; None where it was let go."""
        found = next(self._gaps.blocks(number), None) if number >= self.sidecar.first else None
        return found if found is not None and found.first <= number else None

    def pick(self, numbers: Sequence[int]) -> dict[int, Sequenced]:
        """Unique events by their numbers, which ascend; those the log has let go of are left out."""
        found: dict[int, Sequenced] = {}
        wanted = deque(numbers)
        if not wanted:
            return found
        for block in self._gaps.blocks(wanted[0]):
            while wanted and wanted[0] < block.first:
                wanted.popleft()
            if not wanted:
                break
            end = block.first + block.count
            if wanted[0] >= end:
                continue
            there = block.position >= self.partitions.floors.get(block.partition, 0)
            records = self.partitions.read(block.partition, block.position, 1) if there else ()
            held = records[0] if records and records[0].position == block.position else None
            envelope, units = self._open(held) if held is not None else (None, [])
            entries = list(block)
            while wanted and wanted[0] < end:
                number = wanted.popleft()
                flags, _, key, offset, length = entries[number - block.first]
                if held is not None and envelope is not None and not flags:
                    raw = held.body[offset : offset + length] if length else units[number - block.first].raw
                    found[number] = Sequenced(number, key, raw, envelope, self._secret)
        return found


def restored(number: int, key: int, raw: bytes, envelope: bytes, secret: bytes) -> Sequenced:
    """An event from its number, order key, JSON as received, and the envelope of its request as
    stored; `secret` is what ids are generated with where it came without."""
    return Sequenced(number, key, raw, received(envelope), secret)


def _destroyed(number: int, key: int, secret: bytes) -> Sequenced:
    """An event of which only its block is left: no bytes, and nobody knows its source."""
    event = Sequenced(number, key, b"", UNKNOWN, secret)
    event.broken = DESTROYED
    return event


def received(packed: bytes) -> Received:
    return _received(_envelope(packed))


def _received(envelope: Envelope) -> Received:
    moment, sent = clock.from_millis(envelope.received_at), envelope.sent_at
    who = (envelope.trusted, envelope.anonymous_id)
    return Received(envelope, Stamp(moment, clock.iso(moment), envelope.ip, sent, envelope.kind, *who))


UNKNOWN = _received(Envelope(source="", protocol="", kind="", received_at=0, ip=""))
"""What is known of a request whose record is gone."""


def split(envelope: Envelope, body: bytes) -> list[Unit]:
    """A body's events; one that the fast decoder refuses after all goes the slow way."""
    protocol = PROTOCOLS[envelope.protocol]
    try:
        return protocol.split(envelope, body)
    except msgspec.DecodeError:
        return protocol.split(msgspec.structs.replace(envelope, slow=True), body)
