"""`turnout docs destination` and `turnout docs configuration`."""

from __future__ import annotations

from dataplane.cli.output import json_line, say
from dataplane.config import reference
from destinations import docs

__all__ = ["configuration", "destination"]


def destination(slug: str, *, as_json: bool) -> None:
    """Print the page of a destination: ours, or of a package that is installed."""
    page = docs.body(slug)
    if as_json:
        json_line({"slug": slug, "page": page})
    else:
        say(page.rstrip("\n"))


def configuration(*, as_json: bool) -> None:
    """Print the page of the configuration, made from the model."""
    page = reference.page()
    if as_json:
        json_line({"page": page})
    else:
        say(page.rstrip("\n"))
