"""Commands about the configuration, offline: `init`, `check`, `preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile

__all__ = ["add"]



def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if missing.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
    json: AsJson = False,
) -> None:
    """Write a config.yaml that runs as it is, with an example transformation."""
    from dataplane.cli import init as command

    command.init(folder, force=force, as_json=json)


def check(config: ConfigFile = CONFIG, json: AsJson = False) -> None:
    """Check the configuration and compile every script, offline; exit 1 with file:line:column."""
    from dataplane.cli import check as command

    command.check(config, as_json=json)


def preview(
    destination: Annotated[str, typer.Option("--destination", "-d", help="Id of a destination.")],
    file: Annotated[str, typer.Argument(help="An event, or one a line (NDJSON); - is standard input.")] = "-",
    source: Annotated[str, typer.Option("--source", "-s", help="Source it is taken to come from.")] = "",
    config: ConfigFile = CONFIG,
    json: AsJson = False,
) -> None:
    """Show what a destination would be sent for an event, offline, without sending it."""
    from dataplane.cli import preview as command

    command.preview(config, destination, file, source, as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    for command in (init, check, preview):
        app.command()(command)
