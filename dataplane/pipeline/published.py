"""How far the process that sequences is, for those that follow: a mapped number, and a bell.

`data/sequence/head`, as a partition of the log has one (log/head.py): its position is the number behind the last
event whose block is whole in the sidecar. A block that is whole survives the death of the process that wrote it, so
no event before that number ever gets another one; against a power cut each process syncs the sidecar before it writes
down cursors. Not there while there is one pipeline process.
"""

from __future__ import annotations

from pathlib import Path

from dataplane.log.head import Head
from dataplane.log.wake import Bell, Listener

__all__ = ["Published", "Publisher"]


class Publisher:
    """The end of the process that sequences."""

    def __init__(self, folder: Path, number: int) -> None:
        """`number` is where it stands now, whatever an earlier life said."""
        self._head = Head(folder)
        self._bell = Bell(folder)
        self.publish(number)

    def publish(self, number: int) -> None:
        """Every event before `number` is in the sidecar."""
        self._head.position = number
        if self._head.wanted:
            self._head.wanted = False
            self._bell.ring()

    def close(self) -> None:
        """Let go; what was said stands."""
        self._bell.close()
        self._head.close()


class Published:
    """The end of a process that follows."""

    def __init__(self, folder: Path) -> None:
        self._head = Head(folder)
        self._listener = Listener(folder, self._head)

    @property
    def number(self) -> int:
        """The number behind the last event that may be read."""
        return self._head.position

    async def wait(self, number: int, timeout: float) -> bool:
        """Return True once it is beyond `number`, False after `timeout` seconds."""
        return await self._listener.wait(number, timeout)

    def close(self) -> None:
        """Let go."""
        self._listener.close()
        self._head.close()
