"""The C library, loaded once: a worker is a fork, and pays for nothing the zygote has done already."""

from __future__ import annotations

import ctypes

__all__ = ["prctl", "syscall"]

_libc = ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: object) -> int:
    """A system call by number; -1 and `ctypes.get_errno()` where it failed."""
    return int(_libc.syscall(ctypes.c_long(number), *arguments))


def prctl(option: int, value: int) -> None:
    """Linux's prctl(2) with one argument. Raises OSError."""
    nothing = ctypes.c_ulong(0)
    if _libc.prctl(option, ctypes.c_ulong(value), nothing, nothing, nothing):
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
