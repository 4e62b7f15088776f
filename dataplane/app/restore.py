"""A data folder from a backup: into an empty folder, checked before anything takes its place."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from dataplane.app.bundle import MANIFEST, Entry, Manifest, Report, members, parse, reading, report
from dataplane.app.folders import RESTORING, check_owner, check_whole
from dataplane.deliver.schema import STEPS
from dataplane.log.segments import sync_folder
from dataplane.pipeline.ids import copied
from turnout.errors import Fixable, FormatError

__all__ = ["restore"]

_CHUNK = 1 << 20
_FOREIGN = frozenset(("lost+found",))
"""What a fresh file system holds, and an empty folder may."""


def restore(source: Path, data: Path, *, step: Callable[[int, int], None]) -> Report:
    """Fill the folder `data` with a backup; it is empty or does not exist.

    `step` is told bytes read and bytes in all. Raises `Fixable` where the folder cannot be used,
    `FormatError` where the backup is damaged, cut off or newer; then the folder is as it was: empty or not there.
    """
    if not source.is_file():
        raise Fixable(f"{source} does not exist")
    _empty(data)
    draft = data / RESTORING
    made = [folder for folder in (data, *data.parents) if not folder.exists()]
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
    except OSError as error:
        _unmake(made)
        raise Fixable(f"{data} cannot be written: {error.strerror}") from None
    whole, placed = False, []
    try:
        manifest = _extract(source, draft, step)
        for path in sorted(draft.rglob("pipeline.db")):
            _check_state(path)
        copied(draft / "sequence" / "ids")
        for path in sorted(draft.iterdir()):
            placed.append(data / path.name)
            path.rename(placed[-1])
        _sync(data)
        whole = True
    except OSError as error:
        raise Fixable(f"{data} cannot be written: {error.strerror or error}") from None
    finally:
        if not whole:
            _take_back(placed)
        shutil.rmtree(draft, ignore_errors=True)
        if not whole:
            _unmake(made)
    data.chmod(0o700)
    return report(source, manifest)


def _take_back(placed: list[Path]) -> None:
    """Remove what was put in its place before the rest could not be: a part would pass for the whole."""
    for path in placed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _unmake(folders: list[Path]) -> None:
    """Remove folders that were made for nothing, the innermost first; one that holds something stays."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _empty(data: Path) -> None:
    try:
        inside = {path.name for path in data.iterdir()} - _FOREIGN
    except FileNotFoundError:
        return
    except OSError as error:
        raise Fixable(f"{data}: {error.strerror}") from None
    check_whole(data)
    if inside:
        raise Fixable(f"{data} is not empty: name a new folder, or move what is there away")
    check_owner(data)


def _extract(source: Path, draft: Path, step: Callable[[int, int], None]) -> Manifest:
    found: dict[str, Entry] = {}
    manifest: Manifest | None = None
    with reading(source):
        for name, content in members(source, step):
            if manifest is not None:
                raise FormatError(f"{source} is no backup of Turnout: something follows its manifest")
            if name == MANIFEST:
                manifest = parse(content.read(1 << 28))
            else:
                found[name] = _write(draft, name, content)
    if manifest is None:
        raise FormatError(f"{source} is cut off: it has no manifest")
    if found != manifest.files:
        wrong = sorted(n for n in found.keys() | manifest.files.keys() if found.get(n) != manifest.files.get(n))
        raise FormatError(f"{source} is damaged: {wrong[0]} is not what the manifest says ({len(wrong)} in all)")
    return manifest


def _write(draft: Path, name: str, content: IO[bytes]) -> Entry:
    path = draft / name
    for parent in reversed(path.relative_to(draft).parents):
        (draft / parent).mkdir(mode=0o700, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        while data := content.read(_CHUNK):
            file.write(data)
            digest.update(data)
            size += len(data)
        file.flush()
        os.fsync(file.fileno())
    return Entry(size, digest.hexdigest())


def _check_state(path: Path) -> None:
    """The state must be whole and not of a newer Turnout; other files say so when they are opened."""
    db = sqlite3.connect(path)
    try:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        whole = db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.DatabaseError:
        raise FormatError("the state in the backup is damaged") from None
    finally:
        db.close()
    if version > len(STEPS):
        raise FormatError(
            f"the backup was made by a newer Turnout (state of version {version}; this one knows {len(STEPS)})"
        )
    if not whole:
        raise FormatError("the state in the backup is damaged")


def _sync(data: Path) -> None:
    for folder, _, _ in os.walk(data):
        sync_folder(Path(folder))
