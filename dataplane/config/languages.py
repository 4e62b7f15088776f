"""The language of a script: as the config says, else by the suffix of its file; and the libraries of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

__all__ = ["SUFFIXES", "Language", "language_of", "libraries_in"]

Language = Literal["python", "javascript"]
SUFFIXES: dict[str, Language] = {
    ".py": "python", ".js": "javascript", ".mjs": "javascript", ".cjs": "javascript",
}


def language_of(given: Language | None, file: Path) -> Language:
    """What is given, else what the suffix tells; Python where it tells nothing."""
    return given or SUFFIXES.get(file.suffix.lower(), "python")


def libraries_in(folder: Path) -> list[Path]:
    """The libraries of a folder, by name: its .py, .js, .mjs and .cjs files, but those that begin with _ or a
    dot; OSError where it cannot be read."""
    return sorted(
        file for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and file.name[0] not in "_." and file.is_file()
    )  # fmt: skip
