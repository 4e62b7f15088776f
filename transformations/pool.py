"""The pool: scripts in, results out, whatever a script does.

A worker serves one script for its life; warm ones wait, least recently used first to go. `workers`
batches run at once, plus two seats: a *spare* that takes other scripts' batches when all seats have
been busy for a while, and a *bench* for scripts whose worker was killed lately, which share it among
themselves, so that however many scripts hang the others have their seats. A script that is killed again
and again is stopped: its batches go back undecided, and one event at a time probes it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import orjson

from transformations import replies
from transformations.base import HELD, Failed, Item, Ran, Reach, Script, Trial
from transformations.job import Job
from transformations.questions import Away, Questions
from transformations.sandbox import wire
from transformations.sandbox.limits import Layers, available
from transformations.sandbox.parent import Lost, Worker, Zygote
from transformations.seats import Seats
from transformations.standing import Standing, Standings
from turnout.errors import ScriptError, Unavailable

__all__ = ["Pool"]

GRACE = 0.5
"""Seconds beyond the soft deadline before a worker is killed."""
PROBE_MEMORY = 256 << 20
log = logging.getLogger(__name__)


class Pool:
    """Runs scripts in locked workers; a `transformations.base.Runner`.

    `workers` is how many batches run at once, `warm` how many idle workers are kept for their
    script. `sandbox`: "required" insists on the kernel's filter, and so does "auto" on Linux (elsewhere
    it runs with limits only); "off" drops the filter and says so in `health`. `reach`
    answers what scripts ask for while they run; without it they reach nothing.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        warm: int = 8,
        sandbox: Literal["auto", "required", "off"] = "auto",
        reach: Reach | None = None,
    ) -> None:
        self._reach = reach
        self._sandbox = sandbox
        self._layers: Layers = frozenset()
        self._zygote: Zygote | None = None
        self._reviving = asyncio.Lock()
        self._seats = Seats(workers)
        self._warm = max(warm, 1)
        self._idle: OrderedDict[int, Worker] = OrderedDict()
        self._busy: set[Worker] = set()
        self._standings = Standings()
        self._keys: OrderedDict[int, tuple[Script, tuple[Any, ...]]] = OrderedDict()
        self._counts: Counter[tuple[str, tuple[str, ...]]] = Counter()

    # ---- life

    async def start(self) -> None:
        """Start the zygote and prove its locks; raises `Unavailable` where they do not hold."""
        layers = available()
        if self._sandbox == "off":
            layers -= {"seccomp", "landlock"}
        elif "seccomp" not in layers and (self._sandbox == "required" or sys.platform == "linux"):
            raise Unavailable(
                f"the sandbox needs Linux on x86-64 or aarch64; this machine ({sys.platform}, {os.uname().machine}) "
                "has no system-call filter. `sandbox: off` runs transformations without it, for trusted authors only"
            )
        self._layers = layers
        self._zygote = Zygote(layers)
        await self._zygote.start()
        try:
            await self._prove()
        except BaseException:
            await self.stop()
            raise

    async def _prove(self) -> None:
        """A child that opens a file and a socket: the first must fail, the second must kill it."""
        assert self._zygote is not None
        probe = await self._zygote.spawn(PROBE_MEMORY, probe=True)
        try:
            passed = (await probe.exchange(b"", 5.0))[1:]
            status = await probe.exit_status()
        except (Lost, TimeoutError) as error:
            raise Unavailable(f"the sandbox's self-test failed: {error}") from None
        finally:
            probe.close()
        if "seccomp" in self._layers and (passed or status != 31):
            raise Unavailable(f"the sandbox's self-test failed: status {status}, passed: {passed.decode() or 'socket'}")
        if "seccomp" not in self._layers:
            log.warning("transformations run without a system-call filter (sandbox: %s): for trusted authors only",
                        self._sandbox)  # fmt: skip

    async def stop(self) -> None:
        """Kill the workers and the zygote."""
        for worker in [*self._idle.values(), *self._busy]:
            worker.close()
        self._idle.clear()
        if self._zygote is not None:
            await self._zygote.stop()
            self._zygote = None

    @property
    def zygote_pid(self) -> int:
        """Process id of the zygote, for whoever measures; 0 when it does not run."""
        return self._zygote.pid if self._zygote is not None else 0

    # ---- what it is for

    async def check(self, script: Script) -> None:
        """Compile in a worker and run the module once; raises `ScriptError` with file and line."""
        file = script.file or script.name
        key = self._key(script)
        try:
            async with self._seats.take(suspect=self._standings.suspected(key)):
                worker = await self._worker(script, fresh=True)
                try:
                    request = _load(script) + wire.frame(wire.CHECK)
                    answer = await worker.exchange(
                        request, 2 * min(script.timeout, wire.LOADING) + GRACE, Questions(script, None)
                    )
                finally:
                    worker.close()
                    self._busy.discard(worker)
        except Lost as lost:
            raise ScriptError(f"the script {lost.reason} while it was loaded", file=file) from None
        if answer[0] == wire.FAULT:
            fault = replies.fault(answer)
            raise ScriptError(replies.masked(fault.message, script), file=fault.file or file, line=fault.line or 1)

    async def run(self, script: Script, items: Sequence[Item]) -> list[Ran]:
        """Run over a batch: one result per item, in input order.

        Never raises for what a script does, but `Stopped` where that was to be killed too often, `Overfull` where it
        makes too many bytes of them all, and `Unavailable` where the sandbox itself is gone.
        """
        started = time.perf_counter()
        standing = self._standings.of(script.name, self._key(script))
        if standing.breaker.open:
            await self._probe(script, items, standing)
        results = (await self._all(script, items, 0, self._reach, standing)).results
        self._count("transform_seconds", time.perf_counter() - started, script.name)
        self._count("transform_runs", 1, script.name)
        failed = list(map(type, results)).count(Failed)
        self._count("transform_events", len(results) - failed, script.name, "done")
        self._count("transform_events", failed, script.name, "failed")
        return results

    async def _probe(self, script: Script, items: Sequence[Item], standing: Standing) -> None:
        """One event alone, another one each time; raises `Stopped` unless that goes well."""
        breaker = standing.breaker
        if not breaker.due(time.monotonic()):
            raise standing.stopped()
        known = standing.known(items)
        fresh = [i for i in range(len(items)) if i not in known] or list(range(len(items)))
        item = items[fresh[breaker.probe() % len(fresh)]]
        well: bool | None = None
        try:
            ran = (await self._all(script, [item], 0, self._reach)).results[0]
            well = not isinstance(ran, Failed) or ran.kind == "error"
        finally:
            breaker.probed(time.monotonic(), well=well)
        if not well:
            raise standing.stopped()
        standing.forget(item)
        log.warning("the transformation %s runs again", script.name)

    def resume(self, name: str) -> bool:
        """Let a script that was stopped run again; False where it was not."""
        return self._standings.resume(name)

    async def trial(self, script: Script, items: Sequence[Item], reach: Reach | None = None) -> Trial:
        """The same for a look at it: with what the script logged (100 lines of 300 characters at most), in
        no count of runs and events; `reach` answers it instead of the pool's."""
        return await self._all(script, items, wire.TRIAL, reach or self._reach)

    async def _all(
        self, script: Script, items: Sequence[Item], flags: int, reach: Reach | None, standing: Standing | None = None
    ) -> Trial:
        """Run everything. With a `standing` kills count, and the breaker that they open ends it."""
        known = standing.known(items) if standing is not None else {}
        results: list[Ran | None] = [None] * len(items)
        for i, failed in known.items():
            results[i] = failed
        indices = [i for i in range(len(items)) if i not in known] if known else list(range(len(items)))
        todo = deque(indices[at:at + wire.MAX_ITEMS] for at in range(0, len(indices), wire.MAX_ITEMS))
        job = Job(script, self._key(script), items, results, todo, reach, self._killed, standing, flags)
        while job.todo:
            if standing is not None and standing.breaker.open:
                standing.remember(items, job.results)
                raise standing.stopped()
            if job.size > HELD:
                raise job.overfull(HELD)
            suspect = self._standings.suspected(job.key)
            async with self._seats.take(suspect=suspect):
                await self._step(job, partial(self._seats.away, suspect=suspect))
        return Trial([ran or Failed("was not run", "crash") for ran in job.results], job.logs)

    # ---- one exchange

    async def _step(self, job: Job, away: Away) -> None:
        """Run the next list of a job; what must be tried again goes back to its list."""
        script = job.script
        worker = await self._worker(script)
        chunk = job.todo.popleft()
        items = job.items if len(chunk) == len(job.items) else [job.items[i] for i in chunk]
        events, metadata = zip(*items, strict=True)
        request = wire.request(events, metadata, job.flags)
        patience = script.timeout + GRACE
        if worker.key is None:
            request = _load(script) + request
            patience += min(script.timeout, wire.LOADING)
            worker.key = job.key
        try:
            answer = await worker.exchange(request, patience, Questions(script, job.reach, away, len(chunk)))
            retire = job.settle(chunk, events, answer)
        except (Lost, wire.Garbled) as error:
            worker.close()
            job.lost(chunk, error)
        else:
            if retire:
                worker.close()
        finally:
            self._busy.discard(worker)
            self._keep(worker)

    def _killed(self, job: Job, kind: str, blame: bool) -> None:
        """A worker was killed, or died, over a job; `blame` where the script is at fault."""
        self._standings.suspect(job.key)
        self._count("transform_kills", 1, job.script.name, kind)
        if job.standing is None or not blame or not job.standing.killed(kind):
            return
        self._count("transform_stops", 1, job.script.name)
        log.error("the transformation %s is stopped: %s", job.script.name, job.standing.breaker.reason)

    # ---- workers

    async def _worker(self, script: Script, *, fresh: bool = False) -> Worker:
        """A worker warm with this script, else a new one; marked busy."""
        key = self._key(script)
        worker = None
        if not fresh:
            for pid, idle in reversed(self._idle.items()):
                if idle.key == key and idle.alive:
                    worker = self._idle.pop(pid)
                    break
        if worker is None:
            worker = await self._spawn(script.memory)
        self._busy.add(worker)
        return worker

    async def _spawn(self, memory: int) -> Worker:
        self._count("transform_worker_starts", 1)
        try:
            return await (await self._living()).spawn(memory)
        except Unavailable:
            return await (await self._living()).spawn(memory)

    async def _living(self) -> Zygote:
        """The zygote; one that died is started again, with all its workers gone."""
        async with self._reviving:
            zygote = self._zygote
            if zygote is None:
                raise Unavailable("the pool is not running")
            if not zygote.alive:
                log.error("the sandbox's zygote ended and is started again")
                self._count("transform_zygote_starts", 1)
                for worker in self._idle.values():
                    worker.close()
                self._idle.clear()
                await zygote.stop()
                await zygote.start()
            return zygote

    def _keep(self, worker: Worker) -> None:
        if not worker.alive or self._zygote is None:
            worker.close()
            return
        self._idle[worker.pid] = worker
        while len(self._idle) > self._warm:
            self._idle.popitem(last=False)[1].close()

    # ---- bookkeeping

    def _key(self, script: Script) -> tuple[Any, ...]:
        """What a worker may be shared by: the same script, version, limits and credentials."""
        known = self._keys.get(id(script))
        if known is not None and known[0] is script:
            return known[1]
        key = (
            script.name, script.file, script.language, script.version, script.timeout, script.memory,
            tuple(sorted(script.credentials.items())), script.reach,
        )
        self._keys[id(script)] = (script, key)
        while len(self._keys) > 4096:
            self._keys.popitem(last=False)
        return key

    def _count(self, metric: str, amount: float, *labels: str) -> None:
        self._counts[metric, labels] += amount  # type: ignore[assignment]  # seconds are fractions

    def stats(self) -> list[tuple[str, list[str], float]]:
        """Counters since the start as (metric, label values, number), and gauges: workers, scripts that are stopped."""
        found: list[tuple[str, list[str], float]] = [
            (metric, list(labels), number) for (metric, labels), number in sorted(self._counts.items())
        ]
        found.extend(("transform_stopped", [name], 1) for name in self._standings.stopped())
        found.append(("transform_workers", ["busy"], len(self._busy)))
        found.append(("transform_workers", ["idle"], len(self._idle)))
        return found

    def health(self) -> dict[str, Any]:
        """What holds: layers of the sandbox, workers, scripts on the bench and those that are stopped."""
        alive = self._zygote is not None and self._zygote.alive
        return {
            "alive": alive, "sandbox": self._sandbox,
            "layers": sorted(self._layers), "locked": "seccomp" in self._layers,
            "busy": len(self._busy), "idle": len(self._idle), "waiting": self._seats.waiting,
            "benched": sorted({str(key[0]) for key in self._standings.suspects()}),
            "stopped": dict(self._standings.stopped()),
        }


def _load(script: Script) -> bytes:
    return wire.frame(wire.LOAD, orjson.dumps({
        "name": script.name, "file": script.file, "source": script.source, "timeout": script.timeout,
        "credentials": dict(script.credentials), "language": script.language, "memory": script.memory,
        "libraries": [{"name": lib.name, "file": lib.file, "source": lib.source} for lib in script.libraries
                      if lib.language == script.language],
    }))
