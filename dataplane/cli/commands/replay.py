"""Commands about replays: `turnout replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, Socket, group

__all__ = ["add"]

Texts = Optional[list[str]]  # noqa: UP045 - typer reads it at run time
Ident = Annotated[str, typer.Argument(metavar="ID", help="Id of a replay.")]

replay = group("Send stored events again: to one destination, or into a file.")


@replay.callback(invoke_without_command=True)
def begin(
    context: typer.Context,
    *,
    destination: Annotated[str, typer.Option("--destination", "-d", help="Whom to send them to.")] = "",
    to_file: Annotated[
        Optional[Path],  # noqa: UP045 - as above
        typer.Option("--to-file", help="Write them to this new file instead, one event a line."),
    ] = None,
    since: Annotated[
        str, typer.Option("--from", help="Received at or after: 2026-11-23T09:30Z, or 2h (ago).")
    ] = "",
    until: Annotated[str, typer.Option("--to", help="Received before; as --from.")] = "",
    source: Annotated[Texts, typer.Option("--source", "-s", help="Only this source; repeatable.")] = None,
    event: Annotated[
        Texts, typer.Option("--event", help="Only this event name (or type, where it has none); repeatable.")
    ] = None,
    user: Annotated[Texts, typer.Option("--user", help="Only this userId or anonymousId; repeatable.")] = None,
    message: Annotated[Texts, typer.Option("--message-id", help="Only this messageId; repeatable.")] = None,
    verdict: Annotated[
        Texts, typer.Option("--verdict", help="Only what was delivered, filtered or dead there; repeatable.")
    ] = None,
    archive: Annotated[
        bool, typer.Option("--archive", help="Only what its full backlog moved to the archive, undelivered.")
    ] = False,
    no_transform: Annotated[
        bool, typer.Option("--no-transform", help="Leave out the destination's transformations.")
    ] = False,
    rate: Annotated[
        float,
        typer.Option("--rate", min=0, max=1_000_000, help="Most events a second; 0: half of `delivery.rate`, or 100."),
    ] = 0,
    unordered: Annotated[
        bool, typer.Option("--unordered", help="The destination may get them after newer events of a user.")
    ] = False,
    new_keys: Annotated[
        bool, typer.Option("--new-keys", help="Other idempotency keys, so that the tool takes them for new.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count them and show five as they would be sent.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for its end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Send stored events again: to one destination, or into a file."""
    if context.invoked_subcommand is not None:
        return
    from dataplane.cli import replay as command

    asked = {
        "destination": destination, "file": "" if to_file is None else str(to_file.absolute()),
        "from": since, "to": until, "sources": source, "events": event, "users": user,
        "message_ids": message, "verdicts": verdict, "archive": archive, "transform": not no_transform, "rate": rate,
        "unordered": unordered, "new_keys": new_keys,
    }
    command.begin(config, socket, asked, dry_run=dry_run, wait=not no_wait, yes=yes, as_json=json)


@replay.command("list")
def listing(config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False) -> None:
    """List replays, newest first."""
    from dataplane.cli import replay as command

    command.listing(config, socket, as_json=json)


@replay.command()
def status(
    ident: Ident,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until it is over.")] = False,
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Show one replay: how far it is, and what became of the events."""
    from dataplane.cli import replay as command

    command.status(config, socket, ident, follow=follow, as_json=json)


@replay.command()
def cancel(ident: Ident, config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False) -> None:
    """End a replay: what is in flight lands, what waits to be retried is dropped."""
    from dataplane.cli import replay as command

    command.change(config, socket, ident, "cancel", as_json=json)


@replay.command()
def resume(ident: Ident, config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False) -> None:
    """Go on with a replay where it stood: one that was cancelled, or is down."""
    from dataplane.cli import replay as command

    command.change(config, socket, ident, "resume", as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    app.add_typer(replay, name="replay")
