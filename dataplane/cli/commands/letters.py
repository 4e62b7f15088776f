"""Commands about dead letters: `turnout dead`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, Limit, Socket, group

__all__ = ["add"]


dead = group("Dead letters: events a destination has given up, kept with request and answer.")


@dead.command("list")
def dead_list(
    *,
    destination: Annotated[str, typer.Option("--destination", "-d", help="Only this destination.")] = "",
    limit: Limit = 50,
    cursor: Annotated[str, typer.Option("--cursor", help="Go on behind this page.")] = "",
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    from dataplane.cli import letters as command

    command.listing(config, socket, destination, limit, cursor, as_json=json)


@dead.command("show")
def dead_show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="Id of a dead letter.")],
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Show one dead letter: the event, the request, the answer."""
    from dataplane.cli import letters as command

    command.show(config, socket, letter, as_json=json)


@dead.command("retry")
def dead_retry(
    *,
    letters: Annotated[
        Optional[list[str]], typer.Argument(metavar="[ID]...", help="Ids.")  # noqa: UP045 - as above
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    destination: Annotated[str, typer.Option("--destination", "-d", help="With --all: only its.")] = "",
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Try dead letters again, by id or all."""
    from dataplane.cli import letters as command

    command.retry(config, socket, letters or [], every, destination, as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    app.add_typer(dead, name="dead")
