"""`turnout docs destination` and `turnout docs configuration`."""

from __future__ import annotations

import re

from dataplane.cli.output import json_line, say
from dataplane.config import reference
from destinations import docs, registry
from turnout.errors import Fixable

__all__ = ["configuration", "destination"]

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def destination(slug: str, *, as_json: bool) -> None:
    """Print the page of a destination: ours, or of a package that is installed; without a slug all of them."""
    if not slug:
        _every(as_json=as_json)
        return
    page = docs.body(slug)
    if as_json:
        json_line({"slug": slug, "page": page})
    else:
        say(page.rstrip("\n"))


def _every(*, as_json: bool) -> None:
    rows = []
    for slug in registry.slugs():
        try:
            title, what = docs.summary(slug)
        except (Fixable, OSError) as error:  # a package that is half installed, or brings no README
            title, what = slug, str(error)
        rows.append({"slug": slug, "name": title, "what": what})
    if as_json:
        json_line({"destinations": rows})
    else:
        for row in rows:
            what = _LINK.sub(r"\1", row["what"])
            say(f"{row['slug']:28}  {what}")


def configuration(*, as_json: bool) -> None:
    """Print the page of the configuration, made from the model."""
    page = reference.page()
    if as_json:
        json_line({"page": page})
    else:
        say(page.rstrip("\n"))
