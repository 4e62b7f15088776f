"""The app process: owns the data folder and the roles, and reloads them in all or none."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dataplane.app.alerting import Alerting
from dataplane.app.child import START, Child
from dataplane.app.folders import Lock, clear_rates, make_folders
from dataplane.app.fork import Forked
from dataplane.app.orders import Orders
from dataplane.app.pipelines import Pipelines
from dataplane.app.place import partition_of, roles
from dataplane.app.reading import Reading, difference, read
from dataplane.app.role import usage
from dataplane.app.tokens import Tokens
from dataplane.config import Config, fingerprint
from dataplane.deliver.layout import settle
from dataplane.deliver.reload import check_stopped
from dataplane.inspect.disk import disk
from dataplane.inspect.health import judge
from dataplane.inspect.partitions import combine
from dataplane.inspect.together import seen
from dataplane.inspect.together import status as merged
from dataplane.log.epochs import next_run
from dataplane.metrics.counters import Counters
from dataplane.metrics.exposition import samples, undeclared
from dataplane.metrics.log import logger
from turnout import __version__
from turnout.clock import iso
from turnout.errors import Fixable, TurnoutError, Unavailable

__all__ = ["Supervisor", "needs_restart"]

RESTART = (
    "server.host", "server.port", "data", "log", "dedup", "processes", "admin", "sandbox",
)
"""What is bound, opened or started once; a reload that changes one of them is refused."""

_log = logger()


class Supervisor:
    """Starts the roles of one config.yaml and keeps them running."""

    def __init__(self, path: Path, forked: Mapping[str, Forked] | None = None) -> None:
        """`forked` are processes that wait to be the roles of the first start."""
        self._forked = forked or {}
        self._given = path  # how findings name it
        self.path = path.absolute()
        self._reading = read(path)
        self.url = ""
        self.admin_url = ""
        self.started = datetime.now(UTC)
        self.reloads: dict[str, int] = {"applied": 0, "rejected": 0}
        self.last_reload: dict[str, Any] | None = None
        self.alerting = Alerting(self.status, lambda: self.config)
        self._children: dict[str, Child] = {}
        self._pipelines = Pipelines(self._children)
        self._tokens = Tokens()
        self._counters = Counters()
        self._last: dict[str, tuple[str, dict[str, Any]]] = {}  # what pipeline processes answered last, and when
        self.orders = Orders(self._children)
        self._watching: asyncio.Task[None] | None = None
        self._lock: Lock | None = None
        self._reloading = asyncio.Lock()
        self._port = 0
        self._run = 0
        self._said: set[str] = set()

    @property
    def reading(self) -> Reading:
        """The configuration in force, as it was read."""
        return self._reading

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._reading.config

    async def start(self) -> None:
        """Lock the data folder and start every role; raises what kept one from starting."""
        make_folders(self.config.data)
        self._lock = await asyncio.to_thread(Lock, self.config.data)
        self.orders.open(self.config)
        clear_rates(self.config.data)
        await asyncio.to_thread(settle, self.config.data, self.config.processes.pipeline)
        await asyncio.to_thread(check_stopped, self.config)
        self._run = await asyncio.to_thread(next_run, self.config.data / "log")
        for name in roles(self.config):
            held = (self._lock.fd,)
            self._children[name] = Child(name, self._begin, held, self._forked.get(name), self._tokens.answer)
        try:
            await asyncio.gather(*(child.spawn() for child in self._children.values()))
            for child in self._children.values():
                await child.begin()
            self._say_stand_ins()
            self.alerting.start(self.config.data)
            self._watching = asyncio.create_task(self.orders.watch())
        except BaseException:
            await self.stop(0)
            raise

    async def stop(self, deadline: float) -> None:
        """Drain the roles in their order within `deadline` seconds, then end them; 0: at once."""
        until = time.monotonic() + deadline
        await self.alerting.stop()
        if self._watching is not None:
            self._watching.cancel()
        for child in self._children.values():
            child.leave()
        ingests = [child for child in self._children.values() if partition_of(child.name) is not None]
        for group in (ingests, self._pipelines.all()):
            await asyncio.gather(*(self._drain(child, until, deadline) for child in group))
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def _drain(self, child: Child, until: float, deadline: float) -> None:
        left = until - time.monotonic()
        if child.running and left > 0:
            try:
                await child.ask("drain", {"deadline": left * 0.8}, timeout=left)
            except TurnoutError as error:
                _log.error("role.not_drained", child=child.name, reason=str(error))
        await child.stop(max(until - time.monotonic(), min(deadline, 1.0)))

    def kill(self) -> None:
        """End every role at once and for good; what is durable stays so."""
        for child in self._children.values():
            child.leave()
            child.kill()

    async def reload(self) -> dict[str, Any]:
        """Apply config.yaml as it is now, in all roles or in none; {hash, changed, added, removed}.

        Raises `Fixable` with what to change; then nothing was changed. A role that is just down
        takes the new text when it starts.
        """
        async with self._reloading:
            try:
                result = await self._reload()
            except TurnoutError as error:
                self._note("rejected", str(error))
                raise
            self._note("applied", "", result["changed"])
            return result

    async def pause(self, kind: Any, name: Any, *, by: str, reason: Any) -> dict[str, Any]:
        """Pause a destination, source or transformation; see `Orders.pause`."""
        async with self._reloading:
            return await self.orders.pause(self.config, kind, name, by=by, reason=reason)

    async def resume(self, kind: Any, name: Any) -> dict[str, Any]:
        """Let it go on; see `Orders.resume`."""
        async with self._reloading:
            return await self.orders.resume(self.config, kind, name)

    async def ask(self, role: str, verb: str, args: dict[str, Any] | None = None) -> Any:
        """Ask one role, or with `pipeline` all such processes as one; raises an error of theirs or `Unavailable`."""
        return await (self._pipelines if role == "pipeline" else self._children[role]).ask(verb, args)

    async def samples(self) -> list[Any]:
        """Samples of every process; a role that does not answer is only missing.

        Its counters are as they were last, and go on from there when it is back: a sum over several that falls and
        rises again would look like so many new events.
        """
        found: list[Any] = list(samples(self._own_samples()))
        for child in self._children.values():
            life, given = child.restarts, None
            if child.running:
                try:
                    given = list(samples(await child.ask("stats", timeout=5)))
                except (Unavailable, ValueError) as error:
                    _log.warning("metrics.missing", child=child.name, reason=str(error))
            counters = self._counters
            found.extend(counters.last(child.name) if given is None else counters.of(child.name, life, given))
        for name in undeclared(found) - self._said:
            self._said.add(name)
            _log.error("metrics.undeclared", name=name)
        return found

    async def status(self) -> dict[str, Any]:
        """Everything `turnout status` shows, as plain JSON."""
        parts: dict[str, Any] = {}
        errors: dict[str, str] = {}

        async def ask(child: Child) -> None:
            try:
                parts[child.name] = await child.ask("status", timeout=8, silence=5)
            except TurnoutError as error:
                errors[child.name] = str(error)

        await asyncio.gather(*(ask(child) for child in self._children.values() if child.running))
        roles = {name: child.describe() for name, child in self._children.items()}
        for name, error in errors.items():
            roles[name]["error"] = error
        pipeline = self._stands(parts)
        logs: dict[int, dict[str, Any]] = {}
        for name, part in parts.items():
            for number, state in part["log"].items():
                sequenced = pipeline.get("positions", {}).get(number)
                logs[int(number)] = {"role": name, **state, "sequenced": sequenced}
        status = {
            "version": __version__, "url": self.url, "admin": self.admin_url, "pid": os.getpid(),
            "started": iso(self.started), "config": self._config_status(), "roles": roles,
            "log": combine(logs), "disk": disk(self.config.data, self.config.log.min_free_bytes),
            "alerts": self.alerting.describe(), "pauses": self.orders.pauses.plain(), **pipeline,
        }
        return {"health": judge(status), **status}

    def _stands(self, parts: dict[str, Any]) -> dict[str, Any]:
        """What the pipeline processes say, taken out of all; of one that does not answer, what it said last."""
        names, now = [child.name for child in self._pipelines.all()], iso(datetime.now(UTC))
        told = {name: parts.pop(name) for name in names if name in parts}
        self._last |= {name: (now, part) for name, part in told.items()}
        stale = {name: self._last[name][0] if name in self._last else None for name in names if name not in told}
        found = merged([self._last[name][1] for name in names if name in self._last])
        types = {ident: item.type for ident, item in self.config.destinations.items()}
        return seen(found, types, stale, answered=bool(told))

    def pids(self) -> dict[str, int]:
        """Process ids of the living roles."""
        return {name: child.pid for name, child in self._children.items() if child.pid is not None}

    async def _begin(self, child: Child) -> None:
        async with self._reloading:  # a role must never start with a text that is just replaced
            args = self._told(child, self._reading)
            args |= {"orders": self.orders.plain(child.name), "run": self._run}
            ingest = partition_of(child.name) is not None
            if ingest:
                # The first chooses where the configuration does not, and makes sure that it is alone.
                args |= {"port": self._port, "joining": self._port != 0}
            reply = await child.ask("start", args, timeout=START)
            if ingest:
                self.url, self._port = reply["url"], reply["port"]

    async def _reload(self) -> dict[str, Any]:
        reading = read(self._given)
        config = reading.config
        if stuck := needs_restart(self.config, config):
            raise Fixable(f"{', '.join(stuck)} cannot change while running: restart (nothing was changed)")
        # The pipeline first, so that it knows a source before the gateway takes its events; and of several the one
        # that sequences, so that the others begin a new destination where it does.
        pipelines = self._pipelines.all()
        rest = (child for child in reversed(self._children.values()) if child not in pipelines)
        ready = [child for child in (*pipelines, *rest) if child.running]
        answers = await asyncio.gather(
            *(child.ask("prepare", self._told(child, reading), timeout=START) for child in ready),
            return_exceptions=True,
        )
        found = fingerprint(config)
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        if not failed and any(answer["hash"] != found for answer in answers if isinstance(answer, dict)):
            failed = [Fixable("a file that the configuration names changed meanwhile: reload again")]
        if failed:
            pairs = zip(ready, answers, strict=True)
            await self._abort(child for child, answer in pairs if isinstance(answer, dict))
            raise failed[0]
        before, self._reading = self._reading, reading
        for child in ready:
            try:
                await child.ask("commit", {"hash": found})
            except TurnoutError as error:
                _log.error("config.not_committed", child=child.name, reason=str(error))
                child.kill()  # it comes back with the new configuration
        await self.orders.follow(config)
        for child in self._children.values():
            child.hurry()
        return {"hash": found, **difference(before, reading)}

    async def _abort(self, prepared: Iterable[Child]) -> None:
        for child in prepared:
            try:
                await child.ask("abort")
            except TurnoutError as error:
                _log.error("config.not_aborted", child=child.name, reason=str(error))
                child.kill()  # it comes back with the old configuration

    def _told(self, child: Child, reading: Reading) -> dict[str, Any]:
        return reading.told(self.path, scripts=partition_of(child.name) is None)

    def _note(self, result: str, reason: str, changed: Iterable[str] = ()) -> None:
        self.reloads[result] += 1
        self.last_reload = {"result": result, "reason": reason, "at": iso(datetime.now(UTC))}
        if reason:
            _log.error("config.rejected", reason=reason)
        else:
            _log.info("config.applied", hash=fingerprint(self.config), changed=list(changed))
            self._say_stand_ins()

    def _say_stand_ins(self) -> None:
        """A rehearsal that is left on by mistake must not look like deliveries."""
        for host, server in self.config.egress.stand_ins.items():
            _log.warning("config.stand_in", host=host, server=server)

    def _config_status(self) -> dict[str, Any]:
        return {"file": str(self.path), "hash": fingerprint(self.config), "last_reload": self.last_reload}

    def _own_samples(self) -> list[Any]:
        own: list[Any] = list(usage("app"))
        for child in self._children.values():
            own.append(["turnout_role_up", [child.name], int(child.running)])
            own.append(["turnout_role_restarts_total", [child.name], child.restarts])
            own.append(["turnout_role_crash_loop", [child.name], int(child.looping)])
        if found := disk(self.config.data, self.config.log.min_free_bytes):
            own.extend((["turnout_disk_free_bytes", [], found["free"]], ["turnout_disk_share", [], found["share"]]))
        own.extend(self.alerting.samples())
        own.extend(["turnout_reloads_total", [result], number] for result, number in self.reloads.items())
        return own


def needs_restart(old: Config, new: Config) -> list[str]:
    """Dotted names of settings that differ and cannot change while running."""

    def value(config: Config, path: str) -> Any:
        at: Any = config
        for step in path.split("."):
            at = getattr(at, step)
        return at

    found = [path for path in RESTART if value(old, path) != value(new, path)]
    if (old.server.tls is None) != (new.server.tls is None):  # another certificate is taken while running
        found.append("server.tls")
    return found
