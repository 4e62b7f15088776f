"""Reading one partition, in whatever process: large reads of whole chunks, no state but open files."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from pathlib import Path

from dataplane.log.base import Record
from dataplane.log.format import BLOCK, HEAD, NewerFormat, parse
from dataplane.log.head import Head
from dataplane.log.quarantine import Quarantine
from dataplane.log.retention import Release, released
from dataplane.log.segments import CHUNK, Segment, bases, segment_path
from dataplane.log.wake import Listener
from turnout.errors import FormatError

__all__ = ["LocalReader"]

_NEVER = 1 << 64
"""Beyond every position."""


class LocalReader:
    """The `LogReader` of a folder. Not for several threads; several readers never disturb each other."""

    def __init__(self, folder: Path, consumer: str) -> None:
        self._folder = folder
        self._consumer = consumer
        self._head = Head(folder)
        self._quarantine = Quarantine(folder, self._head)
        self._listener = Listener(folder, self._head)
        self._release: Release | None = None
        self._bases: list[int] = []
        self._segment: Segment | None = None
        self._end = 0
        self._following = _NEVER
        self._buffer = bytearray(CHUNK)

    @property
    def head(self) -> int:
        """Position behind the last durable record."""
        return self._head.position

    @property
    def floor(self) -> int:
        """Position of the oldest record that is still there."""
        return self._head.floor

    @property
    def released(self) -> int:
        """How far this consumer has let go; 0 where it never said, or what it said is damaged."""
        if self._release is None:
            self._release = Release(self._folder, self._consumer)
        return self._release.position

    @property
    def let_go(self) -> int:
        """How far all consumers have let go."""
        return released(self._folder)

    @property
    def heartbeat(self) -> int:
        """Monotonic nanoseconds: every record of the running epoch stamped earlier is readable now."""
        return self._head.heartbeat

    @property
    def writing(self) -> bool:
        """Whether the writer says it is open; one that was killed could not say otherwise."""
        return self._head.is_open

    @property
    def damaged(self) -> int:
        """How many damaged ranges were found in this log, by whichever process."""
        return self._head.damaged

    def read(self, position: int, max_bytes: int = 1 << 20) -> Sequence[Record]:
        """Durable records from `position` on, at least one where there is one, else none.

        Bytes are counted as stored. Raises `FormatError` for a segment of a newer Turnout, and OSError.
        """
        head = self._head.position  # before any size: what is below it in a file is whole
        records: list[Record] = []
        while not records:
            position = self._quarantine.past(max(position, self._head.floor))
            if position >= head:
                break
            segment = self._at(position, head)
            if segment is not None:
                self._take(segment, position, max_bytes, records)
            elif self._head.floor <= position:  # else deleted meanwhile: go on from the new floor
                self._pass_over(position, min(self._following, head))
        return records

    def _at(self, position: int, head: int) -> Segment | None:
        """The segment that holds `position`, or None; sets where it ends and where the next one starts."""
        current = self._segment
        if current is not None and current.base <= position:
            if position >= self._end:
                self._end = min(head, self._following, current.base + current.size())
            if position < self._end:
                return current
        self._leave()
        known = bases(self._folder)
        i = bisect.bisect_right(known, position)
        self._following = known[i] if i < len(known) else _NEVER
        if i == 0:
            return None
        try:
            segment = Segment(self._folder, known[i - 1])
        except NewerFormat:
            raise
        except (FormatError, FileNotFoundError):
            return None
        self._end = min(head, self._following, segment.base + segment.size())
        if position >= self._end:
            segment.close()
            return None
        self._segment = segment
        return segment

    def _take(self, segment: Segment, position: int, max_bytes: int, records: list[Record]) -> None:
        """Read one chunk into `records`; where it starts with damage, note it and read nothing."""
        want = min(max(max_bytes, HEAD), CHUNK, self._end - position)
        filled = segment.fill(self._buffer, position, want)
        if filled < want:
            self._leave()  # the file became shorter: look at it anew
            return
        taken, need = parse(self._buffer, filled, segment.header, position, records)
        if not taken and filled < need <= self._end - position:
            large = bytearray(need)
            filled = segment.fill(large, position, need)
            taken, _ = parse(large, filled, segment.header, position, records)
        if not taken:
            found = segment.next_valid(position + 1, self._end)
            self._pass_over(position, found if found >= 0 else self._end)

    def _pass_over(self, start: int, end: int) -> None:
        known = bases(self._folder)
        i = bisect.bisect_right(known, start)
        if i == 0:
            self._quarantine.note(start, end, None)
            return
        path, offset = segment_path(self._folder, known[i - 1]), BLOCK + start - known[i - 1]
        self._quarantine.note(start, end, path, offset=offset, size=end - start)

    def _leave(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    async def wait(self, position: int, timeout: float) -> bool:
        """Return True as soon as there is something to read beyond `position`, False after `timeout` seconds.

        Idle it costs nothing; the writer wakes it. Not for several event loops at once.
        """
        position = self._quarantine.past(max(position, self._head.floor))
        return await self._listener.wait(position, timeout)

    def release(self, position: int) -> None:
        """This consumer needs nothing before `position`; kept on disk, the last word counts."""
        if self._release is None:
            self._release = Release(self._folder, self._consumer)
        self._release.set(position)

    def close(self) -> None:
        """Let go of files; what was released stays so."""
        self._leave()
        self._listener.close()
        if self._release is not None:
            self._release.close()
            self._release = None
        self._head.close()
