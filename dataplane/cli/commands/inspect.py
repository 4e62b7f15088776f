"""Commands about single events on their way: `explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, Socket

__all__ = ["add"]


def explain(
    *,
    event: Annotated[str, typer.Argument(metavar="ID", help="A messageId, or '#' and an event number: '#1204'.")],
    source: Annotated[str, typer.Option("--source", "-s", help="The source it came from.")] = "",
    full: Annotated[bool, typer.Option("--full", help="Show events and requests whole.")] = False,
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Tell what became of one event: received, transformed, routed, each attempt, what waits and why."""
    from dataplane.cli import explain as command

    command.explain(config, socket, event, source, full=full, as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    app.command()(explain)
