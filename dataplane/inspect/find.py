"""Which event somebody asks for: by messageId through the id tables or a search, or by its number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from dataplane.deliver.engine import Engine
from dataplane.pipeline.blocks import ENTRY, Block
from dataplane.pipeline.lookup import Stored, block_of, scan, stored
from turnout.errors import FormatError, Refused
from turnout.spelling import unknown

__all__ = ["Found", "find", "first_of", "later"]

DUPLICATES_FOR = 0.1
"""Seconds that later duplicates of an event are looked for."""


@dataclass(slots=True)
class Found:
    """An event by its number; `by` says how it was looked up: number, table or search.

    `block` and `stored` are None where the sidecar or the log has let it go. `duplicates` are later
    events of the same id that are known already.
    """

    number: int
    by: str
    block: Block | None = None
    stored: Stored | None = None
    duplicates: list[int] = field(default_factory=list)
    owned: bool = True
    """Whether its lane is one of this process's, which then says what would become of it."""
    others: Sequence[str] = ()
    """Other sources that sent an event with its id."""

    @property
    def entry(self) -> tuple[int, bytes, int] | None:
        """Flags, id hash and order key's hash, where the sidecar still has it."""
        if self.block is None:
            return None
        place = (self.number - self.block.first) * ENTRY.size
        flags, digest, key, _, _ = ENTRY.unpack_from(self.block.entries, place)
        return flags, digest, key


async def find(engine: Engine, wanted: str, source: str) -> Found:
    """The event that somebody means: a messageId, or `#` and an event number; of `source`, where one is given.

    Raises `Refused` (not_found) where no such event is known.
    """
    found = await _named(engine, wanted, source)
    found.block = await asyncio.to_thread(block_of, engine.data / "sequence", found.number)
    if found.block is None:  # nearly always because it was let go
        found.block = engine.sequencer.block(found.number)
    if found.block is not None:
        found.stored = _stored(engine, found.block, found.number)
    if source and (came := _source(engine, found)) not in ("", source):
        raise Refused("not_found", f"event #{found.number} came from {came}, not from {source}")
    return found


def _source(engine: Engine, found: Found) -> str:
    """Where an event came from: by the log, else by what is kept of it; "" where that is not known any more."""
    if found.stored is not None:
        return found.stored.envelope.source
    refused = engine.ledger.state.refused_row(found.number)
    letters = engine.ledger.state.dead_of(found.number)
    return refused[0] if refused else str(letters[0]["source"]) if letters else ""


async def _named(engine: Engine, wanted: str, source: str) -> Found:
    if wanted.startswith("#"):
        return Found(_number(engine, wanted[1:]), "number")
    known = sorted({*engine.config.sources, *(name for name, _ in engine.source_counts())})
    sources = [source] if source else known
    digests = [engine.sequencer.digest(name, wanted) for name in sources]
    numbers = dict(zip(sources, map(engine.sequencer.find, digests), strict=True))
    number = max(numbers.values(), default=-1)
    if number > 0:
        same = [name for name, other in numbers.items() if 0 < other != number]
        return Found(number, "table", others=same)
    others: list[int] = []
    for other, flags in await asyncio.to_thread(lambda: _until_unique(engine, digests)):
        if not flags:
            return Found(other, "search", duplicates=sorted(others))
        others.append(other)
    if source and source not in known:  # looked for all the same: one that is gone may have left events
        raise Refused("not_found", unknown("source", source, known))
    digits = wanted if wanted.isascii() and wanted.isdigit() else ""
    raise Refused(
        "not_found",
        f"no event of {' or '.join(sources) or 'any source'} with this messageId is known (any more); "
        + (
            f"the number of an event is written with #: `turnout explain '#{digits}'`" if digits
            else "an event that was refused is found by its number: `turnout refused`, then `turnout explain '#NUMBER'`"
        ),
    )  # fmt: skip


def _until_unique(engine: Engine, digests: Sequence[bytes]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number, flags in scan(engine.data / "sequence", digests):
        found.append((number, flags))
        if not flags:
            break
    return found


def _number(engine: Engine, digits: str) -> int:
    last = engine.sequencer.next_number - 1
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise Refused("not_a_number", "behind # stands the number of an event, as in #1204")
    if not 1 <= int(digits) <= last:
        known = f"the last one is #{last}" if last else "nothing was sequenced yet"
        raise Refused("not_found", f"there is no event #{int(digits)}; {known}")
    return int(digits)


def _stored(engine: Engine, block: Block, number: int) -> Stored | None:
    try:
        return stored(engine.sequencer, block, number)
    except (FormatError, Refused):
        return None


async def first_of(engine: Engine, digest: bytes, number: int) -> int | None:
    """The event that a duplicate repeats; None where it is not known any more."""
    known = engine.sequencer.find(digest)
    if 0 < known < number:
        return known
    for other, flags in await asyncio.to_thread(lambda: list(scan(engine.data / "sequence", [digest]))):
        if other < number and not flags:
            return other
    return None


def later(engine: Engine, digest: bytes, number: int) -> tuple[list[int], bool]:
    """Later events of the same id, and whether all were looked at."""
    until = engine.clock.monotonic() + DUPLICATES_FOR
    late = False

    def stop() -> bool:
        nonlocal late
        late = engine.clock.monotonic() > until
        return late

    found = scan(engine.data / "sequence", [digest], lowest=number, stop=stop)
    return sorted(other for other, _ in found if other > number), not late
