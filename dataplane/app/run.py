"""`turnout run`: the supervisor, what stands in front of it, signals, and the ready file."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dataplane.app import notify
from dataplane.app.folders import write_private
from dataplane.app.fork import Forked
from dataplane.app.reaper import reap
from dataplane.app.supervisor import Supervisor
from dataplane.app.watch import Watch
from dataplane.metrics.log import configure, logger
from turnout import __version__, codec
from turnout.errors import Fixable, TurnoutError

__all__ = ["Front", "Options", "serve"]

_log = logger()


class Front(Protocol):
    """What stands in front of the supervisor: the admin API."""

    async def start(self) -> str:
        """Listen; the admin URL."""
        ...

    async def stop(self) -> None:
        """Stop listening."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. `front` is called in a thread while the roles start: it imports a web server.

    `show` prints a line for people, `ready_file` is written when events are taken and carried on. With
    `watch` the configuration is applied whenever one of its files changes. `forked` are processes for the
    roles' first start.
    """

    front: Callable[[Supervisor], Front]
    show: Callable[[str], None]
    demo: bool = False
    watch: bool = False
    ready_file: Path | None = None
    as_json: bool = False
    forked: Mapping[str, Forked] = field(default_factory=dict)


async def serve(path: Path, options: Options) -> None:
    """Run until a signal: SIGTERM and SIGINT drain, a second one ends at once, SIGHUP reloads.

    Raises `TurnoutError` where something cannot start.
    """
    watch = Watch(path) if options.watch else None
    run = _Run(Supervisor(path, options.forked), options, watch)
    configure(role="app")
    await run.run()


SAME = 0.5
"""Seconds within which a second signal is the same request: `make`, `timeout` and terminals send one to
the process and one to its group."""


class _Stopped(Exception):
    """A signal asked for the end while something was still starting."""


class _Run:
    def __init__(self, supervisor: Supervisor, options: Options, watch: Watch | None) -> None:
        self._supervisor = supervisor
        self._watch = watch
        self._options = options
        self._stopping = asyncio.Event()
        self._asked = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened: list[Callable[[], Coroutine[Any, Any, None]]] = []

    async def run(self) -> None:
        self._remove_ready()  # an old one would say ready before we are
        self._take_signals()
        try:
            await self._unless_stopped(self._start())
            self._later(notify.alive())
            self._later(reap(lambda: self._supervisor.pids().values()))
            if self._watch is not None:
                self._later(self._watch.run(self._apply))
            await self._stopping.wait()
            _log.info("app.draining", seconds=self._drain)
            notify.stopping()
        except _Stopped:
            _log.info("app.stopped_while_starting")
        finally:
            for task in self._tasks:
                task.cancel()
            await self._supervisor.stop(self._drain if self._stopping.is_set() else 0)
            for close in reversed(self._opened):
                await close()
            self._remove_ready()
        _log.info("app.stopped")

    async def _start(self) -> None:
        supervisor, options = self._supervisor, self._options
        played = None
        if options.demo:
            from dataplane.app.demo import Demo

            played = Demo(supervisor.config, options.show)
            await played.start()
            self._opened.append(played.stop)
        front, _ = await asyncio.gather(asyncio.to_thread(options.front, supervisor), supervisor.start())
        self._opened.append(front.stop)
        supervisor.admin_url = await front.start()
        if options.ready_file is not None:
            self._write_ready(options.ready_file)
        _log.info("app.ready", url=supervisor.url, admin=supervisor.admin_url, pid=os.getpid())
        options.show(codec.dumps(self._ready()).decode() if options.as_json else banner(supervisor))
        notify.ready(f"SDKs send to {supervisor.url}")
        if played is not None:
            self._later(played.play(supervisor.config, supervisor.url))

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._later(self._hang_up()))

    @property
    def _drain(self) -> float:
        return self._supervisor.config.server.drain.total_seconds()

    def _stop(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._stopping.is_set() and now - self._asked > SAME:
            _log.warning("app.killed")
            self._supervisor.kill()
        elif not self._stopping.is_set():
            self._asked = now
        self._stopping.set()

    async def _reload(self) -> str:
        """Apply the configuration; what was wrong with it, which the log and `turnout status` say too."""
        notify.reloading()
        try:
            await self._supervisor.reload()
        except TurnoutError as error:
            notify.ready("the last reload was rejected; the configuration before it runs on")
            return str(error)
        notify.ready(f"SDKs send to {self._supervisor.url}")
        return ""

    async def _hang_up(self) -> None:
        await self._reload()

    async def _apply(self) -> None:
        wrong = await self._reload()
        if not self._options.as_json:
            old = "the configuration before it runs on"
            self._options.show(f"not applied, {old}:\n{wrong}" if wrong else "the changed configuration is applied")

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work`, or raise `_Stopped` as soon as a signal asks for the end."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        done, _ = await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task not in done:
            task.cancel()
            await asyncio.wait([task])
            raise _Stopped
        await task

    def _ready(self) -> dict[str, Any]:
        supervisor = self._supervisor
        return {
            "url": supervisor.url, "admin": supervisor.admin_url, "pid": os.getpid(),
            "socket": str(supervisor.config.admin.socket), "roles": supervisor.pids(),
        }

    def _write_ready(self, path: Path) -> None:
        try:
            write_private(path, codec.dumps(self._ready()).decode() + "\n")
        except OSError as error:
            raise Fixable(f"--ready-file: cannot write {path}: {error.strerror}") from None

    def _remove_ready(self) -> None:
        if self._options.ready_file is not None:
            self._options.ready_file.unlink(missing_ok=True)


def banner(supervisor: Supervisor) -> str:
    """What a person needs first: where to send, with which key, where to look."""
    config = supervisor.config
    configured = bool(config.admin.token.get_secret_value())
    place = "from the configuration" if configured else f"in {config.data / 'admin.token'}"
    lines = [f"Turnout {__version__} runs. SDKs send to {supervisor.url}"]
    lines += [f"  source {name}: write key {source.keys[0]}" for name, source in config.sources.items()]
    lines.append(f"  admin API and /metrics: {supervisor.admin_url} (token {place})")
    lines.append("  `turnout status` shows how it is; Ctrl-C stops it")
    return "\n".join(lines)
