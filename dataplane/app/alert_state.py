"""`state/alerts.json`: the alerts that stand, and those that are still to be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from dataplane.app.folders import write_private
from dataplane.inspect.alerts import Alert, Memory, Standing
from dataplane.metrics.log import logger
from turnout.errors import FormatError

__all__ = ["VERSION", "AlertState", "read", "write"]

VERSION = 1

_log = logger()


@dataclass(slots=True)
class AlertState:
    """What `changes` remembers, and per channel what waits, oldest first."""

    memory: Memory = field(default_factory=Memory)
    outbox: dict[str, list[Alert]] = field(default_factory=dict)

    def packed(self) -> str:
        """The file's text. Counts of dead letters are left out: after a restart a rate begins anew."""
        standing = [(*key, one) for key, one in self.memory.standing.items()]
        return msgspec.json.encode(_Stored(VERSION, standing, self.outbox)).decode() + "\n"


@dataclass(slots=True)
class _Stored:
    version: int
    standing: list[tuple[str, str, Standing]]
    outbox: dict[str, list[Alert]]


@dataclass(slots=True)
class _Versioned:
    version: int


def read(path: Path) -> AlertState:
    """What the file holds; nothing where it is missing or damaged, which is said in the log.

    Raises `FormatError` where a newer Turnout wrote it.
    """
    try:
        data = path.read_bytes()
        if msgspec.json.decode(data, type=_Versioned).version > VERSION:
            raise FormatError(f"{path.name} was written by a newer Turnout; start that version")
        stored = msgspec.json.decode(data, type=_Stored)
    except FileNotFoundError:
        return AlertState()
    except (msgspec.DecodeError, OSError) as error:
        _log.error("alerts.unreadable", file=path.name, error=type(error).__name__)
        return AlertState()
    standing = {(kind, subject): one for kind, subject, one in stored.standing}
    return AlertState(Memory(standing), stored.outbox)


def write(path: Path, text: str) -> None:
    """Write it at once or not at all; raises OSError."""
    write_private(path, text)
