"""Commands about what was given up: `turnout dead`, `turnout refused`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, Limit, Socket, group

__all__ = ["add"]

Destination = Annotated[str, typer.Option("--destination", "-d", help="Only of this destination.")]
Source = Annotated[str, typer.Option("--source", "-s", help="Only of this source.")]
Class = Annotated[str, typer.Option("--class", help="Only of this error class, as `summary` shows them.")]
Event = Annotated[str, typer.Option("--event", help="Only of this event name (or type, where it has none).")]
MessageId = Annotated[str, typer.Option("--message-id", help="Only of this messageId.")]
Code = Annotated[str, typer.Option("--code", help="Only refused with this code.")]
Since = Annotated[str, typer.Option("--from", help="Not before: 2026-11-23T09:36, or 2h for two hours ago.")]
Until = Annotated[str, typer.Option("--to", help="Before: written as --from.")]
Cursor = Annotated[str, typer.Option("--cursor", help="Go on behind this page.")]
Output = Annotated[str, typer.Option("--output", "-o", help="File to write, for its owner only; - is standard output.")]
Every = Annotated[bool, typer.Option("--all", help="All of them.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it; without, only say how many it would be.")]
Ids = Annotated[Optional[list[str]], typer.Argument(metavar="[ID]...", help="Ids.")]  # noqa: UP045 - for typer
Id = Annotated[str, typer.Argument(metavar="ID", help="Id, as the list shows it.")]

dead = group("Dead letters: events a destination has given up, kept with request and answer.")
refused = group("Refused events: what the gateway did not take, kept with the reason.", alone=True)


@dead.command("list")
def dead_list(
    *,
    destination: Destination = "", source: Source = "", class_: Class = "", event: Event = "",
    message_id: MessageId = "", since: Since = "", until: Until = "",
    limit: Limit = 50, cursor: Cursor = "", config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    from dataplane.cli import letters as command

    wanted = command.dead_filter(destination, source, class_, event, message_id, since, until)
    command.listing(command.client(config, socket), "dead", wanted, limit, cursor, as_json=json)


@dead.command("summary")
def dead_summary(
    *,
    destination: Destination = "", source: Source = "", class_: Class = "", event: Event = "",
    message_id: MessageId = "", since: Since = "", until: Until = "",
    config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False,
) -> None:
    """Count dead letters by destination and error class."""
    from dataplane.cli import letters as command

    wanted = command.dead_filter(destination, source, class_, event, message_id, since, until)
    command.summary(command.client(config, socket), "dead", wanted, as_json=json)


@dead.command("show")
def dead_show(letter: Id, config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False) -> None:
    """Show one dead letter: the event, the request, the answer."""
    from dataplane.cli import letters as command

    command.show(command.client(config, socket), "dead", letter, as_json=json)


@dead.command("export")
def dead_export(
    *,
    output: Output = "-",
    destination: Destination = "", source: Source = "", class_: Class = "", event: Event = "",
    message_id: MessageId = "", since: Since = "", until: Until = "",
    config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False,
) -> None:
    """Write dead letters with all that is kept of them, one JSON object a line, oldest first."""
    from dataplane.cli import export as command
    from dataplane.cli.letters import client, dead_filter

    wanted = dead_filter(destination, source, class_, event, message_id, since, until)
    command.export(client(config, socket), "dead", wanted, output, as_json=json)


@dead.command("retry")
def dead_retry(
    *,
    letters: Ids = None,
    every: Every = False,
    retransform: Annotated[
        bool, typer.Option("--retransform", help="From the event as received, through what is configured now.")
    ] = False,
    destination: Destination = "", source: Source = "", class_: Class = "", event: Event = "",
    message_id: MessageId = "", since: Since = "", until: Until = "",
    config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False,
) -> None:
    """Try dead letters again: by id, those that options choose, or all."""
    from dataplane.cli import letters as command

    wanted = command.dead_filter(destination, source, class_, event, message_id, since, until)
    command.retry(
        command.client(config, socket), letters or [], wanted, every=every, retransform=retransform, as_json=json
    )


@dead.command("discard")
def dead_discard(
    *,
    letters: Ids = None,
    every: Every = False, yes: Yes = False,
    destination: Destination = "", source: Source = "", class_: Class = "", event: Event = "",
    message_id: MessageId = "", since: Since = "", until: Until = "",
    config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False,
) -> None:
    """Give dead letters up for good: by id, those that options choose, or all."""
    from dataplane.cli import letters as command

    wanted = command.dead_filter(destination, source, class_, event, message_id, since, until)
    command.discard(
        command.client(config, socket), "dead", letters or [], wanted, every=every, yes=yes, as_json=json
    )


@refused.callback()
def refused_events(
    context: typer.Context,
    *,
    source: Source = "", code: Code = "", since: Since = "", until: Until = "",
    limit: Limit = 50, cursor: Cursor = "", config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False,
) -> None:
    """Refused events: what the gateway did not take, kept with the reason. Alone: `turnout refused list`."""
    if context.invoked_subcommand is None:
        refused_list(
            source=source, code=code, since=since, until=until, limit=limit, cursor=cursor,
            config=config, socket=socket, json=json,
        )


@refused.command("list")
def refused_list(
    *,
    source: Source = "", code: Code = "", since: Since = "", until: Until = "",
    limit: Limit = 50, cursor: Cursor = "", config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False,
) -> None:
    """List refused events, newest first, with the reason and the first part of what came."""
    from dataplane.cli import letters as command

    wanted = command.refused_filter(source, code, since, until)
    command.listing(command.client(config, socket), "refused", wanted, limit, cursor, as_json=json)


@refused.command("summary")
def refused_summary(
    *,
    source: Source = "", code: Code = "", since: Since = "", until: Until = "",
    config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False,
) -> None:
    """Count refused events by source and code."""
    from dataplane.cli import letters as command

    wanted = command.refused_filter(source, code, since, until)
    command.summary(command.client(config, socket), "refused", wanted, as_json=json)


@refused.command("show")
def refused_show(number: Id, config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False) -> None:
    """Show one refused event as it was received."""
    from dataplane.cli import letters as command

    command.show(command.client(config, socket), "refused", number, as_json=json)


@refused.command("export")
def refused_export(
    *,
    output: Output = "-",
    source: Source = "", code: Code = "", since: Since = "", until: Until = "",
    config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False,
) -> None:
    """Write refused events as received, one JSON object a line, oldest first."""
    from dataplane.cli import export as command
    from dataplane.cli.letters import client, refused_filter

    wanted = refused_filter(source, code, since, until)
    command.export(client(config, socket), "refused", wanted, output, as_json=json)


@refused.command("discard")
def refused_discard(
    *,
    numbers: Ids = None,
    every: Every = False, yes: Yes = False,
    source: Source = "", code: Code = "", since: Since = "", until: Until = "",
    config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False,
) -> None:
    """Forget refused events: by number, those that options choose, or all."""
    from dataplane.cli import letters as command

    wanted = command.refused_filter(source, code, since, until)
    command.discard(
        command.client(config, socket), "refused", numbers or [], wanted, every=every, yes=yes, as_json=json
    )


def add(app: typer.Typer) -> None:
    """Declare them."""
    app.add_typer(dead, name="dead")
    app.add_typer(refused, name="refused")
