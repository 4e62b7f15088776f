"""The audit trail: who did what, when, and whether it worked; never with what content."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dataplane.metrics.log import logger
from turnout import codec
from turnout.clock import iso

__all__ = ["ABOUT", "Audit"]

ABOUT = "turnout.about"
"""Where a handler leaves in its request what the audit trail is to say about it."""

LIMIT = 10_000_000
"""Bytes; a full file is kept as audit.log.1, and the one before it is dropped."""

_log = logger()


class Audit:
    """Appends JSON lines to a file that only its owner reads (0600)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = self._open()

    def note(self, who: str, verb: str, status: int, about: Mapping[str, Any] | None = None) -> None:
        """One line: `who` came by socket or token, the verb, the HTTP status of the answer, and what the
        handler has to say `about` it, which is nothing personal.

        What the disk refuses goes to the log instead: it was done already, and whoever asked must learn that.
        """
        line = {"at": iso(datetime.now(UTC)), "who": who, "verb": verb, "status": status, **(about or {})}
        try:
            self._write(codec.dumps(line) + b"\n")
        except OSError as error:
            _log.error("audit.not_written", reason=error.strerror, who=who, verb=verb, status=status)

    def _write(self, line: bytes) -> None:
        start = os.fstat(self._fd).st_size
        if os.write(self._fd, line) != len(line):
            os.ftruncate(self._fd, start)  # the disk is full in the middle of a line
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if start > LIMIT:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            full, self._fd = self._fd, self._open()
            os.close(full)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
