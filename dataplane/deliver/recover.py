"""What the pipeline does at its start when what it trusts is gone, or was written by a wrong clock."""

from __future__ import annotations

from dataplane.deliver.state import ExceptionRow, State
from dataplane.metrics.log import logger
from dataplane.pipeline.sequence import Sequencer

__all__ = ["left_off", "not_from_the_future"]

log = logger()


def left_off(state: State, sequencer: Sequencer) -> int | None:
    """Where destinations go on when the state file is gone; None where it is there, or nothing was read yet.

    The log's own note says how far every destination was done with it, five seconds ago at most: what
    came later is sent, some of it again. What only the state file held (events put aside after an
    attempt, dead letters' index, counts) is gone.
    """
    if sequencer.next_number == 1 or state.counted() or state.destinations():
        return None
    released = sequencer.partitions.released
    number = sequencer.sidecar.number_at(released)
    log.error("state.lost", next=sequencer.next_number, again_from=number, released=released)
    return number


def not_from_the_future(row: ExceptionRow, now: float) -> None:
    """A row first tried later than `now` (Unix seconds) was written by a clock that was set back since:
    its times are moved back with it."""
    ahead = row.first_at - now
    if ahead > 0:
        row.first_at -= ahead
        row.next_at -= min(ahead, row.next_at)
