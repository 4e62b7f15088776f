"""Looks up what the journal knows of one event. Runs in any thread, beside the writer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from dataplane.deliver.journal import format as layout
from dataplane.deliver.journal.format import Attempt, Block, Filtering, Origin
from dataplane.deliver.numbers import Numbers
from dataplane.deliver.renames import Renames

__all__ = ["ends", "find", "referenced", "write_index"]

NEVER = Renames()


def find(folder: Path, number: int) -> list[Attempt | Filtering]:
    """Everything that happened to an event, in the order it did."""
    found: list[Attempt | Filtering] = []
    for path in sorted(folder.glob("*.journal")):
        index = _index(path)
        if index is None or any(low <= number <= high for low, high in index["destinations"].values()):
            found.extend(_search(_read(path), number))
    return sorted(found, key=lambda one: one.at)


def ends(
    folders: Iterable[Path], destination: str, first: int, end: int, renames: Renames = NEVER
) -> tuple[Numbers, Numbers]:
    """Numbers from `first` and before `end` of events that a destination took, and that were filtered
    there, as far as the journals reach; whatever it was called then. Taken is a 2xx, or a record that was written."""
    taken, filtered = Numbers(first, end), Numbers(first, end)
    names = renames.names(destination)
    for path in (path for folder in folders for path in sorted(folder.glob("*.journal"))):
        index = _index(path)
        spans = [(first, end)] if index is None else [index["destinations"].get(name, (0, -1)) for name in names]
        if any(low < end and high >= first for low, high in spans):
            _ends(_read(path), lambda name, at: name in names and renames.now(name, at) == destination, taken, filtered)
    return taken, filtered


def _ends(data: bytes, meant: Callable[[str, float], bool], taken: Numbers, filtered: Numbers) -> None:
    names: dict[int, str] = {}
    for block in layout.blocks(data):
        if block.kind == layout.ORIGINS:
            names |= {serial: one.destination for serial, one in layout.origins(data, block).items()}
        elif block.kind == layout.FILTERED:
            for serial, _, when, _, runs in layout.filterings(data, block):
                if serial in names and meant(names[serial], when):
                    for at in range(0, len(runs), 2):
                        filtered.add_run(runs[at], runs[at + 1])
        elif block.kind == layout.ATTEMPTS:
            for serial, numbers, _, fields, error in layout.attempts(data, block):
                status = fields[2]
                if error or (status and not 200 <= status < 300):
                    continue
                if serial in names and meant(names[serial], fields[7] / 1000):
                    for number in numbers:
                        taken.add(number)


def referenced(folder: Path) -> tuple[set[str], set[str]]:
    """Hashes of configs, and versions of scripts, that the journal speaks of."""
    configs: set[str] = set()
    scripts: set[str] = set()
    for path in folder.glob("*.journal"):
        index = _index(path)
        if index is None:  # the one that is being written
            index = _described((origin, 0, 0) for origin in _origins(_read(path)))
        configs.update(index["configs"])
        scripts.update(index["scripts"])
    return configs, scripts


def write_index(path: Path, spans: Iterable[tuple[Origin, int, int]]) -> None:
    """Write the index of a segment that gets no more: lowest and highest number per origin."""
    index = _described(spans)
    draft = path.with_suffix(".index.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(index, file)
    draft.replace(path.with_suffix(".index"))


def _described(spans: Iterable[tuple[Origin, int, int]]) -> dict[str, Any]:
    destinations: dict[str, list[int]] = {}
    configs: set[str] = set()
    scripts: set[str] = set()
    for origin, low, high in spans:
        known = destinations.setdefault(origin.destination, [low, high])
        known[:] = min(known[0], low), max(known[1], high)
        configs.add(origin.config)
        scripts.update(version for _, version in origin.scripts)
    return {
        "version": layout.VERSION, "destinations": destinations,
        "configs": sorted(configs), "scripts": sorted(scripts),
    }  # fmt: skip


def _index(path: Path) -> dict[str, Any] | None:
    """A segment's index; None where it has none (it is being written, or its process was killed)."""
    try:
        index = json.loads(path.with_suffix(".index").read_bytes())
    except (OSError, ValueError):
        return None
    return index if isinstance(index, dict) and index.get("version") == layout.VERSION else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # deleted for its age a moment ago
        return b""


def _origins(data: bytes) -> Iterable[Origin]:
    for block in layout.blocks(data):
        if block.kind == layout.ORIGINS:
            yield from layout.origins(data, block).values()


def _search(data: bytes, number: int) -> list[Attempt | Filtering]:
    origins: dict[int, Origin] = {}
    found: list[Attempt | Filtering] = []
    pattern = number.to_bytes(8, "little")
    for block in layout.blocks(data):
        if block.kind == layout.ORIGINS:
            origins.update(layout.origins(data, block))
        elif not block.low <= number <= block.high:
            continue
        elif block.kind == layout.FILTERED:
            found.extend(_filtered(data, block, number, origins))
        elif block.kind == layout.ATTEMPTS and data.find(pattern, block.start, block.stop) >= 0:
            found.extend(_attempts(data, block, number, origins))
    return found


def _attempts(data: bytes, block: Block, number: int, origins: dict[int, Origin]) -> Iterable[Attempt]:
    for serial, numbers, children, fields, error in layout.attempts(data, block):
        if number not in numbers or serial not in origins:
            continue
        count, _, status, attempt, _, _, micros, millis = fields
        for child in _places(numbers, children, number):
            yield Attempt(origins[serial], child, millis / 1000, micros / 1e6, status, attempt, count, error)


def _places(numbers: Sequence[int], children: Sequence[int], number: int) -> Iterable[int]:
    for index, one in enumerate(numbers):
        if one == number:
            yield children[index] if children else 0


def _filtered(data: bytes, block: Block, number: int, origins: dict[int, Origin]) -> Iterable[Filtering]:
    for serial, child, at, reason, runs in layout.filterings(data, block):
        if serial in origins and any(runs[i] <= number < runs[i + 1] for i in range(0, len(runs), 2)):
            yield Filtering(origins[serial], child, at, reason)
