"""SIGKILL to the roles of a data plane, again and again, under load of many users."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

from bench import cpu
from bench.faults.account import Outcome
from bench.faults.scene import Scene, settled
from bench.plane import Plane

__all__ = ["TARGETS", "family", "kill_and_wait", "kill_under_load"]

TARGETS = ("all", "app", "ingest", "pipeline", "zygote", "worker")
"""all: every process at once, as a power cut. app: the app alone; its roles must end with it. ingest, pipeline: the
roles of that name, `ingest-1` too, in turn. zygote, worker: what runs the scripts."""


def kill_under_load(
    folder: Path, kills: int, targets: Sequence[str] = (), *, seed: int = 7, users: int = 24,
    pipelines: int = 1, say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run a data plane in `folder`, kill one of `targets` `kills` times at random moments, settle, count.

    `pipelines` is how many processes deliver. Without targets: all of them, and every role that the app reports.
    Given kills enough, each is met.
    """
    chance, killed = random.Random(seed), Counter[str]()
    with Scene(folder, pipelines=pipelines) as scene, scene.users(users, 0.08) as load:
        for number, victim in enumerate(_order(scene.plane, targets, kills, chance), 1):
            time.sleep(chance.uniform(0.1, 0.9))
            killed[kill_and_wait(scene, victim)] += 1
            say(f"kill {number} of {kills}: {victim}; {load.total:,} acknowledged")
        time.sleep(0.5)
        load.stop()
        status = settled(scene.plane)
        code = scene.plane.stop()
        outcome = scene.judge(Outcome("kills", kills), load, status)
    if code:
        outcome.wrong.append(f"stopped afterwards, it ended with {code}")
    outcome.note = f"seed {seed}; " + ", ".join(f"{name} {count}" for name, count in sorted(killed.items()))
    return outcome


def family(role: str) -> str:
    """What roles are a number of: `ingest-1` is one of `ingest`."""
    name, _, number = role.rpartition("-")
    return name if number.isdigit() else role


def _order(plane: Plane, targets: Sequence[str], kills: int, chance: random.Random) -> list[str]:
    """Which are killed, one after the other: each role of a family as often as the others."""
    roles = [name for name in plane.roles() if name != "app" and not name.startswith("other-")]
    wanted = targets or [*TARGETS, *sorted({family(role) for role in roles} - {*TARGETS})]
    found = [one for target in wanted for one in ([r for r in roles if family(r) == target] or [target])]
    order = [found[number % len(found)] for number in range(kills)]
    chance.shuffle(order)
    return order


def kill_and_wait(scene: Scene, victim: str) -> str:
    """Kill it, and see it come back; what it was."""
    plane = scene.plane
    if victim == "all":
        moment = time.monotonic()
        plane.kill()
        scene.ended(moment)
        plane.start()
    elif victim == "app":
        moment = time.monotonic()
        os.kill(plane.pid, signal.SIGKILL)
        plane.wait()
        scene.ended(moment)
        plane.start()
    else:
        pid = _victim(plane, victim)
        ports = cpu.ports(pid)
        moment = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        if family(victim) == "pipeline":
            scene.ended(moment, ports)
        if victim not in ("zygote", "worker"):
            _again(plane, victim, pid)
    return victim


def _victim(plane: Plane, victim: str) -> int:
    """The process id of a role, of a zygote, or of one of a zygote's workers, once there is one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        roles = plane.roles()
        pids = [roles[victim]] if victim in roles else []
        if victim in ("zygote", "worker"):
            pids = [zygote for role, pid in roles.items() if family(role) == "pipeline" for zygote in cpu.children(pid)]
            if victim == "worker":
                pids = [worker for zygote in pids for worker in cpu.children(zygote)]
        if pids:
            return pids[-1]
        time.sleep(0.01)
    raise TimeoutError(f"there is no {victim} process; the roles are {plane.roles()}")


def _again(plane: Plane, role: str, old: int) -> None:
    """Wait until a role runs again. A reload shortens the pause before it, which grows with each death."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(URLError):  # refused while a role is between two lives: asked again
            plane.ask("/reload", b"")
        now = plane.status()["roles"][role]
        if now["state"] == "running" and now["pid"] != old:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{role} did not come back: {plane.output}")
