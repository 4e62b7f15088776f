"""Keys that this version knows of but cannot serve: an error that says so, never ignored."""

from __future__ import annotations

from dataplane.config.diagnostic import Path, Report
from dataplane.config.document import Mapping

__all__ = ["PLANNED", "refuse_planned"]

PLANNED: dict[tuple[str, ...], str] = {
    ("actions",): "rows of a warehouse sent to tools",
    ("consent",): "consent rules",
    ("extracts",): "rows of tools read into a warehouse",
    ("profiles",): "profiles",
    ("tracking_plans",): "tracking plans",
    ("warehouses",): "warehouses",
    ("destinations", "*", "consent"): "consent rules",
    ("destinations", "*", "except"): "rules of a destination's own",
    ("destinations", "*", "only"): "rules of a destination's own",
}
"""Path of a key (`*` is any id) and the feature that it will switch on."""


def refuse_planned(root: Mapping, report: Report) -> None:
    """Report every planned key at its place, and take it out of the tree."""
    for pattern, feature in PLANNED.items():
        for parent, path in _parents(root, pattern):
            entry = parent.entries.pop(pattern[-1], None)
            if entry is not None:
                report.add(entry.place, (*path, pattern[-1]), f"not in this version ({feature})")


def _parents(root: Mapping, pattern: tuple[str, ...]) -> list[tuple[Mapping, Path]]:
    """Mappings in which the last key of a pattern may stand, and their paths."""
    found: list[tuple[Mapping, Path]] = [(root, ())]
    for step in pattern[:-1]:
        found = [
            (entry.node, (*path, key))
            for mapping, path in found
            for key, entry in mapping.entries.items()
            if step in ("*", key) and isinstance(entry.node, Mapping)
        ]
    return found
