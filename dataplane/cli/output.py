"""What commands print: JSON for machines, tables for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from turnout import codec

__all__ = ["clear", "counted", "cut", "json_line", "say", "styled", "table", "warn"]


def json_line(value: Any) -> None:
    """One JSON value on one line of standard output."""
    sys.stdout.write(codec.dumps(value).decode() + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line on standard output, at once; control characters are made visible."""
    sys.stdout.write(_harmless(text, "\n\t") + "\n")
    sys.stdout.flush()


def clear() -> None:
    """Empty the terminal, to show something anew."""
    sys.stdout.write("\x1b[2J\x1b[H")


def warn(text: str) -> None:
    """A line on standard error; control characters are made visible."""
    sys.stderr.write(_harmless(text, "\n\t") + "\n")


def counted(number: int, word: str) -> str:
    """`1 event`, `1,204 events`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def cut(text: str, most: int) -> str:
    """The first `most` characters as they are shown, control characters made visible."""
    shown = _harmless(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table as wide as the terminal; plain where there is none. NO_COLOR is honoured by rich.

    A truth is `yes` or `no`; control characters are made visible.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(Text(_cell(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(made)


def styled(lines: Iterable[tuple[str, str]]) -> None:
    """Lines, each with the style it is shown in on a terminal; control characters are made visible."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for text, style in lines:
        console.print(Text(_harmless(text), style=style))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else _harmless(str(value))


def _harmless(text: str, keep: str = "") -> str:
    """What an event holds must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
