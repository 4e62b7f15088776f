"""The key of the hashes of message ids and of generated messageIds: one per data folder."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

__all__ = ["identity_of", "secret_of"]


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


def identity_of(folder: Path) -> int:
    """64 bits that tell this sequence from another one, whose numbers mean other events."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return int.from_bytes(blake2b(secret_of(folder), digest_size=8, person=b"sequence").digest(), "little")
