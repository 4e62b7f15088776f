"""Commands that run Turnout and look after it: `run`, `status`, `reload`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, Socket

__all__ = ["add"]



def run(
    config: ConfigFile = CONFIG,
    demo: Annotated[
        bool, typer.Option("--demo", help="Also start a recorder for the webhook and send it one event.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Apply the configuration when it or a file it names changes.")
    ] = False,
    ready_file: Annotated[
        Optional[Path],  # noqa: UP045 - as above
        typer.Option("--ready-file", help="Write {url, admin, socket, pid, roles} here when ready."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Run the data plane until Ctrl-C or SIGTERM; SIGHUP applies the configuration again."""
    from dataplane.cli import run as command

    command.run(config, demo=demo, watch=watch, ready_file=ready_file, as_json=json)


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second.")] = False,
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Show how the running data plane is; exit 1 when it is not well."""
    from dataplane.cli import status as command

    command.status(config, socket, watch=watch, as_json=json)


def reload(config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False) -> None:
    """Apply the configuration file as it is now, in all processes or in none."""
    from dataplane.cli import status as command

    command.reload(config, socket, as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    for command in (run, status, reload):
        app.command()(command)
