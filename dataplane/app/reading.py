"""What a config.yaml and the files that it names said when the app read them, and what differs between two times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dataplane.config import Config, load
from dataplane.pipeline.scripts import Texts, read_texts

__all__ = ["Reading", "changed", "difference", "read"]


@dataclass(frozen=True, slots=True, repr=False)
class Reading:
    """Enough to start a role again as it was, whatever has become of the files since.

    `secrets` is what `${file:PATH}` stood for, by PATH, and certificate and key.
    """

    text: str
    config: Config
    scripts: Texts
    secrets: Mapping[str, str]

    def told(self, file: Path, *, scripts: bool) -> dict[str, Any]:
        """A configuration for a role, as plain JSON; only the pipeline has `scripts`."""
        args = {"text": self.text, "file": str(file), "secrets": self.secrets}
        return {**args, "scripts": self.scripts} if scripts else args


def read(path: Path) -> Reading:
    """Read it all, once; raises `ConfigError` with every finding, and `ScriptError`."""
    secrets: dict[str, str] = {}
    config = load(path, files=secrets)
    return Reading(path.read_text(encoding="utf-8"), config, read_texts(config), secrets)


def changed(before: Reading, after: Reading) -> list[str]:
    """Dotted names of what differs, sorted: `destinations.crm`, `server.drain`; a script also where only its text does.

    A secret counts by its value.
    """
    found = {
        *_fields(before.config, after.config),
        *(f"transformations.{name}" for name in _keys(*(one.scripts["transformations"] for one in (before, after)))),
        *(f"libraries.{name}" for name, _ in _keys(*(_libraries(one.scripts) for one in (before, after)))),
    }
    return sorted(found)


def difference(before: Reading, after: Reading) -> dict[str, list[str]]:
    """`{"changed", "added", "removed"}`: names as `changed` gives them, and which of them are new, or gone."""
    names = changed(before, after)
    were, are = _named(before), _named(after)
    return {
        "changed": names,
        "added": [name for name in names if name in are and name not in were],
        "removed": [name for name in names if name in were and name not in are],
    }


def _named(reading: Reading) -> frozenset[str]:
    """What has a name of its own in a configuration: destinations, sources, scripts."""
    found = {f"{section}.{name}" for section, value in reading.config if isinstance(value, dict) for name in value}
    return frozenset(found | {f"libraries.{name}" for name, _ in _libraries(reading.scripts)})


def _fields(before: Config, after: Config) -> Iterator[str]:
    for name in Config.model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if isinstance(old, BaseModel) and isinstance(new, BaseModel):
            old, new = dict(old), dict(new)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from (f"{name}.{key}" for key in _keys(old, new))
        else:
            yield name


def _keys(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Iterator[Any]:
    """Those of which one side has another value, or none."""
    return (key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _libraries(scripts: Texts) -> dict[tuple[str, str], str]:
    return {(name, language): text for name, text, _, language in scripts["libraries"]}
