"""The system-call filter of a worker: what it may ask the kernel, and nothing else (Linux).

An allow-list. Reading and writing is pinned to one descriptor, memory can never become executable,
looking for files gets EPERM (the standard library probes a lot and copes), and everything else
kills the process. Set with `seccomp(2)` and TSYNC, which covers all threads; `prctl` would cover the
calling one only. Numbers: Linux's `syscall_64.tbl` and `asm-generic/unistd.h`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from functools import cache

from transformations.sandbox import kernel

__all__ = ["SUPPORTED", "install", "program"]

_MACHINES = {
    "x86_64": {
        "audit": 0xC000003E, "seccomp": 317,
        "read": 0, "write": 1, "sendto": 44, "recvfrom": 45,
        "mmap": 9, "mprotect": 10,
        "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
        "sched_yield": 24, "mremap": 25, "madvise": 28, "setitimer": 38, "getpid": 39, "exit": 60,
        "gettimeofday": 96, "time": 201, "futex": 202, "gettid": 186, "restart_syscall": 219,
        "clock_gettime": 228, "exit_group": 231, "getrandom": 318, "rseq": 334,
        "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "lseek": 8, "ioctl": 16, "access": 21,
        "uname": 63, "fcntl": 72, "getcwd": 79, "readlink": 89, "sysinfo": 99, "sched_getaffinity": 204,
        "getdents64": 217, "openat": 257, "newfstatat": 262, "readlinkat": 267, "faccessat": 269,
        "statx": 332, "openat2": 437, "faccessat2": 439,
    },
    "aarch64": {
        "audit": 0xC00000B7, "seccomp": 277,
        "read": 63, "write": 64, "sendto": 206, "recvfrom": 207,
        "mmap": 222, "mprotect": 226,
        "munmap": 215, "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
        "sched_yield": 124, "mremap": 216, "madvise": 233, "setitimer": 103, "getpid": 172, "exit": 93,
        "gettimeofday": 169, "futex": 98, "gettid": 178, "restart_syscall": 128,
        "clock_gettime": 113, "exit_group": 94, "getrandom": 278, "rseq": 293,
        "close": 57, "fstat": 80, "lseek": 62, "ioctl": 29, "uname": 160, "fcntl": 25, "getcwd": 17,
        "sysinfo": 179, "sched_getaffinity": 123, "getdents64": 61, "openat": 56, "newfstatat": 79,
        "readlinkat": 78, "faccessat": 48, "statx": 291, "openat2": 437, "faccessat2": 439,
    },
}
_PINNED = ("read", "write", "sendto", "recvfrom")
_NO_EXEC = ("mmap", "mprotect")
_ALLOWED = (
    "munmap", "brk", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_yield", "mremap", "madvise",
    "setitimer", "getpid", "exit", "gettimeofday", "time", "futex", "gettid", "restart_syscall",
    "clock_gettime", "exit_group", "getrandom", "rseq",
)
_DENIED = (
    "open", "close", "stat", "fstat", "lstat", "lseek", "ioctl", "access", "uname", "fcntl", "getcwd",
    "readlink", "sysinfo", "sched_getaffinity", "getdents64", "openat", "newfstatat", "readlinkat",
    "faccessat", "statx", "openat2", "faccessat2",
)
SUPPORTED = sys.platform == "linux" and os.uname().machine in _MACHINES

# <linux/bpf_common.h>, <linux/seccomp.h>
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _FAIL, _PASS = 0x80000000, 0x00050000 | errno.EPERM, 0x7FFF0000
_NUMBER, _AUDIT, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000
_PROT_EXEC = 4


def _op(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("<HBBI", code, then, otherwise, value)


@cache
def program(machine: str, descriptor: int) -> bytes:
    """The filter as BPF instructions; reads and writes pass on `descriptor` only."""
    table = _MACHINES[machine]
    ops = [
        _op(_LOAD, _AUDIT), _op(_EQUAL, table["audit"], 1), _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER), _op(_AT_LEAST, _X32, 0, 1), _op(_RETURN, _KILL),
    ]
    for name in _PINNED:
        ops += [
            _op(_EQUAL, table[name], 0, 4), _op(_LOAD, _ARGUMENTS),
            _op(_EQUAL, descriptor, 0, 1), _op(_RETURN, _PASS), _op(_RETURN, _FAIL),
        ]
    for name in _NO_EXEC:
        ops += [
            _op(_EQUAL, table[name], 0, 4), _op(_LOAD, _ARGUMENTS + 2 * 8),
            _op(_ANY_BIT, _PROT_EXEC, 0, 1), _op(_RETURN, _FAIL), _op(_RETURN, _PASS),
        ]
    for names, verdict in ((_ALLOWED, _PASS), (_DENIED, _FAIL)):
        for name in names:
            if name in table:
                ops += [_op(_EQUAL, table[name], 0, 1), _op(_RETURN, verdict)]
    return b"".join((*ops, _op(_RETURN, _KILL)))


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def install(descriptor: int) -> None:
    """Filter all threads of this process for good; `no_new_privs` must be set. Raises OSError."""
    machine = os.uname().machine
    code = program(machine, descriptor)
    buffer = ctypes.create_string_buffer(code, len(code))
    argument = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    # SECCOMP_SET_MODE_FILTER = 1, SECCOMP_FILTER_FLAG_TSYNC = 1
    number = _MACHINES[machine]["seccomp"]
    result = kernel.syscall(number, ctypes.c_uint(1), ctypes.c_uint(1), ctypes.byref(argument))
    if result:
        raise OSError(ctypes.get_errno() if result < 0 else errno.ESRCH, f"seccomp failed ({result})")
