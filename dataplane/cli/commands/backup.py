"""Commands about copies of the data folder: `backup`, `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, Socket

__all__ = ["add"]


def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="New file: NAME.tar.gz or NAME.tar.zst.")],
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Copy the data folder to one file, while Turnout runs or not; the file holds personal data."""
    from dataplane.cli import backup as command

    command.backup(config, socket, target, as_json=json)


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `turnout backup` wrote.")],
    data: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Option("--data", help="The folder to fill, empty or new; default: the config's `data`."),
    ] = None,
    config: ConfigFile = CONFIG,
    json: AsJson = False,
) -> None:
    """Fill an empty data folder from a backup, after checking all of it."""
    from dataplane.cli import backup as command

    command.restore(config, source, data, as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    for command in (backup, restore):
        app.command()(command)
