"""What was in force once: configs without their secrets, and scripts, by the hash of their content.

`data/history/configs/{hash}.json` is a config as `dataplane.config.masked` shows it (never the text of
config.yaml, which may hold a secret in plain), `scripts/{version}.json` a transformation with names of
the texts in `texts/`. Written when a config is put in force, and deleted when the journal speaks of it
no more. Nothing is decided by these files: one that cannot be written is said, and explain does without.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from dataplane.config.display import masked
from dataplane.config.model import Config
from dataplane.metrics.log import logger
from transformations.base import Library, Reaching, Script

__all__ = ["History", "config_hash"]

log = logger()
VERSION = 1


def _text(config: Config) -> bytes:
    return json.dumps({"version": VERSION, "config": masked(config)}, sort_keys=True).encode()


def config_hash(config: Config) -> str:
    """16 hex digits of what is kept of a config; equal for configs that differ in secrets only."""
    return sha256(_text(config)).hexdigest()[:16]


class History:
    """The folder; every method may run in any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()  # what is kept now must not look unused to `prune`
        for name in ("configs", "scripts", "texts"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)

    def keep(self, config: Config, scripts: Iterable[Script]) -> None:
        """Store a config and its scripts where they are not stored yet; never raises for the disk."""
        try:
            with self._lock:
                for script in scripts:
                    self._script(script)
                self._put(self._folder / "configs" / f"{config_hash(config)}.json", _text(config))
        except OSError as error:
            log.error("history.not_kept", reason=error.strerror)

    def _script(self, script: Script) -> None:
        told = {
            "version": VERSION, "name": script.name, "file": script.file, "language": script.language,
            "timeout": script.timeout, "memory": script.memory, "text": self._source(script.source),
            "libraries": [[one.name, one.file, one.language, self._source(one.source)] for one in script.libraries],
            "hosts": script.reach.hosts,
        }  # fmt: skip
        self._put(self._folder / "scripts" / f"{script.version}.json", json.dumps(told).encode())

    def _source(self, text: str) -> str:
        data = text.encode()
        name = sha256(data).hexdigest()[:32]
        self._put(self._folder / "texts" / name, data)
        return name

    def _put(self, path: Path, data: bytes) -> None:
        """Write at once or not at all (0600); content-addressed, so what is there is right."""
        if path.exists():
            return
        draft = path.with_name(f"{path.name}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        draft.replace(path)

    def config(self, name: str) -> dict[str, Any] | None:
        """A config as it was shown, secrets masked; None where it is not kept any more."""
        told = self._load(self._folder / "configs" / f"{name}.json")
        found = told.get("config") if told else None
        return found if isinstance(found, dict) else None

    def knows(self, version: str) -> bool:
        """Whether this version of a script was in force before."""
        return (self._folder / "scripts" / f"{version}.json").exists()

    def script(self, version: str) -> Script | None:
        """A transformation with its libraries, or None where one of them is not kept any more."""
        told = self._load(self._folder / "scripts" / f"{version}.json")
        if told is None:
            return None
        try:
            return Script(
                name=told["name"], source=self._stored(told["text"]), file=told["file"],
                language=told["language"], timeout=told["timeout"], memory=told["memory"],
                libraries=tuple(
                    Library(name, self._stored(text), file, language)
                    for name, file, language, text in told["libraries"]
                ),
                reach=Reaching(tuple(told["hosts"])),
            )  # fmt: skip
        except (OSError, KeyError, ValueError):
            return None

    def _stored(self, name: str) -> str:
        return (self._folder / "texts" / name).read_text(encoding="utf-8")

    def _load(self, path: Path) -> dict[str, Any] | None:
        try:
            told = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) and told.get("version") == VERSION else None

    def prune(self, configs: Collection[str], scripts: Collection[str], before: float) -> None:
        """Delete what is in none of these hashes and versions, and older than `before` (Unix seconds):
        the journal may not speak yet of what is newer. Never raises for the disk."""
        try:
            with self._lock:
                self._prune(configs, scripts, before)
        except OSError as error:
            log.error("history.not_pruned", reason=error.strerror)

    def _prune(self, configs: Collection[str], scripts: Collection[str], before: float) -> None:
        for path in (self._folder / "configs").glob("*.json"):
            if path.stem not in configs and path.stat().st_mtime < before:
                path.unlink()
        texts: set[str] = set()
        for path in (self._folder / "scripts").glob("*.json"):
            told = self._load(path)
            if told is None or (path.stem not in scripts and path.stat().st_mtime < before):
                path.unlink()
                continue
            texts.update([told["text"], *(text for *_, text in told["libraries"])])
        for path in (self._folder / "texts").iterdir():
            if path.name not in texts:
                path.unlink()
