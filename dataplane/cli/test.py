"""`turnout test`: the fixtures beside scripts, run in the sandbox that production has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from dataplane.cli.output import counted, json_line, say
from dataplane.cli.progress import Progress
from dataplane.cli.sandbox import workers
from dataplane.cli.transform import script_of
from dataplane.config import Config, load
from dataplane.config.files import fixture_path
from dataplane.config.fixtures import Fixtures, read_fixtures
from dataplane.pipeline.proof import Tried, tried
from dataplane.pipeline.scripts import read_scripts
from transformations.base import Script
from turnout.errors import Fixable, ScriptError
from turnout.spelling import meant

__all__ = ["test"]


def test(config: Path, names: Sequence[str], *, as_json: bool) -> None:
    """Run the fixtures of these scripts, ids or files; of all of the configuration where none is named."""
    loaded = load(config) if config.exists() or not names else Config()
    found = asyncio.run(_test(_chosen(loaded, config, names), loaded, as_json=as_json))
    failed = sum(not case["ok"] for script in found for case in script["cases"])
    count = sum(len(script["cases"]) for script in found)
    broken = sum(bool(script["error"]) for script in found)
    if as_json:
        json_line({"ok": not failed and not broken, "scripts": found})
    else:
        given = any(script["fixtures"] for script in found)
        none = "no case was run" if given else "there are no fixtures"
        passed = f"{count - failed} of {count} cases passed" if count else none
        say(passed + (f"; {counted(broken, 'script')} cannot be run" if broken else ""))
    if failed or broken:
        raise typer.Exit(1)


def _chosen(config: Config, path: Path, names: Sequence[str]) -> list[tuple[Script, Path]]:
    """Scripts with their files; a name is an id of the configuration, or the file of a script."""
    scripts = read_scripts(config)
    if not names:
        if not scripts:
            raise Fixable(f"{path}: there are no transformations to test")
        return [(script, config.transformations[name].file) for name, script in scripts.items()]
    chosen = []
    for name in names:
        if name in scripts:
            chosen.append((scripts[name], config.transformations[name].file))
        elif Path(name).is_file():
            chosen.append((script_of(Path(name), path), Path(name)))
        else:
            raise Fixable(f"there is no transformation, and no file, named {name}{meant(name, scripts)}")
    return chosen


async def _test(scripts: Sequence[tuple[Script, Path]], config: Config, *, as_json: bool) -> list[dict[str, Any]]:
    # All fixtures are read first: a mistake in one is told before anything has run.
    given = [read_fixtures(path, script.file) for script, path in scripts]
    found: list[dict[str, Any]] = []
    done = 0
    async with workers(config.sandbox) as pool:
        with Progress("cases", sum(len(one.cases) for one in given if one)) as progress:
            for (script, path), fixtures in zip(scripts, given, strict=True):
                error, cases = "", []
                try:
                    await pool.check(script)
                except ScriptError as raised:
                    error = str(raised)
                else:
                    async for case in tried(pool, script, fixtures or Fixtures("", "", (), ())):
                        cases.append(case)
                        done += 1
                        progress.at(done, script.name)
                found.append(_told(script, path, fixtures, cases, error))
                if not as_json:
                    _show(script, path, fixtures, cases, error)
    return found


def _told(
    script: Script, path: Path, fixtures: Fixtures | None, cases: Sequence[Tried], error: str
) -> dict[str, Any]:
    return {
        "name": script.name, "file": script.file, "version": script.version,
        "fixtures": fixtures.file if fixtures else None, "error": error or None,
        "cases": [
            {"name": case.name, "line": case.line, "ok": not case.difference, "diff": list(case.difference)}
            for case in cases
        ],
    }  # fmt: skip


def _show(script: Script, path: Path, fixtures: Fixtures | None, cases: Sequence[Tried], error: str) -> None:
    failed = [case for case in cases if case.difference]
    if error:
        say(f"{script.name}: {error}")
    elif fixtures is None:
        say(f"{script.name}: no fixtures ({fixture_path(path).name} is not there)")
    else:
        say(f"{script.name}: {len(cases) - len(failed)} of {len(cases)} passed")
    for case in failed:
        say(f"\n  {case.file}:{case.line}: {case.name}: - expected, + came out")
        say("\n".join(f"    {line}" for line in case.difference) + "\n")
