"""Packages that only some configurations need: looked for without being imported."""

from __future__ import annotations

from importlib.util import find_spec

from turnout.errors import Fixable

__all__ = ["need"]


def need(what: str, package: str, extra: str) -> None:
    """Raise `Fixable` with the line that installs it where a package is missing; `what` needs it.

    Nothing is imported, so that `turnout check` and the processes that send nothing stay small.
    """
    if find_spec(package) is None:
        raise Fixable(f"{what} needs the package {package}: pip install 'turnout[{extra}]'")
