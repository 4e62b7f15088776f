"""Commands about events at the gateway: `send`."""

from __future__ import annotations

from typing import Annotated

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, Socket

__all__ = ["add"]



def send(
    file: Annotated[str, typer.Argument(help="An event, or one a line (NDJSON); - is standard input.")] = "-",
    source: Annotated[str, typer.Option("--source", "-s", help="Whose write key; default: the first.")] = "",
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Send an event to the running data plane, through its public port."""
    from dataplane.cli import events as command

    command.send(config, socket, file, source, as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    app.command()(send)
