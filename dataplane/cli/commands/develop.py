"""Commands for those who write a destination or a script: `new`, `docs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from dataplane.cli.options import CONFIG, AsJson, ConfigFile, group

__all__ = ["add"]


def new(
    slug: Annotated[str, typer.Argument(help="Its `type:` in config.yaml: small letters, digits and _.")],
    folder: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Argument(help="Folder of the package; default: turnout-<slug>."),
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="In Turnout's own tree; taken where it is and no folder is given.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
    json: AsJson = False,
) -> None:
    """Write a package with a destination to start from, whose tests pass as they are."""
    from dataplane.cli import new as command

    if here and folder is not None:
        raise typer.BadParameter("give a folder, or --here")
    command.destination(slug, folder, here=here, force=force, as_json=json)


def script(
    *,
    name: Annotated[str, typer.Argument(help="Its id in config.yaml and its file: letters, digits, _ and -.")],
    language: Annotated[
        Literal["python", "javascript"], typer.Option("--language", "-l", help="What the script is written in.")
    ] = "python",
    config: ConfigFile = CONFIG,
    json: AsJson = False,
) -> None:
    """Write a script to start from, with fixtures that pass, and say what to add to the configuration."""
    from dataplane.cli import new as command

    command.transformation(name, config, language, as_json=json)


def page(
    slug: Annotated[
        str, typer.Argument(help="The `type:` of a destination, installed packages' too; without it they are listed.")
    ] = "",
    json: AsJson = False,
) -> None:
    """Print the page of a destination, from its class, README and fixtures; or list those there are."""
    from dataplane.cli import docs as command

    command.destination(slug, as_json=json)


def configuration(json: AsJson = False) -> None:
    """Print what every key of config.yaml means, with its default."""
    from dataplane.cli import docs as command

    command.configuration(as_json=json)


def add(app: typer.Typer) -> None:
    """Declare them."""
    made = group("Start something of your own.")
    made.command("destination")(new)
    made.command("transformation")(script)
    app.add_typer(made, name="new")
    shown = group("Pages made from what is installed.")
    shown.command("configuration")(configuration)
    shown.command("destination")(page)
    app.add_typer(shown, name="docs")
