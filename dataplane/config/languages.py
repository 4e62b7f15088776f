"""The language of a script: as the config says, else by the suffix of its file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

__all__ = ["SUFFIXES", "Language", "language_of"]

Language = Literal["python", "javascript"]
SUFFIXES: dict[str, Language] = {
    ".py": "python", ".js": "javascript", ".mjs": "javascript", ".cjs": "javascript",
}


def language_of(given: Language | None, file: Path) -> Language:
    """What is given, else what the suffix tells; Python where it tells nothing."""
    return given or SUFFIXES.get(file.suffix.lower(), "python")
