"""Commands about single events on their way: `explain`, `tail`."""

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


def tail(
    *,
    source: Annotated[str, typer.Option("--source", "-s", help="Only this source.")] = "",
    destination: Annotated[str, typer.Option("--destination", "-d", help="Only this destination.")] = "",
    event: Annotated[str, typer.Option("--event", "-e", help="Only events of this name or type.")] = "",
    verdict: Annotated[
        str, typer.Option("--verdict", help="Only this verdict: delivered, filtered, dead or pending.")
    ] = "",
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Show verdicts as they are reached, until Ctrl-C."""
    from dataplane.cli import tail as command

    wanted = {"source": source, "destination": destination, "event": event, "verdict": verdict}
    command.tail(config, socket, wanted, as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    for command in (explain, tail):
        app.command()(command)
