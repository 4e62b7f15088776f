"""A destination that misbehaves in every way there is, beside a healthy one."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from typing import Any, get_args

from bench.faults.account import Outcome, account, settled, sums
from bench.faults.users import Users
from bench.plane import Plane
from bench.sink import Sink
from turnout.testing.chaos import Chaos, Mode

__all__ = ["FAULTS", "sick"]

FAULTS: tuple[str, ...] = (*(mode for mode in get_args(Mode) if mode != "ok"), "no_name")
"""The modes of `Chaos`, and a name that does not resolve."""
HEAD = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
egress: {{allow_private: true}}
sources:
  web: {{write_key: wk_bench}}
destinations:
  plain:
    type: webhook
    settings: {{webhook_url: "{url}/plain"}}
"""
SICK = """\
  {name}:
    type: webhook
    settings: {{webhook_url: "{url}"}}
    delivery: {{timeout: 300ms, concurrency: {concurrency}}}
"""
NOWHERE = "http://nowhere.invalid/"
BEFORE = 1.0
"""Seconds in which all are well, so that there is something to compare with."""


def sick(folder: Path, faults: Sequence[str] = FAULTS, *, seconds: float = 5.0, users: int = 12) -> Outcome:
    """Destinations that have these faults for some seconds under load, then are well again; what became of it.

    `lost` and `disordered` are about all of them: a healthy one gets everything in order, and a sick one too
    in the end, but for what its answers refused for good (dead).
    """
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        tools: dict[str, Chaos] = {name: stack.enter_context(Chaos()) for name in faults}
        plane = Plane(folder, _config(sink, tools))
        stack.callback(plane.kill)
        plane.start()
        with Users(lambda: plane.url, "wk_bench", users) as load:
            time.sleep(BEFORE)
            began = time.monotonic()
            for name, tool in tools.items():
                if name != "no_name":
                    tool.mode = name  # type: ignore[assignment]  # one of FAULTS
            if "no_name" in tools:
                _reload(plane, _config(sink, tools, {"no_name": NOWHERE}))
            time.sleep(seconds)
            ended = time.monotonic()
            load.stop()
        for tool in tools.values():
            tool.mode = "ok"
        if "no_name" in tools:
            _reload(plane, _config(sink, tools))
        for name in tools:
            plane.ask("/resume", json.dumps({"kind": "destination", "name": name}).encode())
        status = settled(plane)
        plane.stop()
    outcome = Outcome("destinations", wrong=sums(status, load.total))
    account(outcome, sink, load.acknowledged, copies={"plain": lambda _: 1})
    for name, tool in tools.items():
        _judge(outcome, name, tool, status["destinations"][name], load.acknowledged)
    outcome.note = f"healthy one: {_latency(load, sink, 0, began)} before, {_latency(load, sink, began, ended)} beside"
    return outcome


def _config(sink: Sink, tools: Mapping[str, Chaos], urls: Mapping[str, str] | None = None) -> str:
    given = urls or {}
    # One at a time where it throttles, so that a user's order does not depend on which 429 came first.
    return HEAD.format(url=sink.url) + "".join(
        SICK.format(name=name, url=given.get(name, tool.url), concurrency=4) for name, tool in tools.items()
    )


def _reload(plane: Plane, config: str) -> None:
    plane.config.write_text(config)
    plane.ask("/reload", b"")


def _judge(
    outcome: Outcome, name: str, tool: Chaos, row: Mapping[str, Any], acknowledged: Mapping[int, int]
) -> None:
    """What a sick destination accepted, against what its row says became of each event."""
    came: dict[tuple[int, int], int] = {}
    for place, body in enumerate(list(tool.accepted)):
        value = json.loads(body)
        came.setdefault((int(value["userId"][1:]), value["properties"]["n"]), place)
    last: dict[int, int] = {}
    for user, n in came:
        outcome.disordered += n < last.get(user, -1)
        last[user] = max(n, last.get(user, -1))
    total = sum(acknowledged.values())
    outcome.again += len(tool.accepted) - len(came)
    outcome.lost += max(0, total - row["dead"] - len(came))
    if row["dead"] and name != "redirect":
        outcome.wrong.append(f"{name}: {row['dead']} dead, though it was only away")
    if row["delivered"] + row["dead"] != total or row["delivered"] > len(came):
        outcome.wrong.append(f"{name}: {row['delivered']} delivered and {row['dead']} dead of {total}, "
                             f"{len(came)} arrived")  # fmt: skip
    if name != "no_name" and not tool.seen[name]:  # type: ignore[index]  # as above
        outcome.wrong.append(f"{name}: it met no request")


def _latency(load: Users, sink: Sink, first: float, last: float) -> str:
    """Median and p99 from sent to arrived of the events sent in a stretch of time."""
    waits: list[float] = []
    for arrival in sink.arrivals:
        value = arrival.json
        sent = load.began[int(value["userId"][1:]), value["properties"]["n"]]
        if first <= sent < last:
            waits.append((arrival.at - sent) * 1000)
    centiles = quantiles(waits, n=100, method="inclusive")
    return f"p50 {centiles[49]:.0f}, p99 {centiles[98]:.0f} ms"
