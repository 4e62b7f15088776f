"""All replays: begun, cancelled, resumed; taken up again at a start, and following a reload.

A replay is a courier of its own (`replay:<id>`) with its own lanes, exceptions and counts, so that
nothing a destination counts or waits for is touched by it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dataplane.deliver import plans, recover, reload
from dataplane.deliver.courier import Courier, Plan
from dataplane.deliver.entry import Entry
from dataplane.deliver.export import Export, Lines, reserve
from dataplane.deliver.holds import held
from dataplane.deliver.http import Sender
from dataplane.deliver.journal import Origin, ends
from dataplane.deliver.plan import Replayed
from dataplane.deliver.replay import Definition, Selection, millis, rate_of
from dataplane.deliver.replay_state import ReplayRow, ReplayRows, name_of
from dataplane.deliver.replaying import SLACK, Replaying, number_at
from dataplane.deliver.state import DestinationRow
from dataplane.deliver.stored import Stored
from dataplane.metrics.log import logger
from turnout.errors import Fixable
from turnout.settings import Settings
from turnout.spelling import unknown

if TYPE_CHECKING:
    from dataplane.deliver.engine import Engine

__all__ = ["Replays"]

log = logger()
MOST = 4
"""Replays that run at the same time; each may hold a few megabytes."""
FULL = 0.8
"""Share of the log's `max_bytes` beyond which no replay keeps it from letting go."""
LANDING = 20.0
"""Seconds that a cancelled replay's requests have to land."""


class Replays:
    """`take_up` once after the start; `configure` at every reload."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.rows: dict[int, ReplayRow] = {row.id: row for row in self._stored().all()}
        self.couriers: dict[str, Courier] = {}
        self._running: dict[int, Replaying] = {}
        self._selected: tuple[Any, Selection] | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def _stored(self) -> ReplayRows:
        return ReplayRows(self._engine.ledger.state)

    # ---- what may be asked

    def check(self, definition: Definition) -> None:
        """Raise `Fixable` where this cannot be replayed by the config in force."""
        config = self._engine.config
        target = definition.destination
        if target and target not in config.destinations:
            raise Fixable(unknown("destination", target, config.destinations))
        if definition.file and self._engine.data.resolve() in Path(definition.file).resolve().parents:
            raise Fixable(f"{definition.file} lies in the data folder, where files come and go: name another place")
        for source in definition.sources:
            if source not in config.sources:
                raise Fixable(unknown("source", source, config.sources))
        if definition.archive and not self._engine.archives.segments(target):
            raise Fixable(f"nothing of {target} is in the archive")
        if target and not definition.file and not definition.unordered:
            plan = self._engine.couriers[target].plan
            if plan.delivery.order == "user":
                raise Fixable(
                    f"{target} keeps the order of each user's events (order: user), and a replay sends old "
                    "events after newer ones of the same user: an old identify would overwrite a new one. "
                    "If the tool can take that, say so with --unordered"
                )

    async def span(self, definition: Definition) -> tuple[int, int]:
        """The numbers between which the wanted events are, as close as their times tell."""
        sequencer = self._engine.sequencer
        since = millis(definition.since) if definition.since else 0
        end = sequencer.next_number
        archived = self.stored(definition).first(since)
        if definition.archive:
            return min(archived or end, end), end
        first = await number_at(sequencer, since)
        if definition.until:
            end = min(end, await number_at(sequencer, millis(definition.until) + 2 * SLACK))
        return min(first, end, archived or end), end

    def stored(self, definition: Definition) -> Stored:
        """Where it reads from."""
        engine = self._engine
        return Stored(engine.sequencer, engine.archives, definition.destination, only=definition.archive)

    async def selection(self, row: ReplayRow) -> Selection:
        """What decides which events are taken. Reads the journal, in a thread, where a verdict asks for it."""
        definition = row.definition
        if not definition.verdicts:
            return Selection(definition)
        key = (definition, row.first, row.end, row.letters)
        if self._selected is None or self._selected[0] != key:
            self._selected = (key, await self._with_verdicts(row))
        return self._selected[1]

    async def _with_verdicts(self, row: ReplayRow) -> Selection:
        definition, wanted = row.definition, row.definition.verdicts
        allowed: list[Container[int]] = []
        if "dead" in wanted:
            dead = self._stored().dead(definition.destination, row.letters)
            allowed.append(dead.union(self._engine.siblings.dead(definition.destination, row.at)))
        if "delivered" in wanted or "filtered" in wanted:
            journal = self._engine.ledger.journal
            journal.flush(asyncio.get_running_loop().time())
            renames = self._engine.ledger.state.renames(self._engine.couriers)
            folders = [journal.folder, *self._engine.siblings.journals]
            found = await asyncio.to_thread(
                ends, folders, definition.destination, row.first, row.end, renames
            )
            allowed += [
                numbers for name, numbers in zip(("delivered", "filtered"), found, strict=True) if name in wanted
            ]
        return Selection(definition, lambda event: any(event.number in numbers for numbers in allowed))

    # ---- from a definition to a courier

    def plan(self, ident: int, definition: Definition) -> Plan:
        """The plan of a replay by the config in force: its destination's, slower and with its own sender."""
        name, config = name_of(ident), self._engine.config
        own = self._engine.couriers[definition.destination].plan if definition.destination else None
        raw = not definition.transform or "filtered" in definition.verdicts
        chain = () if own is None or raw else own.chain
        upstream = {} if own is None or raw else own.upstream
        told = {} if own is None else own.told
        origin = Origin.of(name, own.origin.config if own else "", plans.origin_scripts(chain, upstream))
        if definition.file:
            adapter = Export(Settings())
            gate = None if own is None or "filtered" in definition.verdicts else own.gate
            return Plan(
                name, adapter, Export.delivery, gate, chain, True, frozenset(),
                Sender(allow_private=False, connections=1), Lines(Path(definition.file)), "",
                origin, Replayed(ident, name), upstream=upstream, told=told,
            )
        assert own is not None
        rate = rate_of(definition, own.delivery.rate)
        delivery = replace(
            own.delivery,
            rate=min(rate, own.delivery.rate or rate),
            concurrency=max(1, own.delivery.concurrency // 2),
        )
        kind = config.destinations[definition.destination].type
        sender = Sender(
            allow_private=config.egress.allow_private, connections=delivery.concurrency, kept=own.adapter.answer_bytes,
            stand_ins=config.egress.stand_ins,
        )
        return replace(
            own,
            id=name,
            delivery=delivery,
            chain=chain,
            upstream=upstream,
            sender=self._engine.accounts.authorize(own.adapter.auth, sender),
            client=plans.client_of(kind, own.adapter, delivery, config),
            origin=origin,
            replay=Replayed(ident, definition.destination, name if definition.new_keys else ""),
        )

    def courier(self, row: ReplayRow) -> tuple[Courier, Replaying]:
        """A courier of a replay, and what feeds it; from where it stands, or its beginning."""
        engine = self._engine
        ledger = engine.ledger
        plan = self.plan(row.id, row.definition)
        place = self._stored().place(row.id) or reload.fresh_row(row.name, row.first)

        async def materialize(made: Courier, number: int) -> Entry | None:
            return await work.materialize(made, number)

        courier = Courier(
            plan, place, recover.exceptions(ledger.state, row.name, engine.clock.now().timestamp()),
            ledger=ledger, clock=engine.clock,
            materialize=materialize,
        )  # fmt: skip
        courier.pins = (lambda: False) if row.definition.archive else self.pins
        own = engine.couriers.get(row.definition.destination)
        work = Replaying(
            row, courier, sequencer=engine.sequencer, runner=engine.runner, ledger=ledger,
            select=lambda: self.selection(row), stored=self.stored(row.definition),
            rate=rate_of(row.definition, own.plan.delivery.rate if own else None),
        )  # fmt: skip
        return courier, work

    def pins(self) -> bool:
        """Whether replays may keep the log from letting go: not when it is nearly full."""
        engine = self._engine
        limits = engine.config.log
        log = engine.sequencer.partitions
        if sum(log.heads.values()) - sum(log.floors.values()) > FULL * limits.max_bytes:
            return False
        return shutil.disk_usage(engine.data).free > 2 * limits.min_free_bytes

    # ---- begin, go on, end

    def take_up(self) -> None:
        """Go on with every replay that ran when the last process ended; without its destination it is over."""
        engine = self._engine
        for row in list(self.rows.values()):
            target = row.definition.destination
            if row.state != "running":
                continue
            if not target or target in engine.couriers:
                self._launch(row)
                continue
            now, waiting = engine.clock.now().timestamp(), list(engine.ledger.state.exceptions(row.name))
            engine.ledger.add(row.name, "cancelled", len(waiting))
            engine.ledger.dirty.add(row.name)
            self.rows[row.id] = row.finished(engine.ledger.changes, "cancelled", now, _gone(target))

    async def start(self, definition: Definition) -> ReplayRow:
        """Begin one; it is in the state file when this returns. Raises `Fixable`."""
        self.check(definition)
        self._has_room()
        first, end = await self.span(definition)
        engine = self._engine
        await engine.books.commit()  # so that the index has every dead letter up to now
        if definition.file:
            reserve(Path(definition.file))
        row = ReplayRow(
            max(self.rows, default=0) + 1, definition, "running", engine.clock.now().timestamp(), first, end,
            letters=self.last_letter() if "dead" in definition.verdicts else 0,
        )  # fmt: skip
        row.put(engine.ledger.changes)
        self.rows[row.id] = row
        self._launch(row)
        await engine.books.commit()
        return row

    async def resume(self, ident: int) -> ReplayRow:
        """Go on with a cancelled one from where it stood, or with one that is down or refused. Raises `Fixable`."""
        row = self.find(ident)
        if (work := self._running.get(ident)) is not None and row.state == "running" and work.courier.condition.down:
            work.courier.resume()
            return row
        if row.state != "cancelled" or ident in self._running:
            raise Fixable(f"replay {ident} is {row.state}; only a cancelled one can be resumed")
        self.check(row.definition)
        self._has_room()
        row = replace(row, state="running", over=None, reason="")
        row.put(self._engine.ledger.changes)
        self.rows[ident] = row
        self._launch(row)
        self._running[ident].courier.resume()
        await self._engine.books.commit()
        return row

    async def cancel(self, ident: int, reason: str = "cancelled by hand") -> ReplayRow:
        """End one: what is in flight lands, what waits to be retried is dropped and counted. Raises `Fixable`."""
        work = self._running.get(ident)
        task = self._tasks.pop(ident, None)
        if work is None or task is None:
            raise Fixable(f"replay {ident} does not run (it is {self.find(ident).state})")
        work.courier.closed = True
        task.cancel()
        await asyncio.wait([task])
        replace(work.row, state="cancelled", reason=reason).put(self._engine.ledger.changes)
        await self._end(work, "cancelled", reason)
        return self.rows[ident]

    def find(self, ident: int) -> ReplayRow:
        """A replay by its id; raises `Fixable`."""
        found = self.rows.get(ident)
        if found is None:
            raise Fixable(f"there is no replay {ident}")
        return found

    def place(self, ident: int) -> DestinationRow | None:
        """Where one that does not run stood when it was cancelled."""
        return self._stored().place(ident)

    def last_letter(self) -> int:
        """The id of the newest dead letter that is written down."""
        return self._stored().last_letter()

    def named(self, name: str) -> ReplayRow | None:
        """The replay that is called so among the destinations (`replay:<id>`)."""
        return next((row for row in self.rows.values() if row.name == name), None)

    def running(self, ident: int) -> Replaying | None:
        """What feeds a replay that runs."""
        return self._running.get(ident)

    def __iter__(self) -> Iterator[Replaying]:
        return iter(list(self._running.values()))

    def _has_room(self) -> None:
        if len(self._running) >= MOST:
            raise Fixable(f"{MOST} replays run already: wait for one, or cancel one")

    def _launch(self, row: ReplayRow) -> None:
        courier, work = self.courier(row)
        self.couriers[row.name] = courier
        self._running[row.id] = work
        self._engine.ledger.dirty.add(row.name)
        courier.hold(held(courier.plan, self._engine.pauses))
        self._tasks[row.id] = self._engine.spawn(self._run(work))
        log.info("replay.running", replay=row.id, destination=row.definition.destination)

    async def _run(self, work: Replaying) -> None:
        try:
            done = await work.run()
        except Exception as error:  # noqa: BLE001 -- said, kept in its row; the pipeline goes on
            log.failure("replay.fault", error, replay=work.row.id)
            work.courier.closed = True
            await self._end(work, "cancelled", f"fault: {type(error).__name__} (see the log)")
            return
        if done:
            await self._end(work, "done", "")

    async def _end(self, work: Replaying, state: str, reason: str) -> None:
        engine = self._engine
        courier, name = work.courier, work.row.name
        self._tasks.pop(work.row.id, None)
        await courier.stop(asyncio.get_running_loop().time() + LANDING)
        if dropped := len(courier.chains):
            engine.ledger.add(name, "cancelled", dropped)
        engine.ledger.dirty.add(name)
        if state == "cancelled":
            await engine.books.commit()  # where it stands, for a resume
        self.couriers.pop(name, None)
        now = engine.clock.now().timestamp()
        over = work.row.finished(engine.ledger.changes, state, now, reason)
        engine.ledger.dirty.add(name)
        await engine.books.commit()
        self.rows[over.id] = over  # said when it is written down
        self._running.pop(over.id, None)
        log.info("replay.over", replay=work.row.id, state=state)

    # ---- reload

    def configure(self) -> None:
        """Follow a new config: renamed destinations are followed, removed ones end their replays."""
        known = self._engine.config.destinations
        self._rename({item.was: ident for ident, item in known.items() if item.was and item.was not in known})
        for ident, work in list(self._running.items()):
            target = work.row.definition.destination
            if target and target not in known:
                self._engine.spawn(self._give_up(ident, target))
                continue
            old = work.courier.plan
            work.courier.configure(self.plan(ident, work.row.definition))
            self._engine.spawn(reload.retire(old, work.courier))
            work.courier.pump()

    def _rename(self, renamed: Mapping[str, str]) -> None:
        """Every replay follows its destination to its new name, also one that does not run."""
        for ident, row in self.rows.items():
            new = renamed.get(row.definition.destination)
            if new is None:
                continue
            work = self._running.get(ident)
            definition = msgspec.structs.replace(row.definition, destination=new)
            found = replace(row if work is None else work.row, definition=definition)
            if work is not None:
                work.row = found
                work.stored.rename(new)
            found.put(self._engine.ledger.changes)
            self.rows[ident] = found

    async def _give_up(self, ident: int, target: str) -> None:
        if ident in self._tasks:
            await self.cancel(ident, _gone(target))


def _gone(target: str) -> str:
    return f"{target} is gone from the config"
