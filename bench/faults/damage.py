"""Files damaged or lost while nothing runs: it starts, says what it found, and delivers what is intact."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from bench.faults.account import Outcome
from bench.faults.scene import Damage, Scene, settled, until

__all__ = ["DAMAGES", "damaged"]

RECORD = 3
"""Events in a record, at most: what these users send in a request, the refused one aside."""


def _flip(path: Path, chance: random.Random, at: float = 0.5) -> None:
    """One byte of the file changes, `at` of its length."""
    data = bytearray(path.read_bytes())
    place = min(len(data) - 1, int(len(data) * at))
    data[place] ^= 1 + chance.randrange(255)
    path.write_bytes(data)


def _page(path: Path, chance: random.Random) -> None:
    """4 KiB of the file, from its middle on, are another's."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(chance.randbytes(min(4096, path.stat().st_size // 4)))


def _tear(path: Path, chance: random.Random) -> None:
    """The file ends a few bytes early."""
    size = max(0, path.stat().st_size - 1 - chance.randrange(40))
    with path.open("r+b") as file:
        file.truncate(size)


def _newest(folder: Path, pattern: str) -> Path:
    return max((path for path in folder.glob(pattern) if path.stat().st_size > 200), key=lambda path: path.name)


def _garbage(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(path.stat().st_size))


def _gone(path: Path, _: random.Random) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _state_gone(data: Path, _: random.Random) -> None:
    for path in (data / "state").glob("pipeline.db*"):
        path.unlink()


def _partition(data: Path) -> Path:
    """The partition that holds more."""
    return max((data / "log").iterdir(), key=lambda one: sum(path.stat().st_size for path in one.glob("*.log")))


def _active(data: Path) -> Path:
    return _newest(_partition(data), "*.log")


def _older(data: Path) -> Path:
    """The last but one: what all destinations were done with before the backlog, nobody reads again."""
    return sorted(_partition(data).glob("*.log"))[-2]


def _sidecar(data: Path) -> Path:
    return _newest(data / "sequence", "*.seq")


def _ids(data: Path, chance: random.Random) -> None:
    for path in sorted((data / "sequence/ids").iterdir()):
        for at in (0.0, 0.3):
            _flip(path, chance, at)


def _state_bad(data: Path, chance: random.Random) -> None:
    for path in (data / "state").glob("pipeline.db*"):
        _garbage(path, chance)


DAMAGES: Mapping[str, Damage] = {
    "log: the active segment is torn": Damage(lambda data, chance: _tear(_active(data), chance), RECORD),
    "log: a byte of the active segment flips": Damage(
        lambda data, chance: _flip(_active(data), chance), RECORD, said="log.damage"),
    "log: a byte of an older segment flips": Damage(
        lambda data, chance: _flip(_older(data), chance), RECORD, said="log.damage"),
    "log: a byte of an older segment flips, two pipeline processes": Damage(
        lambda data, chance: _flip(_older(data), chance), RECORD, said="log.damage", pipelines=2),
    "log: an older segment is torn": Damage(
        lambda data, chance: _tear(_older(data), chance), RECORD, said="log.damage"),
    "log: head is garbage": Damage(lambda data, chance: _garbage(_partition(data) / "head", chance)),
    "log: head is lost": Damage(lambda data, chance: _gone(_partition(data) / "head", chance)),
    "sequence: the sidecar is torn": Damage(lambda data, chance: _tear(_sidecar(data), chance)),
    "sequence: a byte of the sidecar flips": Damage(lambda data, chance: _flip(_sidecar(data), chance)),
    "sequence: a page of the sidecar is garbage": Damage(lambda data, chance: _page(_sidecar(data), chance)),
    "sequence: the folder is lost": Damage(
        lambda data, chance: _gone(data / "sequence", chance), reread=True, counted=False, said="sequence.lost"),
    "sequence: the message ids are lost": Damage(lambda data, chance: _gone(data / "sequence/ids", chance)),
    "sequence: bytes of the message ids flip": Damage(_ids, said="ids.damaged"),
    "state: pipeline.db is garbage": Damage(_state_bad, reread=True, retried=True, said="state.damaged"),
    "state: pipeline.db is lost": Damage(_state_gone, reread=True, retried=True, said="state.lost"),
    "dead: a byte of a dead-letter segment flips": Damage(
        lambda data, chance: _flip(_newest(data / "dead", "*"), chance)),
    "dead: the folder is lost": Damage(lambda data, chance: _gone(data / "dead", chance)),
}


def damaged(folder: Path, name: str, *, seed: int = 7, users: int = 8) -> Outcome:
    """A backlog, `kill -9`, the damage, a start; then the backlog and new events must arrive.

    Events of records that the damage hit may be missing, and no others; those that had numbers are dead.
    """
    chance, damage, outcome = random.Random(f"{seed} {name}"), DAMAGES[name], Outcome(name, kills=1)
    with Scene(folder, log="{segment_bytes: 65536}", pipelines=damage.pipelines) as scene:
        # Where the ids of events are gone, a repetition is an event of its own.
        with scene.users(users, 0.002, repeats=not damage.reread) as load:
            until(lambda: load.total > 400, "the users do not get on")
            scene.answers.closed = True
            until(lambda: load.total > 1_000, "the users do not get on")
            held = sum(scene.plane.status()["destinations"][name]["retrying"] for name in ("plain", "shaped"))
            moment = time.monotonic()
            scene.plane.kill()
            scene.ended(moment)
            damage.do(folder / "data", chance)
            scene.answers.closed = False
            scene.plane.start()
            until(load.more(200), "the users do not get on afterwards")
            load.stop()
        status = settled(scene.plane)
        output = scene.plane.output
        scene.plane.stop()
        scene.judge(outcome, load, status, damage)
    if damage.said and f'"{damage.said}"' not in output:
        outcome.wrong.append(f"nobody says {damage.said}")
    outcome.note = f"seed {seed}"
    may = held if damage.retried else damage.records
    if outcome.lost and len(outcome.missing) <= may:
        outcome.note += f"; {len(outcome.missing)} events were destroyed"
        outcome.lost = 0
    return outcome
