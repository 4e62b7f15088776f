"""A pipeline process that does not sequence: it reads what another one decided, and takes the events of its lanes.

Numbers and duplicates are decided once. Where the process that sequences is dead, this one waits at what that has
published, and goes on when it is back.
"""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path

from dataplane.log.base import Record
from dataplane.log.partitions import Partitions
from dataplane.pipeline.blocks import Block
from dataplane.pipeline.followed import Followed
from dataplane.pipeline.numbered import READ_BYTES, Numbered, Sequenced, received
from dataplane.pipeline.published import Published
from dataplane.pipeline.share import Share
from turnout.errors import Unavailable
from turnout.protocol import Unit

__all__ = ["Follower"]

MOST = 2_000
"""Events of all lanes that are looked at in one go, about."""


class Follower(Numbered):
    """What `Sequencer` is to readers, in another process. It writes nothing."""

    def __init__(self, partitions: Partitions, folder: Path, share: Share, *, dedup: bool = True) -> None:
        """Raises `Unavailable` where nothing was sequenced in this folder yet."""
        self._published = Published(folder)
        self._followed = Followed(folder, self._published.number)
        super().__init__(partitions, self._followed, folder, share, dedup=dedup)
        self.lost = False
        self._held: dict[int, deque[Record]] = {}

    async def wait(self, timeout: float) -> bool:
        """Return True as soon as there is something new, False after `timeout` seconds."""
        return await self._published.wait(self.next_number, timeout)

    def next(self) -> list[Sequenced]:
        """Events of its own lanes beyond the last call, some at a time; [] at the published position.

        Raises `Unavailable` where what was read is published no more: damage cut the sequence off, or it was lost, and
        whoever read it begins again.
        """
        found: list[Sequenced] = []
        has, upto = self.share.has, self._published.number
        if upto < self.next_number:
            raise Unavailable(f"the sequence goes on at {upto}, and was read up to {self.next_number}")
        number = self.next_number
        try:
            blocks = self._followed.advance(upto, MOST)
        except FileNotFoundError as error:
            raise Unavailable("the sequence is lost: its file that was being read is gone") from error
        for block in self._gaps.filled(blocks, number, self.next_number):
            mine = [
                (index, key, offset, length)
                for index, (flags, _, key, offset, length) in enumerate(block)
                if not flags and has(key)
            ]
            if mine:
                found += self._taken(block, mine)
        return found

    def _taken(self, block: Block, mine: list[tuple[int, int, int, int]]) -> list[Sequenced]:
        record = self._record_of(block)
        if record is None:
            return self._lost(block) if self._damaged(block) else []
        units: list[Unit] = []
        if all(length for *_, length in mine):  # nearly always: the bytes say where each event is
            envelope = received(record.envelope)
        else:
            envelope, units = self._open(record)
        return [
            Sequenced(
                block.first + index, key, record.body[offset : offset + length] if length else units[index].raw,
                envelope, self._secret,
            )
            for index, key, offset, length in mine
        ]

    def _record_of(self, block: Block) -> Record | None:
        """The record of a block; they are asked for in order. None where it is not there any more."""
        records = self._held.setdefault(block.partition, deque())
        while records and records[0].position < block.position:
            records.popleft()
        if not records:
            records.extend(self.partitions.read(block.partition, block.position, READ_BYTES))
        if records and records[0].position == block.position:
            return records.popleft()
        return None

    def recount(self, number: int) -> Counter[tuple[str, str]]:
        """Nothing: sources are counted by the process that sequences."""
        return Counter()

    def trim(self, number: int) -> None:
        """The sidecar belongs to the process that sequences."""

    def save(self) -> None:
        """So do the message ids."""

    def find(self, digest: bytes) -> int:
        """Ids are known to the process that sequences only."""
        return -1

    def close(self) -> None:
        """Let go."""
        self._published.close()
        self._followed.close()
