"""Commands that stop and continue: `pause`, `resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, Socket

__all__ = ["add"]

Kind = Annotated[
    str, typer.Argument(metavar="KIND", help="`destination`, `source` or `transformation`.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its id in the configuration.")]


def pause(
    kind: Kind,
    name: Name,
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; shown by `turnout status`.")] = "",
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Pause a destination (its backlog waits), a source (it gets 503) or a transformation."""
    from dataplane.cli import pauses as command

    command.pause(config, socket, kind, name, reason, as_json=json)


def resume(
    kind: Kind, name: Name, *, config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False
) -> None:
    """Resume what was paused; also try a destination again at once that is down or refused by its tool."""
    from dataplane.cli import pauses as command

    command.resume(config, socket, kind, name, as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    for command in (pause, resume):
        app.command()(command)
