"""Which files a config is made of: itself, and those it names."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path as FilePath

from dataplane.config.diagnostic import Report
from dataplane.config.document import MAX_BYTES, Mapping, compose, scalars
from dataplane.config.languages import libraries_in
from dataplane.config.references import section, texts

__all__ = ["fixture_path", "named", "scripts"]

_SECRET = re.compile(r"\$\{file:([^}\0]+)\}")
_CODE = ("transformations", "libraries")
_FIXTURES = ".test.yaml"


def fixture_path(script: FilePath) -> FilePath:
    """Where the fixtures of a script are, whether or not there are any."""
    return script.with_name(script.stem + _FIXTURES)


def named(path: str | os.PathLike[str]) -> frozenset[FilePath]:
    """The file at `path`, its scripts, fixtures, libraries, certificate and the files of `${file:…}`, absolute.

    Never raises: of a file that cannot be read or is no YAML, only itself. Whether the others exist is
    not asked.
    """
    file = FilePath(path).absolute()
    root = _read(file)
    if root is None:
        return frozenset((file,))
    names = _written(root, file.parent)
    return frozenset((file, *(file.parent / name for name in names if name and "\0" not in name)))


def scripts(path: FilePath) -> dict[str, str]:
    """The transformations that the file at `path` names, in its order: id and file as written, "" where it has none.

    Never raises, as `named`: a config that is not good yet says this much too.
    """
    root = _read(path)
    if root is None:
        return {}
    return {
        name: next((str(node.value) for _, node in texts(mapping, ("transformations", name), "file")), "")
        for name, _, mapping in section(root, "transformations")
    }  # fmt: skip


def _read(file: FilePath) -> Mapping | None:
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        return None
    return compose(text.removeprefix("\ufeff"), Report(str(file)))


def _written(root: Mapping, folder: FilePath) -> set[str]:
    found = {name for scalar in scalars(root) for name in _SECRET.findall(scalar.text)}
    for kind in _CODE:
        for name, _, mapping in section(root, kind):
            files = [str(node.value) for _, node in texts(mapping, (kind, name), "file")]
            found.update(files)
            if kind == "transformations":
                found |= {str(fixture_path(FilePath(file))) for file in files if FilePath(file).name}
    for _, node in texts(root, (), "library_folders"):
        place = str(node.value)
        found.add(place)
        if "\0" not in place:
            with suppress(OSError):
                found |= {str(path) for path in libraries_in(folder / place)}
    for name, _, mapping in section(root, "server"):
        if name == "tls":
            for key in ("certificate", "key"):
                found |= {str(node.value) for _, node in texts(mapping, ("server", "tls"), key)}
    return found
