"""What `turnout check` verifies beyond the file itself, without leaving the machine.

Settings against the tool's own model, script files, the certificate, the socket's path.
"""

from __future__ import annotations

import keyword
from pathlib import Path as FilePath
from typing import get_args

from pydantic import ValidationError

from dataplane.config.diagnostic import Path, Place, Report
from dataplane.config.document import Entry, Mapping, Scalar, plain, scalars
from dataplane.config.languages import Language, language_of, libraries_in
from dataplane.config.references import section, texts
from dataplane.config.sentences import shows_secret, tell
from turnout.errors import Fixable
from turnout.spelling import meant

__all__ = ["MAX_SCRIPT_BYTES", "MAX_SOCKET_PATH", "check_files", "check_settings", "check_socket"]

MAX_SCRIPT_BYTES = 1 << 20
"""Largest source file of a script or library."""
MAX_SOCKET_PATH = 103
"""Longest path of a Unix socket in bytes: sun_path is 104 with its NUL on macOS, 108 on Linux."""


def check_settings(root: Mapping, report: Report) -> None:
    """Check every destination's type and settings; imports the tools that are named, and only those."""
    for name, entry, mapping in section(root, "destinations"):
        path: Path = ("destinations", name)
        for where, node in texts(mapping, path, "type"):
            _destination(node, where, entry.place, mapping, report)


def _destination(node: Scalar, path: Path, place: Place, mapping: Mapping, report: Report) -> None:
    from destinations import registry, rudderstack

    slug = str(node.value)
    known = registry.slugs()
    if slug not in known:
        ours = rudderstack.ours(slug)
        near = f" (did you mean {ours}?)" if ours else meant(slug, known)
        hint = "" if node.interpolated else near or f" (there are {', '.join(known)})"
        report.add(node.place, path, f"unknown destination type{hint}")
        return
    try:
        model = registry.find(slug).settings_type
    except Fixable as error:
        report.add(node.place, path, str(error))
        return
    entry = mapping.entries.get("settings", Entry(place, Mapping(place)))
    path = (*path[:-1], "settings")
    if not isinstance(entry.node, Mapping):
        return  # the model of the whole says so
    try:
        made = registry.build(slug, plain(entry.node))
        registry.client(slug, made.settings, base=FilePath(), delivery=made.delivery)
    except ValidationError as error:
        listed = f"`turnout docs destination {slug}` lists them"
        tell(error, model, path, entry, report, word="setting", listed=listed)
    except (Fixable, ValueError) as error:
        if not any(scalar.broken for scalar in scalars(entry.node)):
            message = "is not valid" if shows_secret(str(error), entry.node, model) else str(error)
            report.add(entry.place, path, message)


def check_files(root: Mapping, folder: FilePath, report: Report) -> None:
    """Check that the files a config names are there and can be read."""
    for kind in ("libraries", "transformations"):
        for name, _, mapping in section(root, kind):
            for path, node in texts(mapping, (kind, name), "file"):
                _script(folder, path, node, report)
    _folders(root, folder, report)
    for name, _, mapping in section(root, "server"):
        if name == "tls":
            _certificate(mapping, folder, report)
    geolocation = root.entries.get("geolocation")
    if geolocation is not None and isinstance(geolocation.node, Mapping):
        for path, node in texts(geolocation.node, ("geolocation",), "database"):
            _places(folder, path, node, report)
    for path, node in texts(root, (), "data"):
        if _path(folder, node).exists() and not _path(folder, node).is_dir():
            report.add(node.place, path, "this is a file; Turnout keeps its data in a folder")


def check_socket(socket: FilePath, root: Mapping, report: Report) -> None:
    """Check that the admin socket's path fits into an address."""
    length = len(str(socket).encode())
    if length <= MAX_SOCKET_PATH:
        return
    admin = root.entries.get("admin")
    owner = admin.node.entries if admin is not None and isinstance(admin.node, Mapping) else {}
    entry = owner.get("socket") or root.entries.get("data")
    report.add(
        entry.node.place if entry else Place(1, 1), ("admin", "socket"),
        f"the path of a socket has at most {MAX_SOCKET_PATH} bytes, this one has {length}",
    )


def _path(folder: FilePath, node: Scalar) -> FilePath:
    return folder / str(node.value).replace("\0", "")  # the model refuses NUL, at the same place


def _folders(root: Mapping, folder: FilePath, report: Report) -> None:
    """Check the folders of libraries: every file, and that no two libraries of a language have one name."""
    owners: dict[tuple[str, Language], str] = {}
    for name, _, mapping in section(root, "libraries"):
        for _, node in texts(mapping, ("libraries", name), "file"):
            said = {str(one.value) for _, one in texts(mapping, (), "language")}
            given: Language | None = next((one for one in get_args(Language) if one in said), None)
            owners[name, language_of(given, FilePath(str(node.value)))] = f"libraries.{name}"
    for path, node in texts(root, (), "library_folders"):
        try:
            files = libraries_in(_path(folder, node))
        except FileNotFoundError:
            report.add(node.place, path, "this folder does not exist")
            continue
        except OSError as error:
            report.add(node.place, path, f"this folder cannot be read: {error.strerror or 'an error'}")
            continue
        for file in files:
            language = language_of(None, file)
            if language == "python" and (not file.stem.isidentifier() or keyword.iskeyword(file.stem)):
                odd = f"{file.name}: scripts import it by this name; it must be a Python identifier"
                report.add(node.place, path, odd)
            owner = owners.setdefault((file.stem, language), str(file))
            if owner != str(file):
                report.add(node.place, path, f"{file.name}: {owner} has the same name")
            _readable(file, node, path, report, file.name)


def _script(folder: FilePath, path: Path, node: Scalar, report: Report) -> None:
    _readable(_path(folder, node), node, path, report)


def _readable(file: FilePath, node: Scalar, path: Path, report: Report, what: str = "this file") -> None:
    try:
        if not file.exists():
            report.add(node.place, path, f"{what} does not exist")
        elif not file.is_file():
            report.add(node.place, path, "this is not a regular file")
        elif file.stat().st_size > MAX_SCRIPT_BYTES:
            report.add(node.place, path, f"{what} is larger than {MAX_SCRIPT_BYTES} bytes")
        else:
            file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        report.add(node.place, path, f"{what} is not UTF-8")
    except OSError as error:
        report.add(node.place, path, f"{what} cannot be read: {error.strerror or 'an error'}")


def _places(folder: FilePath, path: Path, node: Scalar, report: Report) -> None:
    file = _path(folder, node)
    if not file.is_file():
        report.add(node.place, path, "this file does not exist")
        return
    import maxminddb

    try:
        maxminddb.open_database(str(file)).close()
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        report.add(node.place, path, f"this MaxMind file cannot be read: {error}")


def _certificate(tls: Mapping, folder: FilePath, report: Report) -> None:
    base: Path = ("server", "tls")
    found = {key: spot for key in ("certificate", "key") for spot in texts(tls, base, key)}
    readable = True
    for path, node in found.values():
        if not _path(folder, node).is_file():
            report.add(node.place, path, "this file does not exist")
            readable = False
    if len(found) < 2 or not readable:
        return
    certificate, key = (_path(folder, found[name][1]) for name in ("certificate", "key"))
    path, node = found["key"]
    import ssl

    try:
        # An encrypted key must not ask for its passphrase on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            report.add(node.place, path, "this key does not belong to the certificate")
        else:
            report.add(node.place, path, "certificate and key cannot be used: both must be PEM, the key open")
    except OSError as error:
        report.add(node.place, path, f"certificate or key cannot be read: {error.strerror or 'an error'}")
