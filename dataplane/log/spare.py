"""The next segment's file, filled with zeros before it is needed.

A sync of a file that grows commits the growth in the file system's journal too, together with what other
programs wrote there. Bytes that are overwritten in place cost neither. The file is filled by a thread of
its own, and is another file than the one being written, whose syncs would else wait for the zeros.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from dataplane.log.segments import Sync
from dataplane.metrics.log import logger

__all__ = ["SMALLEST", "Spare"]

SMALLEST = 8 << 20
"""Bytes of the first spare file after a start; each further one has twice as many."""
_STEP = 1 << 20
"""Bytes between two syncs, so that no record waits long for the disk."""

_say = logger()


class Spare:
    """At most one file, `spare.new` in the log's folder. For the writer's thread."""

    def __init__(self, folder: Path, sync: Sync) -> None:
        self._path = folder / "spare.new"
        self._sync = sync
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._file = -1
        self.size = 0
        """Bytes of the file that is ready; 0 while none is."""

    def want(self, size: int) -> None:
        """Begin to make a file of `size` bytes, where none is ready or being made."""
        if not self.size and (self._thread is None or not self._thread.is_alive()):
            self._stop.clear()
            self._thread = threading.Thread(target=self._fill, args=(size,), name="log-spare", daemon=True)
            self._thread.start()

    def _fill(self, size: int) -> None:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                done = self._zeros(file, size)
            except BaseException:
                os.close(file)
                raise
        except OSError as error:  # no spare is no trouble: the log grows as it is written, only slower
            self._path.unlink(missing_ok=True)
            _say.info("log.spare_failed", log=str(self._path.parent), error=str(error))
            return
        if done:
            self._file = file
            self.size = size  # last: it tells the writer's thread
        else:
            os.close(file)
            self._path.unlink(missing_ok=True)

    def _zeros(self, file: int, size: int) -> bool:
        zeros = bytes(_STEP)
        offset = 0
        while offset < size and not self._stop.is_set():
            offset += os.pwrite(file, zeros[: size - offset], offset)
            self._sync(file)
        return offset >= size

    def take(self) -> tuple[int, Path, int]:
        """The ready file's descriptor, path and size: the caller's from now on. Only where `size` is not 0."""
        taken = self._file, self._path, self.size
        self._file, self.size = -1, 0
        return taken

    def drop(self) -> None:
        """Give its room back: delete the file, ready or not. Waits for at most one step of the filling."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
        if self.size:
            file, path, _ = self.take()
            os.close(file)
            path.unlink(missing_ok=True)
