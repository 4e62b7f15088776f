"""`turnout`: every command and option, and nothing heavier than typer.

Exit codes: 0 done, 1 not done (the message says why), 2 the command line itself is wrong,
130 interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

__all__ = ["app", "main"]

app = typer.Typer(
    name="turnout",
    help="Turnout: an open customer-data router. SDK events in, your scripts over them, every tool served.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes three times as long to import as everything else here
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 not done, 2 wrong command line, 130 interrupted. NO_COLOR is honoured.",
)
dead = typer.Typer(
    help="Dead letters: events a destination has given up, kept with request and answer.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(dead, name="dead")

# Typer reads these at run time, where `X | None` is understood from annotations as strings too.
ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", envvar="TURNOUT_CONFIG", help="The configuration file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Socket = Annotated[
    Optional[Path],  # noqa: UP045 - typer shows it in help as PATH
    typer.Option("--socket", envvar="TURNOUT_SOCKET", help="The admin socket; default: the config's."),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="At most so many.")]
CONFIG = Path("config.yaml")


def _version(wanted: bool) -> None:
    if wanted:
        from turnout import __version__

        typer.echo(f"turnout {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["TURNOUT_DEBUG"] = "1"


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if missing.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
    json: AsJson = False,
) -> None:
    """Write a config.yaml that runs as it is, with an example transformation."""
    from dataplane.cli import init as command

    command.init(folder, force=force, as_json=json)


@app.command()
def check(config: ConfigFile = CONFIG, json: AsJson = False) -> None:
    """Check the configuration and compile every script, offline; exit 1 with file:line:column."""
    from dataplane.cli import check as command

    command.check(config, as_json=json)


@app.command()
def run(
    config: ConfigFile = CONFIG,
    demo: Annotated[
        bool, typer.Option("--demo", help="Also start a recorder for the webhook and send it one event.")
    ] = False,
    ready_file: Annotated[
        Optional[Path],  # noqa: UP045 - as above
        typer.Option("--ready-file", help="Write {url, admin, socket, pid, roles} here when ready."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Run the data plane until Ctrl-C or SIGTERM; SIGHUP applies the configuration again."""
    from dataplane.cli import run as command

    command.run(config, demo=demo, ready_file=ready_file, as_json=json)


@app.command()
def preview(
    destination: Annotated[str, typer.Option("--destination", "-d", help="Id of a destination.")],
    file: Annotated[str, typer.Argument(help="An event, or one a line (NDJSON); - is standard input.")] = "-",
    source: Annotated[str, typer.Option("--source", "-s", help="Source it is taken to come from.")] = "",
    config: ConfigFile = CONFIG,
    json: AsJson = False,
) -> None:
    """Show what a destination would be sent for an event, offline, without sending it."""
    from dataplane.cli import preview as command

    command.preview(config, destination, file, source, as_json=json)


@app.command()
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


@app.command()
def refused(
    source: Annotated[str, typer.Option("--source", "-s", help="Only this source.")] = "",
    limit: Limit = 50,
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """List events that the gateway did not take, with the reason."""
    from dataplane.cli import events as command

    command.refused(config, socket, source, limit, as_json=json)


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


@app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second.")] = False,
    config: ConfigFile = CONFIG,
    socket: Socket = None,
    json: AsJson = False,
) -> None:
    """Show how the running data plane is; exit 1 when it is not well."""
    from dataplane.cli import status as command

    command.status(config, socket, watch=watch, as_json=json)


@app.command()
def reload(config: ConfigFile = CONFIG, socket: Socket = None, json: AsJson = False) -> None:
    """Apply the configuration file as it is now, in all processes or in none."""
    from dataplane.cli import status as command

    command.reload(config, socket, as_json=json)


@app.command()
def version(json: AsJson = False) -> None:
    """Print the version."""
    from turnout import __version__

    typer.echo(f'{{"version": "{__version__}"}}' if json else f"turnout {__version__}")


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; every error is one line on stderr and an exit code."""
    try:
        return app(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader has seen enough (`| head`); Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # the last line of defence: people see no traceback
        if os.environ.get("TURNOUT_DEBUG"):
            raise
        from dataplane.cli.failure import sentence

        typer.echo(f"turnout: {sentence(error)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
