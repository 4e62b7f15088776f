"""Writes the lines: appended, synced once per batch, a new file per day and at `max_bytes`.

Files are `<day>-<number>.ndjson`. A writer holds a lock on the file it appends to, so two writers of
one folder (a reload, a second data plane) take different numbers and never touch each other's.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path

from destinations.file.settings import FileSettings
from turnout import Delivery, Record, Verdict, delivered, retry

__all__ = ["Client"]

_NAME = re.compile(r"(?P<target>.+)-(?P<number>\d{4,9})\.ndjson")
_TARGET = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TAIL = 1 << 16


class Client:
    """Appends records to files under `settings.path`; files are 0600, the folder 0700."""

    def __init__(self, settings: FileSettings, base: Path, delivery: Delivery) -> None:
        self._folder = base / settings.path
        self._max = settings.max_bytes
        self._lock = threading.Lock()
        self._open: _Open | None = None

    async def write(self, records: Sequence[Record]) -> Sequence[Verdict]:
        """Append and sync; all are delivered, or (disk full, no permission) all are to be retried."""
        return await asyncio.to_thread(self._write, records)

    async def close(self) -> None:
        """Sync and close the file."""
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        with self._lock:
            self._close()

    def _write(self, records: Sequence[Record]) -> list[Verdict]:
        # A lock of threads: a cancelled caller leaves its thread writing, and the next one waits.
        with self._lock:
            return self._write_all(records)

    def _write_all(self, records: Sequence[Record]) -> list[Verdict]:
        found: list[Verdict] = []
        start = 0
        while start < len(records):
            target, end = records[start].target, start + 1
            while end < len(records) and records[end].target == target:
                end += 1
            found += self._write_one(target, [r.body for r in records[start:end]])
            if not found[-1].final:
                # Later lines must not overtake these.
                return found + [found[-1]] * (len(records) - end)
            start = end
        return found

    def _write_one(self, target: str, bodies: Sequence[bytes]) -> list[Verdict]:
        """Lines of one target; in as many files as their sizes ask for."""
        done = 0
        try:
            while done < len(bodies):
                opened = self._file(target, len(bodies[done]) + 1)
                data, count = self._fitting(bodies[done:], opened)
                opened.append(data)
                done += count
        except OSError as error:
            self._drop()
            reason = f"file: {_said(error)}"
            return [delivered()] * done + [retry(reason)] * (len(bodies) - done)
        return [delivered()] * done

    def _fitting(self, bodies: Sequence[bytes], opened: _Open) -> tuple[bytes, int]:
        """As many lines as fit below the limit, at least one where the file is empty."""
        lines: list[bytes] = []
        size = opened.size
        for body in bodies:
            if size and size + len(body) + 1 > self._max:
                break
            lines.append(body)
            size += len(body) + 1
        return b"".join(line + b"\n" for line in lines), len(lines)

    def _file(self, target: str, need: int) -> _Open:
        """The file to append `need` bytes to: the open one where it still serves."""
        if not _TARGET.fullmatch(target):
            raise ValueError("a target of the file destination is letters, digits, _ and -")
        current = self._open
        if current is not None and current.target == target and current.fits(need, self._max):
            return current
        self._close()
        self._open = _Open.take(self._folder, target, need, self._max)
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _drop(self) -> None:
        """Close what failed; the next write opens anew and mends the tail."""
        with contextlib.suppress(OSError):  # the failure that led here is the one reported
            self._close()


class _Open:
    """One file, locked, positioned at its end."""

    def __init__(self, fd: int, path: Path, target: str) -> None:
        self.fd, self.path, self.target = fd, path, target
        self.size = os.fstat(fd).st_size

    @classmethod
    def take(cls, folder: Path, target: str, need: int, limit: int) -> _Open:
        """The newest file of a target if it has room and no other writer, else the next one."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = max((n for t, n in map(_parsed, folder.iterdir()) if t == target), default=0)
        if number:
            found = cls._reopen(folder / f"{target}-{number:04d}.ndjson", target, need, limit)
            if found is not None:
                return found
        while True:
            number += 1
            path = folder / f"{target}-{number:04d}.ndjson"
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sync_folder(folder)
            return cls(fd, path, target)

    @classmethod
    def _reopen(cls, path: Path, target: str, need: int, limit: int) -> _Open | None:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _mend(fd)
            found = cls(fd, path, target)
            if found.fits(need, limit):
                return found
        except BlockingIOError:
            pass  # another writer has it: the caller takes the next number
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return None

    def fits(self, need: int, limit: int) -> bool:
        """True where `need` bytes more are below the limit and nobody moved the file away."""
        if self.size and self.size + need > limit:
            return False
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self.fd))
        except FileNotFoundError:
            return False

    def append(self, data: bytes) -> None:
        """Write all of it and sync; on failure the file is cut back to where it was."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.fd, view):]
            _sync(self.fd)
        except OSError:
            os.ftruncate(self.fd, self.size)
            raise
        self.size += len(data)

    def close(self) -> None:
        """Let go of the file and its lock."""
        os.close(self.fd)


def _parsed(path: Path) -> tuple[str, int]:
    found = _NAME.fullmatch(path.name)
    return (found["target"], int(found["number"])) if found else ("", 0)


def _mend(fd: int) -> None:
    """Cut a last line without its newline: a crash tore it, and it was never acknowledged."""
    end = size = os.fstat(fd).st_size
    while end:
        start = max(0, end - _TAIL)
        block = os.pread(fd, end - start, start)
        newline = block.rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end != size:
        os.ftruncate(fd, end)
        _sync(fd)


def _sync(fd: int) -> None:
    """To the platter: macOS' fsync stops at the drive's cache."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(fd)
    else:
        fcntl.fcntl(fd, full)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _said(error: OSError) -> str:
    """What the system says, without the path."""
    return os.strerror(error.errno) if error.errno else type(error).__name__
