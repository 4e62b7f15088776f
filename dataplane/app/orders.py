"""What the app tells its roles beside the config: what people paused, and whether to take events at all.

Pauses are kept in `state/pauses.json`, so that they outlive reloads, restarts and crashes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from dataplane.app.child import Child
from dataplane.app.folders import write_private
from dataplane.app.pipelines import Pipelines
from dataplane.config import Config
from dataplane.config.pauses import Pause, Pauses, check
from dataplane.metrics.log import logger
from turnout.clock import iso
from turnout.errors import Fixable, FormatError, TurnoutError, Unavailable

__all__ = ["Orders", "cured", "elsewhere"]

LOOK = 1.0
"""Seconds between looks whether a backlog wants the intake stopped."""
AWAY = 15.0
"""Seconds after which a pipeline process that does not answer probes nothing for the others any more."""

_log = logger()


def elsewhere(found: Mapping[str, Mapping[str, Any]], role: str) -> dict[str, Any]:
    """What a role is to follow of what others found, by destination: of those that found something, the first one
    probes the tool, and all others wait for it."""
    told: dict[str, Any] = {}
    for name in sorted(found, key=lambda name: (len(name), name)):
        for destination, known in found[name].items():
            told.setdefault(destination, (name, known))
    return {destination: known for destination, (name, known) in told.items() if name != role}


def cured(before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Roles and destinations that refuse one, or are down for it, without an event to probe with at both looks,
    while they took events of another one between them."""
    def took(destination: str, role: str) -> bool:
        counts = [told[role]["delivered"].get(destination, 0) for told in (before, now) if role in told]
        return len(counts) == 2 and counts[1] > counts[0]

    return [
        (role, destination)
        for role, told in now.items()
        for destination in told["idle"]
        if destination in before.get(role, {}).get("idle", ())
        and any(took(destination, other) for other in now if other != role)
    ]


class Orders:
    """Keeps the pauses, and passes them and the wish of full backlogs on to the roles."""

    def __init__(self, children: dict[str, Child]) -> None:
        self._children = children
        self._pipelines = Pipelines(children)
        self._path: Path
        self._told: dict[str, dict[str, Any]] = {}
        self._heard: dict[str, float] = {}
        self.pauses = Pauses()

    def open(self, config: Config) -> None:
        """Read what is kept; raises `Fixable` where it cannot be read."""
        self._path = config.data / "state" / "pauses.json"
        try:
            self.pauses = Pauses.read(self._path.read_bytes())
        except FileNotFoundError:
            self.pauses = Pauses()
        except FormatError as error:
            raise Fixable(f"{self._path}: {error}") from None
        self._keep(self.pauses.following(config))

    def plain(self, role: str) -> dict[str, Any]:
        """Plain JSON for a role: {pauses, stopping, found, left}; `found` is what other pipeline processes found out
        about destinations, and probe, `left` those that refuse us and that nobody probes."""
        stopping = {name: why for told in self._told.values() for name, why in told["stopping"].items()}
        found = elsewhere(self._found(), role)
        return {"pauses": self.pauses.plain(), "stopping": stopping, "found": found, "left": self._left()}

    def _found(self) -> dict[str, Any]:
        return {name: told["found"] for name, told in self._told.items()}

    def _left(self) -> dict[str, Any]:
        probed = {ident for told in self._told.values() for ident in told["found"]}
        idle = ((ident, passed) for told in self._told.values() for ident, passed in told["idle"].items())
        return {ident: passed for ident, passed in idle if passed is not None and ident not in probed}

    async def pause(self, config: Config, kind: Any, name: Any, *, by: str, reason: Any) -> dict[str, Any]:
        """Pause something; {paused, changed}. Raises `Fixable` for an unknown name."""
        kind, name, reason = check(config, kind, name, reason)
        before = self.pauses
        self._keep(before.added(Pause(kind, name, iso(datetime.now(UTC)), by, reason)))
        await self._tell(self._children.values())
        if self.pauses is not before:
            _log.info("paused", kind=kind, name=name)
        return {"changed": self.pauses is not before, "paused": msgspec.to_builtins(self.pauses.find(kind, name))}

    async def resume(self, config: Config, kind: Any, name: Any) -> dict[str, Any]:
        """Let something go on, also a destination that its tool refuses or that is down, and a script that was
        killed too often.

        {changed, kind, name, still}: `still` says what holds it back even so.
        """
        kind, name, _ = check(config, kind, name)
        before = self.pauses
        self._keep(before.removed(kind, name))
        changed = self.pauses is not before
        await self._tell(self._children.values())
        still = ""
        if kind == "destination":
            for told in self._told.values():  # else the others would be told of it once more
                told["found"].pop(name, None)
                told["idle"].pop(name, None)
            found = await self._pipelines.ask("destination.resume", {"destination": name})
            changed, still = changed or found["changed"], found["still"]
        elif kind == "transformation":
            found = await self._pipelines.ask("transformation.resume", {"transformation": name})
            changed = changed or found["changed"]
        if changed:
            _log.info("resumed", kind=kind, name=name)
        return {"changed": changed, "kind": kind, "name": name, "still": still}

    async def follow(self, config: Config) -> None:
        """After a reload: forget pauses of what is gone, carry over those of what was renamed."""
        before = self.pauses
        try:
            self._keep(before.following(config))
        except Unavailable as error:  # the reload stands; what was said of the old names still holds
            _log.error("pauses.not_stored", reason=str(error))
        if self.pauses is not before:
            await self._tell(self._children.values())

    async def watch(self) -> None:
        """Ask the pipeline processes whether a backlog wants the intake stopped, and what they found out about
        destinations, and pass it on, for ever."""
        while True:
            await asyncio.sleep(LOOK)
            before, told = {name: self.plain(name) for name in self._children}, dict(self._told)
            for pipeline in self._pipelines.all():
                await self._hear(pipeline)
            for name, destination in cured(told, self._told):
                await self._cure(self._children[name], destination)
            await self._tell(child for name, child in self._children.items() if self.plain(name) != before.get(name))

    async def _hear(self, pipeline: Child) -> None:
        """What it says now; of one that is away what was known goes on, but not for ever: nobody would probe."""
        name = pipeline.name
        if pipeline.running:
            try:
                self._told[name] = await pipeline.ask("intake", timeout=5)
                self._heard[name] = time.monotonic()
                return
            except TurnoutError as error:
                _log.warning("intake.unknown", reason=str(error))
        if name in self._told and time.monotonic() - self._heard[name] > AWAY:
            self._told[name] = {**self._told[name], "found": {}, "idle": {}}

    async def _cure(self, pipeline: Child, destination: str) -> None:
        """Another one delivers to it: this one need not find that out, when it has an event again."""
        try:
            await pipeline.ask("destination.well", {"destination": destination}, timeout=5)
            self._told[pipeline.name]["idle"].pop(destination, None)
        except TurnoutError as error:
            _log.warning("well.unknown", reason=str(error))

    def _keep(self, pauses: Pauses) -> None:
        """In the file first: a role that dies now learns it when it starts. Raises `Unavailable` (disk full)."""
        if pauses is self.pauses:
            return
        try:
            write_private(self._path, msgspec.json.format(msgspec.json.encode(pauses), indent=1).decode() + "\n")
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written ({error.strerror}): nothing was changed") from None
        self.pauses = pauses

    async def _tell(self, children: Iterable[Child]) -> None:
        for child in children:
            if not child.running:
                continue  # it is told when it starts
            try:
                await child.ask("hold", self.plain(child.name))
            except TurnoutError as error:
                _log.error("orders.not_taken", child=child.name, reason=str(error))
                child.kill()  # it comes back with them
