"""Epochs that compare across partitions: the number of the run above, the starts within it below.

Stamps are of the monotonic clock, which begins anew with a boot. Every `turnout run` over a data folder is
a *run* with a number higher than any before; all of its writers end before the next one begins. So
records of two partitions are ordered by (run, stamp) whatever the machine did between.
"""

from __future__ import annotations

from pathlib import Path

from dataplane.log.format import NewerFormat
from dataplane.log.head import Head
from dataplane.log.segments import Segment, bases
from turnout.errors import FormatError

__all__ = ["STARTS", "first_epoch", "next_run", "partitions", "run_of"]

STARTS = 32
"""Bits of an epoch that count the starts of one partition's writer within a run."""


def run_of(epoch: int) -> int:
    """The run that an epoch belongs to; 0 for records of a time before runs were counted."""
    return epoch >> STARTS


def first_epoch(run: int, highest: int) -> int:
    """The epoch of a writer's start: higher than any before it (`highest`), and of `run` at least."""
    return max(highest + 1, run << STARTS)


def partitions(root: Path) -> list[int]:
    """Numbers of the partitions that have a folder in `root` (`data/log`), ascending."""
    if not root.is_dir():
        return []
    return sorted(int(p.name) for p in root.iterdir() if p.name.isdecimal() and p.is_dir())


def next_run(root: Path) -> int:
    """A number above those of all runs that ever wrote in `root`; only while no writer lives.

    Raises `FormatError` where a newer Turnout wrote there.
    """
    return 1 + max((run_of(_highest(root / str(number))) for number in partitions(root)), default=0)


def _highest(folder: Path) -> int:
    """The highest epoch of one partition: that of its last readable segment, or what its head says."""
    head = Head(folder)
    highest = head.epoch
    head.close()
    for base in reversed(bases(folder)):
        try:
            segment = Segment(folder, base)
        except NewerFormat:
            raise
        except FormatError:
            continue  # both of its headers are damaged: the one before it is the next best
        highest = max(highest, segment.header.epoch)
        segment.close()
        break
    return highest
