"""Landlock: no file, no network, no signal beyond this process, where the kernel has it (Linux 5.13+).

A second layer under the filter: a ruleset that handles every kind of access and grants none.
Source: Documentation/userspace-api/landlock.rst; each ABI version adds bits.
"""

from __future__ import annotations

import ctypes
import os
import sys

from transformations.sandbox import kernel

__all__ = ["abi", "install"]

_CREATE, _RESTRICT = 444, 446  # the same numbers on every architecture
_FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}
_NETWORK = 0x3  # bind and connect, since ABI 4
_SCOPES = 0x3  # abstract sockets and signals, since ABI 6


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


def abi() -> int:
    """Version of Landlock in this kernel; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, kernel.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def install(version: int) -> None:
    """Forbid this process everything that Landlock of `version` knows. Raises OSError."""
    rules = _Ruleset(
        _FILES[max(known for known in _FILES if known <= version)],
        _NETWORK if version >= 4 else 0,
        _SCOPES if version >= 6 else 0,
    )
    size = 8 if version < 4 else 16 if version < 6 else 24
    descriptor = kernel.syscall(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset failed")
    try:
        if kernel.syscall(_RESTRICT, ctypes.c_int(descriptor), ctypes.c_uint32(0)):
            raise OSError(ctypes.get_errno(), "landlock_restrict_self failed")
    finally:
        os.close(descriptor)
