"""Putting one group of records on disk: write all of it, sync, or take it back."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from dataplane.log.format import BLOCK
from dataplane.log.segments import Sync

__all__ = ["NO_ROOM", "Broken", "NoRoom", "put"]

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BUFFERS = 1000
"""Most buffers in one pwritev; IOV_MAX is 1024 on Linux and macOS."""
_JOINED = 1 << 20
"""Up to so many bytes one copy costs less than what the kernel does per buffer."""


class NoRoom(Exception):
    """Nothing was stored, and nothing is left of it: the log may go on when there is room."""


class Broken(Exception):
    """What is on disk is unknown: nothing may be acknowledged any more."""


def put(file: int, start: int, size: int, buffers: Sequence[bytes], sync: Sync) -> None:
    """Write `buffers` (`size` bytes in all) at `start` bytes behind the header, durably.

    Raises `NoRoom` where the disk, quota or file-size limit is reached, with the file as it was before,
    and `Broken` for every other failure: after a failed sync the kernel may have dropped the pages and
    will report success next time, so trying again would lie (Linux, fsync(2) NOTES).
    """
    offset = BLOCK + start
    try:
        _write(file, offset, size, buffers)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise Broken(f"writing failed: {error.strerror}") from error
        _take_back(file, offset, sync)
        raise NoRoom(error.strerror or str(error)) from error
    try:
        sync(file)
    except OSError as error:
        raise Broken(f"sync failed: {error.strerror}") from error


def _write(file: int, offset: int, size: int, buffers: Sequence[bytes]) -> None:
    end = offset + size
    if size <= _JOINED:
        buffers = (b"".join(buffers),)
    for first in range(0, len(buffers), _BUFFERS):
        group = buffers[first : first + _BUFFERS]
        written = os.pwritev(file, group, offset)
        offset += written
        if offset == end:
            return
        missing = memoryview(b"".join(group))[written:]
        while missing:  # a short write: the rest of this group by itself
            written = os.pwrite(file, missing, offset)
            if written == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            offset += written
            missing = missing[written:]


def _take_back(file: int, offset: int, sync: Sync) -> None:
    try:
        os.ftruncate(file, offset)
        sync(file)
    except OSError as error:
        raise Broken(f"taking back a failed write failed: {error.strerror}") from error
