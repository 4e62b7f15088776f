"""Transformations and libraries of a config, read from their files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dataplane.config.languages import language_of, libraries_in
from dataplane.config.model import Config
from dataplane.config.scripts import Transformation
from transformations.base import Library, Reaching, Script
from turnout.errors import ScriptError

__all__ = ["configured", "read_libraries", "read_scripts"]


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


def read_scripts(config: Config) -> dict[str, Script]:
    """Every transformation by its id; raises `ScriptError` where a file cannot be read."""
    libraries = tuple(read_libraries(config))
    return {
        name: configured(
            Script(
                name=name,
                source=_source(item.file),
                file=_shown(item.file),
                language=language_of(item.language, item.file),
                libraries=libraries,
            ),
            item,
        )
        for name, item in config.transformations.items()
    }


def configured(script: Script, item: Transformation) -> Script:
    """The script with the limits, secrets and hosts that the config gives it."""
    return replace(
        script,
        timeout=item.timeout.total_seconds(),
        memory=item.memory,
        credentials={key: secret.get_secret_value() for key, secret in item.credentials.items()},
        reach=Reaching(
            tuple(item.fetch.allow), item.fetch.cache.total_seconds(), item.fetch.timeout.total_seconds()
        ),
    )
