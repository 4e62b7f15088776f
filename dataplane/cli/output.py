"""What commands print: JSON for machines, tables for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from turnout import codec

__all__ = ["json_line", "say", "styled", "table", "warn"]


def json_line(value: Any) -> None:
    """One JSON value on one line of standard output."""
    sys.stdout.write(codec.dumps(value).decode() + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def warn(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(text + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table as wide as the terminal; plain where there is none. NO_COLOR is honoured by rich."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(made)


def styled(lines: Iterable[tuple[str, str]]) -> None:
    """Lines, each with the style it is shown in on a terminal; control characters are made visible."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for text, style in lines:
        console.print(Text(_harmless(text), style=style))


def _harmless(text: str) -> str:
    """What an event holds must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
