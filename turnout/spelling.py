"""What somebody who misspelt a name will have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["meant", "nearest", "unknown"]

SHORT = 4
"""Characters of a name in which one wrong letter, or two that changed places, are a third of it."""


def nearest(given: str, known: Iterable[str]) -> str:
    """The known name that is close to the one given, whatever the case; "" where none is."""
    names = {name.casefold(): name for name in known}
    cutoff = 0.66 if len(given) <= SHORT else 0.7
    close = get_close_matches(given.casefold()[:100], names, n=1, cutoff=cutoff)
    return names[close[0]] if close else ""


def meant(given: str, known: Iterable[str]) -> str:
    """` (did you mean instance_url?)`, or nothing where no known name is close."""
    name = nearest(given, known)
    return f" (did you mean {name}?)" if name else ""


def unknown(what: str, given: str, known: Iterable[str]) -> str:
    """`no source is called wbe (did you mean web?)`, or with the names that there are where none is close."""
    names = list(known)
    there = f" (there are: {', '.join(names) or 'none'})"
    return f"no {what} is called {given}{meant(given, names) or there}"
