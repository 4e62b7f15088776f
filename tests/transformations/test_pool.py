"""The pool under scripts that hang, die, hoard and lie, and under hands that kill its processes."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.transformations.conftest import Run, item
from transformations import Pool
from transformations.base import Failed, Item, Outputs, Script
from transformations.sandbox import seccomp
from transformations.sandbox.limits import available
from transformations.sandbox.parent import Zygote
from turnout.errors import Overfull, Stopped, Unavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")
IDENTITY = "def transformEvent(event, metadata):\n    return event\n"
SECOND = 1.0
"""Seconds that scripts have which hang on one event and must not on another: a busy machine takes a while over that."""
LOOP = "def transformEvent(event, metadata):\n    while event.get('loop'): pass\n    return event\n"


def script(name: str, body: str, **options: object) -> Script:
    return Script(name, f"def transformEvent(event, metadata):\n    {body}\n", file=f"{name}.py", **options)


async def test_on_linux_every_layer_is_on_and_proved(pool: Pool) -> None:
    health = pool.health()
    assert health["alive"]
    assert {"limits", "no_new_privs", "seccomp"} <= set(health["layers"])
    assert health["locked"]


@pytest.mark.skipif(not seccomp.SUPPORTED, reason="only the filter ends the probe")
async def test_a_probe_that_ended_before_it_was_asked_still_answers() -> None:
    zygote = Zygote(available())
    await zygote.start()
    try:
        probe = await zygote.spawn(256 << 20, probe=True)
        assert os.WTERMSIG(await probe.exit_status()) == signal.SIGSYS
        assert (await probe.exchange(b"", 5.0))[1:] == b""
    finally:
        await zygote.stop()


async def test_a_worker_has_one_descriptor_no_name_and_no_way_to_more(pool: Pool, run: Run) -> None:
    await run(IDENTITY, {})
    workers = psutil.Process(pool.zygote_pid).children()
    assert workers
    for worker in workers:
        status = Path(f"/proc/{worker.pid}/status").read_text()
        assert "\nSeccomp:\t2" in status
        assert "\nNoNewPrivs:\t1" in status
        assert "\nThreads:\t1" in status
        limits = Path(f"/proc/{worker.pid}/limits").read_text()
        for name in ("Max open files", "Max file size", "Max core file size"):
            line = next(line for line in limits.splitlines() if line.startswith(name))
            assert line.split()[-3 if "file" in line.split()[-1] or "bytes" in line else -2] == "0", line
        if os.getuid() == 0:
            assert os.listdir(f"/proc/{worker.pid}/fd") == ["3"]
            assert "\nUid:\t65534\t65534\t65534\t65534" in status
        environ = Path(f"/proc/{pool.zygote_pid}/environ").read_bytes()
        found = dict(pair.split(b"=", 1) for pair in environ.split(b"\0") if pair)
        assert found.keys() <= {b"PYTHONPATH", b"LC_ALL", b"PYTHON_JIT"}
        assert found.get(b"PYTHON_JIT", b"0") == b"0"


async def test_a_loop_costs_its_event_and_no_other(run: Run) -> None:
    events = [{"n": 0}, {"n": 1, "loop": 1}, {"n": 2}, {"n": 3}]
    ran = await run(LOOP, *events, timeout=SECOND)
    assert ran == [[{"n": 0}], Failed("case.py: took longer than 1 s", "timeout"), [{"n": 2}], [{"n": 3}]]


async def test_a_loop_that_no_alarm_interrupts_is_killed(run: Run) -> None:
    source = "def transformEvent(event, metadata):\n    return {'n': sum(range(event.get('loop', 3)))}\n"
    ran = await run(source, {}, {"loop": 10**13}, {}, timeout=SECOND)
    said = "case.py: the script did not answer before the deadline and was killed"
    assert ran == [[{"n": 3}], Failed(said, "timeout"), [{"n": 3}]]


@pytest.mark.parametrize("swallow", [
    "while True:\n        try:\n            while True: pass\n        except:\n            pass",
    "while True:\n        try:\n            while True: pass\n        except Exception:\n            pass",
    "try:\n        while True: pass\n    except Nothing:\n        pass",
    "try:\n        while True: pass\n    finally:\n        return event",
    "import re\n    re.match('(a+)+$', 'a' * 60 + 'b')",
])
async def test_the_deadline_cannot_be_caught(run: Run, swallow: str) -> None:
    source = f"def transformEvent(event, metadata):\n    if event.get('n') != 1: return event\n    {swallow}\n"
    ran = await run(source, {"n": 0}, {"n": 1}, {"n": 2}, timeout=SECOND)
    assert ran[::2] == [[{"n": 0}], [{"n": 2}]]
    # A script may swallow it and give in; what it may not do is go on.
    assert ran[1] == [{"n": 1}] or ran[1].kind == "timeout"


async def test_memory_is_bounded(run: Run) -> None:
    source = "def transformEvent(event, metadata):\n    x = 'x' * event['size']\n    return {'n': len(x)}\n"
    ran = await run(source, {"size": 10}, {"size": 10**9}, {"size": 20})
    assert ran == [[{"n": 10}], Failed("case.py: needs more memory than allowed", "memory"), [{"n": 20}]]


async def test_memory_hoarded_over_a_batch_is_not_blamed_on_the_last_event(run: Run) -> None:
    source = "H = []\ndef transformEvent(event, metadata):\n    H.append('x' * 40_000_000)\n    return event\n"
    assert await run(source, *({"n": i} for i in range(8))) == [[{"n": i}] for i in range(8)]


@pytest.mark.parametrize("keeps", ["pass", "KEPT.append(event)", "KEPT.append([KEPT, event])"])
async def test_a_worker_keeps_nothing_of_batches_that_are_over(pool: Pool, keeps: str) -> None:
    # Each batch has 4 MB of events, in and out: the 256 MB of a worker are soon full where they stay.
    source = f"KEPT = []\ndef transformEvent(event, metadata):\n    {keeps}\n    return event\n"
    keeping = Script(f"keeping: {keeps}", source)
    items = [item({"n": n, "text": "x" * 400_000}) for n in range(10)]
    starts = worker_starts(pool)
    for _ in range(60):
        assert [type(ran) for ran in await pool.run(keeping, items)] == [Outputs] * 10
    assert worker_starts(pool) == starts + 1


async def test_what_a_batch_leaves_behind_is_held_to_its_time(pool: Pool) -> None:
    source = (
        "KEPT = []\ndef endless():\n    try: yield 1\n    finally:\n        while True: pass\n"
        "def transformEvent(event, metadata):\n    if event.get('n') == 1:\n        KEPT.append(endless())\n"
        "        next(KEPT[0])\n    return event\n"
    )
    leaving = Script("leaving", source, file="leaving.py", timeout=SECOND)
    hung = Failed("leaving.py: took longer than 1 s", "timeout")
    ran = await pool.run(leaving, [item({"n": n}) for n in range(3)])
    assert ran == [Outputs((b'{"n":0}',)), hung, Outputs((b'{"n":2}',))]


async def test_a_module_that_hangs_is_no_events_fault_and_stops_the_script(pool: Pool) -> None:
    hangs = Script("hanging", "while True: pass\n", file="hanging.py", timeout=0.1)
    with pytest.raises(Stopped, match="killed 5 times in a row, the last time for timeout"):
        await pool.run(hangs, [item({"n": i}) for i in range(100)])
    assert set((await pool.trial(hangs, [item({})] * 3)).results) == {
        Failed("hanging.py:1: took longer than 0.1 s", "timeout")
    }


async def test_outputs_beyond_one_reply_come_in_several(run: Run) -> None:
    source = "def transformEvent(event, metadata):\n    return [{'x': 'y' * 1_000_000}] * 10\n"
    ran = await run(source, {}, {}, {}, memory=1 << 30)
    assert [len(outputs) for outputs in ran] == [10, 10, 10]


async def test_more_events_than_a_frame_holds(pool: Pool) -> None:
    items = [item({"n": n}) for n in range(1001)]
    ran = await pool.run(Script("many", IDENTITY), items)
    assert ran == [Outputs((b'{"n":%d}' % n,)) for n in range(1001)]
    assert await pool.run(Script("many", IDENTITY), []) == []


async def test_a_worker_killed_from_outside_costs_nothing(pool: Pool) -> None:
    slow = script("outside", "x = sum(range(3_000_000)); return event")
    running = asyncio.create_task(pool.run(slow, [item({"n": n}) for n in range(20)]))
    before = pool.health()
    for _ in range(3):
        while not (workers := psutil.Process(pool.zygote_pid).children()):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        for worker in workers:
            if worker.is_running():
                os.kill(worker.pid, signal.SIGKILL)
    assert before["alive"]
    ran = await running
    assert len(ran) == 20
    good = [r for r in ran if isinstance(r, Outputs)]
    assert len(good) >= 18  # an event whose own, second try is killed too is called a crash
    assert await pool.run(slow, [item({"n": 1})]) == [Outputs((b'{"n":1}',))]


async def test_an_event_whose_worker_is_killed_from_outside_is_tried_again(pool: Pool) -> None:
    slow = script("alone", "x = sum(range(6_000_000)); return event")
    await pool.run(slow, [item({"n": 0})])
    running = asyncio.create_task(pool.run(slow, [item({"n": 1})]))
    while not pool.health()["busy"]:
        await asyncio.sleep(0)
    for worker in psutil.Process(pool.zygote_pid).children():
        worker.kill()
    assert await running == [Outputs((b'{"n":1}',))]


async def test_globals_of_one_script_are_nobody_elses(run: Run, pool: Pool) -> None:
    poison = script("poison", "import collections\n    collections.Counter.get = 1")
    (failed,) = await pool.run(poison, [item({})])
    assert failed == Failed("poison.py:3: TypeError: attributes of 'type' objects are read-only")
    hoard = "STORE = {}\ndef transformEvent(event, metadata):\n    STORE.update(event)\n    return dict(STORE)\n"
    first, second = Script("hoard-a", hoard), Script("hoard-b", hoard)
    assert await pool.run(first, [item({"a": 1})]) == [Outputs((b'{"a":1}',))]
    assert await pool.run(second, [item({"b": 2})]) == [Outputs((b'{"b":2}',))]
    assert await pool.run(first, [item({"c": 3})]) == [Outputs((b'{"c":3}',))]


async def test_equal_sources_with_other_credentials_do_not_share_a_worker(pool: Pool) -> None:
    body = "return {'k': getCredential('k')}"
    for secret in ("one", "two", "one"):
        ran = await pool.run(script("same", body, credentials={"k": secret}), [item({})])
        assert ran == [Outputs((b'{"k":"%s"}' % secret.encode(),))]


async def test_stats_count_runs_events_kills(pool: Pool) -> None:
    counted = Script("counted", LOOP, timeout=SECOND)
    await pool.run(counted, [item({}), item({"loop": 1})])
    stats = {(metric, tuple(labels)): number for metric, labels, number in pool.stats()}
    assert stats["transform_runs", ("counted",)] == 1
    assert stats["transform_events", ("counted", "done")] == 1
    assert stats["transform_events", ("counted", "failed")] == 1
    assert stats["transform_kills", ("counted", "timeout")] == 2
    assert stats["transform_seconds", ("counted",)] > 0
    assert "counted" in pool.health()["benched"]


async def test_hanging_scripts_do_not_take_the_others_seats() -> None:
    pool = Pool()
    await pool.start()
    try:
        bad = [Script(f"bad{n}", LOOP, timeout=0.3) for n in range(4)]
        for hanging in bad[:2]:
            await pool.run(hanging, [item({"loop": 1})])  # known from now on
        running = [asyncio.create_task(pool.run(hanging, [item({"loop": 1})] * 3)) for hanging in bad]
        await asyncio.sleep(0.01)
        done = 0
        while not all(task.done() for task in running):
            assert await pool.run(Script("good", IDENTITY), [item({"n": done})]) == [Outputs((b'{"n":%d}' % done,))]
            done += 1
            await asyncio.sleep(0.02)
        assert done > 10
        assert all(ran.kind == "timeout" for task in running for ran in task.result())
    finally:
        await pool.stop()


def worker_starts(pool: Pool) -> float:
    return {metric: number for metric, _, number in pool.stats()}.get("transform_worker_starts", 0)


async def test_idle_workers_are_bounded_and_the_least_used_go_first() -> None:
    pool = Pool(warm=2)
    await pool.start()
    try:
        for name in ("a", "b", "a", "c", "a"):
            await pool.run(Script(name, IDENTITY), [item({})])
        assert pool.health()["idle"] == 2
        assert worker_starts(pool) == 3  # a stayed warm, b went when c came
        await pool.run(Script("b", IDENTITY), [item({})])
        assert worker_starts(pool) == 4
    finally:
        await pool.stop()


async def test_a_zygote_that_dies_is_started_again() -> None:
    pool = Pool()
    await pool.start()
    try:
        first = pool.zygote_pid
        assert await pool.run(Script("z", IDENTITY), [item({})]) == [Outputs((b"{}",))]
        workers = psutil.Process(first).children()
        os.kill(first, signal.SIGKILL)
        gone, alive = await asyncio.to_thread(psutil.wait_procs, workers, 60)
        assert alive == []
        assert len(gone) == len(workers)
        assert await pool.run(Script("z", IDENTITY), [item({"n": 1})]) == [Outputs((b'{"n":1}',))]
        assert pool.zygote_pid != first
    finally:
        await pool.stop()
    with pytest.raises(Unavailable):
        await pool.run(Script("z", IDENTITY), [item({})])


async def test_stopping_leaves_no_process_and_no_descriptor() -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    pool = Pool(2)
    await pool.start()
    await asyncio.gather(*(pool.run(Script(str(n), IDENTITY), [item({})]) for n in range(4)))
    zygote = psutil.Process(pool.zygote_pid)
    family = [zygote, *zygote.children()]
    await pool.stop()
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, 60)
    assert alive == []
    assert len(os.listdir("/proc/self/fd")) <= descriptors


async def test_a_cancelled_run_gives_its_seat_back(pool: Pool) -> None:
    for _ in range(3):
        task = asyncio.create_task(pool.run(Script("cancelled", LOOP, timeout=5), [item({"loop": 1})]))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await pool.run(Script("after", IDENTITY), [Item(b"{}", b"{}")]) == [Outputs((b"{}",))]
    assert pool.health()["busy"] == 0


@pytest.mark.parametrize(("body", "sound"), [
    ("return event", True),
    ("return [event, event]", True),
    ("return {**event, 'half': '\\ud800'}", False),
    ("return {**event, 'large': 1 << 70}", False),
    ("return {**event, 1: 2}", False),
])  # fmt: skip
async def test_an_output_is_sound_where_the_worker_wrote_it_at_once(pool: Pool, body: str, sound: bool) -> None:
    ran = await pool.run(script("encoding", body), [item({"a": [1.5, None, "ü"]}), item({"b": {}})])
    assert [one.sound for one in ran if isinstance(one, Outputs)] == [sound, sound]


async def test_javascript_writes_what_is_not_sound(pool: Pool) -> None:
    (one,) = await pool.run(
        Script("js", "export function transformEvent(event) { return event }", language="javascript"), [item({"a": 1})]
    )
    assert isinstance(one, Outputs)
    assert not one.sound


LARGE = """def transformEvent(event, metadata):
    return [{"n": event["n"], "pad": "x" * event["size"]}] * event.get("copies", 1)
"""
EACH = """def transformBatch(events, metadata):
    return [{"messageId": e["messageId"], "n": e["n"], "pad": "x" * e["size"]} for e in events]
"""


async def test_what_is_made_of_many_events_is_never_held_whole(pool: Pool) -> None:
    """A megabyte each: two hundred of them are given up, as many as had room are not."""
    made = Script("large", LARGE, file="large.py")
    items = [item({"n": n, "size": 1_000_000}) for n in range(200)]
    with pytest.raises(Overfull, match=r"^large: what it makes of 200 events is more than 33,554,432 bytes$") as raised:
        await pool.run(made, items)
    assert 30 / 200 < raised.value.share < 50 / 200, "the rest was not even run"
    ran = await pool.run(made, items[: int(200 * raised.value.share)])
    assert all(isinstance(one, Outputs) for one in ran)


async def test_many_small_outputs_are_counted_with_what_they_cost(pool: Pool) -> None:
    made = Script("small", LARGE, file="small.py")
    with pytest.raises(Overfull):
        await pool.run(made, [item({"n": n, "size": 0, "copies": 1000}) for n in range(2000)])


async def test_outputs_of_one_event_that_are_too_large_together_cost_no_other(run: Run) -> None:
    fits, large = {"n": 1, "size": 10, "copies": 2}, {"n": 2, "size": 900_000, "copies": 20}
    ran = await run(LARGE, fits, large, fits, large)
    assert ran[0] == ran[2] == [{"n": 1, "pad": "x" * 10}] * 2
    assert ran[1] == ran[3]
    assert isinstance(ran[1], Failed)
    assert "the returned events are larger than 16,777,216 bytes" in ran[1].reason


async def test_a_batch_script_answers_for_as_many_events_as_have_room(run: Run) -> None:
    events = [{"messageId": f"m{n}", "n": n, "size": 400_000} for n in range(60)]
    ran = await run(EACH, *events)
    assert [rows[0]["n"] for rows in ran] == list(range(60))


async def test_javascript_has_the_same_room(pool: Pool) -> None:
    source = "export function transformEvent(event) { return {n: event.n, pad: 'x'.repeat(event.size)}; }"
    made = Script("large", source, file="large.js", language="javascript")
    with pytest.raises(Overfull):
        await pool.run(made, [item({"n": n, "size": 1_000_000}) for n in range(60)])
    ran = await pool.run(made, [item({"n": n, "size": 1_000_000}) for n in range(30)])
    assert all(isinstance(one, Outputs) for one in ran)
