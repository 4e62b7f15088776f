"""`turnout plan`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import typer

from dataplane.cli.client import Client, find_socket
from dataplane.cli.output import json_line, say
from turnout import codec
from turnout.durations import duration
from turnout.errors import Fixable

__all__ = ["CHANGES", "plan"]

CHANGES = 3
"""Exit code where something would change."""


def plan(
    config: Path, socket: Path | None, base: Path | None, events: str, *, last: str, limit: int,
    sources: list[str], examples: int, as_json: bool,
) -> None:
    """Print what would change; exit 0 nothing, 3 something, 1 where its fixtures fail.

    Raises `Fixable` for a candidate that is broken otherwise.
    """
    try:
        seconds = duration(last).total_seconds()
    except ValueError:
        raise Fixable(f"--last: {last} is no duration such as 90m, 24h or 7d") from None
    if (base is None) != (not events):
        raise Fixable("give --base and --events together (offline), or neither (the running data plane)")
    if base is not None:
        found = asyncio.run(_offline(config, base, events, sources=sources, limit=limit, examples=examples))
    else:
        wanted = {
            "file": str(config.absolute()), "last": seconds, "limit": limit, "sources": sources, "examples": examples,
        }
        try:
            found = Client(find_socket(config, socket)).post("/plan", codec.dumps(wanted))
        except Fixable as error:
            raise Fixable(_as_given(str(error), config)) from None
        found["refused"] = [_as_given(line, config) for line in found["refused"]]
    if as_json:
        json_line(found)
    else:
        _show(found)
    if found["refused"]:
        raise typer.Exit(1)
    if not found["same"]:
        raise typer.Exit(CHANGES)


def _as_given(text: str, config: Path) -> str:
    """Findings name the file as the caller named it, not as the data plane read it."""
    return text.replace(str(config.absolute()), str(config))


async def _offline(
    config: Path, base: Path, events: str, *, sources: list[str], limit: int, examples: int
) -> dict[str, Any]:
    """Both configurations from their files, events from a file: for CI, where nothing runs."""
    from dataplane.cli.sandbox import workers
    from dataplane.cli.source import read_events
    from dataplane.clock import SystemClock
    from dataplane.config import load
    from dataplane.inspect.planning import Side, changes, refusals
    from dataplane.inspect.preview import sequence

    old, candidate = load(base), load(config)
    clock = SystemClock()
    source = (sources or list(old.sources) or [""])[0]
    if source not in old.sources:
        raise Fixable(f"no source is called {source} (there are: {', '.join(old.sources) or 'none'})")
    raws = [codec.dumps(event) for event in read_events(events)][:limit]
    taken = sequence(raws, source, clock.now(), trusted=old.sources[source].trusted)
    async with workers(old.sandbox) as pool:
        found = await changes(Side(old), Side(candidate), taken, runner=pool, clock=clock, examples=examples)
        refused = await refusals(candidate, pool)
    return {**found, "sampled": len(taken), "of": len(raws), "restart": [], "refused": refused}


def _show(found: dict[str, Any]) -> None:
    sampled = "" if found["events"] == found["of"] else f" of about {found['of']:,}, evenly chosen"
    say(f"compared with {found['events']:,} events{sampled}")
    if found["events"] < found["sampled"]:
        say(f"(time ran out before the other {found['sampled'] - found['events']:,} that were chosen)")
    for name, one in found["destinations"].items():
        _show_destination(name, one)
    if found["restart"]:
        say(f"\na reload cannot change {', '.join(found['restart'])}: that needs a restart")
    say("\nnothing would change for these events" if found["same"] else "\nsome of these events would end otherwise")
    if found["refused"]:
        say("\na reload would refuse this configuration, and change nothing:")
        for line in found["refused"]:
            say(f"  {line}")


def _show_destination(name: str, one: dict[str, Any]) -> None:
    was = f" (was {one['was']})" if one.get("was") else ""
    say(f"\n{name}{was}: {one['state']}")
    if one["settings"]:
        say(f"  differs in {', '.join(one['settings'])}")
    for side in ("before", "after"):
        if one[side] and (one["state"] in ("new", "removed") or one["changes"]):
            say(f"  {side}: " + ", ".join(f"{n:,} {status}" for status, n in one[side].items()))
    if one["state"] == "removed":
        say(f"  while it has a backlog, a reload wants `was: {name}` at the destination that takes it over, "
            f"or `discard: [{name}]`")  # fmt: skip
    for change in one["changes"]:
        say(f"  {change['count']:,} {_kind(change['kind'])}")
        for reason, number in sorted(change["reasons"].items(), key=lambda item: -item[1])[:5]:
            say(f"    {number:,} {reason}")
        for example in change["examples"]:
            _show_example(example)


def _kind(kind: str) -> str:
    return {"request": "sent otherwise", "reason": "stopped by another rule"}.get(kind, kind)


def _show_example(example: dict[str, Any]) -> None:
    name = f" {example['event']!r}" if example.get("event") else ""
    say(f"    e.g. {example['type']}{name} {example['message_id']} from {example['source']}")
    for one in example.get("diff", ()):
        if one.get("secret"):
            say(f"      ~ {one['path']}: another secret value")
            continue
        for side, sign in (("before", "-"), ("after", "+")):
            if side in one:
                say(f"      {sign} {one['path']}: {json.dumps(one[side], ensure_ascii=False)}")
    if example.get("more"):
        say(f"      and {example['more']} more")
