"""Transformations and libraries of a config, read from their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dataplane.config.languages import language_of, libraries_in
from dataplane.config.model import Config
from transformations.base import Library, Reaching, Script
from turnout.errors import ScriptError

__all__ = ["Texts", "read_libraries", "read_scripts", "read_texts"]

Texts = Mapping[str, Any]
"""`{"transformations": {id: text}, "libraries": [[name, text, file, language]]}`"""


def _source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScriptError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except UnicodeDecodeError:
        raise ScriptError("is not UTF-8", file=str(path)) from None


def _shown(path: Path) -> str:
    """How errors name a file: relative to the working folder where it is below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def read_libraries(config: Config) -> Iterator[Library]:
    """Every library, also those of folders; raises `ScriptError` where a file cannot be read."""
    for name, library in sorted(config.libraries.items()):
        language = language_of(library.language, library.file)
        yield Library(name, _source(library.file), _shown(library.file), language)
    for folder in config.library_folders:
        try:
            files = libraries_in(folder)
        except OSError as error:
            raise ScriptError(f"cannot be read: {error.strerror}", file=str(folder)) from None
        for file in files:
            yield Library(file.stem, _source(file), _shown(file), language_of(None, file))


def read_texts(config: Config) -> Texts:
    """What the files of a config hold, as plain JSON; raises `ScriptError` where one cannot be read."""
    return {
        "transformations": {name: _source(item.file) for name, item in config.transformations.items()},
        "libraries": [[one.name, one.source, one.file, one.language] for one in read_libraries(config)],
    }


def read_scripts(config: Config, texts: Texts | None = None) -> dict[str, Script]:
    """Every transformation by its id, of `texts` that were read before, or of the files as they are now.

    Raises `ScriptError` where one cannot be read.
    """
    texts = read_texts(config) if texts is None else texts
    libraries = tuple(Library(*one) for one in texts["libraries"])
    return {
        name: Script(
            name=name,
            source=texts["transformations"][name],
            file=_shown(item.file),
            language=language_of(item.language, item.file),
            libraries=libraries,
            timeout=item.timeout.total_seconds(),
            memory=item.memory,
            credentials={key: secret.get_secret_value() for key, secret in item.credentials.items()},
            reach=Reaching(
                tuple(item.fetch.allow), item.fetch.cache.total_seconds(), item.fetch.timeout.total_seconds()
            ),
        )
        for name, item in config.transformations.items()
    }
