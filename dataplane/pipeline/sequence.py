"""Gives every stored event its number once, and decides which are duplicates.

One place per machine, for all partitions of the log. Numbers are dense and grow with the log; what was
decided is in the sidecar, so that a reader far behind finds the same events under the same numbers.
"""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dataplane.log.base import REFUSED as MARKED_REFUSED
from dataplane.log.base import Record
from dataplane.log.partitions import Partitions
from dataplane.metrics.log import logger
from dataplane.pipeline import head as heads
from dataplane.pipeline.blocks import DUPLICATE, ENTRY, REFUSED, Block
from dataplane.pipeline.enrich import Stamp, enrich, generated_id
from dataplane.pipeline.head import EventHead
from dataplane.pipeline.holes import mend
from dataplane.pipeline.ids import MessageIds
from dataplane.pipeline.intake import Intake
from dataplane.pipeline.limbo import Limbo
from dataplane.pipeline.secret import secret_of
from dataplane.pipeline.sidecar import Sidecar
from dataplane.protocols import PROTOCOLS
from turnout import clock
from turnout.errors import Refused
from turnout.protocol import Envelope, Unit

__all__ = ["RefusedEvent", "Sequenced", "Sequencer", "restored"]

log = logger()
_envelope = msgspec.msgpack.Decoder(Envelope).decode
READ_BYTES = 512 << 10
LOAD_BYTES = 4 << 20
_RESULT = {0: "unique", DUPLICATE: "duplicate", REFUSED: "refused"}


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
class _Received:
    envelope: Envelope
    stamp: Stamp


class Sequenced:
    """One unique event: where it stands, its head, and (made on first use) its enriched bytes."""

    __slots__ = (
        "_enriched", "_message_id", "broken", "entry", "head", "key", "made", "number", "raw", "received",
        "secret", "source",
    )  # fmt: skip

    def __init__(self, number: int, key: int, raw: bytes, received: _Received, secret: bytes) -> None:
        self.entry: Any = None  # what delivery makes of it for all destinations alike, as it is
        self.made: tuple[Any, ...] = ()  # and of its transformations
        self.number, self.key, self.raw = number, key, raw
        self.broken = ""
        try:
            self.head = heads.read(raw)
        except Refused as error:  # it dies with this reason, for every destination
            self.head = EventHead()
            self.broken = error.message
        self.received = received
        self.source = received.envelope.source
        """Id of its source in config.yaml."""
        self.secret = secret
        self._enriched: bytes | None = None
        self._message_id: str | None = None

    @property
    def envelope(self) -> Envelope:
        """What the server added to its request; the same object for all events of a request."""
        return self.received.envelope

    @property
    def received_at(self) -> int:
        """When the server took it, Unix milliseconds."""
        return self.received.envelope.received_at

    @property
    def kind(self) -> str:
        """Its type: fixed by the path, else its own, in lower case."""
        return self.received.stamp.kind or (self.head.type or "").lower()

    @property
    def message_id(self) -> str:
        """Its messageId, or the one derived from its number where it came without."""
        if self._message_id is None:
            sent = heads.text(self.head.messageId).strip()
            self._message_id = sent or generated_id(self.secret, self.number)
        return self._message_id

    @property
    def enriched(self) -> bytes:
        """The event with what the server adds, as JSON bytes."""
        if self._enriched is None:
            self._enriched = enrich(self.raw, self.head, self.received.stamp, self.message_id)
        return self._enriched

    @enriched.setter
    def enriched(self, raw: bytes) -> None:
        self._enriched = raw


class Sequencer:
    """Reads the log in order; the only writer of the sidecar and the message ids."""

    def __init__(
        self, partitions: Partitions, folder: Path, *, dedup: bool, window: float, max_ids: int, known: int = 1
    ) -> None:
        """`known` is a number that no event had yet, by what others wrote down: where the sidecar is lost,
        numbers go on there, from where the log was told to let go."""
        self.partitions = partitions
        self.sidecar = Sidecar(folder, known, partitions.released if known > 1 else None)
        self.lost = self.sidecar.new and known > 1
        if self.lost:  # else what is numbered anew would be taken for a duplicate of itself
            shutil.rmtree(folder / "ids", ignore_errors=True)
        self._intake = Intake(partitions, self.sidecar.positions, max_bytes=READ_BYTES)
        self._secret = secret_of(folder)
        self._dedup = dedup
        self.ids = MessageIds(folder / "ids", window=window, max_ids=max_ids)
        self._seen = self.ids.seen
        self.counts: Counter[tuple[str, str]] = Counter()
        self.refused: list[RefusedEvent] = []
        self.behind_head: float = 0.0
        self._entered = False
        mend(self.sidecar, partitions, lambda part, record, first: self._record(part, record, first, []))
        self.counts.clear()  # that was counted, and what was refused is kept
        self.refused.clear()
        several = len(partitions.numbers) > 1
        self._limbo = Limbo(folder, self.ids, self.sidecar.next_number) if several else None
        self._seen = self._limbo.seen if self._limbo else self.ids.seen
        try:
            self._reenter()
        except OSError as error:  # disk full: `next` tries again
            log.error("sequence.stuck", error=type(error).__name__, reason=error.strerror)

    @property
    def next_number(self) -> int:
        """The number the next event will get."""
        return self.sidecar.next_number

    @property
    def positions(self) -> dict[int, int]:
        """Per partition the position behind the last sequenced record."""
        return {number: self.sidecar.positions.get(number, 0) for number in self.partitions.numbers}

    async def wait(self, timeout: float) -> bool:
        """Return True as soon as there is something to sequence, False after `timeout` seconds."""
        return await self.partitions.wait(self.sidecar.positions, timeout)

    def _reenter(self) -> None:
        """Enter ids that a power cut may have taken from the tables again; raises OSError (disk full)."""
        if self.ids.missing_from is not None:
            for block in self.sidecar.blocks(self.ids.missing_from):
                for index, (flags, digest, _, _, _) in enumerate(block):
                    if not flags:
                        self.ids.seen(digest, block.first + index, 0.0)
        self._entered = True

    def next(self) -> list[Sequenced]:
        """Sequence what the log has beyond the last call, a batch at a time; [] at the head.

        Raises OSError where the disk is full: nothing of it counts, and the next call begins again.
        """
        if not self._entered:
            self._reenter()
        records = self._intake.next()
        if not records:
            return []
        number = self.sidecar.next_number
        found: list[Sequenced] = []
        blocks: list[Block] = []
        counts, refused = self.counts.copy(), len(self.refused)
        try:
            if self._limbo is not None:
                self._limbo.reserve(number + sum(record.count for _, record in records))
            for partition, record in records:
                block = self._record(partition, record, number, found)
                number += block.count
                blocks.append(block)
            self.sidecar.append(blocks)
        except OSError:  # nothing of it counts: the same records get the same numbers next time
            self.counts = counts
            del self.refused[refused:]
            raise
        self._intake.done()
        return found

    def _record(self, partition: int, record: Record, first: int, found: list[Sequenced]) -> Block:
        received, units = self._open(record)
        envelope = received.envelope
        source, seconds = envelope.source, envelope.received_at / 1000
        hashed = self._hash(source)
        entries: list[bytes] = []
        unique = 0
        for index, (mark, key) in enumerate(record.each):
            number = first + index
            unit = units[index] if index < len(units) else None
            if mark & MARKED_REFUSED or unit is None:
                entries.append(ENTRY.pack(REFUSED, bytes(16), key, 0, 0))
                self._refuse(envelope, number, index, record.body if unit is None else unit.raw)
                self.counts[source, "refused"] += 1
                continue
            event = Sequenced(number, key, unit.raw, received, self._secret)
            digest = hashed.copy()  # with what all events of the source have in common
            digest.update(event.message_id.encode("utf-8", "replace"))
            identity = digest.digest()
            if self._dedup and self._seen(identity, number, seconds) >= 0:
                entries.append(ENTRY.pack(DUPLICATE, identity, key, unit.offset, unit.length))
                self.counts[source, "duplicate"] += 1
                continue
            entries.append(ENTRY.pack(0, identity, key, unit.offset, unit.length))
            unique += 1
            found.append(event)
        self.counts[source, "unique"] += unique
        return Block(first, record.position, record.end, record.count, b"".join(entries), partition)

    def _refuse(self, envelope: Envelope, number: int, index: int, raw: bytes) -> None:
        code, message = envelope.refused.get(index, ("unreadable", "the stored event cannot be read"))
        self.refused.append(RefusedEvent(
            number, envelope.source, code, message, envelope.received_at, raw, envelope.protocol, envelope.kind,
        ))  # fmt: skip

    def _open(self, record: Record) -> tuple[_Received, list[Unit]]:
        received = _received(record.envelope)
        try:
            units = split(received.envelope, record.body)
        except Refused:
            units = []  # wholly refused requests are kept as they came, often as no JSON at all
        return received, units

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

        For readers behind the head: decisions come from the sidecar, bytes from the log.
        """
        found: list[Sequenced] = []
        size = 0
        upto = number
        for block, record in self._records(number, READ_BYTES if most > 1 else 1):
            received, units = self._open(record)
            for index, (flags, _, key, offset, length) in enumerate(block):
                at = block.first + index
                if at < number or flags:
                    continue
                raw = record.body[offset : offset + length] if length else units[index].raw
                found.append(Sequenced(at, key, raw, received, self._secret))
                size += len(raw)
            upto = block.first + block.count
            if len(found) >= most or size >= LOAD_BYTES:
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

    def _records(self, number: int, chunk: int = READ_BYTES) -> Iterator[tuple[Block, Record]]:
        """Blocks from `number` on beside their records; a record lost to damage is passed over.

        `chunk` is how many bytes of the log are read at once, at least a record.
        """
        held: dict[int, deque[Record]] = {n: deque() for n in self.partitions.numbers}
        chunk //= len(held)
        for block in self.sidecar.blocks(number):
            records = held.setdefault(block.partition, deque())
            while records and records[0].position < block.position:
                records.popleft()
            if not records:
                records.extend(self.partitions.read(block.partition, block.position, chunk))
            if records and records[0].position == block.position:
                yield block, records.popleft()
            elif block.position >= self.partitions.floors.get(block.partition, 0):  # else let go of
                log.error("sequence.damaged", first=block.first, events=block.count)
                self.counts["", "damaged"] += block.count

    def recount(self, number: int) -> Counter[tuple[str, str]]:
        """Counts per source of the events from `number` on, from the sidecar.

        Refused ones are said again: the books that were to keep them were not written.
        """
        found: Counter[tuple[str, str]] = Counter()
        for block, record in self._records(number):
            envelope = _envelope(record.envelope)
            units: list[Unit] | None = None
            for index, (flags, *_) in enumerate(block):
                if block.first + index < number:
                    continue
                found[envelope.source, _RESULT[flags]] += 1
                if flags & REFUSED:
                    units = self._open(record)[1] if units is None else units
                    raw = units[index].raw if index < len(units) else record.body
                    self._refuse(envelope, block.first + index, index, raw)
        return found

    def pick(self, numbers: Sequence[int]) -> dict[int, Sequenced]:
        """Unique events by their numbers, which ascend; those the log has let go of are left out."""
        found: dict[int, Sequenced] = {}
        wanted = deque(numbers)
        if not wanted:
            return found
        for block in self.sidecar.blocks(wanted[0]):
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
            received, units = self._open(held) if held is not None else (None, [])
            entries = list(block)
            while wanted and wanted[0] < end:
                number = wanted.popleft()
                flags, _, key, offset, length = entries[number - block.first]
                if held is not None and received is not None and not flags:
                    raw = held.body[offset : offset + length] if length else units[number - block.first].raw
                    found[number] = Sequenced(number, key, raw, received, self._secret)
        return found

    def close(self) -> None:
        """Write everything out."""
        self.sidecar.close()
        if self._limbo is not None:
            self._limbo.close(self.sidecar.next_number)
        self.ids.close(self.sidecar.next_number - 1)


def restored(number: int, key: int, raw: bytes, envelope: bytes, secret: bytes) -> Sequenced:
    """An event from its number, order key, JSON as received, and the envelope of its request as
    stored; `secret` is what ids are generated with where it came without."""
    return Sequenced(number, key, raw, _received(envelope), secret)


def _received(packed: bytes) -> _Received:
    envelope = _envelope(packed)
    moment, sent = clock.from_millis(envelope.received_at), envelope.sent_at
    who = (envelope.trusted, envelope.anonymous_id)
    return _Received(envelope, Stamp(moment, clock.iso(moment), envelope.ip, sent, envelope.kind, *who))


def split(envelope: Envelope, body: bytes) -> list[Unit]:
    """A body's events; one that the fast decoder refuses after all goes the slow way."""
    protocol = PROTOCOLS[envelope.protocol]
    try:
        return protocol.split(envelope, body)
    except msgspec.DecodeError:
        return protocol.split(msgspec.structs.replace(envelope, slow=True), body)
