"""From a file to a Config, or to every finding about it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Environ
from pathlib import Path as FilePath
from typing import NamedTuple

from pydantic import ValidationError

from dataplane.config.diagnostic import Diagnostic, InvalidConfig, Path, Place, Report, Severity, dotted
from dataplane.config.document import MAX_BYTES, Entry, Mapping, Sequence, compose, plain
from dataplane.config.interpolation import Files, interpolate
from dataplane.config.model import Config
from dataplane.config.offline import check_files, check_settings, check_socket
from dataplane.config.planned import refuse_planned
from dataplane.config.references import check_references
from dataplane.config.sentences import tell
from turnout.errors import ScriptError

__all__ = ["Finding", "Hook", "check", "connection", "load", "parse", "read_text"]


class Finding(NamedTuple):
    """What a hook found: a path in the config, and a sentence or a script's error."""

    path: Path
    said: str | ScriptError
    severity: Severity = "error"


Hook = Callable[[Config], Iterable[Finding]]
"""A further check of a config that is good so far, such as compiling its scripts in a worker."""


def parse(
    text: str, file: str, environ: Environ[str, str] | None = None, *, files: Files | None = None
) -> Config:
    """The config that a text says; paths are relative to the folder of `file`.

    Checks YAML, keys, values and references, and reads only the files that `${file:…}` names and `files` has not; the
    certificate's too where there are `files`.
    Raises `InvalidConfig` (a ConfigError) with every finding.
    """
    report = Report(file)
    config, _ = _read(text, report, environ, files)
    return _good(config, report)


def load(
    path: str | os.PathLike[str], environ: Environ[str, str] | None = None, *, files: Files | None = None
) -> Config:
    """The config in a file, after everything `check` verifies; what `${file:…}` and the certificate
    stood for is put into `files`.

    Raises `InvalidConfig` (a ConfigError) with every finding.
    """
    config, report = _examine(path, environ, files)
    return _good(config, report)


def check(
    path: str | os.PathLike[str], environ: Environ[str, str] | None = None, *, hooks: Iterable[Hook] = (),
) -> list[Diagnostic]:
    """Everything that is wrong with a config file, offline; an empty list for a good one.

    Beside what `parse` checks: settings by each tool's model, script files, certificate. `hooks` run
    when the config itself is good. A finding of severity `warning` does not stop `load`.
    """
    config, report = _examine(path, environ)
    if config is not None and not report.failed:
        root = _tree(path)
        for hook in hooks:
            report.add_all(_placed(finding, root, report.file) for finding in hook(config))
        if not config.sources:
            place = _place(root, ("sources",))
            report.add(place, ("sources",), "there is no source; nothing can be sent here", "warning")
        for host, server in config.egress.stand_ins.items():
            path_to = ("egress", "stand_ins", host)
            report.add(_place(root, path_to), path_to, f"what is for {host} goes to {server} instead", "warning")
    return report.diagnostics()


def connection(path: str | os.PathLike[str], environ: Environ[str, str] | None = None) -> Config:
    """Only `data`, `admin` and `server` of a file, for a command that speaks to a running Turnout.

    Everything else keeps its default: a secret of a destination need not be in the environment of
    whoever asks for the status. Raises `InvalidConfig`.
    """
    report = Report(os.fspath(path))
    text = read_text(path, report)
    config = None
    if text is not None:
        config, _ = _read(text, report, environ, None, frozenset(("data", "admin", "server")))
    return _good(config, report)


def _good(config: Config | None, report: Report) -> Config:
    if config is None or report.failed:
        raise InvalidConfig(report.diagnostics())
    return config


def _examine(
    path: str | os.PathLike[str], environ: Environ[str, str] | None, files: Files | None = None
) -> tuple[Config | None, Report]:
    report = Report(os.fspath(path))
    text = read_text(path, report)
    if text is None:
        return None, report
    config, root = _read(text, report, environ, files)
    if root is not None:
        check_settings(root, report)
        check_files(root, _folder(report.file), report)
        if config is not None:
            check_socket(config.admin.socket, root, report)
    return config, report


def _read(
    text: str, report: Report, environ: Environ[str, str] | None, files: Files | None,
    only: frozenset[str] | None = None,
) -> tuple[Config | None, Mapping | None]:
    """The config and its tree; None for what cannot be had, with findings in the report."""
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES:
        report.add(Place(0, 0), (), f"a config file has at most {MAX_BYTES} bytes")
        return None, None
    root = compose(text, report)
    if root is None:
        return None, None
    if only is not None:
        root.entries = {key: entry for key, entry in root.entries.items() if key in only}
    folder = _folder(report.file)
    refuse_planned(root, report)
    interpolate(root, os.environ if environ is None else environ, folder, report, files)
    check_references(root, report)
    try:
        return Config.model_validate(plain(root), context={"folder": folder, "files": files}), root
    except ValidationError as error:
        tell(error, Config, (), Entry(Place(1, 1), root), report)
        return None, root


def _folder(file: str) -> FilePath:
    return FilePath(file).absolute().parent


def read_text(path: str | os.PathLike[str], report: Report, kind: str = "a config file") -> str | None:
    """The text of a YAML file; None, with a finding in the report, where it cannot be had."""
    whole = Place(0, 0)
    file = FilePath(path)
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        report.add(whole, (), "this file does not exist; `turnout init` writes one to start from")
        return None
    except OSError as error:
        report.add(whole, (), f"this file cannot be read: {error.strerror or 'an error'}")
        return None
    if len(data) > MAX_BYTES:
        report.add(whole, (), f"{kind} has at most {MAX_BYTES} bytes")
        return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[:error.start]
        column = len(before[before.rfind(b"\n") + 1:].decode()) + 1
        report.add(Place(before.count(b"\n") + 1, column), (),
                   f"the byte 0x{data[error.start]:02X} is not UTF-8; save the file as UTF-8")
        return None


def _tree(path: str | os.PathLike[str]) -> Mapping:
    """The tree of a file that was good a moment ago, for the places of later findings."""
    scratch = Report(os.fspath(path))
    text = read_text(path, scratch)
    root = None if text is None else compose(text.removeprefix("\ufeff"), scratch)
    return root or Mapping(Place(1, 1))


def _placed(finding: Finding, root: Mapping, file: str) -> Diagnostic:
    path, said, severity = finding
    if isinstance(said, ScriptError) and said.file:
        return Diagnostic(said.file, said.line, 0, dotted(path), said.message, severity)
    place = _place(root, path)
    return Diagnostic(file, place.line, place.column, dotted(path), str(said), severity)


def _place(root: Mapping, path: Path) -> Place:
    """Where a path stands in the tree: its value, or the deepest key that is there."""
    place, node = Place(1, 1), None
    entry: Entry = Entry(place, root)
    for step in path:
        node = entry.node
        if isinstance(node, Mapping) and step in node.entries:
            entry = node.entries[str(step)]
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            entry = Entry(node.items[step].place, node.items[step])
        else:
            break
        place = entry.place if isinstance(entry.node, Mapping | Sequence) else entry.node.place
    return place
