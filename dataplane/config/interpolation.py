"""`${ENV}`, `${ENV:-default}` and `${file:PATH}` in values; `$${` stands for `${`.

What is read this way is always text, also where it looks like a number: a password of digits stays
what it is, and a number field takes text that is a number. It is never shown again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Environ
from pathlib import Path as FilePath

from dataplane.config.diagnostic import Path, Report
from dataplane.config.document import Mapping, Node, Scalar, Sequence

__all__ = ["MAX_SECRET_BYTES", "Files", "interpolate"]

MAX_SECRET_BYTES = 1 << 20
"""Largest file that `${file:PATH}` reads."""

_TOKEN = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


Files = dict[str, str]
"""What `${file:PATH}` stands for, by PATH as it is written, and the certificate's files by their absolute paths; what
is not in it is read, and put in."""


def interpolate(
    root: Node, environ: Environ[str, str], folder: FilePath, report: Report, files: Files | None = None
) -> None:
    """Replace every `${…}` below `root`, in place; what cannot be read is a finding at its value."""
    _Interpolation(environ, folder, report, {} if files is None else files).node(root, ())


class _Interpolation:
    def __init__(self, environ: Environ[str, str], folder: FilePath, report: Report, files: Files) -> None:
        self.environ, self.folder, self.report, self.files = environ, folder, report, files
        self.seen: set[int] = set()

    def node(self, node: Node, path: Path) -> None:
        if id(node) in self.seen:  # an alias: once is enough, and the place is the anchor's
            return
        self.seen.add(id(node))
        if isinstance(node, Mapping):
            for key, entry in node.entries.items():
                self.node(entry.node, (*path, key))
        elif isinstance(node, Sequence):
            for index, item in enumerate(node.items):
                self.node(item, (*path, index))
        elif "${" in node.text and not node.broken:
            self.scalar(node, path)

    def scalar(self, node: Scalar, path: Path) -> None:
        def replace(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            if not match[2]:
                raise ValueError("'${' without '}'; write $${ for the text itself")
            node.interpolated = True
            return self.lookup(match[1])

        try:
            node.value = _TOKEN.sub(replace, node.text)
        except ValueError as error:
            self.report.add(node.place, path, str(error))
            node.broken = True

    def lookup(self, inside: str) -> str:
        name, has_default, default = inside.partition(":-")
        if _NAME.fullmatch(name):
            return self.variable(name, default if has_default else None)
        if inside.startswith("file:"):
            name = inside.removeprefix("file:")
            if name not in self.files:
                self.files[name] = self.file(name)
            return self.files[name]
        raise ValueError(
            "only ${ENV}, ${ENV:-default} and ${file:PATH} are read; write $${ for the text itself"
        )

    def variable(self, name: str, default: str | None) -> str:
        value = self.environ.get(name)
        if default is not None:
            value = value or default
        if value is None:
            raise ValueError(f"the environment variable {name} is not set (a default: ${{{name}:-…}})")
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise ValueError(f"the environment variable {name} is not UTF-8")
        return value

    def file(self, name: str) -> str:
        if not name or "\0" in name:
            raise ValueError("${file:PATH} needs the path of a file")
        path = self.folder / name
        try:
            if not path.is_file():
                raise ValueError(f"the file {name} does not exist" if not path.exists()
                                 else f"{name} is not a regular file")
            with path.open("rb") as opened:
                data = opened.read(MAX_SECRET_BYTES + 1)
            if len(data) > MAX_SECRET_BYTES:
                raise ValueError(f"the file {name} is larger than {MAX_SECRET_BYTES} bytes")
            return data.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise ValueError(f"the file {name} is not UTF-8") from None
        except OSError as error:
            raise ValueError(f"the file {name} cannot be read: {error.strerror or 'an error'}") from None
