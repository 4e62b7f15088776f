"""Which destinations there are, found without importing them.

Ours are the folders beside this file, so they work from a checkout too; those of other packages
come through the entry-point group `turnout.destinations` (`slug = "package.module:Class"`). A tool's
module, and the vendor's package it may need, is imported when a config names it, not before.
"""

from __future__ import annotations

import pkgutil
import traceback
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, cast

import destinations
from turnout.auth import ready
from turnout.destination import Client, Delivery, Destination
from turnout.errors import Fixable
from turnout.settings import Settings
from turnout.spelling import nearest

__all__ = ["GROUP", "build", "client", "find", "own", "slugs"]

GROUP = "turnout.destinations"
AnyDestination = Destination[Any]


def slugs() -> tuple[str, ...]:
    """Every `type:` that config.yaml may name, sorted; nothing is imported for it."""
    return tuple(sorted({*own(), *_others()}))


def find(slug: str) -> type[AnyDestination]:
    """The class of a destination.

    Raises `Fixable`: an unknown slug (with a did-you-mean), a missing optional package (with the
    line that installs it), or a plug-in that is no destination. Ours win over plug-ins.
    """
    if slug in own():
        return _ours(slug)
    entry = _others().get(slug)
    if entry is None:
        raise Fixable(_unknown(slug))
    try:
        loaded = entry.load()
    except ImportError as error:
        package = entry.dist.name if entry.dist else entry.module.partition(".")[0]
        raise Fixable(
            f"destination {slug}: the plug-in {package} cannot be imported ({error.name or error.msg})"
        ) from error
    except AttributeError as error:
        if error.name == entry.attr:
            raise Fixable(f"destination {slug}: {entry.value} does not exist") from error
        raise _unfit(slug, entry, error) from error
    except Exception as error:  # another's module: whatever it raises is said with its place
        raise _unfit(slug, entry, error) from error
    return _checked(slug, loaded, entry.value)


def build(slug: str, settings: Mapping[str, Any]) -> AnyDestination:
    """A destination with these settings; raises `Fixable`, or pydantic's ValidationError.

    `Fixable` also where its credentials cannot be used: a private key that cannot be read, a missing extra.
    """
    kind = find(slug)
    made = kind(kind.settings_type.model_validate(dict(settings)))
    ready(made.auth)
    return made


def client(slug: str, settings: Settings, *, base: Path, delivery: Delivery) -> Client | None:
    """What writes the records of a tool that is not HTTP: the `Client` of its client.py, else None.

    `base` is the folder that relative paths in the settings start from: that of config.yaml; `delivery` has the
    timeout.
    Raises `Fixable` where the vendor's package is missing.
    """
    kind = find(slug)
    if not kind.records:
        return None
    try:
        made = import_module(f"{kind.__module__}.client").Client(settings, base, delivery)
    except ModuleNotFoundError as error:
        raise _missing(slug, error) from error
    return cast(Client, made)


@cache
def own() -> frozenset[str]:
    """Those that come with Turnout; a plug-in of the same name is not looked at."""
    return frozenset(m.name for m in pkgutil.iter_modules(destinations.__path__) if m.ispkg)


@cache
def _others() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        if entry.name not in own():
            found.setdefault(entry.name, entry)
    return found


def _ours(slug: str) -> type[AnyDestination]:
    name = f"destinations.{slug}"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        raise _missing(slug, error) from error
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Destination) and vars(value).get("slug") == slug:
            return value
    raise TypeError(f"{name} has no Destination whose slug is {slug!r}")


def _checked(slug: str, loaded: Any, where: str) -> type[AnyDestination]:
    if not (isinstance(loaded, type) and issubclass(loaded, Destination)):
        raise Fixable(f"destination {slug}: {where} is not a turnout.Destination")
    if getattr(loaded, "slug", None) != slug:
        raise Fixable(f"destination {slug}: {where} calls itself {getattr(loaded, 'slug', None)!r}")
    return loaded


def _unfit(slug: str, entry: EntryPoint, error: Exception) -> Fixable:
    """A plug-in whose own code fails when it is imported, and where."""
    if isinstance(error, SyntaxError):
        where, said = f"{error.filename}:{error.lineno}", error.msg
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where, said = f"{last.filename}:{last.lineno}", str(error)
    return Fixable(f"destination {slug}: {entry.value} cannot be imported: {where}: {type(error).__name__}: {said}")


def _missing(slug: str, error: ModuleNotFoundError) -> Exception:
    """An optional package that is not installed; a missing module of our own stays what it is."""
    package = (error.name or "").partition(".")[0]
    if package in ("", "destinations", "turnout", "vendors"):
        return error
    return Fixable(f"destination {slug} needs the package {package}: pip install 'turnout[{slug}]'")


def _unknown(slug: str) -> str:
    known = slugs()
    near = nearest(slug, known)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
    return f"{slug}: unknown destination type ({hint})"
