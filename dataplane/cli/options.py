"""Options that several commands have, and how a group of commands is made; nothing heavier than typer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

__all__ = ["CONFIG", "AsJson", "ConfigFile", "Limit", "Socket", "group"]

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


def group(text: str, *, alone: bool = False) -> typer.Typer:
    """A group of commands under one word, as `turnout dead`; `alone` where the word itself is one too."""
    return typer.Typer(
        help=text,
        no_args_is_help=not alone,
        invoke_without_command=alone,
        rich_markup_mode=None,  # rich takes three times as long to import as everything else here
    )
