"""Settings of the file destination."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from turnout import Settings, Size

__all__ = ["FileSettings"]


class FileSettings(Settings):
    """Which folder, and how large a file may grow."""

    path: Path = Field(
        description="Folder for the files; made where missing, relative to the folder of config.yaml.",
        examples=["./events"],
    )
    max_bytes: Size = Field(
        100_000_000,
        gt=0,
        description="A file is closed and the next one begun at this size.",
        examples=["100MB"],
    )
