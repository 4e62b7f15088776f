"""A disk that runs full under load, and has room again: 503 meanwhile, nothing lost, no hand needed."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.faults.account import Outcome
from bench.faults.scene import Scene, restarts, settled, until

__all__ = ["full_disk", "limited_files", "mountable"]

SIZE = 64 << 20
LOG = "{segment_bytes: 1000000, min_free_bytes: 0}"


def mountable(folder: Path) -> bool:
    """Whether this process may mount a small file system (root, outside most containers)."""
    try:
        with _disk(folder):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    """A file system of `SIZE` bytes in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", str(folder)]
    # In a session of their own: Ctrl-C must not end a program that mounts or unmounts half-way.
    subprocess.run(mount, check=True, capture_output=True, start_new_session=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True, start_new_session=True)


def full_disk(folder: Path, *, times: int = 2, users: int = 12) -> Outcome:
    """Fill the disk `times` times under load, see the 503s, make room, and count.

    The disk holds everything: the data, the file destination, and the program's own output.
    """
    with _disk(folder) as disk:
        filler = disk / "filler"
        return _without_room(folder, lambda _: _fill(filler), lambda _: filler.unlink(), times, users)


def limited_files(folder: Path, *, times: int = 2, users: int = 12) -> Outcome:
    """The same with RLIMIT_FSIZE: no process may write beyond the first kilobyte of any file, then it may again."""
    return _without_room(folder, lambda scene: _limit(scene, 1024), lambda scene: _limit(scene, None), times, users)


def _without_room(
    folder: Path, take: Callable[[Scene], object], give: Callable[[Scene], object], times: int, users: int
) -> Outcome:
    with Scene(folder, log=LOG) as scene:
        with scene.users(users) as load:
            for _ in range(times):
                until(load.more(300), "the users do not get on")
                refused = load.answered(503, 20)
                take(scene)
                until(refused, "it does not answer 503")
                until(lambda: bool(scene.plane.status()["health"]["problems"]), "nobody says that there is no room")
                give(scene)
            until(load.more(300), "the users do not get on again")
            load.stop()
        status = settled(scene.plane)
        scene.plane.stop()
        outcome = scene.judge(Outcome("disk full"), load, status)
    outcome.note = f"{load.answers[503]} answers of 503; {restarts(status)}"
    return outcome


def _fill(path: Path) -> None:
    """Take every byte there is."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:  # not even that is left: a smaller piece may be
                continue
        os.fsync(file.fileno())


def _limit(scene: Scene, size: int | None) -> None:
    """Limit what the app and every role may write, or lift that; the hard limit stays as it is.

    What runs the scripts is locked, under another user where that can be, and writes no files.
    """
    for name, pid in scene.plane.roles().items():
        if name.startswith("other-"):
            continue
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))
