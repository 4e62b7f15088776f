"""A machine that fails on demand under a running data plane: syncs, the wall clock, names (machine.c says how)."""

from __future__ import annotations

import errno
import mmap
import shutil
import socket
import struct
import subprocess
from pathlib import Path
from types import TracebackType

__all__ = ["Machine", "compiler"]

SOURCE = Path(__file__).with_name("machine.c")
LAYOUT = struct.Struct("=qiiQ256s")
"""`struct control` of machine.c."""


def compiler() -> str | None:
    """The C compiler, where there is one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


class Machine:
    """`with Machine(folder) as machine:` processes started with `machine.environ` live on it.

    Raises `FileNotFoundError` where there is no C compiler.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        found = compiler()
        if found is None:
            raise FileNotFoundError("a C compiler (cc) is needed to let syncs, clocks and names fail")
        library, control = folder / "machine.so", folder / "machine.control"
        subprocess.run([found, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"], check=True)
        control.write_bytes(bytes(LAYOUT.size))
        self.environ = {"LD_PRELOAD": str(library), "TURNOUT_FAULTS": str(control)}
        self._file = control.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), LAYOUT.size)

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._map.close()
        self._file.close()

    @property
    def failed(self) -> int:
        """How many syncs and look-ups have failed."""
        return int(LAYOUT.unpack(self._map[:])[3])

    def fail_syncs(self, where: str) -> None:
        """From now on a sync of a file with `where` in its path is an I/O error."""
        struct.pack_into("=256s", self._map, 24, where.encode())
        struct.pack_into("=i", self._map, 8, errno.EIO)

    def fail_names(self) -> None:
        """From now on the resolver does not answer for localhost."""
        struct.pack_into("=i", self._map, 12, socket.EAI_AGAIN)

    def set_clock(self, ahead: float) -> None:
        """The wall clock is `ahead` seconds from the real one; the monotonic one goes on."""
        struct.pack_into("=q", self._map, 0, int(ahead * 1e9))

    def mend(self) -> None:
        """Syncs and names work again."""
        struct.pack_into("=ii", self._map, 8, 0, 0)
