"""Gives every stored event its number once, and decides which are duplicates.

One place per machine, for all partitions of the log. Numbers are dense and grow with the log; what was
decided is in the sidecar, so that a reader far behind finds the same events under the same numbers.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import msgspec

from dataplane.log.base import REFUSED as MARKED_REFUSED
from dataplane.log.base import Record
from dataplane.log.partitions import Partitions
from dataplane.metrics.log import logger
from dataplane.pipeline.blocks import DUPLICATE, ENTRY, REFUSED, Block
from dataplane.pipeline.holes import mend
from dataplane.pipeline.ids import MessageIds
from dataplane.pipeline.intake import Intake
from dataplane.pipeline.limbo import Limbo
from dataplane.pipeline.numbered import READ_BYTES, UNKNOWN, Numbered, RefusedEvent, Sequenced
from dataplane.pipeline.published import Publisher
from dataplane.pipeline.share import WHOLE, Share
from dataplane.pipeline.sidecar import Sidecar
from turnout.protocol import Envelope, Unit

__all__ = ["Sequencer"]

log = logger()
_envelope = msgspec.msgpack.Decoder(Envelope).decode
_RESULT = {0: "unique", DUPLICATE: "duplicate", REFUSED: "refused"}


class Sequencer(Numbered):
    """Reads the log in order; the only writer of the sidecar and the message ids.

    Gives out the events of its own lanes; processes that follow are told how far it is.
    """

    def __init__(
        self, partitions: Partitions, folder: Path, *, dedup: bool, window: float, max_ids: int, known: int = 1,
        share: Share = WHOLE,
    ) -> None:
        """`known` is a number that no event had yet, by what others wrote down: where the sidecar is lost,
        numbers go on there, from where the log was told to let go."""
        sidecar = Sidecar(folder, known, partitions.let_go if known > 1 else None)
        super().__init__(partitions, sidecar, folder, share, dedup=dedup)
        self.lost = self.sidecar.new and known > 1
        if self.lost:  # else what is numbered anew would be taken for a duplicate of itself
            shutil.rmtree(folder / "ids", ignore_errors=True)
        self._intake = Intake(partitions, self.sidecar.positions, max_bytes=READ_BYTES)
        self.ids = MessageIds(folder / "ids", window=window, max_ids=max_ids)
        self._seen = self.ids.seen
        self._entered = False
        mend(self.sidecar, partitions, self._recall)
        several = len(partitions.numbers) > 1
        self._limbo = Limbo(folder, self.ids, self.sidecar.next_number) if several else None
        self._seen = self._limbo.seen if self._limbo else self.ids.seen
        try:
            self._reenter()
        except OSError as error:  # disk full: `next` tries again
            log.error("sequence.stuck", error=type(error).__name__, reason=error.strerror)
        self._publisher = None if share.alone else Publisher(folder, self.sidecar.next_number)

    async def wait(self, timeout: float) -> bool:
        """Return True as soon as there is something to sequence, False after `timeout` seconds."""
        return await self.partitions.wait(self.sidecar.positions, timeout)

    def _reenter(self) -> None:
        """Enter ids that a power cut may have taken from the tables again; raises OSError (disk full)."""
        if self.ids.missing_from is not None:
            for block in self._gaps.blocks(self.ids.missing_from):
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
        if self._publisher is not None:
            self._publisher.publish(self.sidecar.next_number)
        return found

    def _record(self, partition: int, record: Record, first: int, found: list[Sequenced]) -> Block:
        received, units = self._open(record)
        envelope = received.envelope
        source, seconds = envelope.source, envelope.received_at / 1000
        hashed = self._hash(source)
        alone, mine = self.share.alone, self.share.has
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
            if alone or mine(key):
                found.append(event)
        self.counts[source, "unique"] += unique
        return Block(first, record.position, record.end, record.count, b"".join(entries), partition)

    def _refuse(self, envelope: Envelope, number: int, index: int, raw: bytes) -> None:
        code, message = envelope.refused.get(index, ("unreadable", "the stored event cannot be read"))
        self.refused.append(RefusedEvent(
            number, envelope.source, code, message, envelope.received_at, raw, envelope.protocol, envelope.kind,
        ))  # fmt: skip

    def recount(self, number: int) -> Counter[tuple[str, str]]:
        """Counts per source of the events from `number` on, from the sidecar.

        Refused ones are said again: the books that were to keep them were not written. Where damage took a record,
        its events count for the source "", since nobody knows theirs.
        """
        found: Counter[tuple[str, str]] = Counter()
        for block, record in self._records(number):
            envelope = _envelope(record.envelope) if record is not None else UNKNOWN.envelope
            units: list[Unit] | None = None
            for index, (flags, *_) in enumerate(block):
                if block.first + index < number:
                    continue
                found[envelope.source, _RESULT[flags]] += 1
                if flags & REFUSED and record is not None:
                    units = self._open(record)[1] if units is None else units
                    raw = units[index].raw if index < len(units) else record.body
                    self._refuse(envelope, block.first + index, index, raw)
        return found

    def trim(self, number: int) -> None:
        """Delete of the sidecar what nobody needs: the log has let go of it, and it is before event `number`."""
        self.sidecar.trim(self.partitions.floors, min(number, self.ids.checkpoint()))

    def save(self) -> None:
        """Make the message ids safe from a power cut. Runs in any thread."""
        self.ids.save(self.sidecar.next_number - 1)

    def find(self, digest: bytes) -> int:
        """The number at which an id is remembered; below 1 where it is not."""
        return self.ids.find(digest)

    def close(self) -> None:
        """Write everything out."""
        if self._publisher is not None:
            self._publisher.close()
        self.sidecar.close()
        if self._limbo is not None:
            self._limbo.close(self.sidecar.next_number)
        self.ids.close(self.sidecar.next_number - 1)
