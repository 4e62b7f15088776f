"""`turnout check`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from dataplane.cli.output import json_line, say
from dataplane.cli.sandbox import workers
from dataplane.config import Config, Finding
from dataplane.config import check as check_config
from dataplane.pipeline.scripts import read_scripts
from turnout.errors import ScriptError

__all__ = ["check"]


def check(config: Path, *, as_json: bool) -> None:
    """Print every finding; exit 1 where one is an error."""
    found = check_config(config, hooks=[_compile])
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


def _compile(config: Config) -> list[Finding]:
    """Compile every script in a worker, as the pipeline will."""
    return asyncio.run(_compile_all(config)) if config.transformations else []


async def _compile_all(config: Config) -> list[Finding]:
    try:
        scripts = read_scripts(config)
    except ScriptError as error:
        return [(("transformations",), error)]
    found: list[Finding] = []
    async with workers() as pool:
        for name, script in scripts.items():
            try:
                await pool.check(script)
            except ScriptError as error:
                found.append((("transformations", name), error))
    return found
