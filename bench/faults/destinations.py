"""A destination that misbehaves in every way there is, beside healthy ones, with and without a script before it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from typing import Any, get_args

from bench.faults.account import Arrival, Fate, Outcome, arrived, verdicts
from bench.faults.machine import Machine
from bench.faults.scene import FATES, Scene, settled
from bench.faults.users import Users
from turnout.testing.chaos import Chaos, Mode

__all__ = ["FAULTS", "sick"]

FAULTS: tuple[str, ...] = (*(mode for mode in get_args(Mode) if mode != "ok"), "no_name", "no_resolver")
"""The modes of `Chaos`, a name that does not exist, and a resolver that does not answer."""
SILENT = frozenset({"hang", "trickle"})
"""What does not answer in time, and has less of it than others, who must not run out of it on a busy machine."""
UNHEARD = SILENT | {"ok_reset"}
"""What may have accepted an event whose answer nobody heard: it is sent again, as it must be."""
SICK = """\
  {name}:
    type: webhook
    settings: {{webhook_url: "{url}"}}
    delivery: {{timeout: {timeout}, concurrency: 4}}
"""
SCRIPTED = "    transformation: shape\n"
SHAPED = "-shaped"
NOWHERE = "http://nowhere.invalid/"
BEFORE = 1.0
"""Seconds in which all are well, so that there is something to compare with."""


def sick(folder: Path, faults: Sequence[str] = FAULTS, *, seconds: float = 4.0, users: int = 12) -> Outcome:
    """Destinations that have these faults for some seconds under load, then are well again; what became of it.

    All are judged: a healthy one gets everything in order, and a sick one too in the end, but for what its answers
    refused for good (dead).
    """
    with ExitStack() as stack:
        machine = stack.enter_context(Machine(folder / "machine")) if "no_resolver" in faults else None
        names = [name + more for name in faults for more in ("", SHAPED)]
        tools = {name: stack.enter_context(Chaos()) for name in names}
        scene = stack.enter_context(Scene(folder, more=_config(tools), environ=machine.environ if machine else None))
        healthy = scene.plane.config.read_text()
        with scene.users(users) as load:
            time.sleep(BEFORE)
            began = time.monotonic()
            failing = healthy
            for name, tool in tools.items():
                fault = _fault(name)
                if fault == "no_name":
                    failing = failing.replace(tool.url, NOWHERE)
                else:  # a resolver is asked for new connections only
                    tool.mode = "close" if fault == "no_resolver" else fault
            if machine is not None:
                machine.fail_names()
            _reload(scene, failing)
            time.sleep(seconds)
            ended = time.monotonic()
            load.stop()
        for tool in tools.values():
            tool.mode = "ok"
        unresolved = machine.failed if machine is not None else 0
        if machine is not None:
            machine.mend()
        _reload(scene, healthy)
        for name in tools:
            scene.plane.resume(name)
        status = settled(scene.plane)
        scene.plane.stop()
        outcome = scene.judge(Outcome("destinations"), load, status)
        latency = [_latency(load, scene, first, last) for first, last in ((0.0, began), (began, ended))]
    for name, tool in tools.items():
        _judge(outcome, name, tool, status, load.acknowledged)
    if machine is not None and not unresolved:
        outcome.wrong.append("no_resolver: nothing was looked up")
    outcome.note = f"healthy one: {latency[0]} before, {latency[1]} beside"
    return outcome


def _fault(name: str) -> str:
    return name.removesuffix(SHAPED)


def _address(name: str, tool: Chaos) -> str:
    return tool.url.replace("127.0.0.1", "localhost") if name.startswith("no_resolver") else tool.url


def _config(tools: Mapping[str, Chaos]) -> str:
    return "".join(
        SICK.format(name=name, url=_address(name, tool), timeout="600ms" if _fault(name) in SILENT else "10s")
        + (SCRIPTED if name.endswith(SHAPED) else "")
        for name, tool in tools.items()
    )


def _reload(scene: Scene, config: str) -> None:
    scene.plane.config.write_text(config)
    scene.plane.ask("/reload", b"")


def _judge(
    outcome: Outcome, name: str, tool: Chaos, status: Mapping[str, Any], acknowledged: Mapping[int, int]
) -> None:
    """What a sick destination accepted, against its events' fates and what its row says became of them."""
    fault, row = _fault(name), status["destinations"][name]
    fate = FATES["shaped"] if name.endswith(SHAPED) else lambda _: Fate()
    arrivals = [_arrival(json.loads(body)) for body in list(tool.accepted)]
    found = arrived(Outcome(name), arrivals, acknowledged, fate)
    outcome.again += found.again
    outcome.disordered += found.disordered
    outcome.stray += 0 if fault in UNHEARD else found.stray
    # A redirect is no answer that is worth another try: those are dead, and nothing else is.
    refused = row["dead"] - sum(fate(n).dead for count in acknowledged.values() for n in range(count))
    if refused and fault != "redirect":
        outcome.wrong.append(f"{name}: {refused} dead, though it was only away")
    outcome.lost += max(0, found.lost - 2 * refused) if fault == "redirect" else found.lost
    if fault != "redirect":
        outcome.wrong += verdicts(status, acknowledged, {name: fate})
    if not fault.startswith("no_") and not tool.seen[fault]:  # type: ignore[index]  # one of FAULTS
        outcome.wrong.append(f"{name}: it met no request")


def _arrival(event: Mapping[str, Any]) -> Arrival:
    return Arrival(int(event["userId"][1:]), int(event["properties"]["n"]))


def _latency(load: Users, scene: Scene, first: float, last: float) -> str:
    """Median and p99 from sent to arrived of the events of *shaped* that were sent in a stretch of time."""
    waits = [
        (one.at - sent) * 1000 for one in scene.arrivals("shaped")
        if one.at is not None and one.accepted and first <= (sent := load.began[one.user, one.n]) < last
    ]
    centiles = quantiles(waits, n=100, method="inclusive")
    return f"p50 {centiles[49]:.0f}, p99 {centiles[98]:.0f} ms"
