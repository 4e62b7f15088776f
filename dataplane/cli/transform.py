"""`turnout transform`: scripts on events, in the sandbox that production has."""

from __future__ import annotations

import asyncio
import difflib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from dataplane.cli.output import counted, json_line, say
from dataplane.config import load
from dataplane.config.languages import language_of
from dataplane.pipeline.scripts import read_libraries, read_scripts
from transformations.base import Failed, Item, Library, Script
from transformations.case import Case, outcome, results
from transformations.pool import Pool
from transformations.recorded import Recorded
from turnout import codec
from turnout.durations import write_time
from turnout.errors import Fixable, Refused, ScriptError

__all__ = ["cases", "script_of", "transform"]


def cases(lines: Iterable[str]) -> None:
    """Run one case a line of standard input; one line of results each, in order."""
    asyncio.run(_cases(lines))


async def _cases(lines: Iterable[str]) -> None:
    pool = Pool(1, warm=1)
    await pool.start()
    try:
        for number, line in enumerate(lines, 1):
            if line.strip():
                json_line(await _case(pool, line, number))
    finally:
        await pool.stop()


async def _case(pool: Pool, line: str, number: int) -> dict[str, Any]:
    try:
        case = Case.model_validate(codec.loads(line.encode("utf-8", "replace")))
    except (Refused, ValidationError) as error:
        raise Fixable(f"line {number} is no case: {_first(error)}") from None
    script = case.script(f"line {number}")
    loads = True
    try:
        await pool.check(script)
    except ScriptError:
        loads = False
    trial = await pool.trial(script, case.items(), case.reach())
    return {
        "id": case.id,
        "outcome": outcome(trial.results, loads=loads),
        "results": results(trial.results),
        "logs": [f"Log: {line}" for line in trial.logs],
    }


def _first(error: Refused | ValidationError) -> str:
    if isinstance(error, Refused):
        return error.message
    found = error.errors()[0]
    return f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"


# ---- one script over a file of events


def transform(script: Script, events: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Run a script over events and show what it changes; exit 1 where it fails for one."""
    failed = asyncio.run(_show(script, events, as_json=as_json))
    if failed:
        raise typer.Exit(1)


def script_of(file: Path, config: Path) -> Script:
    """The script as the config has it, with its libraries; by itself where the config does not name it."""
    libraries: tuple[Library, ...] = ()
    if config.exists():
        loaded = load(config)
        for script in read_scripts(loaded).values():
            if Path(script.file).resolve() == file.resolve():
                return script
        libraries = tuple(read_libraries(loaded))
    try:
        source = file.read_text(encoding="utf-8")
    except OSError as error:
        raise Fixable(f"{file}: cannot be read: {error.strerror}") from None
    return Script(file.stem, source, file=str(file), language=language_of(None, file), libraries=libraries)


async def _show(script: Script, events: Sequence[dict[str, Any]], *, as_json: bool) -> bool:
    pool = Pool(1)
    await pool.start()
    try:
        await pool.check(script)
        items = [Item(codec.dumps(event), codec.dumps({"messageId": event.get("messageId")})) for event in events]
        begun = time.perf_counter()
        trial = await pool.trial(script, items, Recorded())
        took = time.perf_counter() - begun
    finally:
        await pool.stop()
    if as_json:
        json_line({"results": results(trial.results), "logs": trial.logs, "seconds": round(took, 6)})
    else:
        for place, (event, ran) in enumerate(zip(events, trial.results, strict=True), 1):
            _diff(f"event {event.get('messageId') or place}", event, ran)
        for line in trial.logs:
            say(f"log: {line}")
        each = write_time(took / max(1, len(events)))
        say(f"{counted(len(events), 'event')}, version {script.version}, {each} an event")
    return any(isinstance(ran, Failed) for ran in trial.results)


def _diff(name: str, event: dict[str, Any], ran: Any) -> None:
    if isinstance(ran, Failed):
        say(f"# {name}: {ran.kind}: {ran.reason}\n")
        return
    if not ran.events:
        say(f"# {name}: dropped\n")
        return
    before = _pretty(event)
    for number, raw in enumerate(ran.events, 1):
        lines = list(difflib.unified_diff(before, _pretty(codec.loads(raw)), n=1, lineterm=""))[2:]
        of = f" ({number} of {len(ran.events)})" if len(ran.events) > 1 else ""
        say("\n".join([f"# {name}{of}: {'changed' if lines else 'unchanged'}", *lines, ""]))


def _pretty(value: Any) -> list[str]:
    return json.dumps(value, indent=2, ensure_ascii=False).splitlines()


def standard_input() -> Iterable[str]:
    """Lines as they come, so that a program can ask and answer in turn."""
    return iter(sys.stdin.readline, "")
