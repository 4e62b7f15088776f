"""`turnout`: the command line; the commands are declared in `commands/`.

Exit codes: 0 done (or the reader of the output has seen enough: `| head`), 1 not done (the message says why), 2 the
command line itself is wrong, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dataplane.cli.commands import (
    alerts,
    backup,
    develop,
    events,
    inspect,
    letters,
    operate,
    pauses,
    privacy,
    replay,
    scripts,
    setup,
)
from dataplane.cli.options import AsJson

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


for topic in (setup, operate, pauses, events, inspect, letters, alerts, backup, scripts, replay, privacy, develop):
    topic.add(app)


@app.command()
def version(json: AsJson = False) -> None:
    """Print the version."""
    from turnout import __version__

    typer.echo(f'{{"version": "{__version__}"}}' if json else f"turnout {__version__}")


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; every error is one line on stderr and an exit code."""
    _open_streams()
    try:
        return app(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # typer and rich make 1 of it
            sys.exit(0)
        raise
    except Exception as error:  # the last line of defence: people see no traceback
        if os.environ.get("TURNOUT_DEBUG"):
            raise
        from dataplane.cli.failure import sentence
        from dataplane.cli.output import warn

        warn(f"turnout: {sentence(error)}")
        sys.exit(1)


def _open_streams() -> None:
    """Standard streams that are closed (`<&-`) are empty ones: nothing else may be opened under their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - it stays open


if __name__ == "__main__":
    main()
