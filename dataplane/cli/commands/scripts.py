"""Commands about scripts: `transform`, `test`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile

__all__ = ["add"]


def transform(
    script: Annotated[
        Optional[Path],  # noqa: UP045 - typer shows it in help as PATH
        typer.Argument(help="A script; its libraries are those of the configuration."),
    ] = None,
    events: Annotated[str, typer.Option("--events", "-e", help="Events, one a line; - is standard input.")] = "-",
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Read cases from standard input, one a line, each with its script.")
    ] = False,
    config: ConfigFile = CONFIG,
    json: AsJson = False,
) -> None:
    """Run a script over events in the sandbox, and show what it changes in each."""
    from dataplane.cli import transform as command
    from dataplane.cli.source import read_events

    if jsonl == (script is not None):
        raise typer.BadParameter("give a script, or --jsonl")
    if jsonl:
        command.cases(command.standard_input())
    elif script is not None:
        # The script first: nobody is to type events for one that is not there.
        command.transform(command.script_of(script, config), read_events(events), as_json=json)


def run_tests(
    names: Annotated[
        Optional[list[str]],  # noqa: UP045 - as above
        typer.Argument(help="Ids of transformations, or files of scripts; default: all of the configuration."),
    ] = None,
    config: ConfigFile = CONFIG,
    json: AsJson = False,
) -> None:
    """Run the fixtures beside scripts (NAME.test.yaml) in the sandbox; exit 1 where a case fails."""
    from dataplane.cli import test as command

    command.test(config, names or [], as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    app.command()(transform)
    app.command("test")(run_tests)
