"""When a script is stopped, what probes it, and what becomes of its events."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transformations.conftest import item
from transformations import Pool
from transformations.base import Failed, Outputs, Script
from transformations.breaker import FIRST, LAST, MANY, ROW, WINDOW, Breaker
from turnout.errors import Stopped


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(ROW):
        breaker.killed("timeout", now)
    return breaker


def test_it_opens_at_the_fifth_kill_in_a_row_however_slow_they_are() -> None:
    breaker = Breaker()
    assert [breaker.killed("timeout", 1000.0 * n) for n in range(ROW)] == [False] * 4 + [True]
    assert breaker.reason == "its worker was killed 5 times in a row, the last time for timeout"


def test_what_finishes_between_breaks_the_row_but_not_the_many() -> None:
    breaker = Breaker()
    for n in range(MANY - 1):
        assert not breaker.killed("memory", float(n))
        breaker.finished()
    assert breaker.killed("memory", WINDOW)
    assert breaker.reason == "its worker was killed 20 times within a minute, the last time for memory"


def test_many_kills_over_more_than_a_minute_with_results_between_do_not_open_it() -> None:
    breaker = Breaker()
    for n in range(10 * MANY):
        assert not breaker.killed("crash", n * WINDOW / (MANY - 2))
        breaker.finished()


def test_one_probe_at_a_time_and_ever_longer_waits() -> None:
    breaker, now = opened(), 0.0
    waits = []
    for n in range(10):
        waits.append(breaker.left(now))
        assert not breaker.due(now + waits[-1] - 0.01)
        now += waits[-1]
        assert breaker.due(now)
        assert breaker.probe() == n
        assert not breaker.due(now), "another probe is under way"
        breaker.probed(now, well=False)
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, LAST, LAST, LAST, LAST]
    breaker.probe()
    breaker.probed(now, well=None)
    assert breaker.due(now + LAST), "a probe that was cut off says nothing"


def test_a_probe_that_goes_well_closes_it_and_a_relapse_begins_anew() -> None:
    breaker = opened()
    breaker.probe()
    breaker.probed(FIRST, well=False)
    breaker.probe()
    breaker.probed(3 * FIRST, well=True)
    assert not breaker.open
    for _ in range(ROW):
        breaker.killed("timeout", 3 * FIRST + 1)
    assert breaker.left(3 * FIRST + 1) == FIRST


@given(st.lists(st.sampled_from(["kill", "finish", "wait"]), max_size=200))
def test_it_is_open_exactly_after_five_in_a_row_or_twenty_in_a_minute(steps: list[str]) -> None:
    breaker, now, row = Breaker(), 0.0, 0
    kills: list[float] = []
    for step in steps:
        now += 7.0 if step == "wait" else 0.1
        if step == "finish":
            breaker.finished()
            row = 0
        elif step == "kill":
            row, kills = row + 1, [*kills, now][-MANY:]
            expected = row >= ROW or (len(kills) == MANY and now - kills[0] <= WINDOW)
            assert breaker.killed("timeout", now) == expected
            if expected:
                return


# ---- in the pool

LOOPS = "def transformEvent(event, metadata):\n    while event.get('loop'): pass\n    return event\n"


def script(name: str, source: str = LOOPS, timeout: float = 0.1) -> Script:
    """`timeout` is what a busy machine may need, too, where events are to pass."""
    return Script(name, source, file=f"{name}.py", timeout=timeout)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_script_that_is_broken_for_everything_kills_no_event(pool: Pool) -> None:
    broken = script("broken", "def transformEvent(event, metadata):\n    while True: pass\n")
    items = [item({"n": n}) for n in range(100)]
    with pytest.raises(Stopped) as caught:
        await pool.run(broken, items)
    assert str(caught.value) == (
        "transformation broken is stopped: its worker was killed 5 times in a row, the last time for timeout"
    )
    assert 0 < caught.value.left <= FIRST
    kills = [row for row in pool.stats() if row[0] == "transform_kills"]
    with pytest.raises(Stopped):
        await pool.run(broken, items)
    assert [row for row in pool.stats() if row[0] == "transform_kills"] == kills, "nothing runs while it is open"
    assert pool.health()["stopped"]["broken"]["reason"] in str(caught.value)
    assert ("transform_stopped", ["broken"], 1) in pool.stats()
    ok = await pool.run(script("fine", timeout=5.0), items)
    assert all(isinstance(ran, Outputs) for ran in ok), "other scripts go on"
    mended = script("broken", "def transformEvent(event, metadata):\n    return event\n", timeout=5.0)
    assert len([ran for ran in await pool.run(mended, items) if isinstance(ran, Outputs)]) == 100
    assert "broken" not in pool.health()["stopped"], "another version begins anew"


@pytest.mark.asyncio(loop_scope="module")
async def test_events_that_kill_it_die_and_the_others_pass(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformations.breaker.FIRST", 0.2)
    poisoned = script("poisoned", timeout=0.5)
    items = [item({"n": n, "loop": n < 7}) for n in range(20)]
    while True:  # stopped at the fifth, probed with ever other events until one goes well
        try:
            ran = await pool.run(poisoned, items)
        except Stopped as stopped:
            await asyncio.sleep(stopped.left)
        else:
            break
    assert [isinstance(one, Failed) and one.kind for one in ran] == ["timeout"] * 7 + [False] * 13


@pytest.mark.asyncio(loop_scope="module")
async def test_a_person_may_let_it_run_again(pool: Pool) -> None:
    hangs = script("hung", timeout=0.5)
    with pytest.raises(Stopped):
        await pool.run(hangs, [item({"loop": 1})] * 9)
    assert pool.resume("hung")
    assert not pool.resume("hung")
    assert isinstance((await pool.run(hangs, [item({})]))[0], Outputs)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_look_at_a_script_stops_nothing(pool: Pool) -> None:
    looked = script("looked")
    for _ in range(6):
        assert [ran.kind for ran in (await pool.trial(looked, [item({"loop": 1})])).results] == ["timeout"]
    assert "looked" not in pool.health()["stopped"]
