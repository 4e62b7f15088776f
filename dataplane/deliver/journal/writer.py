"""Writes the journal: collected on the event loop, one write ten times a second."""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from dataplane.config.model import JournalConfig
from dataplane.deliver.journal import format as layout
from dataplane.deliver.journal.format import Origin
from dataplane.deliver.journal.reader import write_index
from dataplane.metrics.log import logger
from turnout.clock import Clock
from turnout.event import Event
from turnout.verdict import Outcome, Verdict

__all__ = ["Journal"]

log = logger()

SEGMENTS = 32
"""About so many segments share `journal.max_bytes` and `journal.max_age`."""
LARGEST = 16 << 20
PRUNE_EVERY = 60.0
ERROR = 120
_pack = layout.RECORD.pack


@lru_cache(maxsize=1024)
def _whole(count: int) -> tuple[int, ...]:
    return tuple(range(count))


class Journal:
    """`sent` and `filtered` take in, `flush` writes; all three belong to the event loop."""

    def __init__(self, folder: Path, clock: Clock, bounds: JournalConfig, sequence: int = 0) -> None:
        """`sequence` is whose event numbers these are; what was written for another one is deleted."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.bounds = bounds
        self.lost = 0
        """Lines that could not be written since the last one that could."""
        self.lost_ever = 0
        self.pruned = False
        """Whether a segment was deleted since somebody set this back."""
        self._clock = clock
        self._header = layout.header(sequence)
        self._drop_foreign(sequence)
        self._number = max((int(path.stem) for path in folder.glob("*.journal")), default=0)
        self._file = -1
        self._size = 0
        self._opened = 0.0
        self._checked = 0.0
        self._offset = 0.0
        self._sent: list[bytes] = []
        self._spans: dict[Origin, list[int]] = {}  # of `_sent`: lowest and highest number
        self._filtered: dict[tuple[Origin, str, int], array[int]] = {}
        self._known: dict[Origin, list[int]] = {}  # the same of the whole segment
        self._told: set[Origin] = set()

    def _drop_foreign(self, sequence: int) -> None:
        """Its numbers mean other events now: nothing is better than what happened to those."""
        for path in self.folder.glob("*.journal"):
            with path.open("rb") as file:
                foreign = layout.foreign(file.read(len(self._header)), sequence)
            if foreign:
                log.warning("journal.foreign", file=path.name)
                path.unlink()
                path.with_suffix(".index").unlink(missing_ok=True)

    # ---- what happens

    def sent(
        self, origin: Origin, events: Sequence[Event], chosen: tuple[int, ...] = (), *,
        at: float, seconds: float, status: int, error: str = "", attempt: int = 1,
    ) -> None:  # fmt: skip
        """A request was answered, or was not (status 0). `chosen` are the indices of the events that it
        carried, () for all; `at` is the loop's time in seconds when it left."""
        if chosen and chosen != _whole(len(events)):
            events = [events[index] for index in dict.fromkeys(chosen)]
        flags, more = 0, b""
        count = len(events)
        if count == 1:
            first = last = events[0].number
            packed = first.to_bytes(8, "little")
            children = [events[0].child]
        else:
            numbers = [event.number for event in events]
            packed = array("Q", numbers).tobytes()
            numbers.sort()  # nearly in order already: cheaper than min and max
            first, last = numbers[0], numbers[-1]
            children = [event.child for event in events]
        if any(children):
            flags = layout.CHILDREN
            more = array("H", [min(child, 0xFFFF) for child in children]).tobytes()
        if error:
            text = error[:ERROR].encode("utf-8", "replace")[:255]
            more += text
        else:
            text = b""
        span = self._spans.get(origin)
        if span is None:
            self._spans[origin] = [first, last]
        else:
            if first < span[0]:  # noqa: PLR1730 -- a call of min costs more than the whole line
                span[0] = first
            if last > span[1]:  # noqa: PLR1730 -- as above
                span[1] = last
        micros = int(seconds * 1e6)
        head = _pack(
            count, origin.serial, status, attempt if attempt < 0xFFFF else 0xFFFF, flags, len(text),
            micros if micros < 0xFFFF_FFFF else 0xFFFF_FFFF, int((at + self._offset) * 1000),
        )  # fmt: skip
        self._sent.append(head + packed + more if more else head + packed)

    def written(
        self, origin: Origin, events: Sequence[Event], verdicts: Sequence[Verdict], *,
        at: float, seconds: float, attempt: int,
    ) -> None:  # fmt: skip
        """A client wrote events; one attempt for each distinct thing it said (status 0)."""
        said: dict[str, list[int]] = {}
        for index, verdict in enumerate(verdicts):
            if verdict.outcome is not Outcome.FILTERED:
                error = "" if verdict.outcome is Outcome.DELIVERED else verdict.reason
                said.setdefault(error, []).append(index)
        for error, chosen in said.items():
            self.sent(origin, events, tuple(chosen), at=at, seconds=seconds, status=0, error=error, attempt=attempt)

    def filtered(self, origin: Origin, reason: str, number: int, child: int = 0) -> None:
        """An event has its end without a request: routing, a script or the adapter says so."""
        key = (origin, reason, child)
        runs = self._filtered.get(key)
        if runs is None:
            runs = self._filtered[key] = array("Q", (number, number + 1))
        elif runs[-1] == number:
            runs[-1] = number + 1
        else:
            runs.append(number)
            runs.append(number + 1)

    # ---- what is written

    def flush(self, now: float) -> None:
        """Write what happened since the last call; never raises. `now` is the loop's time in seconds."""
        wall = self._clock.now().timestamp()
        self._offset = wall - now
        self._flush(wall)

    def _flush(self, wall: float) -> None:
        if self._sent or self._filtered:
            lines = len(self._sent) + len(self._filtered)
            try:
                self._write(wall)
            except OSError as error:
                self._lose(lines, error)
            if self._file >= 0 and (self._size >= self._room or wall - self._opened > self._age):
                self._end()
        if not 0 <= wall - self._checked < PRUNE_EVERY:
            self._checked = wall
            self._prune(wall)

    @property
    def _room(self) -> int:
        return min(LARGEST, self.bounds.max_bytes // SEGMENTS)

    @property
    def _age(self) -> float:
        return self.bounds.max_age.total_seconds() / SEGMENTS

    def _write(self, wall: float) -> None:
        """One write; raises `OSError`, then nothing of it stands in the segment."""
        sent, self._sent = self._sent, []
        spans, self._spans = self._spans, {}
        groups, self._filtered = self._filtered, {}
        blocks: list[bytes] = []
        if sent:
            blocks.append(layout.pack_block(layout.ATTEMPTS, b"".join(sent), *_covered(spans)))
        if groups:
            rows: list[bytes] = []
            ended: dict[Origin, list[int]] = {}
            for (origin, reason, child), runs in groups.items():
                _widen(ended, origin, min(runs[0::2]), max(runs[1::2]) - 1)
                rows.append(layout.pack_filtering(origin, child, int(wall * 1000), reason, runs))
            blocks.append(layout.pack_block(layout.FILTERED, b"".join(rows), *_covered(ended)))
            for origin, (first, last) in ended.items():
                _widen(spans, origin, first, last)
        fresh = [origin for origin in spans if origin not in self._told]
        if fresh:
            blocks.insert(0, layout.pack_block(layout.ORIGINS, layout.pack_origins(fresh), 0, 0))
        if self._file < 0:
            self._begin(wall)
        self._append(b"".join(blocks))
        self._told.update(fresh)
        for origin, (first, last) in spans.items():
            _widen(self._known, origin, first, last)

    def _append(self, data: bytes) -> None:
        written = os.pwrite(self._file, data, self._size)
        if written != len(data):
            os.ftruncate(self._file, self._size)
            raise _no_room()
        self._size += written
        if self.lost:
            log.info("journal.recovered", lost=self.lost)
            self.lost = 0

    def _lose(self, lines: int, error: OSError) -> None:
        """What cannot be written is lost: said once, until a write succeeds again."""
        if not self.lost:
            log.error("journal.lost", reason=error.strerror)
        self.lost += lines
        self.lost_ever += lines

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:010d}.journal"

    def _begin(self, wall: float) -> None:
        """A new segment, and at every start: a torn tail is never written behind."""
        number = self._number + 1
        opened = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            size = os.write(opened, self._header)
            if size != len(self._header):
                raise _no_room()
        except OSError:
            os.close(opened)
            self._path(number).unlink()
            raise
        self._number, self._file, self._size, self._opened = number, opened, size, wall

    def _end(self) -> None:
        """Close the segment, with an index beside it; without one it is only found more slowly."""
        os.close(self._file)
        self._file = -1
        known, self._known, self._told = self._known, {}, set()
        try:
            write_index(self._path(self._number), [(origin, low, high) for origin, (low, high) in known.items()])
        except OSError as error:
            log.warning("journal.no_index", reason=error.strerror)

    def _prune(self, wall: float) -> None:
        """Delete the oldest segments beyond the bounds; the open one stays."""
        try:
            closed = (p for p in self.folder.glob("*.journal") if self._file < 0 or p != self._path(self._number))
            # By time: what was taken over of a process that is no more has later numbers.
            found = sorted(((p.stat(), p) for p in closed), key=lambda one: (one[0].st_mtime_ns, one[1]))
            total = self._size + sum(stat.st_size for stat, _ in found)
            for stat, path in found:
                old = wall - stat.st_mtime > self.bounds.max_age.total_seconds()
                if not old and total <= self.bounds.max_bytes:
                    return
                total -= stat.st_size
                path.unlink(missing_ok=True)
                path.with_suffix(".index").unlink(missing_ok=True)
                self.pruned = True
        except OSError as error:
            log.error("journal.not_pruned", reason=error.strerror)

    def close(self) -> None:
        """Write the rest, and the index."""
        self._flush(self._clock.now().timestamp())
        if self._file >= 0:
            self._end()


def _widen(spans: dict[Origin, list[int]], origin: Origin, first: int, last: int) -> None:
    known = spans.setdefault(origin, [first, last])
    known[:] = min(known[0], first), max(known[1], last)


def _covered(spans: dict[Origin, list[int]]) -> tuple[int, int]:
    return min(low for low, _ in spans.values()), max(high for _, high in spans.values())


def _no_room() -> OSError:
    """A write that was cut short: the next one would say so itself."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
