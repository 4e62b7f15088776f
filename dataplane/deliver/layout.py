"""The state files of pipeline processes, brought to the number of processes that the config names. Before any starts.

`state/layout.json` says how many there were, where there were several. A change is prepared in new files beside the old
ones (`pipeline.db.next`), which stay as they are; `state/moving.json`, written at once, is the moment at which it
counts. It lists what is renamed then, and doing that again does no harm: a kill at any moment leaves what was, or
what is gone on with at the next start. docs/formats.md describes both files.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec

from dataplane.deliver.job_state import stored_jobs
from dataplane.deliver.moving import JobLanes, Kept, Taken, letters_begin, plan
from dataplane.deliver.schema import migrate
from dataplane.deliver.state import State
from dataplane.log.epochs import partitions
from dataplane.log.retention import Release, released
from dataplane.log.segments import sync_folder
from dataplane.metrics.log import logger
from dataplane.pipeline.share import LANES, Share, name_of
from turnout.errors import Fixable, FormatError

__all__ = ["settle"]

log = logger()
VERSION = 1
FRESH = ".next"
_PAST = (("dead", "*.dead"), ("archive", "*.arc"), ("journal", "*.journal"), ("journal", "*.index"))
_EXCEPTION = (
    "destination, number, child, key, kind, source, attempts, first_at, next_at, reason, payload, options, parts"
)
_JOB = "destination, type, state, events, attempts, next_at, reason"
_ARCHIVE = "destination, first, last, events, bytes, oldest, newest"
_DEAD = (
    "id, destination, source, number, child, key, at, status, reason, offset, length, replay, class, event, message_id"
)
_MINE = "destination NOT LIKE 'replay:%'"
_LANE = "hex(substr(key, 1, 1))"
"""The lane of a row, as two hex digits: the lowest byte of the key's hash comes first."""


class _Layout(msgspec.Struct):
    version: int = VERSION
    pipelines: int = 1


class _Moving(msgspec.Struct):
    """`renames` are files and what they are called then, relative to the data folder."""

    before: int
    after: int
    renames: list[tuple[str, str]]
    version: int = VERSION


def settle(data: Path, processes: int) -> None:
    """Make the files those of so many processes; raises `Fixable` with what to do where that cannot be."""
    try:
        _settle(data, processes)
    except FormatError as error:
        raise Fixable(str(error)) from None
    except OSError as error:
        raise _unwritable(error.filename or data / "state", error.strerror) from None
    except sqlite3.OperationalError as error:
        raise _unwritable(f"a state file below {data}", error) from None


def _unwritable(path: object, error: object) -> Fixable:
    return Fixable(f"processes.pipeline: {path} cannot be written: {error}")


def _settle(data: Path, processes: int) -> None:
    state = data / "state"
    moving = _read(state / "moving.json", _Moving)
    if moving is not None:
        _finish(data, moving)
    _sweep(data)  # what a kill left of one that did not come to count
    found = _read(state / "layout.json", _Layout)
    before = 1 if found is None else found.pipelines
    _check_known(data, before)
    if before != processes:
        try:
            moving = _prepare(data, before, processes)
            _write(state / "moving.json", moving)
        except Exception:
            if not (state / "moving.json").exists():
                _sweep(data)  # the disk may be full: of it
            raise
        _finish(data, moving)
        log.info("state.moved", before=before, after=processes)


_Said = TypeVar("_Said", _Layout, _Moving)


def _read(path: Path, kind: type[_Said]) -> _Said | None:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        if msgspec.json.decode(text).get("version", 0) > VERSION:
            raise FormatError(f"{path} was written by a newer Turnout; start that version")
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, AttributeError):
        raise FormatError(f"{path} is damaged; restore a backup") from None


def _write(path: Path, what: _Layout | _Moving) -> None:
    draft = path.with_name(f".{path.name}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(what))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def _sweep(data: Path) -> None:
    """Delete files of a change that does not count."""
    for home in (data, *data.glob("pipeline-*")):
        for path in (home / "state").glob(f"pipeline.db{FRESH}*"):
            path.unlink()


def _check_known(data: Path, of: int) -> None:
    """Raise `Fixable` where there is a state file that the layout does not speak of: it may hold events, which nobody
    would send, and another one would take its place."""
    known = {Share(process, of).name for process in range(of)}
    homes = [path.parents[1] for path in sorted(data.glob("pipeline-*/state/pipeline.db"))]
    for home in homes:
        if home.name not in known:
            last = max((int(number) for one in homes if (number := one.name[9:]).isdecimal()), default=0)
            said = msgspec.json.encode(_Layout(pipelines=last + 1)).decode()
            raise Fixable(
                f"{home} is of a process that {data / 'state' / 'layout.json'} does not speak of: restore that file, "
                f"which says how many pipeline processes there were (by these folders `{said}`), or move the folder "
                "away if it is not of this data"
            )


# ---- before it counts

def _prepare(data: Path, before: int, after: int) -> _Moving:
    """Write the new state files beside the old ones."""
    homes = [Share(process, before).home(data) for process in range(before)]
    for home in (*homes, *(Share(process, after).home(data) for process in range(after))):
        for folder in (home, home / "state"):
            folder.mkdir(mode=0o700, exist_ok=True)
    files = [home / "state" / "pipeline.db" for home in homes]
    if not any((data / "sequence").glob("*.seq")) and not files[0].exists():
        files = []  # nothing was ever sequenced here
    taken = plan([_kept(file, before) for file in files] or [Kept()], after)
    shifts = _renumbered(data, homes[after:])
    renames: list[tuple[str, str]] = []
    for one in taken:
        path = one.share.home(data) / "state" / "pipeline.db"
        fresh = path.with_name(path.name + FRESH)
        if not files and not one.share.process:
            continue  # it makes its own
        _build(fresh, one, files, shifts)
        renames.append((str(fresh.relative_to(data)), str(path.relative_to(data))))
    renames += _past(data, homes[after:], shifts)
    return _Moving(before, after, renames)


def _kept(path: Path, before: int) -> Kept:
    """What a state file says, brought to the newest version first; raises `Fixable` where it is lost.

    Then nothing is made in its place: whoever starts next must see that it is.
    """
    try:
        whole = _whole(path)
    except sqlite3.OperationalError as error:  # it writes beside the file even to read it
        raise _unwritable(path, error) from None
    if not whole:
        raise Fixable(
            f"processes.pipeline: {path} is gone or damaged: start once with `pipeline: {before}`, as it was, which "
            "goes on from where the log was let go, and change it then"
        )
    state = State(path)
    try:
        destinations = state.destinations()
        jobs: list[JobLanes] = []
        for ident in destinations:
            stored = list(stored_jobs(state, ident))
            lanes = {(row.number, row.child): row.key % LANES for row in state.exceptions(ident)} if stored else {}
            jobs += [
                JobLanes(job.id, ident, frozenset(lanes[event] for event in job.events if event in lanes))
                for job in stored
            ]
        return Kept(destinations, jobs)
    finally:
        state.close()


def _whole(path: Path) -> bool:
    if not path.exists():
        return False
    with closing(sqlite3.connect(path)) as db:
        try:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise
            return False


def _renumbered(data: Path, gone: list[Path]) -> dict[Path, dict[str, int]]:
    """For each process that is no more, by folder, what is added to the numbers of its files so that they are free."""
    shifts: dict[Path, dict[str, int]] = {}
    highest = {folder: max(_numbers(data, folder), default=0) for folder, _ in _PAST}
    for home in gone:
        shifts[home] = dict(highest)
        highest = {folder: n + max(_numbers(home, folder), default=0) for folder, n in highest.items()}
    return shifts


def _numbers(home: Path, folder: str) -> Iterator[int]:
    patterns = [pattern for name, pattern in _PAST if name == folder]
    return (int(p.stem) for pattern in patterns for p in (home / folder).glob(pattern) if p.stem.isdigit())


def _past(data: Path, gone: list[Path], shifts: dict[Path, dict[str, int]]) -> list[tuple[str, str]]:
    """The files of processes that are no more, under their new names."""
    found: list[tuple[str, str]] = []
    for home in gone:
        for folder, pattern in _PAST:
            for path in sorted((home / folder).glob(pattern)):
                if path.stem.isdigit():
                    name = f"{int(path.stem) + shifts[home][folder]:0{len(path.stem)}d}{path.suffix}"
                    found.append((str(path.relative_to(data)), f"{folder}/{name}"))
        found += _set_aside(data, home, len(found))
        texts = sorted((home / "history").glob("*/*"))
        found += [(str(path.relative_to(data)), str(path.relative_to(home))) for path in texts]
    return found


def _set_aside(data: Path, home: Path, number: int) -> list[tuple[str, str]]:
    """Folders of letters whose index was lost, under names that begin at a free `number`, or behind those there are."""
    known = (int(p.name[5:]) for p in (data / "dead").glob("lost-*") if p.name[5:].isdigit())
    first = max(number, *known, 0) + 1
    found = sorted((home / "dead").glob("lost-*"))
    return [(str(path.relative_to(data)), f"dead/lost-{n}") for n, path in enumerate(found, first)]


def _build(fresh: Path, taken: Taken, files: list[Path], shifts: dict[Path, dict[str, int]]) -> None:
    """The state file of one process: its old one, or a new one, with what it takes of all."""
    share = taken.share
    fresh.touch(0o600)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
        if share.process < len(files):
            with closing(sqlite3.connect(files[share.process])) as source:
                source.backup(db)
        else:
            migrate(db, fresh)
        db.execute("PRAGMA journal_mode=DELETE")
        for process, path in enumerate(files):
            db.execute(f"ATTACH DATABASE ? AS old{process}", (str(path),))
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        _take(db, taken, len(files))
        if not share.process:
            for process, home in enumerate(shifts, len(files) - len(shifts)):
                _inherit(db, process, shifts[home])
        else:
            db.execute("INSERT OR REPLACE INTO fact VALUES ('follows', 1)")
        _begin_ids(db, share, len(files))
        db.execute("COMMIT")
    sync_folder(fresh.parent)


def _take(db: sqlite3.Connection, taken: Taken, files: int) -> None:
    share = taken.share
    span = (f"{share.first:02X}", f"{share.end - 1:02X}")
    jobs = {process: [job for source, job in taken.jobs if source == process] for process in range(files)}
    if share.process < files:
        db.execute(f"DELETE FROM exception WHERE {_MINE} AND NOT {_LANE} BETWEEN ? AND ?", span)  # noqa: S608 -- ours
        own = set(jobs[share.process])
        left = [row for row in db.execute(f"SELECT id FROM job WHERE {_MINE}").fetchall() if row[0] not in own]  # noqa: S608 -- ours
        db.executemany("DELETE FROM job WHERE id = ?", left)
    for process in range(files):
        if process == share.process:
            continue
        db.executemany(
            f"INSERT OR REPLACE INTO exception ({_EXCEPTION}, active) SELECT {_EXCEPTION}, active + ?"  # noqa: S608 -- ours
            f" FROM old{process}.exception WHERE destination = ? AND {_LANE} BETWEEN ? AND ?",
            [(taken.shifts[process, row.id], row.id, *span) for row in taken.rows],
        )
        db.executemany(
            f"INSERT INTO job ({_JOB}) SELECT {_JOB} FROM old{process}.job WHERE id = ?",  # noqa: S608 -- ours
            [(job,) for job in jobs[process]],
        )
    db.execute("DELETE FROM destination WHERE id NOT LIKE 'replay:%'")
    db.executemany(
        "INSERT INTO destination (id, position, cursors, active, refused, reason, since) VALUES (?,?,?,?,?,?,?)",
        [(r.id, r.position, r.cursors.tobytes(), r.active, *(r.refused or ("", "", 0.0))) for r in taken.rows],
    )
    if 0 < files <= share.process:
        db.execute("INSERT INTO fact SELECT * FROM old0.fact WHERE name LIKE 'began %' OR name LIKE 'was %'")


def _inherit(db: sqlite3.Connection, process: int, shifts: dict[str, int]) -> None:
    """What a process that is no more has written about the past."""
    db.execute(
        f"INSERT INTO dead ({_DEAD}, segment) SELECT {_DEAD}, segment + ? FROM old{process}.dead",  # noqa: S608 -- ours
        (shifts["dead"],),
    )
    db.execute(
        f"INSERT INTO archive (id, {_ARCHIVE}) SELECT id + ?, {_ARCHIVE} FROM old{process}.archive",  # noqa: S608 -- ours
        (shifts["archive"],),
    )
    db.execute(
        f"INSERT INTO count SELECT * FROM old{process}.count WHERE true"  # noqa: S608 -- ours
        " ON CONFLICT DO UPDATE SET n = n + excluded.n"
    )


def _begin_ids(db: sqlite3.Connection, share: Share, files: int) -> None:
    """Let the ids of a process's dead letters begin where no other one's ever were; those of the first go on."""
    if not share.process:
        return
    highest = 0
    for process in range(files):
        sql = f"SELECT max(seq) FROM old{process}.sqlite_sequence WHERE name='dead'"  # noqa: S608 -- ours
        top = db.execute(sql).fetchone()[0]
        highest = max(highest, top or 0)
    db.execute("DELETE FROM sqlite_sequence WHERE name='dead'")
    base = letters_begin(share.process, highest)
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('dead', ?)", (base,))


# ---- from when it counts

def _finish(data: Path, moving: _Moving) -> None:
    """Rename what is to be renamed, and let go of what is no more. Doing it again does no harm."""
    for source, target in moving.renames:
        path = data / target
        if not (data / source).exists():
            if not path.exists():
                raise FormatError(f"{path} is gone, and so is what was to be in its place: restore a backup")
            continue  # it was renamed before a kill
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.suffix == ".db":
            for suffix in ("-wal", "-shm"):  # of the file that goes: all of it was written into it
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        (data / source).replace(path)
    for folder in {(data / target).parent for _, target in moving.renames}:
        sync_folder(folder)
    _let_go(data, moving)
    for process in range(moving.after, moving.before):
        _leave(Share(process, moving.before).home(data))
    if moving.after > 1:
        _write(data / "state" / "layout.json", _Layout(pipelines=moving.after))
    else:  # as a folder that always had one
        (data / "state" / "layout.json").unlink(missing_ok=True)
    (data / "state" / "moving.json").unlink()
    sync_folder(data / "state")


def _leave(home: Path) -> None:
    """Delete the folder of a process that is no more. Its state file must go: what it says is another one's to do now,
    and a start that finds it is refused."""
    for suffix in ("-wal", "-shm", ""):
        (home / "state" / f"pipeline.db{suffix}").unlink(missing_ok=True)
    shutil.rmtree(home, ignore_errors=True)
    if home.exists():  # a mount point, or files of somebody else's
        log.warning("state.left", folder=str(home))


def _let_go(data: Path, moving: _Moving) -> None:
    """Each process now needs of the log what any needed before: the least of them holds for all."""
    for partition in partitions(data / "log"):
        folder = data / "log" / str(partition)
        least = released(folder)
        for process in range(max(moving.before, moving.after)):
            if process < moving.after:
                word = Release(folder, name_of(process))
                word.set(least)
                word.close()
            else:
                (folder / "released" / name_of(process)).unlink(missing_ok=True)
        sync_folder(folder / "released")
