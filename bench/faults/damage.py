"""Files damaged or lost while nothing runs: it starts, says what it found, and delivers what is intact."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.faults.account import Outcome, account, settled
from bench.faults.users import Users
from bench.plane import Plane
from bench.sink import Sink

__all__ = ["DAMAGES", "damaged"]

CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
log: {{segment_bytes: 65536}}
egress: {{allow_private: true}}
sources:
  web: {{write_key: wk_bench}}
destinations:
  plain:
    type: webhook
    settings: {{webhook_url: "{url}/plain"}}
    delivery: {{batch: 20, linger: 20ms}}
  dying:
    type: webhook
    settings: {{webhook_url: "{url}/dying"}}
"""
Damage = Callable[[Path, random.Random], int]
"""Does it to a data folder; gives whether it destroys a record of the log (1) or not (0)."""


def _flip(path: Path, chance: random.Random, at: float = 0.5) -> int:
    """One byte of the file changes, `at` of its length."""
    data = bytearray(path.read_bytes())
    place = min(len(data) - 1, int(len(data) * at))
    data[place] ^= 1 + chance.randrange(255)
    path.write_bytes(data)
    return 1


def _tear(path: Path, chance: random.Random) -> int:
    """The file ends a few bytes early."""
    size = max(0, path.stat().st_size - 1 - chance.randrange(40))
    with path.open("r+b") as file:
        file.truncate(size)
    return 1


def _newest(folder: Path, pattern: str) -> Path:
    return max((path for path in folder.glob(pattern) if path.stat().st_size > 200), key=lambda path: path.name)


def _middle(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    return found[len(found) // 2]


def _garbage(path: Path, chance: random.Random) -> int:
    path.write_bytes(chance.randbytes(path.stat().st_size))
    return 0


def _gone(path: Path, _: random.Random) -> int:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return 0


def _state_gone(data: Path, _: random.Random) -> int:
    for path in (data / "state").glob("pipeline.db*"):
        path.unlink()
    return 0


STATE_LOST = "state: pipeline.db is lost"
STATE_BAD = "state: pipeline.db is garbage"


def _active(data: Path) -> Path:
    return _newest(data / "log/0", "*.log")


def _older(data: Path) -> Path:
    return _middle(data / "log/0", "*.log")


def _sidecar(data: Path) -> Path:
    return _newest(data / "sequence", "*.seq")


def _ids(data: Path, chance: random.Random) -> int:
    for path in sorted((data / "sequence/ids").iterdir()):
        for at in (0.0, 0.3):
            _flip(path, chance, at)
    return 0


def _state_bad(data: Path, chance: random.Random) -> int:
    for path in (data / "state").glob("pipeline.db*"):
        _garbage(path, chance)
    return 0


DAMAGES: Mapping[str, Damage] = {
    "log: the active segment is torn": lambda data, chance: _tear(_active(data), chance),
    "log: a byte of the active segment flips": lambda data, chance: _flip(_active(data), chance),
    "log: a byte of an older segment flips": lambda data, chance: _flip(_older(data), chance),
    "log: an older segment is torn": lambda data, chance: _tear(_older(data), chance),
    "log: head is garbage": lambda data, chance: _garbage(data / "log/0/head", chance),
    "log: head is lost": lambda data, chance: _gone(data / "log/0/head", chance),
    "sequence: the sidecar is torn": lambda data, chance: 0 * _tear(_sidecar(data), chance),
    "sequence: a byte of the sidecar flips": lambda data, chance: 0 * _flip(_sidecar(data), chance),
    "sequence: the folder is lost": lambda data, chance: _gone(data / "sequence", chance),
    "sequence: the message ids are lost": lambda data, chance: _gone(data / "sequence/ids", chance),
    "sequence: bytes of the message ids flip": _ids,
    STATE_BAD: _state_bad,
    STATE_LOST: _state_gone,
    "dead: a byte of a dead-letter segment flips": lambda data, chance: 0 * _flip(_newest(data / "dead", "*"), chance),
    "dead: the folder is lost": lambda data, chance: _gone(data / "dead", chance),
}


class Gate:
    """Answers of the destination: *dying* refuses every event; *plain* fails while `closed`."""

    def __init__(self) -> None:
        self.closed = False

    def __call__(self, path: str, body: bytes) -> int:
        """The status for one request."""
        if "dying" in path:
            return 422
        return 503 if self.closed else 200


def damaged(folder: Path, name: str, *, seed: int = 7, users: int = 8) -> Outcome:
    """A backlog, `kill -9`, the damage, a start; then the backlog and new events must arrive.

    Events of records that the damage hit may be missing, and no others.
    """
    chance, gate = random.Random(f"{seed} {name}"), Gate()
    with Sink(gate) as sink:
        plane = Plane(folder, CONFIG.format(url=sink.url)).start()
        try:
            with Users(lambda: plane.url, "wk_bench", users, pause=0.002) as load:
                _until(lambda: load.total > 400)
                gate.closed = True
                _until(lambda: load.total > 1_000)
                held = plane.status()["destinations"]["plain"]["retrying"]
                plane.kill()
                hit = DAMAGES[name](folder / "data", chance)
                gate.closed = False
                plane.start()
                before = load.total
                _until(lambda: load.total > before + 200)
                load.stop()
            settled(plane)
        finally:
            plane.kill()
    outcome = account(Outcome(name, kills=1), sink, load.acknowledged, copies={"plain": lambda _: 1})
    outcome.note = f"seed {seed}"
    # A request of these users holds three events at most; the state file holds those that are retried.
    may = 3 if hit else held if name in (STATE_LOST, STATE_BAD) else 0
    if outcome.lost and may:
        outcome.note += f"; {outcome.lost} events destroyed"
        outcome.lost = max(0, outcome.lost - may)
    return outcome


def _until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("the users do not get on")
        time.sleep(0.02)
