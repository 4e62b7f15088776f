"""All partitions of a log, as one reader of them sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dataplane.log.base import LogReader, Record
from dataplane.log.epochs import partitions
from dataplane.log.local import open_reader

__all__ = ["Partitions", "open_partitions"]


class Partitions:
    """Readers by the number of their partition. `run` is the run that writes now (epochs.py), 0 in tests
    whose writers know none."""

    def __init__(self, readers: Mapping[int, LogReader], run: int = 0) -> None:
        self._readers = dict(sorted(readers.items()))
        self.run = run

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the partitions, ascending."""
        return tuple(self._readers)

    @property
    def heads(self) -> dict[int, int]:
        """Per partition the position behind its last durable record."""
        return {number: reader.head for number, reader in self._readers.items()}

    @property
    def floors(self) -> dict[int, int]:
        """Per partition the position of the oldest record that is still there."""
        return {number: reader.floor for number, reader in self._readers.items()}

    @property
    def released(self) -> dict[int, int]:
        """Per partition how far this consumer has let go, in this life or an earlier one."""
        return {number: reader.released for number, reader in self._readers.items()}

    @property
    def let_go(self) -> dict[int, int]:
        """Per partition how far all consumers have let go."""
        return {number: reader.let_go for number, reader in self._readers.items()}

    def read(self, partition: int, position: int, max_bytes: int = 1 << 20) -> Sequence[Record]:
        """Durable records of one partition, as `LogReader.read`; none of a partition that is not there."""
        reader = self._readers.get(partition)
        return () if reader is None else reader.read(position, max_bytes)

    def between(self, partition: int, start: int, end: int) -> Iterator[Record]:
        """Records of one partition from position `start` to before `end`, those that are there."""
        while start < end and (records := self.read(partition, start)):
            yield from (record for record in records if record.position < end)
            start = records[-1].end

    async def wait(self, positions: Mapping[int, int], timeout: float) -> bool:
        """Return True as soon as any partition's head is beyond its position, False after `timeout` seconds."""
        if len(self._readers) == 1:
            ((number, reader),) = self._readers.items()
            return await reader.wait(positions.get(number, 0), timeout)
        waits = [
            asyncio.ensure_future(reader.wait(positions.get(number, 0), timeout))
            for number, reader in self._readers.items()
        ]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return any(wait.result() for wait in done)
        finally:
            for wait in waits:
                wait.cancel()

    def release(self, positions: Mapping[int, int]) -> None:
        """Records before these positions are needed by no one."""
        for number, reader in self._readers.items():
            reader.release(positions.get(number, 0))

    def close(self) -> None:
        """Let go of files."""
        for reader in self._readers.values():
            reader.close()


def open_partitions(root: Path, count: int, *, run: int = 0, consumer: str = "pipeline") -> Partitions:
    """Read the partitions in `root` (`data/log`): the `count` that are written, which need not exist yet,
    and those that an earlier config wrote."""
    numbers = sorted({*range(count), *partitions(root)})
    return Partitions({number: open_reader(root / str(number), consumer) for number in numbers}, run)
