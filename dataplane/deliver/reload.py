"""What a reload does to destinations that are renamed, removed or replaced."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, MutableMapping
from typing import NamedTuple

from dataplane.config.model import Config
from dataplane.deliver.courier import Courier
from dataplane.deliver.lanes import LANES
from dataplane.deliver.ledger import COUNTED, Ledger
from dataplane.deliver.plan import Plan
from dataplane.deliver.siblings import Rows
from dataplane.deliver.state import DestinationRow, last_number
from dataplane.pipeline.share import Share
from turnout.errors import ConfigError

__all__ = [
    "Backlog", "backlogs", "changed_scripts", "check_removed", "check_stopped", "fresh_row", "named",
    "occupied", "rename_and_remove", "retire", "undecided",
]


def fresh_row(ident: str, number: int) -> DestinationRow:
    """A destination that begins at event `number`."""
    return DestinationRow(ident, number, array("Q", [number] * LANES), 0.0)


class Backlog(NamedTuple):
    """What a destination has not delivered: events that it has not read, at most; and those put aside."""

    unread: int
    aside: int


def backlogs(taken: Collection[str], couriers: Mapping[str, Courier], ledger: Ledger, head: int) -> dict[str, Backlog]:
    """What the destinations that are not among `taken` have still to deliver; those that have nothing are left out."""
    stored = ledger.state.destinations()
    found: dict[str, Backlog] = {}
    for ident in sorted({*stored, *couriers} - {*taken}):
        courier = couriers.get(ident)
        if courier is not None:
            cursor, aside = min(courier.snapshot().cursors), len(courier.chains)
        else:
            cursor, aside = min(stored[ident].cursors), sum(1 for _ in ledger.state.exceptions(ident))
        if cursor < head or aside:
            found[ident] = Backlog(head - cursor, aside)
    return found


def check_removed(config: Config, couriers: Mapping[str, Courier], ledger: Ledger, head: int) -> None:
    """A removed destination with a backlog is an error until someone says what is to become of it, and so is one that
    is to be taken over by another that has a backlog of its own."""
    said = occupied(config, {*ledger.state.destinations(), *couriers})
    left = backlogs({*named(config), *config.discard}, couriers, ledger, head)
    said += [undecided(ident, *one) for ident, one in left.items()]
    if said:
        raise ConfigError("\n".join(said))


def check_stopped(config: Config) -> None:
    """The same for all of several processes before any starts: else one would have given up its part of a
    destination when another finds that it has a backlog, and refuses to start."""
    if (of := config.processes.pipeline) == 1:
        return
    files = [Rows(Share(process, of).home(config.data) / "state" / "pipeline.db") for process in range(of)]
    head = max(last_number(file.rows) for file in files) + 1
    for file in files:
        stored = file.rows("SELECT id, cursors FROM destination WHERE id NOT LIKE 'replay:%'")
        if said := occupied(config, {ident for ident, _ in stored}):
            raise ConfigError("\n".join(said))
        for ident, cursors in stored:
            if ident not in named(config) and ident not in config.discard:
                ((rows,),) = file.rows("SELECT count(*) FROM exception WHERE destination=?", ident)
                unread = head - min(array("Q", cursors))
                if unread > 0 or rows:
                    raise ConfigError(undecided(ident, unread, rows))


def named(config: Config, known: Collection[str] = ()) -> frozenset[str]:
    """The destinations that a config goes on with, under the names they have and had; one that is `known` takes over
    no other."""
    before = {item.was for ident, item in config.destinations.items() if item.was and ident not in known}
    return frozenset({*config.destinations, *before})


def occupied(config: Config, known: Collection[str]) -> list[str]:
    """Why a config is refused in which a destination that is `known` is to take over another one that is."""
    return [
        f"destinations.{ident}: `was: {item.was}` would merge two destinations: {ident} was there before, and takes "
        f"over no backlog: keep {item.was} until it has delivered what it has, or give that up with "
        f"a top-level `discard: [{item.was}]`, without this `was`"
        for ident, item in config.destinations.items()
        if item.was and item.was in known and ident in known
    ]


def undecided(ident: str, unread: int, aside: int) -> str:
    """Why a config without a destination is refused."""
    return (
        f"destinations.{ident} is gone from the config but still has a backlog "
        f"(up to {unread} events unread, {aside} put aside): "
        f"write `was: {ident}` at the destination that takes it over, "
        f"or give it up with a top-level `discard: [{ident}]`"
    )


def rename_and_remove(
    config: Config, prepared: Mapping[str, Plan], couriers: MutableMapping[str, Courier], ledger: Ledger, now: float
) -> list[Courier]:
    """Carry out `was:` and forget what is gone; gives the couriers that must stop. `now` in Unix seconds."""
    stored = ledger.state.destinations()
    for ident, item in config.destinations.items():
        old = item.was
        if not old or (old not in stored and old not in couriers) or ident in stored or ident in couriers:
            continue
        ledger.changes.rename(old, ident, now)
        for what in COUNTED:
            if (old, what) in ledger.counts:
                ledger.counts[ident, what] = ledger.counts.pop((old, what))
        ledger.renamed(old, ident)
        courier = couriers.pop(old, None)
        if courier is not None:
            for row in courier.chains.rows():
                row.destination = ident
            couriers[ident] = courier
        ledger.dirty.discard(old)
        ledger.dirty.add(ident)
    gone: list[Courier] = []
    for ident in sorted({*couriers, *stored} - {*prepared}):
        if any(item.was == ident for item in config.destinations.values()):
            continue
        forget(ident, ledger)
        ledger.dirty.discard(ident)
        if (removed := couriers.pop(ident, None)) is not None:
            removed.given_up = removed.closed = True
            gone.append(removed)
    return gone


def changed_scripts(couriers: Mapping[str, Courier], prepared: Mapping[str, Plan]) -> list[str]:
    """Names of scripts that another version replaces, or nobody uses any more."""
    before, after = (
        {script.name: script.version for plan in plans for script in plan.scripts}
        for plans in ([courier.plan for courier in couriers.values()], prepared.values())
    )
    return [name for name, version in before.items() if after.get(name) != version]


def forget(ident: str, ledger: Ledger) -> None:
    """Give up a removed destination: its place, exceptions and counts."""
    ledger.changes.forget(ident)
    for name in [name for name in ledger.counts if name[0] == ident]:
        del ledger.counts[name]
    for name in [name for name in ledger.reasons if name[0] == ident]:
        del ledger.reasons[name]
    ledger.dirty.discard(ident)


async def retire(plan: Plan, courier: Courier | None = None) -> None:
    """Close what an old plan held, once the requests that leave through it have landed."""
    if courier is not None:
        await courier.landed()
    await plan.sender.close()
    if plan.client is not None:
        await plan.client.close()
