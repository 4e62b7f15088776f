"""Who has which lane when the number of pipeline processes changes: what moves from which state file to which. Pure.

What is still to be done moves with its lane: cursors, events put aside, jobs. What is past (dead letters, archive,
journal, counts) stays with the process that wrote it, and goes to the first one where that process is no more.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dataplane.deliver.state import DestinationRow
from dataplane.pipeline.share import LANES, Share, name_of
from turnout.errors import Fixable

__all__ = ["JobLanes", "Kept", "Taken", "letters_begin", "owner", "plan"]

SPAN = 10_000_000_000
"""Ids of dead letters that a process may give: each begins at a multiple that no other has, so that they are unique."""


@dataclass(frozen=True, slots=True)
class JobLanes:
    """A job of a destination, and the lanes of its events."""

    id: int
    destination: str
    lanes: frozenset[int]


@dataclass(frozen=True, slots=True)
class Kept:
    """What one process's state file says of what moves; no replays, which the first process has for all lanes."""

    destinations: Mapping[str, DestinationRow] = field(default_factory=dict)
    jobs: Sequence[JobLanes] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """What one process has afterwards.

    `shifts`, by former process and destination, are seconds to be added to the active time at which an event was first
    tried: each process has its own stopwatch, and the event's age must stay what it is. `jobs` are former process and
    id.
    """

    share: Share
    rows: Sequence[DestinationRow]
    shifts: Mapping[tuple[int, str], float]
    jobs: Sequence[tuple[int, int]]


def owner(lane: int, of: int) -> int:
    """The process that has a lane."""
    return next(process for process in range(of) if lane < Share(process, of).end)


def letters_begin(process: int, highest: int) -> int:
    """Behind which id the letters of a process that follows begin, where `highest` is the last one that any gave."""
    return (highest // SPAN + process) * SPAN


def plan(kept: Sequence[Kept], to: int) -> list[Taken]:
    """What each of `to` processes takes of what as many as there are state files had; raises `Fixable`."""
    old = len(kept)
    everything = dict.fromkeys(ident for one in kept for ident in one.destinations)
    for process, one in enumerate(kept):
        if lacking := [ident for ident in everything if ident not in one.destinations]:
            raise Fixable(
                f"processes.pipeline: {name_of(process)} has not begun destination {lacking[0]} yet: start once with "
                f"`pipeline: {old}`, as it was, and change it then"
            )
    new_owner = [owner(lane, to) for lane in range(LANES)]
    jobs: list[list[tuple[int, int]]] = [[] for _ in range(to)]
    for process, one in enumerate(kept):
        for job in one.jobs:
            owners = {new_owner[lane] for lane in job.lanes}
            if len(owners) > 1:
                raise Fixable(
                    f"processes.pipeline: {job.destination} has a job at its tool, and {to} processes would share its "
                    f"events: start with `pipeline: {old}` until `turnout status` shows no job there, or with 1"
                )
            jobs[owners.pop() if owners else 0].append((process, job.id))
    return [_taken(kept, everything, Share(process, to), jobs[process]) for process in range(to)]


def _taken(kept: Sequence[Kept], everything: Mapping[str, None], share: Share, jobs: list[tuple[int, int]]) -> Taken:
    old = len(kept)
    sources = [owner(lane, old) for lane in range(share.first, share.end)]
    rows: list[DestinationRow] = []
    shifts: dict[tuple[int, str], float] = {}
    for ident in everything:
        before = [one.destinations[ident] for one in kept]
        mine = before[share.process] if share.process < old else before[sources[0]]
        lanes = range(share.first, share.end)
        own = [before[source].cursors[lane] for source, lane in zip(sources, lanes, strict=True)]
        # What is not its own holds nothing back: those lanes stand where its lowest does.
        cursors = array("Q", [min(own)]) * share.first + array("Q", own) + array("Q", [min(own)]) * (LANES - share.end)
        refused = [mine.refused, *(before[source].refused for source in dict.fromkeys(sources))]
        rows.append(replace(
            mine, position=min(own), cursors=cursors, refused=next((one for one in refused if one is not None), None),
        ))  # fmt: skip
        shifts.update({(process, ident): mine.active - row.active for process, row in enumerate(before)})
    return Taken(share, rows, shifts, jobs)
