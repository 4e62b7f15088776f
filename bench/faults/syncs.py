"""A sync that fails under load: the log closes and promises nothing; anything else waits and goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.faults.account import Outcome
from bench.faults.machine import Machine
from bench.faults.scene import Scene, restarts, settled, until

__all__ = ["PLACES", "failed_sync"]


class Place(NamedTuple):
    """Files whose syncs fail: `where` is in their path; `closes` for good, or they are tried again."""

    where: str
    closes: bool = False


PLACES: Mapping[str, Place] = {
    "the log": Place("/data/log/", closes=True),
    "the sequence": Place("/data/sequence/"),
    "the state": Place("/data/state/"),
    "dead letters": Place("/data/dead/"),
    "a file destination": Place("/kept/"),
}


def failed_sync(folder: Path, place: str = "the log", *, users: int = 12, seconds: float = 2.0) -> Outcome:
    """Syncs of some files fail for some seconds under load; then they work again, and all must be right.

    A log that closed stays so until it is started anew; meanwhile nobody is told 200.
    """
    where, closes = PLACES[place]
    outcome = Outcome(f"sync fails: {place}")
    with Machine(folder / "machine") as machine, Scene(folder, environ=machine.environ) as scene:
        with scene.users(users) as load:
            until(lambda: load.total > 300, "the users do not get on")
            machine.fail_syncs(where)
            until(lambda: machine.failed > 0, f"nothing of {place} was synced")
            if closes:
                until(lambda: len(scene.plane.status()["health"]["problems"]) >= 1, "nobody says that the log closed")
                until(load.answered(503, 2 * users), "it does not answer 503")
                machine.mend()
                promised = load.answers[200]
                time.sleep(seconds)
                if load.answers[200] != promised:
                    outcome.wrong.append(f"{load.answers[200] - promised} answers of 200 from a log that is closed")
                scene.ended(time.monotonic())
                scene.plane.stop()
                scene.plane.start()
            else:
                time.sleep(seconds)
                machine.mend()
            until(load.more(200), "the users do not get on afterwards")
            load.stop()
        status, failed = settled(scene.plane), machine.failed
        scene.plane.stop()
        scene.judge(outcome, load, status)
    outcome.note = f"{failed} syncs failed, {load.answers[503]} answers of 503; {restarts(status)}"
    return outcome
