"""What one part of a config says about another: ids that must exist, keys that must differ.

Read from the tree and not from the model, so that these findings are made beside the model's own.
A value with a finding of its own, and one that came from the environment, is never quoted.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from pathlib import PurePath

from dataplane.config.diagnostic import Path, Report
from dataplane.config.document import Entry, Mapping, Scalar, Sequence
from dataplane.config.languages import SUFFIXES
from turnout.spelling import meant

__all__ = ["check_references", "section", "texts"]

Spot = tuple[Path, Scalar]


def check_references(root: Mapping, report: Report) -> None:
    """Report every reference that leads nowhere, and every contradiction between entries."""
    _write_keys(root, report)
    _scripts(root, report)
    _destinations(root, report)
    _renames(root, report)
    _ports(root, report)


def section(root: Mapping, name: str) -> Iterator[tuple[str, Entry, Mapping]]:
    """The entries of a top-level section that are mappings: id, entry, mapping."""
    for key, entry in _entries(root, name).items():
        if isinstance(entry.node, Mapping):
            yield key, entry, entry.node


def texts(parent: Mapping, path: Path, key: str) -> Iterator[Spot]:
    """The texts under a key that takes one or a list of them; broken ones are left out."""
    entry = parent.entries.get(key)
    if entry is None:
        return
    node, path = entry.node, (*path, key)
    spots = ([((*path, i), item) for i, item in enumerate(node.items)] if isinstance(node, Sequence)
             else [(path, node)])
    for where, item in spots:
        if isinstance(item, Scalar) and not item.broken and isinstance(item.value, str) and item.value:
            yield where, item


def _entries(root: Mapping, name: str) -> dict[str, Entry]:
    entry = root.entries.get(name)
    return entry.node.entries if entry is not None and isinstance(entry.node, Mapping) else {}


def _quoted(node: Scalar) -> str:
    return "of this name" if node.interpolated else f"named {_short(str(node.value))}"


def _short(text: str) -> str:
    return (text if len(text) <= 64 else text[:63] + "…").encode("unicode_escape").decode()


def _exists(spot: Spot, known: dict[str, Entry], what: str, report: Report) -> None:
    path, node = spot
    if node.value not in known:
        hint = "" if node.interpolated else meant(str(node.value), known)
        report.add(node.place, path, f"there is no {what} {_quoted(node)}{hint}")


def _write_keys(root: Mapping, report: Report) -> None:
    owners: dict[str, str] = {}
    places: dict[str, Path] = {}
    for source, _, mapping in section(root, "sources"):
        for key in ("write_key", "write_keys"):
            for path, node in texts(mapping, ("sources", source), key):
                owner = owners.setdefault(str(node.value), source)
                if owner != source:
                    report.add(node.place, path, f"source {owner} has the same write key")
                elif places.setdefault(str(node.value), path) != path:
                    report.add(node.place, path, "this write key is given twice")


def _scripts(root: Mapping, report: Report) -> None:
    for name, entry, mapping in section(root, "libraries"):
        if not _javascript(mapping) and (not name.isidentifier() or keyword.iskeyword(name)):
            report.add(entry.place, ("libraries", name),
                       "scripts import a library by this name; it must be a Python identifier")
        _language(mapping, ("libraries", name), report)
    for name, _, mapping in section(root, "transformations"):
        _language(mapping, ("transformations", name), report)
    for kind in ("sources", "destinations"):
        for name, _, mapping in section(root, kind):
            for spot in texts(mapping, (kind, name), "transformation"):
                _exists(spot, _entries(root, "transformations"), "transformation", report)


def _javascript(mapping: Mapping) -> bool:
    """Whether a library is JavaScript, which imports by any text."""
    said = [str(node.value) for _, node in texts(mapping, (), "language")]
    files = [PurePath(str(node.value)).suffix.lower() for _, node in texts(mapping, (), "file")]
    return "javascript" in said or (not said and any(SUFFIXES.get(one) == "javascript" for one in files))


def _language(mapping: Mapping, path: Path, report: Report) -> None:
    if "language" in mapping.entries:
        return
    for where, node in texts(mapping, path, "file"):
        suffix = PurePath(str(node.value)).suffix.lower()
        if suffix in (".ts", ".mts", ".cts", ".tsx"):
            report.add(node.place, where, "TypeScript is not run as it is; name the JavaScript made of it")
        elif suffix not in SUFFIXES:
            report.add(node.place, where,
                       "the suffix does not tell the language; add `language:` (python, javascript)")


def _destinations(root: Mapping, report: Report) -> None:
    for name, _, mapping in section(root, "destinations"):
        path: Path = ("destinations", name)
        for spot in texts(mapping, path, "sources"):
            _exists(spot, _entries(root, "sources"), "source", report)


def _renames(root: Mapping, report: Report) -> None:
    live = _entries(root, "destinations")
    renamed: dict[str, str] = {}
    for name, _, mapping in section(root, "destinations"):
        for path, node in texts(mapping, ("destinations", name), "was"):
            old = str(node.value)
            if old == name:
                report.add(node.place, path, "this is its id now; `was` names the one it had before")
            elif old in live:
                report.add(node.place, path, f"there still is a destination {_quoted(node)}")
            elif (other := renamed.setdefault(old, name)) != name:
                report.add(node.place, path, f"destination {other} says so too; only one can take it over")
    for path, node in texts(root, (), "discard"):
        old = str(node.value)
        if old in live:
            report.add(node.place, path, f"there still is a destination {_quoted(node)}; remove it first")
        elif old in renamed:
            report.add(node.place, path, f"destination {renamed[old]} takes over its backlog (`was`)")


def _ports(root: Mapping, report: Report) -> None:
    """The public and the admin port differ: on the public one, admin paths would be open."""
    server, admin = _entries(root, "server"), _entries(root, "admin")
    entry = admin.get("port")
    public, private = _value(server, "port", 8080), _value(admin, "port", 8081)
    host, admin_host = _value(server, "host", "127.0.0.1"), _value(admin, "host", "127.0.0.1")
    same_host = host == admin_host or {"0.0.0.0", "::"} & {host, admin_host}  # noqa: S104 (compared, not bound)
    if public == private and public not in ("0", "") and same_host:
        entry = entry or server.get("port")
        if entry is not None:
            path: Path = ("admin", "port") if admin.get("port") else ("server", "port")
            report.add(entry.node.place, path, "server and admin need ports of their own")


def _value(entries: dict[str, Entry], key: str, default: str | int) -> str:
    entry = entries.get(key)
    if entry is None:
        return str(default)
    return str(entry.node.value) if isinstance(entry.node, Scalar) and not entry.node.broken else ""
