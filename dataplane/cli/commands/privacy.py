"""Commands about users' rights: `turnout forget`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, Socket

__all__ = ["add"]


def forget(
    *,
    user_id: Annotated[str, typer.Option("--user-id", help="The user's userId.")] = "",
    email: Annotated[str, typer.Option("--email", help="The user's e-mail address.")] = "",
    anonymous_id: Annotated[str, typer.Option("--anonymous-id", help="The user's anonymousId.")] = "",
    file: Annotated[
        str, typer.Option("--file", "-f", help="Users, one JSON object a line; - is standard input.")
    ] = "",
    destination: Annotated[
        Optional[list[str]],  # noqa: UP045 - for typer
        typer.Option("--destination", "-d", help="Only there; may be given several times."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of it now; ask none.")] = False,
    config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False,
) -> None:
    """Ask destinations to delete a user, or those of a file; exit 1 while something is left to be done."""
    from dataplane.cli import forget as command

    one = {"userId": user_id, "email": email, "anonymousId": anonymous_id}
    command.forget(config, socket, one, file, destination or [], dry_run=dry_run, as_json=json)


def add(app: typer.Typer) -> None:
    """Declare it."""
    app.command()(forget)
