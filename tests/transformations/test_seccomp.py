"""The filter of every processor it knows, run by a small interpreter of BPF: a kernel has only one of them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformations.sandbox import seccomp

CHANNEL = 3
X86, ARM, X86_32, ARM_32, ARM_BIG, RISCV = 0xC000003E, 0xC00000B7, 0x40000003, 0x40000028, 0x800000B7, 0xC00000F3
"""AUDIT_ARCH_* of <linux/audit.h>; a 64-bit kernel also runs the 32-bit one of its processor."""
OWN = {"x86_64": X86, "aarch64": ARM}
KILL, FAIL, PASS = 0x80000000, 0x00050001, 0x7FFF0000  # SECCOMP_RET_*: KILL_PROCESS, ERRNO with EPERM, ALLOW
READ, WRITE, EXEC = 1, 2, 4  # PROT_*
ALLOWED = {
    "brk", "clock_gettime", "exit", "exit_group", "futex", "getpid", "getrandom", "gettid", "gettimeofday",
    "madvise", "mremap", "munmap", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sched_yield", "setitimer",
}
PINNED = {"read", "write", "sendto", "recvfrom"}
MAPPING = {"mmap", "mprotect"}
REFUSED = {
    "close", "faccessat", "faccessat2", "fcntl", "fstat", "getcwd", "getdents64", "ioctl", "lseek", "newfstatat",
    "openat", "openat2", "readlinkat", "sched_getaffinity", "statx", "sysinfo", "uname",
}
ALONE = {"x86_64": ({"time"}, {"access", "lstat", "open", "readlink", "stat"}), "aarch64": (set[str](), set[str]())}
"""What one processor has beside: allowed, refused."""
WORDS = st.integers(0, 2**64 - 1)


def numbers(machine: str) -> dict[int, str]:
    """Every system call of a processor, as Linux's headers number them."""
    lines = (Path(__file__).parent / "syscalls" / f"{machine}.txt").read_text().splitlines()
    return {int(number): name for number, name in (line.split() for line in lines if not line.startswith("#"))}


def verdict(machine: str, number: int, *args: int, audit: int | None = None) -> int:
    """What the filter says to a system call; the kernel's own checks of a filter are held as it runs."""
    audit = OWN[machine] if audit is None else audit
    data = struct.pack("<IIQ6Q", number, audit, 0x7F00_0000_1000, *(*args, *[0] * 6)[:6])  # struct seccomp_data
    code = list(struct.iter_unpack("<HBBI", seccomp.program(machine, CHANNEL)))
    assert len(code) <= 4096
    at = accumulator = 0
    while True:
        op, then, otherwise, value = code[at]
        at += 1
        if op == 0x06:  # BPF_RET | BPF_K
            return int(value)
        if op == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            assert value % 4 == 0
            (accumulator,) = struct.unpack_from("<I", data, value)
            continue
        holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[op]
        at += then if holds else otherwise


@pytest.mark.parametrize("machine", OWN)
def test_every_system_call_has_the_verdict_that_is_written_here(machine: str) -> None:
    names = numbers(machine)
    assert len(names) > 300
    allowed, refused = (common | alone for common, alone in zip((ALLOWED, REFUSED), ALONE[machine], strict=True))
    assert allowed | refused | PINNED | MAPPING <= set(names.values())
    wanted: dict[str, frozenset[int]] = {
        **dict.fromkeys(allowed, frozenset((PASS,))), **dict.fromkeys(refused, frozenset((FAIL,))),
        **dict.fromkeys(PINNED | MAPPING, frozenset((PASS, FAIL))),
    }
    arguments = ((CHANNEL, 0, 0), (CHANNEL + 1, 0, EXEC), (0, 0, READ | WRITE), (2**64 - 1, 0, READ | EXEC))
    for number in (*range(2048), 2**30 - 1, 2**30, 2**30 + 1, 2**31, 2**32 - 1):
        found = {verdict(machine, number, *args) for args in arguments}
        assert found == wanted.get(names.get(number, ""), {KILL}), (number, names.get(number))


@pytest.mark.parametrize("machine", OWN)
@given(args=st.tuples(*[WORDS] * 6))
def test_reading_and_writing_is_for_the_one_descriptor(machine: str, args: tuple[int, ...]) -> None:
    for number in (number for number, name in numbers(machine).items() if name in PINNED):
        assert verdict(machine, number, *args) == (PASS if args[0] % 2**32 == CHANNEL else FAIL)
        assert verdict(machine, number, CHANNEL, *args[1:]) == PASS


@pytest.mark.parametrize("machine", OWN)
@given(args=st.tuples(*[WORDS] * 6))
def test_no_memory_becomes_executable(machine: str, args: tuple[int, ...]) -> None:
    for number in (number for number, name in numbers(machine).items() if name in MAPPING):
        assert verdict(machine, number, *args) == (FAIL if args[2] & EXEC else PASS)


@pytest.mark.parametrize("machine", OWN)
@given(number=st.integers(0, 2**32 - 1), args=st.tuples(*[WORDS] * 6))
def test_a_call_in_the_manner_of_another_processor_kills(machine: str, number: int, args: tuple[int, ...]) -> None:
    for audit in {X86, ARM, X86_32, ARM_32, ARM_BIG, RISCV, 0} - {OWN[machine]}:
        assert verdict(machine, number, *args, audit=audit) == KILL


@pytest.mark.parametrize("machine", OWN)
def test_what_installs_the_locks_has_the_number_of_the_kernel(machine: str) -> None:
    names = numbers(machine)
    assert names[seccomp._MACHINES[machine]["seccomp"]] == "seccomp"
    assert (names[444], names[446]) == ("landlock_create_ruleset", "landlock_restrict_self")
