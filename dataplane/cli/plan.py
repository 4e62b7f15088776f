"""`turnout plan`."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import typer

from dataplane.cli.client import Client, find_socket
from dataplane.cli.output import counted, cut, json_line, say
from dataplane.cli.progress import Bar
from turnout import codec
from turnout.durations import duration
from turnout.errors import Fixable, TurnoutError
from turnout.spelling import unknown

__all__ = ["CHANGES", "plan"]

CHANGES = 3
"""Exit code where something would change."""
PATIENCE = 240.0
"""Seconds: a minute of events, one of fixtures, and what comes before and between."""
LOOK = 0.2
"""Seconds between looks at how far it is."""
STEPS = {"sampling": "choosing events", "comparing": "", "fixtures": "running fixtures"}
WIDTH = 300
"""Characters of a text that an event or a script made."""


def plan(
    config: Path, socket: Path | None, base: Path | None, events: str, *, last: str, limit: int,
    sources: list[str], examples: int, as_json: bool,
) -> None:
    """Print what would change; exit 0 nothing, 3 something, 1 where its fixtures fail.

    Raises `Fixable` for a candidate that is broken otherwise.
    """
    try:
        seconds = duration(last).total_seconds()
    except ValueError as error:
        raise Fixable(f"--last {cut(last, 40)}: {error}") from None
    if not seconds:
        raise Fixable(f"--last {last}: must be longer than 0s")
    if (base is None) != (not events):
        raise Fixable("give --base and --events together (offline), or neither (the running data plane)")
    if base is not None:
        with Bar("comparing", quiet=as_json, transient=True) as shown:
            found = asyncio.run(_offline(
                config, base, events, sources=sources, limit=limit, examples=examples, shown=shown,
            ))  # fmt: skip
    else:
        wanted = {
            "file": str(config.absolute()), "last": seconds, "limit": limit, "sources": sources, "examples": examples,
        }
        try:
            path = find_socket(config, socket, broken=False)
            with _watched(path, quiet=as_json):
                found = Client(path, PATIENCE).post("/plan", codec.dumps(wanted))
        except Fixable as error:
            raise Fixable(_as_given(str(error), config)) from None
        found["refused"] = [_as_given(line, config) for line in found["refused"]]
    if as_json:
        json_line(found)
    else:
        asked = f" within {last}" + (f" from {' or '.join(sources)}" if sources else "")
        _show(found, asked)
    if found["refused"]:
        raise typer.Exit(1)
    if not found["same"]:
        raise typer.Exit(CHANGES)
    if not found["events"] and found["changed"]:
        raise typer.Exit(1)


@contextmanager
def _watched(path: Path, *, quiet: bool) -> Iterator[None]:
    """A bar on a terminal while the data plane makes the plan."""
    bar, over = Bar("comparing", quiet=quiet, transient=True), threading.Event()
    if not bar.shown:
        yield
        return

    def look(shown: Callable[[int, int | None, str], None]) -> None:
        while not over.wait(LOOK):
            with suppress(TurnoutError):  # the plan itself says what is wrong
                if found := Client(path, timeout=5).get("/plan"):
                    shown(found["done"], found["total"], STEPS.get(found["step"], found["step"]))

    with bar as shown:
        looking = threading.Thread(target=look, args=(shown,), daemon=True)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()


def _as_given(text: str, config: Path) -> str:
    """Findings name the file as the caller named it, not as the data plane read it."""
    return text.replace(str(config.absolute()), str(config))


async def _offline(
    config: Path, base: Path, events: str, *, sources: list[str], limit: int, examples: int,
    shown: Callable[[int, int | None, str], None],
) -> dict[str, Any]:
    """Both configurations from their files, events from a file: for CI, where nothing runs."""
    from dataplane.app.reading import difference, read
    from dataplane.cli.sandbox import workers
    from dataplane.cli.source import read_events
    from dataplane.clock import SystemClock
    from dataplane.inspect.planning import Side, changes, refusals
    from dataplane.inspect.preview import sequence

    before, after = read(base), read(config)
    old, candidate = before.config, after.config
    clock = SystemClock()
    source = (sources or list(old.sources) or [""])[0]
    if source not in old.sources:
        raise Fixable(unknown("source", source, old.sources))
    raws = [codec.dumps(event) for event in read_events(events)][:limit]
    taken = sequence(raws, source, clock.now(), trusted=old.sources[source].trusted)
    async with workers(old.sandbox) as pool:
        found = await changes(
            Side(old), Side(candidate), taken, runner=pool, clock=clock, examples=examples,
            step=lambda done: shown(done, len(taken), ""),
        )  # fmt: skip
        shown(0, None, STEPS["fixtures"])
        refused = await refusals(candidate, pool)
    counts = {"sampled": len(taken), "of": len(raws)}
    return {**found, **counts, **difference(before, after), "restart": [], "refused": refused}


def _show(found: dict[str, Any], asked: str) -> None:
    sampled = "" if found["events"] == found["of"] else f" of about {found['of']:,}, evenly chosen"
    say(f"compared with {counted(found['events'], 'event')}{sampled}" if found["events"]
        else f"no event was received{asked}: there is nothing to compare with")  # fmt: skip
    if found["events"] < found["sampled"]:
        say(f"(then it ended, before the other {found['sampled'] - found['events']:,} that were chosen: "
            f"{found['ended']})")  # fmt: skip
    for name, one in found["destinations"].items():
        _show_destination(name, one, compared=found["events"] > 0)
    if found["restart"]:
        say(f"\na reload cannot change {', '.join(found['restart'])}: that needs a restart")
    if beside := _beside(found):
        say(f"\nbeside destinations: {beside}")
    say(f"\n{_sum(found)}")
    if found["refused"]:
        say("\na reload would refuse this configuration, and change nothing:")
        for line in found["refused"]:
            say(f"  {line}")


def _beside(found: dict[str, Any]) -> str:
    """What else a reload would change: sources, scripts, sections."""
    shown: list[str] = []
    for name in found["changed"]:
        word = "new" if name in found["added"] else "gone" if name in found["removed"] else "changed"
        if not name.startswith("destinations.") and name not in found["restart"]:
            shown.append(f"{name} ({word})")
    return ", ".join(shown)


def _sum(found: dict[str, Any]) -> str:
    """All of it in a sentence."""
    if not found["events"]:
        return ("what would change for events is not known" if found["changed"] else
                "the configuration is the same")  # fmt: skip
    if found["same"]:
        return "nothing would change for these events"
    if all(one["state"] in ("same", "renamed") and not one["changes"] for one in found["destinations"].values()):
        return "nothing would change for these events but the names of destinations"
    return "some of these events would end otherwise"


def _show_destination(name: str, one: dict[str, Any], *, compared: bool) -> None:
    was = f" (was {one['was']})" if one.get("was") else ""
    state = "not compared" if one["state"] == "same" and one["settings"] and not compared else one["state"]
    say(f"\n{name}{was}: {state}")
    if one["settings"]:
        say(f"  differs in {', '.join(one['settings'])}")
    for side in ("before", "after"):
        if one[side] and (one["state"] in ("new", "removed") or one["changes"]):
            say(f"  {side}: " + ", ".join(f"{n:,} {status}" for status, n in one[side].items()))
    for note in one["notes"]:
        say(f"  {note}")
    for change in one["changes"]:
        say(f"  {change['count']:,} {_kind(change['kind'])}")
        for reason, number in sorted(change["reasons"].items(), key=lambda item: -item[1])[:5]:
            say(f"    {number:,} {cut(reason, WIDTH)}")
        for example in change["examples"]:
            _show_example(example)


def _kind(kind: str) -> str:
    return {"request": "sent otherwise", "reason": "stopped by another rule"}.get(kind, kind)


def _show_example(example: dict[str, Any]) -> None:
    name = f" {example['event']!r}" if example.get("event") else ""
    say(f"    e.g. {cut(example['type'], WIDTH)}{name} {cut(example['message_id'], WIDTH)} from {example['source']}")
    for one in example.get("diff", ()):
        if one.get("secret"):
            say(f"      ~ {one['path']}: another secret value")
            continue
        for side, sign in (("before", "-"), ("after", "+")):
            if side in one:
                say(f"      {sign} {one['path']}: {json.dumps(one[side], ensure_ascii=False)}")
    if example.get("more"):
        say(f"      and {example['more']} more")
