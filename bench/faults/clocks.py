"""A wall clock that is set by hours and days under load, with kills between: nothing is given up, or comes twice."""

from __future__ import annotations

import random
import time
from pathlib import Path

from bench.faults.account import Outcome
from bench.faults.kills import kill_and_wait
from bench.faults.machine import Machine
from bench.faults.scene import Scene, settled

__all__ = ["jumping_clock"]

HOUR = 3600.0
JUMPS = (HOUR, -2 * HOUR, 26 * HOUR, -0.5, 0.0, -30 * HOUR, 9 * 24 * HOUR, 0.0)
"""Seconds that the clock is ahead, one after the other: a wrong zone, a day, a step of NTP, a wrong week."""


def jumping_clock(folder: Path, *, seed: int = 7, users: int = 12, pause: float = 1.0) -> Outcome:
    """Set the clock again and again; the pipeline, then all, are killed while it is wrong.

    The destinations fail for the while of every other jump, so that retries are due on a clock that is set.
    """
    chance, kills = random.Random(seed), 0
    with Machine(folder / "machine") as machine, Scene(folder, environ=machine.environ) as scene:
        with scene.users(users) as load:
            for number, ahead in enumerate(JUMPS):
                scene.answers.closed = number % 2 == 0
                time.sleep(chance.uniform(0.2, pause))
                machine.set_clock(ahead)
                time.sleep(chance.uniform(0.2, pause))
                if number in (2, 5):
                    kill_and_wait(scene, "pipeline" if number == 2 else "all")
                    kills += 1
            scene.answers.closed = False
            time.sleep(pause)
            load.stop()
        # What was put aside is due within an hour of the start, whatever a wrong clock wrote; a person need not wait.
        for name in ("plain", "shaped"):
            scene.plane.resume(name)
        status = settled(scene.plane)
        scene.plane.stop()
        outcome = scene.judge(Outcome("clock", kills), load, status, one_day=False)
    archived = {name: row["archived"] for name, row in status["destinations"].items() if row["archived"]}
    if archived:
        outcome.wrong.append(f"archived, though no time had passed: {archived}")
    outcome.note = f"seed {seed}; {len(JUMPS)} jumps, from -30 hours to +9 days"
    return outcome
