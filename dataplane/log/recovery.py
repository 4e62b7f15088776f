"""What a start finds on disk, and what it mends.

Only the last segment is read; of the others only the headers. A tail after which nothing valid follows
was never acknowledged and is cut, after its bytes are kept in quarantine. Damage with valid records
behind it stays where it is: noted, kept aside, passed over, so that positions never move.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from dataplane.log.format import BLOCK, NewerFormat
from dataplane.log.head import Head
from dataplane.log.quarantine import Quarantine
from dataplane.log.retention import Held
from dataplane.log.segments import Segment, Sync, bases, segment_path, sync_folder
from dataplane.metrics.log import logger
from turnout.errors import FormatError

__all__ = ["Recovered", "recover"]

_say = logger()
_FARTHEST = 1 << 45
"""A published head farther than this beyond the data is nonsense, not a lost tail."""


@dataclass(slots=True)
class Recovered:
    """Where to go on: the first position to write, the highest epoch seen, the segments there are."""

    end: int = 0
    epoch: int = 0
    held: list[Held] = field(default_factory=list)


def recover(folder: Path, head: Head, quarantine: Quarantine, sync: Sync) -> Recovered:
    """Make the folder consistent. Raises `FormatError` where a newer Turnout wrote there, and OSError.

    Positions that were ever published are never given out again, also where their bytes were lost: a
    cursor may stand behind them.
    """
    for fresh in folder.glob("*.new"):
        fresh.unlink()
    found = Recovered(epoch=head.epoch)
    known = bases(folder)
    for base in known:
        found.epoch = max(found.epoch, _survey(folder, base, found.held))
    published = head.position
    if published > (known[-1] if known else 0) + _FARTHEST:
        _say.error("log.head_implausible", log=str(folder), head=published)
        published = 0
    if known:
        found.end = _mend(folder, known[-1], published, quarantine, sync)
        found.held[-1].size = segment_path(folder, known[-1]).stat().st_size
    found.end = max(found.end, published)
    return found


def _survey(folder: Path, base: int, held: list[Held]) -> int:
    status = segment_path(folder, base).stat()
    try:
        segment = Segment(folder, base)
    except NewerFormat:
        raise
    except FormatError:
        # Both headers are gone: readers pass over the whole segment; its neighbours have their own.
        held.append(Held(base, status.st_size, status.st_mtime_ns))
        return 0
    header = segment.header
    segment.close()
    held.append(Held(base, status.st_size, header.created))
    return header.epoch


def _mend(folder: Path, base: int, published: int, quarantine: Quarantine, sync: Sync) -> int:
    """Check the last segment, cut its torn tail; returns the position behind its last valid record."""
    path = segment_path(folder, base)
    end = base + max(0, path.stat().st_size - BLOCK)
    try:
        segment = Segment(folder, base)
    except NewerFormat:
        raise
    except FormatError:
        if max(end, published) > base:
            quarantine.note(base, max(end, published), path, size=path.stat().st_size)
        return end
    file = os.open(path, os.O_RDWR)
    try:
        # What a killed writer left in the page cache is made durable before it is published; after a
        # failed sync the cache may pretend, so what counts is what the disk gives back.
        sync(file)
        segment.forget_cached()
        valid = _scan(segment, end, path, quarantine)
        if valid < end:
            zeros = segment.zeros_from(valid, end)  # put there before any record, or where a page was lost
            offset, size = BLOCK + valid - base, zeros - valid
            if published > valid:  # acknowledged records stood here: this is no torn write
                quarantine.note(valid, published, path, offset=offset, size=size)
            elif size:
                quarantine.note(valid, zeros, path, offset=offset, size=size, kind="tail")
            os.ftruncate(file, BLOCK + valid - base)
            sync(file)
            sync_folder(folder)
        elif published > valid:
            quarantine.note(valid, published, None)
        return valid
    finally:
        os.close(file)
        segment.close()


def _scan(segment: Segment, end: int, path: Path, quarantine: Quarantine) -> int:
    position = segment.base
    while True:
        valid = segment.valid_until(position, end)
        if valid >= end:
            return valid
        following = segment.next_valid(valid + 1, end)
        if following < 0:
            return valid
        if quarantine.past(valid) < following:
            offset = BLOCK + valid - segment.base
            quarantine.note(valid, following, path, offset=offset, size=following - valid)
        position = following
