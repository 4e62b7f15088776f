"""What is known of records without the sidecar: by the log, and the message ids that are remembered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from dataplane.log.base import REFUSED as MARKED_REFUSED
from dataplane.log.base import Record
from dataplane.log.partitions import Partitions
from dataplane.pipeline import head as heads
from dataplane.pipeline.blocks import DUPLICATE, REFUSED
from dataplane.pipeline.enrich import generated_id
from dataplane.pipeline.holes import Recalled, Span
from dataplane.pipeline.ids import remembered
from dataplane.pipeline.merge import moment_of
from turnout.errors import Refused
from turnout.protocol import Unit

__all__ = ["Recall"]


class Recall:
    """Called with spans of the log, it gives the records that are there, in the order in which they were taken.

    `ids` is the folder of the tables, None where nothing is a duplicate; `opened` gives a record's source and events,
    `digest` the hash of an id of a source. An id that is forgotten by now makes no duplicate.
    """

    def __init__(
        self, partitions: Partitions, ids: Path | None, secret: bytes,
        opened: Callable[[Record], tuple[str, Sequence[Unit]]], digest: Callable[[str, str], bytes],
    ) -> None:
        self._partitions = partitions
        self._ids = ids
        self._secret = secret
        self._opened = opened
        self._digest = digest

    def __call__(self, spans: Sequence[Span], most: int) -> list[Recalled]:
        """Of each span the records up to the one with its event `most`."""
        found: list[Recalled] = []
        with remembered(self._ids) as find:
            for partition, start, end in spans:
                left = most
                for record in self._partitions.between(partition, start, end):
                    found.append(self._recalled(partition, record, find))
                    left -= record.count
                    if left <= 0:
                        break
        return sorted(found, key=lambda one: one.moment)

    def _recalled(self, partition: int, record: Record, find: Callable[[bytes], int]) -> Recalled:
        source, units = self._opened(record)
        rows: list[tuple[int, bytes, int, int, int]] = []
        known: list[int] = []
        here: set[bytes] = set()
        for index, (mark, key) in enumerate(record.each):
            unit = units[index] if index < len(units) else None
            if mark & MARKED_REFUSED or unit is None:
                rows.append((REFUSED, bytes(16), key, 0, 0))
                known.append(0)
                continue
            sent = _sent_id(unit.raw)
            identity = self._digest(source, sent) if sent else bytes(16)
            again = self._ids is not None and identity in here
            if sent:
                here.add(identity)
            rows.append((DUPLICATE if again else 0, identity, key, unit.offset, unit.length))
            known.append(find(identity) if sent and not again else 0)
        name = partial(self._generated, source)
        return Recalled(partition, record.position, record.end, moment_of(record), rows, known, name)

    def _generated(self, source: str, number: int) -> bytes:
        return self._digest(source, generated_id(self._secret, number))


def _sent_id(raw: bytes) -> str:
    """The messageId an event came with; "" where it has none."""
    try:
        return heads.text(heads.read(raw).messageId).strip()
    except Refused:
        return ""
