"""A copy of the data folder in one file, taken while Turnout runs.

Nothing is stopped, so the order makes it consistent. Files are opened first, which keeps what the
running processes delete meanwhile. Then the tables of message ids are copied, then the state, and only
then is it decided how long the sequence's and the log's files are: whatever the state speaks of is in
the sequence, and whatever the sequence and the ids speak of is in the log. What was acknowledged before
the copy began is in it; what was delivered after its state was taken is delivered again by who restores it.
"""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from dataplane.app.bundle import Piece, Report, Writer
from dataplane.app.folders import Lock, check_owner
from dataplane.log.format import BLOCK
from dataplane.log.head import published
from turnout.errors import Fixable

__all__ = ["backup"]

_LEFT_OUT = re.compile(
    r"lock|admin\.(sock|token)|.*\.new|\..*|.*\.db-(wal|shm|journal)|.*\.db\.v\d+"
    r"|log/\d+/(head|lock|wait/.*|released/.*)|sequence/(head|wait/.*)|rates/.*"
)
"""What belongs to running processes, is made again at a start, or is a secret of this machine alone."""
_IDS = re.compile(r"sequence/ids/.*")
_LOG = re.compile(r"log/(\d+)/(\d{20})\.log")


def backup(
    data: Path, target: Path, *, settled: Callable[[], None], step: Callable[[int, int], None]
) -> Report:
    """Write the folder `data` to `target` (`.tar.gz` or `.tar.zst`, mode 0600), whole or not at all.

    `settled` returns when the running pipeline has finished what it was in the middle of, and written it down; it is
    not called where nothing runs. `step` is told bytes done and bytes in all. Raises `Fixable` and OSError.
    """
    if not data.is_dir():
        raise Fixable(f"data: {data} does not exist, so there is nothing to back up")
    check_owner(data)
    if target.exists():
        raise Fixable(f"{target} exists: name a file that does not")
    if data.resolve() in target.resolve().parents:
        raise Fixable(f"{target} lies in the data folder: name a place outside it")
    lock = _cold(data)
    try:
        with Writer(target) as out, _Pins(data) as pins:
            _copy(pins, out, settled=None if lock else settled, step=step)
            return out.finish()
    finally:
        if lock is not None:
            lock.release()


def _cold(data: Path) -> Lock | None:
    """The folder's lock where nobody holds it, so that nobody starts meanwhile."""
    try:
        return Lock(data, patience=0)
    except Fixable:
        return None


def _copy(
    pins: _Pins, out: Writer, *, settled: Callable[[], None] | None, step: Callable[[int, int], None]
) -> None:
    pins.take()
    # The ids first: one that is in a table must be in the log too, or its event would be taken for a
    # duplicate when it comes again.
    for name in pins.names(_IDS):
        out.add(name, pins.piece(name))
    if settled is not None:
        settled()
    for name in pins.names(re.compile(r".*\.db")):
        with _snapshot(pins.data / name, out.scratch) as copy:
            out.add(name, copy)
    pins.take()
    rest = [n for n in pins.names() if not (_IDS.fullmatch(n) or _LOG.fullmatch(n) or n.endswith(".db"))]
    pieces = [(name, pins.piece(name)) for name in rest]
    # The log last: it must hold all that the sequence's files, measured just now, speak of.
    pins.take(_LOG)
    log = pins.piece if settled is None else pins.durable
    pieces += [(name, log(name)) for name in pins.names(_LOG)]
    total, done = sum(piece.size for _, piece in pieces), 0
    for name, piece in pieces:
        out.add(name, piece, lambda n, done=done: step(done + n, total))  # type: ignore[misc]  # mypy: lambda defaults
        done += piece.size


class _Pins:
    """The folder's files, held open so that they can be read also when they were deleted."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._open: dict[str, int] = {}
        self._heads: dict[str, int] = {}

    def __enter__(self) -> _Pins:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open.values():
            os.close(file)

    def take(self, wanted: re.Pattern[str] | None = None) -> None:
        """Open what is there and not open yet; a file that was replaced is taken anew."""
        for name, path in self._walk():
            if wanted is not None and not wanted.fullmatch(name):
                continue
            try:
                file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # deleted since it was listed: nobody needs it any more
            except OSError as error:
                raise Fixable(f"{path} cannot be read: {error.strerror}") from None
            held = self._open.get(name)
            if held is None:
                self._open[name] = file
            elif os.path.sameopenfile(held, file):
                os.close(file)
            else:
                os.close(held)
                self._open[name] = file

    def _walk(self) -> Iterator[tuple[str, Path]]:
        for folder, inside, files in os.walk(self.data):
            inside.sort()
            for each in (*inside, *sorted(files)):
                path = Path(folder, each)
                name = str(PurePosixPath(path.relative_to(self.data)))
                if _left_out(name):
                    continue
                if path.is_symlink():
                    raise Fixable(f"{path} is a link; the backup would lack what is there: mount it instead")
                if path.is_file():
                    yield name, path

    def names(self, wanted: re.Pattern[str] | None = None) -> list[str]:
        """Names of what is held, relative to the folder, in order."""
        return sorted(name for name in self._open if wanted is None or wanted.fullmatch(name))

    def piece(self, name: str) -> Piece:
        """A file as long as it is now."""
        file = self._open[name]
        return Piece(file, os.fstat(file).st_size, os.fstat(file).st_mtime)

    def durable(self, name: str) -> Piece:
        """A segment of the log up to where it is durable now."""
        found = _LOG.fullmatch(name)
        assert found is not None
        partition, base = found.groups()
        if partition not in self._heads:
            self._heads[partition] = published(self.data / "log" / partition)
        whole = self.piece(name)
        size = min(whole.size, max(BLOCK, BLOCK + self._heads[partition] - int(base)))
        return Piece(whole.file, size, whole.time)


def _left_out(name: str) -> bool:
    return _LEFT_OUT.fullmatch(name) is not None or _LEFT_OUT.fullmatch(name.rpartition("/")[2]) is not None


class _snapshot:  # noqa: N801 - a context manager that reads as a word
    """A copy of a SQLite file as of one moment, while others write it; deleted at the end."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self._path, self._scratch = path, scratch
        self._file = -1

    def __enter__(self) -> Piece:
        self._scratch.unlink(missing_ok=True)
        os.close(os.open(self._scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        source, copy = sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True), sqlite3.connect(self._scratch)
        try:
            source.backup(copy)  # all pages in one step: a writer in between would begin it again
        finally:
            copy.close()
            source.close()
        self._file = os.open(self._scratch, os.O_RDONLY | os.O_CLOEXEC)
        return Piece(self._file, os.fstat(self._file).st_size, time.time())

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._scratch.unlink(missing_ok=True)
