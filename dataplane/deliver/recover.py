"""What the pipeline does at its start when what it trusts is gone, or was written by a wrong clock."""

from __future__ import annotations

from dataplane.deliver.retry import LONGEST, OBEYED
from dataplane.deliver.state import ExceptionRow, State, last_number
from dataplane.metrics.log import logger
from dataplane.pipeline.numbered import Numbered

__all__ = ["exceptions", "known", "left_off"]

log = logger()


def known(state: State, others: int = 0) -> int:
    """A number that no event had yet, as far as the state file tells, and those of other processes, who know
    events up to `others`: where the sequence is gone, one that begins anew with lower numbers would be taken for
    delivered."""
    return max(last_number(state.rows), others) + 1


def left_off(state: State, sequencer: Numbered) -> int | None:
    """Where destinations go on when the state file is gone; None where it is there, or nothing was read yet.

    Where the sequence is gone, they go on from where they stand: its numbers do, too.
    The log's own note says how far every destination was done with it, five seconds ago at most: what
    came later is sent, some of it again. What only the state file held (events put aside after an
    attempt, dead letters' index, counts) is gone.
    """
    if sequencer.lost:
        state.forget_references()  # their events get new numbers, and are read again
        log.error("sequence.lost", next=sequencer.next_number, again_from=sequencer.partitions.released)
        return None
    if sequencer.share.follows:  # the sequence may have been lost, and be another one
        state.forget_references(sequencer.sidecar.first)
    if sequencer.next_number == 1 or state.counted() or state.destinations() or state.follows():
        return None
    released = sequencer.partitions.released
    number = sequencer.sidecar.number_at(released)
    log.error("state.lost", next=sequencer.next_number, again_from=number, released=released)
    return number


def exceptions(state: State, destination: str, now: float) -> list[ExceptionRow]:
    """What a destination has put aside, its times believed only as far as a wrong clock cannot have made them.

    A row first tried later than `now` (Unix seconds) was written by a clock that was set back since: its times are
    moved back with it, and where that is much it waits no longer than a retry does, since the clock may have been
    set between its attempts, too. One that is due in more than an hour, as few may ask for, may be another
    such: it is tried in an hour.
    """
    rows = list(state.exceptions(destination))
    for row in rows:
        ahead = row.first_at - now
        if ahead > 0:
            row.first_at -= ahead
            row.next_at -= min(ahead, row.next_at)
        row.next_at = min(row.next_at, now + (LONGEST if ahead > LONGEST else OBEYED))
    return rows
