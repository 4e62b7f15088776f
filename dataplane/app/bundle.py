"""The file of a backup: a compressed tar whose last member is a manifest of all others.

`manifest.json`: `{"version": 1, "turnout", "made", "files": {name: {"bytes", "sha256"}}}`. It comes last,
so a file that was cut off has none.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import os
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import msgspec
from isal import igzip

from dataplane.log.segments import sync_folder
from turnout import __version__
from turnout.clock import from_millis, iso
from turnout.errors import Fixable, FormatError

__all__ = ["MANIFEST", "Entry", "Manifest", "Piece", "Report", "Writer", "members", "parse", "reading", "report"]

MANIFEST = "manifest.json"
VERSION = 1
_CHUNK = 1 << 20
_LEVEL = 1
"""Events are text: the quickest level already makes them a tenth."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the manifest says of one file."""

    bytes: int
    sha256: str


@dataclass(slots=True)
class Manifest:
    """What is in the backup, and who made it when (RFC 3339)."""

    version: int = VERSION
    turnout: str = __version__
    made: str = ""
    files: dict[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What was written or read: the file, its size, and the files and bytes in it."""

    file: str
    size: int
    made: str
    turnout: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Piece:
    """The first `size` bytes of an open file; `time` is when it was changed, in Unix seconds."""

    file: int
    size: int
    time: float


class Writer:
    """Writes beside `target` and gives it its name in `finish`; on leaving without it, nothing stays."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._partial = target.with_name(f".{target.name}.partial")
        self.scratch = target.with_name(f".{target.name}.scratch")
        self._manifest = Manifest(made=iso(from_millis(int(time.time() * 1000))))
        self._stack = ExitStack()

    def __enter__(self) -> Writer:
        opened = _compressor(self._target)
        try:
            file = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Fixable(f"{self._target}: cannot be written: {error.strerror}") from None
        self._file = self._stack.enter_context(os.fdopen(file, "wb"))
        self._packed = self._stack.enter_context(opened(self._file, "wb"))
        self._tar = self._stack.enter_context(tarfile.open(fileobj=self._packed, mode="w|", bufsize=_CHUNK))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(OSError, ValueError):  # what is thrown away need not be whole
            self._stack.close()
        self._partial.unlink(missing_ok=True)

    def add(self, name: str, piece: Piece, step: Callable[[int], None] = lambda _: None) -> None:
        """Write one file; raises `Fixable` where it is shorter than it was a moment ago."""
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = piece.size, 0o600, piece.time
        reading = _Reading(piece, step)
        try:
            self._tar.addfile(info, cast("IO[bytes]", reading))
        except (OSError, tarfile.TarError) as error:
            raise Fixable(f"{name}: cannot be copied to {self._target}: {error}") from None
        self._manifest.files[name] = Entry(piece.size, reading.sum.hexdigest())

    def finish(self) -> Report:
        """Write the manifest, make everything durable, and name the file."""
        text = msgspec.json.encode(self._manifest)
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(text), 0o600
        self._tar.addfile(info, io.BytesIO(text))
        self._tar.close()
        self._packed.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        try:
            os.link(self._partial, self._target)  # never over a file that came into being meanwhile
        except FileExistsError:
            raise Fixable(f"{self._target} exists: name a file that does not") from None
        except OSError:  # a file system without links
            self._partial.rename(self._target)
        found = report(self._target, self._manifest)
        sync_folder(self._target.parent)
        return found


class _Reading:
    """Reads a piece for tarfile and sums it."""

    def __init__(self, piece: Piece, step: Callable[[int], None]) -> None:
        self._piece, self._step = piece, step
        self._at = 0
        self.sum = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        left = self._piece.size - self._at
        data = os.pread(self._piece.file, left if size < 0 else min(size, left), self._at)
        self._at += len(data)
        self.sum.update(data)
        self._step(self._at)
        return data


def report(path: Path, manifest: Manifest) -> Report:
    """What a backup's file and manifest say."""
    files = manifest.files
    return Report(
        str(path), path.stat().st_size, manifest.made, manifest.turnout, len(files),
        sum(entry.bytes for entry in files.values()),
    )


def members(source: Path, step: Callable[[int, int], None]) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of every member, in order; use it within `reading`, which names what is damaged."""
    opened = _compressor(source)
    size = source.stat().st_size
    with source.open("rb") as file, opened(file, "rb") as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
        for info in tar:
            name = PurePosixPath(info.name)
            if not info.isreg() or name.is_absolute() or ".." in name.parts or not name.parts:
                raise FormatError(f"{source} is no backup of Turnout: it holds {info.name!r}")
            content = tar.extractfile(info)
            assert content is not None
            yield str(name), content
            step(file.tell(), size)
        while packed.read(_CHUNK):  # the padding, up to the checksum of the whole
            pass


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Say `FormatError` for what the libraries say of a file that is damaged or cut off."""
    damaged: list[type[Exception]] = [tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile]
    if (module := _zstd()) is not None:
        damaged.append(module.ZstdError)
    try:
        yield
    except tuple(damaged) as error:
        raise FormatError(f"{source} is damaged or cut off ({type(error).__name__})") from None


def parse(text: bytes) -> Manifest:
    """The manifest; raises `FormatError` where it is none or newer."""
    try:
        version = msgspec.json.decode(text, type=dict[str, Any]).get("version")
        if isinstance(version, int) and version > VERSION:
            raise FormatError("the backup was made by a newer Turnout; restore it with that version")
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError:
        raise FormatError("the backup's manifest is damaged") from None


Opener = Callable[..., Any]


def _compressor(path: Path) -> Opener:
    """What opens the compressed side of a file of this name."""
    if path.name.endswith((".tar.gz", ".tgz")):
        return _gzip
    if path.name.endswith(".tar.zst"):
        module = _zstd()
        if module is None:
            raise Fixable(
                f"{path}: zstd needs Python 3.14, or the package backports.zstd (pip install 'turnout[zstd]');"
                " .tar.gz works everywhere"
            )
        return cast("Opener", module.ZstdFile)
    raise Fixable(f"{path}: the name of a backup ends with .tar.gz or .tar.zst")


def _gzip(file: IO[bytes], mode: str) -> Any:
    if mode == "rb":
        return gzip.GzipFile(fileobj=file, mode=mode)
    # isal has no type hints for it.
    return igzip.IGzipFile(fileobj=file, mode=mode, compresslevel=_LEVEL, mtime=0)  # type: ignore[no-untyped-call]


def _zstd() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return importlib.import_module(name)
    return None
