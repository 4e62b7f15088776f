"""Commands about alerts: `alerts list`, `alerts test`."""

from __future__ import annotations

from typing import Annotated

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, Socket, group

__all__ = ["add"]

alerts = group("What people are told of.")


@alerts.command("list")
def alerts_list(config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False) -> None:
    """List the alerts that stand, and the channels that do not take them."""
    from dataplane.cli import alerts as command

    command.listing(config, socket, as_json=json)


@alerts.command("test")
def alerts_test(
    channel: Annotated[str, typer.Option("--channel", help="Only this channel.")] = "",
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Send a test alert and print what the channels answered; exit 1 when one did not take it."""
    from dataplane.cli import alerts as command

    command.test(config, socket, channel, as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    app.add_typer(alerts, name="alerts")
