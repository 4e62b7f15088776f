"""A role's process: `python -m dataplane.app.role ingest|ingest-1|…|pipeline|…`, its channel on standard input.

The configuration comes over the channel, never through arguments or the environment. When the
channel ends the app is gone, and the role ends too, at once: the log and the state files are made
for that.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from dataplane.app.control import Channel
from dataplane.app.loop import run
from dataplane.app.parentage import die_with_parent
from dataplane.app.place import Place, known, partition_of, process_of
from dataplane.config import Config, fingerprint, parse
from dataplane.metrics.log import configure, logger
from dataplane.pipeline.scripts import Texts
from turnout.errors import Unavailable

__all__ = ["Conductor", "Role", "main"]

_log = logger()


class Role(Protocol):
    """What a process of the data plane does; the conductor speaks for it on the channel."""

    async def start(self, config: Config, place: Place, texts: Texts | None = None) -> dict[str, Any]:
        """Begin work; plain JSON for the app (the ingest role's URL). `texts` are those of the scripts in force."""
        ...

    async def hold(self, orders: dict[str, Any]) -> None:
        """What the app says beside the config (`Orders.plain`); also before `start`."""
        ...

    async def prepare(self, config: Config, texts: Texts | None = None) -> None:
        """Make ready for `config` and the `texts` of its scripts; raises `Fixable`, and changes nothing yet."""
        ...

    async def commit(self) -> None:
        """Switch to what was prepared."""
        ...

    async def abort(self) -> None:
        """Forget what was prepared."""
        ...

    def stats(self) -> list[Any]:
        """Samples `[metric, [label values], number]`."""
        ...

    async def status(self) -> dict[str, Any]:
        """Plain JSON for `turnout status`."""
        ...

    async def call(self, verb: str, args: dict[str, Any]) -> Any:
        """Answer a verb of this role's own; raises `Unavailable` for an unknown one."""
        ...

    async def drain(self, deadline: float) -> None:
        """Take nothing new, finish what is in flight within `deadline` seconds, store, close."""
        ...


class Conductor:
    """Answers the app's verbs for one role: start, prepare, commit, abort, stats, status, drain …"""

    def __init__(self, name: str, role: Role) -> None:
        self.name = name
        self._role = role
        self._prepared: str | None = None
        self._started = False
        self.channel: Channel | None = None
        """To the app; set before it asks anything."""

    async def answer(self, verb: str, args: dict[str, Any]) -> Any:
        """Answer one verb."""
        if verb == "start":
            return await self._start(args)
        if not self._started:
            raise Unavailable(f"the {self.name} role is still starting")
        if verb == "prepare":
            return await self._prepare(args)
        if verb in ("commit", "abort"):
            return await self._finish(verb, args)
        if verb == "stats":
            return [*self._role.stats(), *usage(self.name)]
        if verb == "status":
            return await self._role.status()
        if verb == "hold":
            return await self._role.hold(args)
        if verb == "drain":
            return await self._role.drain(float(args["deadline"]))
        return await self._role.call(verb, args)

    async def _start(self, args: dict[str, Any]) -> dict[str, Any]:
        config = parse(args["text"], args["file"], files=args.get("secrets"))
        if args.get("port"):  # all ingest processes are where the first is, also when they come back
            server = config.server.model_copy(update={"port": args["port"]})
            config = config.model_copy(update={"server": server})
        await self._role.hold(args.get("orders") or {})
        place = Place(
            partition_of(self.name) or 0, process_of(self.name) or 0, int(args.get("run") or 0),
            joining=bool(args.get("joining")), ask=self.channel.ask if self.channel else None,
        )  # fmt: skip
        try:
            reply = await self._role.start(config, place, args.get("scripts"))
        except OSError as error:  # a folder that is read-only or another user's, a disk that is full
            _log.failure("role.not_started", error)
            where = f"{error.filename} cannot be used: " if error.filename else ""
            raise Unavailable(f"{where}{error.strerror or error}") from None
        self._started = True
        return reply

    async def _prepare(self, args: dict[str, Any]) -> dict[str, Any]:
        config = parse(args["text"], args["file"], files=args.get("secrets"))
        await self._role.prepare(config, args.get("scripts"))
        self._prepared = fingerprint(config)
        return {"hash": self._prepared}

    async def _finish(self, verb: str, args: dict[str, Any]) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            raise Unavailable(f"nothing was prepared to {verb}")
        if verb == "abort":
            await self._role.abort()
            return
        if args.get("hash") != prepared:
            await self._role.abort()
            raise Unavailable("another configuration was prepared than is to be committed")
        await self._role.commit()


def usage(role: str) -> list[Any]:
    """Samples about this process: CPU seconds and resident bytes."""
    times = os.times()
    return [
        ["turnout_process_cpu_seconds_total", [role], times.user + times.system],
        ["turnout_process_resident_bytes", [role], resident()],
    ]


def resident() -> int:
    """Resident bytes of this process: now where /proc says it, else the most there ever were."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def make(name: str) -> Role:
    """The role of that name; its rooms are imported here, so that a role carries only its own."""
    if partition_of(name) is not None:
        from dataplane.app.ingest import Ingest

        return Ingest()
    from dataplane.app.pipeline import Pipeline

    return Pipeline()


def shared() -> None:
    """Import what every role imports, for the process that they are forked from."""
    for name in ("aiohttp.web", "dataplane.log.local", "turnout.destination"):
        import_module(name)


def _take_channel() -> socket.socket:
    """The channel from standard input, which then reads nothing; children never inherit it."""
    sock = socket.socket(fileno=os.dup(0))
    _read_nothing()
    return sock


def _read_nothing() -> None:
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)


async def _serve(name: str, role: Role, sock: socket.socket) -> None:
    sock.setblocking(False)
    conductor = Conductor(name, role)
    configure(role=name)
    conductor.channel = await Channel.over(sock, conductor.answer)
    await conductor.channel.serve()


def _prepare(name: str) -> None:
    die_with_parent()
    with suppress(OSError):  # Linux: what top and ps -A call it; a forked process keeps the app's command line
        Path("/proc/self/comm").write_text(name)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal sends them to everyone; the app decides


def forked(name: str, sock: socket.socket) -> None:
    """Run a role in a process that was forked for it, once the app has sent what it must hold.

    Its rooms are imported meanwhile. The app may end before, where it cannot start.
    """
    _prepare(name)
    _read_nothing()
    role = make(name)
    word, held, _, _ = socket.recv_fds(sock, 1, 8)  # the lock of the data folder: held until this process ends
    if word:
        with suppress(KeyboardInterrupt):
            run(_serve(name, role, sock))
    for file in held:
        os.close(file)


def main() -> None:
    """Run the role named by the only argument until the app is gone."""
    if len(sys.argv) != 2 or not known(sys.argv[1]):
        sys.exit("usage: python -m dataplane.app.role ingest|ingest-N|pipeline|pipeline-N (started by `turnout run`)")
    name = sys.argv[1]
    _prepare(name)
    sock = _take_channel()
    with suppress(KeyboardInterrupt):
        run(_serve(name, make(name), sock))


if __name__ == "__main__":
    main()
