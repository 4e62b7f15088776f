"""Dead letters tried again: as they were to be sent, or from the event as received."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dataplane.deliver import dispatch
from dataplane.deliver.chains import CAP
from dataplane.deliver.courier import Courier
from dataplane.deliver.dead import DeadLetter, unpack_dead
from dataplane.deliver.engine import Engine
from dataplane.deliver.entry import Entry, Part
from dataplane.deliver.failure import from_the_log
from dataplane.deliver.index import DEAD, Row, place
from dataplane.pipeline.numbered import Sequenced
from turnout import codec
from turnout.errors import FormatError, Overfull
from turnout.verdict import filtered

__all__ = ["Revived", "retry", "share"]

ROOM = CAP // 4
"""A destination with so many events put aside takes no more dead letters back: at `CAP` its lanes would
stand still, and a retry must not stop what is new."""
SLICE = 250
SCRIPTED = 20
"""Letters in one slice where scripts run: a slice must end while somebody waits for the answer."""
NEAR = 2_000
"""Event numbers so close are looked up in one pass over the sidecar."""


@dataclass(slots=True)
class Revived:
    """What became of the first `done` rows. `left` are `(id, reason)`.

    `full` names a destination that has no room for the next row just now.
    """

    retried: int = 0
    left: list[tuple[int, str]] = field(default_factory=list)
    full: str = ""
    done: int = 0


def share(parts: Sequence[Part], child: int, known: int) -> list[tuple[int, Part]]:
    """Which outputs of a new run belong to the letter of output `child` of formerly `known` outputs.

    Its own, and to the last one all that are beyond it: however many its siblings are that were
    delivered or retried, no output is sent twice and none is left out.
    """
    if len(parts) == 1 and parts[0][2] is not None:
        return [(child, parts[0])]  # dropped, or the script failed: that is so for every output
    last = max(known, child + 1) - 1
    mine = [(i, part) for i, part in enumerate(parts) if min(i, last) == child]
    gone = filtered("its transformations no longer make this output")
    return mine or [(child, (b"", {}, gone))]


async def retry(engine: Engine, rows: Sequence[Row], *, retransform: bool) -> Revived:
    """Put dead letters back among the exceptions of their destinations. Call it in `Retention.alone`."""
    found = Revived()
    todo = deque(_slices(rows, retransform))
    while todo:
        run, scripted = todo.popleft()
        try:
            entries = await _made_again(engine, run) if scripted else {}
        except Overfull as over:  # of one event it is a verdict
            most = dispatch.fewer(len(run), over)
            todo.extendleft([(run[most:], scripted), (run[:most], scripted)])
            continue
        payloads = await asyncio.to_thread(engine.ledger.letters.read_all, [place(row) for row in run])
        letters = [p if isinstance(p, FormatError) else unpack_dead(p) for p in payloads]
        for row, letter in zip(run, letters, strict=True):
            if isinstance(letter, FormatError):
                found.left.append((row["id"], f"cannot be read: {letter}"))
            else:
                _revive(engine, row, letter, entries.get(row["id"]), found, scripted=scripted)
            if found.full:
                break
            found.done += 1
        for ident in {row["destination"] for row in run} & engine.couriers.keys():
            engine.couriers[ident].pump()
        await engine.retention.written()
        if found.full:
            break
    return found


def _slices(rows: Sequence[Row], retransform: bool) -> Iterator[tuple[list[Row], bool]]:
    """Rows in their order, in runs that all pass their transformations again, or all do not."""
    run: list[Row] = []
    kind = False
    for row in rows:
        scripted = retransform or from_the_log(row["class"])
        if run and (scripted != kind or len(run) >= (SCRIPTED if kind else SLICE)):
            yield run, kind
            run = []
        kind = scripted
        run.append(row)
    if run:
        yield run, kind


async def _made_again(engine: Engine, rows: Sequence[Row]) -> dict[int, tuple[Courier, Entry]]:
    """The events of letters as the config in force makes them, by letter; without those that are gone."""
    events: dict[int, Sequenced] = {}
    numbers = sorted({row["number"] for row in rows})
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] - numbers[at - 1] > NEAR:
            events.update(engine.sequencer.pick(numbers[start:at]))
            start = at
            await asyncio.sleep(0)
    found: dict[int, tuple[Courier, Entry]] = {}
    for ident in dict.fromkeys(row["destination"] for row in rows):
        courier = engine.couriers.get(ident)
        mine = [row for row in rows if row["destination"] == ident and row["number"] in events]
        if courier is None or not mine:
            continue
        theirs = [events[number] for number in dict.fromkeys(row["number"] for row in mine)]
        outdated = None
        while outdated != courier.outdated:  # else scripts that were in force a moment ago made them
            outdated = courier.outdated
            made = await dispatch.entries_of(engine.runner, theirs, courier)
        by_number = {entry.number: entry for entry in made}
        found.update((row["id"], (courier, by_number[row["number"]])) for row in mine)
    return found


def _revive(
    engine: Engine, row: Row, letter: DeadLetter, made: tuple[Courier, Entry] | None, found: Revived, *,
    scripted: bool,
) -> None:
    """One letter, without waiting: it leaves the index in the transaction that puts it among the exceptions."""
    courier = engine.couriers.get(row["destination"])
    reason = ""
    if courier is None:
        reason = f"destination {row['destination']} is not in the config"
    elif scripted and (made is None or made[0] is not courier):
        reason = "the log no longer holds its event, which its transformations need"
    elif not scripted and not letter.event:
        reason = "its bytes are gone, so that there is nothing to send"
    if reason or courier is None:
        found.left.append((row["id"], reason))
        return
    child, parts = row["child"], letter.parts
    key = int.from_bytes(row["key"], "little")
    if made is not None:
        entry = made[1]
        mine = share(entry.parts, child, parts)
        parts = max(parts, len(entry.parts), child + 1)
    else:
        options = codec.loads(letter.options) if letter.options else {}
        entry = Entry(row["number"], key, row["source"], 0, [(letter.event, options, None)])
        mine = [(child, entry.parts[0])]
    if len(courier.chains) and len(courier.chains) + len(mine) > ROOM // courier.plan.of:
        found.full = row["destination"]
        return
    if any(courier.chains.holds(row["number"], one) for one, _ in mine):
        found.left.append((row["id"], "it is on its way already"))
        return
    engine.retention.take(DEAD, row)
    courier.revive(entry, mine, parts, adopted=row["replay"] is not None)
    found.retried += 1
