"""SIGKILL to the roles of a data plane, again and again, under load of many users."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.error import URLError

from bench import cpu
from bench.faults.account import Answers, Outcome, account, settled, sums
from bench.faults.users import Users
from bench.plane import Plane
from bench.sink import Sink

__all__ = ["TARGETS", "Target", "kill_under_load"]

Target = Literal["all", "app", "ingest", "pipeline", "zygote", "worker"]
TARGETS: tuple[Target, ...] = ("all", "app", "ingest", "pipeline", "zygote", "worker")
"""all: every process at once, as a power cut. app: the app alone; its roles must end with it."""

CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
egress: {{allow_private: true}}
sources:
  web: {{write_key: wk_bench}}
transformations:
  shape: {{file: shape.py}}
destinations:
  plain:
    type: webhook
    settings: {{webhook_url: "{url}/plain"}}
  shaped:
    type: webhook
    settings: {{webhook_url: "{url}/shaped"}}
    delivery: {{batch: 20, linger: 20ms}}
    transformation: shape
"""
SHAPE = """\
def transformEvent(event, metadata):
    last = event["properties"]["n"] % 10
    if last == 3:
        return None
    if last == 7:
        raise ValueError("seven")
    return [event, event] if last == 5 else event
"""


def kill_under_load(
    folder: Path, kills: int, targets: Sequence[Target] = TARGETS, *, seed: int = 7, users: int = 24,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run a data plane in `folder`, kill one of `targets` `kills` times at random moments, settle, count.

    With six kills or more every target is met at least once.
    """
    chance = random.Random(seed)
    order = [*targets, *chance.choices(targets, k=max(0, kills - len(targets)))][:kills]
    chance.shuffle(order)
    moments: list[float] = []
    (folder / "shape.py").write_text(SHAPE)
    with Sink(Answers()) as sink:
        plane = Plane(folder, CONFIG.format(url=sink.url)).start()
        try:
            with Users(lambda: plane.url, "wk_bench", users) as load:
                for number, target in enumerate(order, 1):
                    time.sleep(chance.uniform(0.1, 0.9))
                    moments.append(_kill(plane, target))
                    say(f"seed {seed}, kill {number} of {kills}: {target}; {load.total} acknowledged")
                time.sleep(0.5)
                load.stop()
            status = settled(plane)
            plane.stop()
        finally:
            plane.kill()
    outcome = Outcome(f"kill -9: {', '.join(targets)}", kills)
    outcome.wrong = sums(status, load.total)
    outcome.note = f"seed {seed}"
    return account(outcome, sink, load.acknowledged, moments)


def _kill(plane: Plane, target: Target) -> float:
    """Kill it and bring it back; when it was killed."""
    if target == "all":
        plane.kill()
        moment = time.monotonic()
        plane.start()
        return moment
    if target == "app":
        os.kill(plane.pid, signal.SIGKILL)
        moment = time.monotonic()
        plane.wait()
        plane.start()
        return moment
    pid = _victim(plane, target)
    os.kill(pid, signal.SIGKILL)
    moment = time.monotonic()
    if target in ("ingest", "pipeline"):
        _again(plane, target, pid)
    return moment


def _victim(plane: Plane, target: Target) -> int:
    """The process id of a role, of the zygote, or of one of the zygote's workers, once there is one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        roles = plane.roles()
        pids = [roles[target]] if target in roles else []
        if target in ("zygote", "worker") and "pipeline" in roles:
            pids = cpu.children(roles["pipeline"])
            if target == "worker":
                pids = [worker for zygote in pids for worker in cpu.children(zygote)]
        if pids:
            return pids[-1]
        time.sleep(0.01)
    raise TimeoutError(f"there is no {target} process; the roles are {plane.roles()}")


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
