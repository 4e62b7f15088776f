"""Runs the same events through two configurations, sending nothing, and compares what they make.

Routing, scripts and adapters are the code of production. A destination that is the same on both
sides (settings, scripts, routing) is not run at all: it is the same. Scripts see the time and the
randomness of the event, so two runs of one script make the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dataplane.config import Config
from dataplane.deliver import dispatch, plans
from dataplane.deliver.auth import Accounts
from dataplane.deliver.courier import Plan
from dataplane.deliver.entry import Entry
from dataplane.deliver.lanes import Lanes
from dataplane.deliver.plans import origin_scripts
from dataplane.deliver.rehearsal import asked
from dataplane.inspect.plan import Outcome, Stood, compare, keys
from dataplane.pipeline.numbered import Sequenced
from dataplane.pipeline.proof import Proof
from dataplane.pipeline.route import Route
from dataplane.pipeline.scripts import read_scripts
from transformations.base import Runner, Script, Tester
from turnout.auth import shown as with_auth
from turnout.clock import Clock
from turnout.destination import Context
from turnout.errors import ConfigError, Fixable, Stopped
from turnout.event import Event
from turnout.preview import describe, describe_record
from turnout.request import Record
from turnout.spelling import meant
from turnout.verdict import Verdict

__all__ = ["Side", "changes", "refusals"]

SLICE = 50
"""Events that are run at once."""


@dataclass(frozen=True, slots=True)
class Side:
    """A configuration, with the scripts it runs; None reads them from its files."""

    config: Config
    scripts: Mapping[str, Script] | None = None


Left = Mapping[str, Mapping[str, int]]
"""Of destinations with a backlog: events `unread`, at most, and put `aside`."""


@dataclass(slots=True)
class _Stand:
    """A destination that nothing is ever sent to."""

    plan: Plan
    routes: dict[tuple[bytes, str, str], Route] = field(default_factory=dict)
    lanes: Lanes = field(default_factory=lambda: Lanes(0))
    watched: bool = False


async def changes(
    base: Side, candidate: Side, events: Sequence[Sequenced], *,
    runner: Runner, clock: Clock, examples: int = 3, seconds: float = 60.0, left: Left | None = None,
    step: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """What `compare` says, `notes` at each destination, and `events`, how many were compared: fewer than given where
    time ran out or a script was killed too often, and then `ended` says so.

    `left` is what destinations that the candidate has not any more have still to deliver; None where nobody knows.
    `step` is told how many events are through. Raises `Fixable` where the candidate cannot be used (a script that does
    not compile), or where not even the first events could be run in `seconds`.
    """
    accounts = Accounts(clock)
    after = await plans.build(candidate.config, runner, candidate.scripts, accounts=accounts)
    before = await plans.build(base.config, runner, base.scripts, accounts=accounts)
    try:
        pairs = _pairs(base.config, candidate.config, before, after)
        run = _Run(runner, clock.now(), asyncio.get_running_loop().time() + seconds, step)
        done = await run.all(events, pairs, _closed(base.config, candidate.config))
        stood = {
            name: run.stood(name, pair, base.config, candidate.config) for name, pair in pairs.items()
        }
    finally:
        await asyncio.gather(*(_close(plan) for plan in (*before.values(), *after.values())))
    named = [
        {"message_id": event.message_id, "source": event.source, "type": event.kind, "event": event.head.event}
        for event in events[:done]
    ]
    found = compare(named, stood, examples)
    for name, one in found["destinations"].items():
        one["notes"] = _notes(name, one["state"], base.config, candidate.config, left)
    return {"events": done, "ended": run.ended, **found}


def _notes(name: str, state: str, base: Config, candidate: Config, left: Left | None) -> list[str]:
    """What is to be known of a destination that comes or goes, beside the events."""
    if state == "new" and (was := candidate.destinations[name].was):
        return [f"`was: {was}`: there is no such destination{meant(was, base.destinations)}, so it begins anew"]
    if state != "removed":
        return []
    given_up = name in candidate.discard
    if left is None:
        return ["its backlog is given up (`discard`)" if given_up else (
            f"while it has a backlog, a reload wants `was: {name}` at the destination that takes it over, "
            f"or `discard: [{name}]`"
        )]  # fmt: skip
    if name not in left:
        return ["it has no backlog"]
    how = "which is given up (`discard`)" if given_up else "and nothing says what is to become of it"
    unread, aside = left[name]["unread"], left[name]["aside"]
    return [f"it has a backlog, {how}: up to {unread:,} events unread, {aside:,} put aside"]


async def refusals(config: Config, tester: Tester, seconds: float = 60.0) -> list[str]:
    """Why a reload would refuse a configuration whose scripts compile: its fixtures, a line for each that fails, or
    one where they are not through in the `seconds` that a reload waits.
    """
    try:
        async with asyncio.timeout(seconds):
            await Proof().of(config, read_scripts(config), tester)
    except ConfigError as error:
        return str(error).splitlines()
    except TimeoutError:
        said = f"the fixtures took longer than {seconds:g} s, and a reload waits no longer"
        return [f"{said}: `turnout test` shows which"]
    return []


def _pairs(
    base: Config, candidate: Config, before: Mapping[str, Plan], after: Mapping[str, Plan]
) -> dict[str, tuple[str, Plan | None, Plan | None]]:
    """Per destination the id it had, and both plans."""
    pairs: dict[str, tuple[str, Plan | None, Plan | None]] = {}
    taken: set[str] = set()
    for name, plan in after.items():
        was = candidate.destinations[name].was or ""
        if name in before or was not in before:
            was = ""
        pairs[name] = (was, before.get(was or name), plan)
        taken.add(was or name)
    pairs |= {name: ("", plan, None) for name, plan in before.items() if name not in taken}
    return pairs


def _closed(base: Config, candidate: Config) -> dict[str, str]:
    """Sources whose events the candidate would not take any more, and why."""
    found: dict[str, str] = {}
    for name, source in base.sources.items():
        other = candidate.sources.get(name)
        if other is None:
            found[name] = f"source {name} is gone"
        elif source.enabled and not other.enabled:
            found[name] = f"source {name} is disabled"
    return found


def _alike(before: Plan, after: Plan) -> bool:
    return (
        before.fingerprint == after.fingerprint
        and before.trusted == after.trusted
        and before.enabled == after.enabled
        and before.gate == after.gate
    )


class _Run:
    """Outcomes of both sides, collected slice by slice."""

    def __init__(self, runner: Runner, now: datetime, until: float, step: Callable[[int], None]) -> None:
        self._runner = runner
        self._step = step
        self._now = now
        self._until = until
        self._made: dict[tuple[str, str], list[Outcome]] = {}
        self._same: set[str] = set()
        self.ended = ""

    async def all(
        self, events: Sequence[Sequenced],
        pairs: Mapping[str, tuple[str, Plan | None, Plan | None]], closed: Mapping[str, str],
    ) -> int:
        """Run the events in slices until they or the time are over, or a script is killed too often; how many were
        run, and `ended` says why not all were."""
        self._same = {
            name for name, (was, one, other) in pairs.items()
            if not closed and not was and one is not None and other is not None and _alike(one, other)
        }
        done = 0
        while done < len(events):
            part = events[done : done + SLICE]
            try:
                async with asyncio.timeout_at(self._until):
                    await self._slice(part, pairs, closed)
            except TimeoutError:
                self.ended = "time ran out"
                break
            except Stopped as error:
                self.ended = str(error)
                break
            done += len(part)
            self._step(done)
        if events and not done:
            raise Fixable(f"nothing could be compared, not even the first events: {self.ended}")
        for outcomes in self._made.values():
            del outcomes[done:]  # of the slice that time ran out in
        return done

    async def _slice(
        self, events: Sequence[Sequenced],
        pairs: Mapping[str, tuple[str, Plan | None, Plan | None]], closed: Mapping[str, str],
    ) -> None:
        for name, (_, before, after) in pairs.items():
            if name in self._same:
                continue
            if before is not None:
                self._made.setdefault((name, "before"), []).extend(await self._outcomes(before, events))
            if after is not None:
                made = await self._outcomes(after, events)
                self._made.setdefault((name, "after"), []).extend(
                    Outcome("filtered", closed[event.source]) if event.source in closed else one
                    for event, one in zip(events, made, strict=True)
                )
            await asyncio.sleep(0)

    def stood(
        self, name: str, pair: tuple[str, Plan | None, Plan | None], base: Config, candidate: Config
    ) -> Stood:
        """What both sides made of one destination."""
        was, before, after = pair
        differing: list[str] = []
        if before is not None and after is not None:
            one, other = (
                config.destinations[ident].model_dump(mode="json")
                for config, ident in ((base, was or name), (candidate, name))
            )
            differing = [key for key in keys(one, other) if key != "was"]
            versions = [[(s.name, s.version) for s in plan.chain] for plan in (before, after)]
            if versions[0] != versions[1] and one["transformation"] == other["transformation"]:
                differing.append("transformation (its code)")
            upstream = [origin_scripts((), plan.upstream) for plan in (before, after)]
            if upstream[0] != upstream[1]:
                differing.append("transformation of its sources")
        same = name in self._same
        return Stood(
            None if before is None else [] if same else self._made.get((name, "before"), []),
            None if after is None else [] if same else self._made.get((name, "after"), []),
            was, differing,
        )  # fmt: skip

    async def _outcomes(self, plan: Plan, events: Sequence[Sequenced]) -> list[Outcome]:
        found: list[Outcome] = []
        while events:
            some, (entries,) = await dispatch.portion(self._runner, events, [_Stand(plan)], plan)
            found += [self._outcome(plan, event, entry) for event, entry in zip(some, entries, strict=True)]
            events = events[len(some) :]
        return found

    def _outcome(self, plan: Plan, event: Sequenced, entry: Entry) -> Outcome:
        at = Context(self._now, plan.delivery)
        secrets = plan.adapter.settings.secrets()
        statuses: list[str] = []
        reasons: list[str] = []
        plain: list[Any] = []
        shown: list[Any] = []
        for child, (raw, options, verdict) in enumerate(entry.parts):
            made: Any = verdict
            if verdict is None:
                made = asked(plan.adapter, Event(
                    raw, key=entry.key, number=entry.number, child=child, source=entry.source,
                    options=options, trusted=entry.source in plan.trusted,
                ), at)  # fmt: skip
            if isinstance(made, Verdict):
                statuses.append(str(made.outcome))
                reasons.append(made.reason)
                continue
            statuses.append("sent")
            if isinstance(made, Record):
                plain.append({"record": describe_record(made)})
                shown.append({"record": describe_record(made, secrets)})
            else:
                made = [with_auth(plan.adapter.auth, request) for request in made]
                plain.append([describe(request, masked=False) for request in made])
                shown.append([describe(request, secrets) for request in made])
        status = next((s for s in ("sent", "dead", "filtered") if s in statuses), "filtered")
        if not plan.enabled and status == "sent":
            return Outcome("waiting", "disabled in the configuration")
        return Outcome(status, "; ".join(dict.fromkeys(reasons)), plain, shown)


async def _close(plan: Plan) -> None:
    await plan.sender.close()
    if plan.client is not None:
        await plan.client.close()
