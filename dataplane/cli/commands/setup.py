"""Commands about the configuration: `init`, `check`, `preview`, `plan`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, Socket

__all__ = ["add"]



def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if missing.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
    json: AsJson = False,
) -> None:
    """Write a config.yaml that runs as it is, with an example transformation."""
    from dataplane.cli import init as command

    command.init(folder, force=force, as_json=json)


def check(
    config: ConfigFile = CONFIG,
    fixtures: Annotated[bool, typer.Option(help="Run the fixtures beside scripts too.")] = True,
    json: AsJson = False,
) -> None:
    """Check the configuration, compile every script and run its fixtures, offline; exit 1 with file:line:column."""
    from dataplane.cli import check as command

    command.check(config, as_json=json, fixtures=fixtures)


def preview(
    *,
    destination: Annotated[str, typer.Option("--destination", "-d", help="Id of a destination.")] = "",
    file: Annotated[str, typer.Argument(help="An event, or one a line (NDJSON); - is standard input.")] = "-",
    events: Annotated[str, typer.Option("--events", help="The same as the argument.")] = "",
    source: Annotated[str, typer.Option("--source", "-s", help="Source it is taken to come from.")] = "",
    config: ConfigFile = CONFIG,
    jsonl: Annotated[
        bool,
        typer.Option("--jsonl", help="Read cases from standard input, one a line, each with its settings."),
    ] = False,
    json: AsJson = False,
) -> None:
    """Show what a destination would be sent for an event, offline, without sending it.

    Nothing is asked either: where a tool is looked up first, what is shown is for one that knows nothing yet.
    """
    from dataplane.cli import preview as command

    if jsonl == bool(destination):
        raise typer.BadParameter("give --destination with an id under `destinations:` in the config, or --jsonl")
    if jsonl:
        command.cases(sys.stdin)
        return
    file = events or file
    command.preview(config, destination, file, source, as_json=json)


def plan(
    *,
    config: ConfigFile = CONFIG,
    last: Annotated[str, typer.Option("--last", help="Take events received since: 90m, 24h, 7d.")] = "1h",
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many, evenly chosen.")
    ] = 1_000,
    source: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads it at run time
        typer.Option("--source", "-s", help="Only this source; repeatable."),
    ] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, max=20, help="Shown of each change.")] = 3,
    base: Annotated[
        Optional[Path],  # noqa: UP045 - as above
        typer.Option("--base", help="Compare with this file, offline, instead of with what runs."),
    ] = None,
    events: Annotated[str, typer.Option("--events", help="With --base: events, one a line; - is stdin.")] = "",
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Show what a configuration would change for recent events, sending nothing; exit 3 if it would."""
    from dataplane.cli import plan as command

    command.plan(
        config, socket, base, events, last=last, limit=limit, sources=source or [], examples=examples,
        as_json=json,
    )


def add(app: typer.Typer) -> None:
    """Declare them."""
    for command in (init, check, preview, plan):
        app.command()(command)
