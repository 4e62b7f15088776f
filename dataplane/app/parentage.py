"""A child that ends with its parent, also when the parent is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["die_with_parent"]

_PR_SET_PDEATHSIG = 1
"""prctl(2), Linux."""


def die_with_parent() -> None:
    """Ask Linux for SIGKILL when the parent dies; elsewhere the end of the channel does it."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died in between, so the signal will never come
        os._exit(1)
