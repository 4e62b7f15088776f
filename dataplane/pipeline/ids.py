"""Which message ids were seen before, and at which event: exact, bounded, kept across restarts.

A table is an open-addressing hash in a memory-mapped file: 16 bytes of keyed hash and 8 of event
number per slot, 21 slots to a 512-byte sector so that no slot is torn by a power cut. Tables come
in generations of growing size; a look-up asks the newest first. What is mapped is the kernel's to
write, so a killed process loses nothing; after a power cut the ids since the last checkpoint are
entered again from the sequence's sidecar (entering twice does no harm).
"""

from __future__ import annotations

import errno
import json
import math
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataplane.metrics.log import logger
from turnout.errors import FormatError

__all__ = ["MessageIds", "Table", "copied", "remembered"]

log = logger()
MAGIC = b"TOIDS\x01"
VERSION = 1
_HEADER = struct.Struct("<6sHQQQ")  # magic, version, slots, created (Unix seconds), first number
_USED = 64  # where the header sector keeps how many slots are used
_SECTOR = 512
_PER_SECTOR = 21
_SLOT = 24
_REST = _SECTOR - _PER_SECTOR * _SLOT
_low = struct.Struct("<Q8x").unpack
SMALLEST = 1 << 16
LARGEST = 1 << 22
LOAD = 0.6
EMPTY = bytes(16)


class _Damaged(Exception):
    """A table that cannot be trusted; its ids are entered again from the sidecar."""


def _size(slots: int) -> int:
    """Bytes of a table's file; -1 where it cannot have so many slots."""
    if slots < 1 or slots & (slots - 1):
        return -1
    return _SECTOR * (-(-slots // _PER_SECTOR) + 1)


class Table:
    """One generation: a fixed number of slots, filled up to `LOAD`."""

    def __init__(self, path: Path, *, slots: int = 0, created: int = 0, first: int = 0) -> None:
        self.path = path
        fresh = not path.exists()
        if fresh:
            self._create(slots, created, first)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        magic, version, self.slots, self.created, self.first = _HEADER.unpack_from(self._map, 0)
        self.used = int.from_bytes(self._map[_USED : _USED + 8], "little")
        if magic == MAGIC and version > VERSION:
            self._map.close()
            raise FormatError(f"{path.name} was written by a newer Turnout (version {version})")
        if magic != MAGIC or len(self._map) != _size(self.slots) or self.used > self.slots:
            self._map.close()
            raise _Damaged(f"{path.name} is no table of message ids")
        self._mask = self.slots - 1
        self._most: int = math.ceil(self.slots * LOAD)

    def _create(self, slots: int, created: int, first: int) -> None:
        draft = self.path.with_suffix(".new")
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _allocate(descriptor, _size(slots))
            os.pwrite(descriptor, _HEADER.pack(MAGIC, VERSION, slots, created, first), 0)
            os.fsync(descriptor)
        except BaseException:
            draft.unlink()
            raise
        finally:
            os.close(descriptor)
        draft.rename(self.path)

    def find(self, digest: bytes) -> tuple[int, int]:
        """The number stored for an id, or -1, and the slot where it is or would be."""
        slots, mask = self._map, self._mask
        index = _low(digest)[0] & mask
        while True:
            # Sector after sector, each with a rest that is no slot.
            at = _SECTOR + index * _SLOT + index // _PER_SECTOR * _REST
            found = slots[at : at + 16]
            if found == EMPTY:  # as nearly always: most ids are new, and most slots free
                return -1, at
            if found == digest:
                return int.from_bytes(slots[at + 16 : at + 24], "little"), at
            index = (index + 1) & mask

    def put(self, digest: bytes, number: int, at: int, *, new: bool) -> None:
        """Store an id in a slot that `find` named; `new` where it was not there."""
        slots = self._map
        if new:
            self.used += 1
            slots[_USED : _USED + 8] = self.used.to_bytes(8, "little")
        # Copied in one go: `pack_into` writes byte by byte, and a kill between two would leave half a number.
        slots[at : at + 24] = digest + number.to_bytes(8, "little")

    @property
    def full(self) -> bool:
        """True where another generation must begin."""
        return self.used >= self._most

    def flush(self) -> None:
        """Write dirty pages to disk; may take long."""
        self._map.flush()

    def close(self, *, delete: bool = False) -> None:
        """Unmap, and delete the file where it is no longer needed."""
        self._map.close()
        if delete:
            self.path.unlink(missing_ok=True)


def _allocate(descriptor: int, size: int) -> None:
    """Give a new file its blocks now: a mapped page without one ends the process where the disk is full.

    Raises OSError where there is no room.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
        else:
            return
    zeros = bytes(1 << 20)
    offset = 0
    while offset < size:
        offset += os.pwrite(descriptor, zeros[: size - offset], offset)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many ids, and for how many seconds, at least."""

    window: float
    max_ids: int


class MessageIds:
    """All generations. `seen` both asks and remembers."""

    def __init__(self, folder: Path, *, window: float, max_ids: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self.bounds = Bounds(window, max_ids)
        self._checkpoint = folder / "ids.json"
        for stale in folder.glob("*.new"):
            stale.unlink()
        names = sorted(folder.glob("*.ids"), reverse=True)
        self._tables: list[Table] = []
        self._damaged = 0
        for path in names:
            self._take_up(path)
        saved = _read_note(self._checkpoint)
        all_there = bool(self._tables) and not self._damaged
        whole = all_there and (saved.get("boot") == boot_id() or bool(saved.get("clean")))
        self._disk = int(saved.get("disk") or 0) if all_there else 0
        self.missing_from: int | None = None if whole else self._disk + 1
        """The first event whose id may be missing (a power cut, lost files); None where none is."""
        self._open = False

    def _take_up(self, path: Path) -> None:
        """Take up a table; a damaged one is put aside (`.bad`) and said."""
        try:
            self._tables.append(Table(path))
        except (_Damaged, ValueError, struct.error) as error:  # an empty or short file cannot be mapped
            path.rename(path.with_suffix(".bad"))
            self._damaged += 1
            log.error("ids.damaged", file=path.name, reason=str(error))

    def checkpoint(self) -> int:
        """The event number up to which every id is surely on disk."""
        return self._disk

    def seen(self, digest: bytes, number: int, now: float) -> int:
        """The earlier event of this id, or -1; then it is remembered at `number`.

        An id found at `number` itself, or at a later one, is a re-read after a crash, not a
        duplicate. Raises OSError where the disk is full; then nothing is remembered.
        """
        if not self._open:
            self._note(clean=False)  # before anything changes that a power cut could take
        tables = self._tables
        if not tables or tables[0].full or now - tables[0].created > self.bounds.window / 4:
            self._rotate(number, now)
        newest = tables[0]
        found, slot = newest.find(digest)
        if found < 0:
            for table in tables[1:]:
                found, at = table.find(digest)
                if found >= 0:
                    newest, slot = table, at
                    break
        if 0 <= found < number:
            return found
        if found != number:
            newest.put(digest, number, slot, new=found < 0)
        return -1

    def correct(self, digest: bytes, number: int) -> None:
        """Remember an id that is known at another event."""
        for table in self._tables:
            found, at = table.find(digest)
            if found >= 0:
                table.put(digest, number, at, new=False)
                return

    def find(self, digest: bytes) -> int:
        """The event of an id, or -1; remembers nothing."""
        return next((n for n, _ in (t.find(digest) for t in self._tables) if n >= 0), -1)

    def _rotate(self, number: int, now: float) -> None:
        tables = self._tables
        size = SMALLEST
        if tables and tables[0].full:
            size = min(LARGEST, tables[0].slots * 2)
        elif tables and tables[0].used == 0:
            tables[0].created = int(now)
            return
        name = f"{number:020d}.ids"
        self._tables.insert(0, Table(self._folder / name, slots=size, created=int(now), first=number))
        self._forget(now)

    def _forget(self, now: float) -> None:
        """Drop generations whose ids are all older than the window, or beyond the bound."""
        tables = self._tables
        total = sum(t.used for t in tables)
        while len(tables) > 1:
            successor = tables[-2].created
            if now - successor <= self.bounds.window and total <= self.bounds.max_ids:
                return
            oldest = tables.pop()
            total -= oldest.used
            oldest.close(delete=True)

    def __len__(self) -> int:
        return sum(t.used for t in self._tables)

    def save(self, number: int, *, clean: bool = False) -> None:
        """Flush, and note that the ids of events up to `number` are on disk; may take long."""
        for table in list(self._tables):
            table.flush()
        self._disk = number
        self._note(clean=clean)

    def _note(self, *, clean: bool) -> None:
        _write_note(self._checkpoint, disk=self._disk, boot=boot_id(), clean=clean)
        self._open = not clean

    def close(self, number: int) -> None:
        """Flush, note that all is on disk, and unmap."""
        self.save(number, clean=True)
        for table in self._tables:
            table.close()
        self._tables = []


@contextmanager
def remembered(folder: Path | None) -> Iterator[Callable[[bytes], int]]:
    """The event of an id, 0 where none is known, by the tables in `folder` (None: no tables) as they are now; another
    process may write them."""
    tables: list[Table] = []
    for path in sorted(folder.glob("*.ids"), reverse=True) if folder is not None else ():
        with suppress(_Damaged, ValueError, struct.error, FileNotFoundError):  # dropped since, or said by the writer
            tables.append(Table(path))
    try:
        yield lambda digest: next((n for n, _ in (table.find(digest) for table in tables) if n > 0), 0)
    finally:
        for table in tables:
            table.close()


def copied(folder: Path) -> None:
    """Say that the tables in `folder` were copied while they were written.

    The next start enters the ids since the last checkpoint again, as after a power cut.
    """
    checkpoint = folder / "ids.json"
    if checkpoint.exists():
        _write_note(checkpoint, disk=int(_read_note(checkpoint).get("disk") or 0), boot="", clean=False)


def _read_note(path: Path) -> dict[str, Any]:
    try:
        saved = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return saved if isinstance(saved, dict) else {}


def _write_note(path: Path, *, disk: int, boot: str, clean: bool) -> None:
    draft = path.with_suffix(".json.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"version": VERSION, "boot": boot, "disk": disk, "clean": clean}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def boot_id() -> str:
    """Which boot of the machine this is; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
