"""Commands for those who write a destination: `new`, `docs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dataplane.cli.options import AsJson, group

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
    app.add_typer(made, name="new")
    shown = group("Pages made from what is installed.")
    shown.command("configuration")(configuration)
    shown.command("destination")(page)
    app.add_typer(shown, name="docs")
