"""The key of the hashes of message ids and of generated messageIds: one per data folder."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["secret_of"]


def secret_of(folder: Path) -> bytes:
    """The key of the id hashes and generated ids, made once."""
    path = folder / "key"
    if not path.exists():
        descriptor = os.open(path.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".new").rename(path)
    return path.read_bytes()
