"""`turnout check`."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import typer

from dataplane.cli.output import json_line, say
from dataplane.cli.sandbox import workers
from dataplane.config import Config, Finding
from dataplane.config import check as check_config
from dataplane.config.diagnostic import InvalidConfig
from dataplane.config.fixtures import read_fixtures
from dataplane.inspect.unreachable import unreachable
from dataplane.pipeline.proof import tried
from dataplane.pipeline.scripts import read_scripts
from transformations.base import Script, Tester
from turnout.errors import ScriptError

__all__ = ["check"]


def check(config: Path, *, as_json: bool, fixtures: bool = True) -> None:
    """Print every finding; exit 1 where one is an error."""
    found = check_config(config, hooks=[partial(_look, fixtures=fixtures), unreachable])
    failed = any(finding.severity == "error" for finding in found)
    if as_json:
        json_line({"ok": not failed, "diagnostics": [finding.as_dict() for finding in found]})
    else:
        for finding in found:
            say(str(finding))
        if not failed:
            say(f"{config}: good")
    if failed:
        raise typer.Exit(1)


def _look(config: Config, *, fixtures: bool) -> list[Finding]:
    """Compile every script in a worker, as the pipeline will, and run its fixtures."""
    return asyncio.run(_look_at_all(config, fixtures=fixtures)) if config.transformations else []


async def _look_at_all(config: Config, *, fixtures: bool) -> list[Finding]:
    try:
        scripts = read_scripts(config)
    except ScriptError as error:
        return [Finding(("transformations",), error)]
    found: list[Finding] = []
    async with workers(config.sandbox) as pool:
        for name, script in scripts.items():
            path = ("transformations", name)
            try:
                await pool.check(script)
            except ScriptError as error:
                found.append(Finding(path, error))
                continue
            if fixtures:
                found += [
                    Finding(path, error) for error in await _prove(pool, script, config.transformations[name].file)
                ]
    return found


async def _prove(pool: Tester, script: Script, file: Path) -> list[ScriptError]:
    """What is wrong with the fixtures of a script, or with the script by them."""
    try:
        fixtures = read_fixtures(file, script.file)
    except InvalidConfig as error:
        return [ScriptError(f"{one.path}: {one.message}".removeprefix(": "), file=one.file, line=one.line)
                for one in error.diagnostics]
    if fixtures is None:
        return []
    return [
        ScriptError(case.failure(), file=case.file, line=case.line)
        async for case in tried(pool, script, fixtures) if case.difference
    ]  # fmt: skip
