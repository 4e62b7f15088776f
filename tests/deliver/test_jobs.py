"""Exchanges with checkpoints: durable before the next request, gone on with, never submitted twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from bulk_tool import ENTRY, Bulk, BulkServer
from engine_kit import Plant, event

from dataplane.deliver.trace import stands
from destinations import registry
from turnout import Checkpoint, Request, clock
from turnout.request import LARGEST


@pytest.fixture(autouse=True)
def _plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_others", lambda: {ENTRY.name: ENTRY})
    Bulk.seen.clear()


@pytest.fixture
async def tool() -> AsyncIterator[BulkServer]:
    with BulkServer() as running:
        yield running


def config(tool: BulkServer, *, ident: str = "jobs", delivery: str = "{}", more: str = "", type_: str = "bulk") -> str:
    setting = "url" if type_ == "bulk" else "webhook_url"
    return f"""
egress: {{allow_private: true}}
sources: {{web: {{write_key: k}}}}
transformations: {{split: {{file: split.py}}}}
destinations:
  {ident}:
    type: {type_}
    settings: {{{setting}: "{tool.url}"}}
    start: beginning
    delivery: {delivery}
{more}
"""


def row(plant: Plant, ident: str = "jobs") -> dict[str, Any]:
    found: dict[str, Any] = plant.status()["destinations"][ident]
    return found


def done(plant: Plant, n: int, ident: str = "jobs") -> Any:
    def test() -> bool:
        now = row(plant, ident)
        return bool(now["unread"] == now["pending"] == 0 and now["delivered"] == n)

    return test


def waits(plant: Plant, ident: str = "jobs") -> bool:
    return plant.engine.couriers[ident].jobs.next_at() is not None


def stored(plant: Plant) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(f"file:{plant.folder}/data/state/pipeline.db?mode=ro", uri=True)
    try:
        return db.execute("SELECT id, destination, type, state, events FROM job").fetchall()
    finally:
        db.close()


def balanced(plant: Plant, ident: str = "jobs") -> None:
    status, one = plant.status(), row(plant, ident)
    unique = sum(source["unique"] for source in status["sources"].values())
    done_ = one["delivered"] + one["filtered"] + one["dead"] - one["revived"]
    assert unique + one["born"] == done_ + one["pending"], one


async def test_a_job_runs_through_and_gives_a_verdict_per_row(plant: Plant, tool: BulkServer) -> None:
    tool.errors = {"bob-1": ["no such person"]}
    await plant.start(config(tool))
    await plant.send(event("ann", 1), event("bob", 1), {**event("cid", 1), "event": "Skip"})
    await plant.until(done(plant, 1))
    await plant.engine.books.commit()
    assert tool.taken == ["ann-1", "bob-1"]
    assert (row(plant)["dead"], row(plant)["filtered"], row(plant)["jobs"]) == (1, 1, 0)
    balanced(plant)
    assert stored(plant) == []
    letter = (await plant.call("dead.list", {}))["dead"][0]
    assert (letter["reason"], letter["event"], letter["status"]) == ("row: no such person", "Step", 200)


async def test_a_checkpoint_is_on_disk_before_the_next_request(plant: Plant, tool: BulkServer) -> None:
    seen: dict[str, list[tuple[Any, ...]]] = {}
    tool.done = lambda step: seen.update({step: stored(plant)})
    await plant.start(config(tool))
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.until(done(plant, 2))
    assert seen["make"] == []
    for step, after in (("add", "made"), ("close", "added"), ("poll", "closed")):
        ((_, destination, type_, state, events),) = seen[step]
        assert (destination, type_, json.loads(state)) == ("jobs", "bulk", {"job": "1", "step": after})
        assert json.loads(events) == [[1, 0], [2, 0]]


async def test_a_job_that_runs_is_looked_at_again_and_not_submitted_again(plant: Plant, tool: BulkServer) -> None:
    tool.polls = 4
    await plant.start(config(tool))
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.until(lambda: row(plant)["jobs"] == 1 and tool.asked["poll"] >= 2)
    assert (row(plant)["state"], row(plant)["pending"]) == ("running", 2)
    balanced(plant)
    await plant.until(done(plant, 2))
    assert tool.asked == {"make": 1, "add": 1, "close": 1, "poll": 5, "rows": 1}
    assert {tuple(events) for _, events in Bulk.seen} == {((1, 0), (2, 0))}


async def test_what_waits_in_a_job_is_told_with_its_time_and_cause(plant: Plant, tool: BulkServer) -> None:
    tool.polls, tool.after = 1, 60
    await plant.start(config(tool))
    await plant.send(event("ann", 1))
    await plant.until(lambda: waits(plant))
    now = plant.clock.now().timestamp()
    told = await stands(plant.engine, plant.engine.couriers["jobs"], 1, None)
    (row_,) = told["waits"]
    assert (row_["sending"], row_["reason"]) == (False, "the job is running")
    assert clock.parse(row_["next_at"]).timestamp() > now + 50
    assert row(plant)["next_retry_at"] > now + 50


async def test_other_events_make_a_job_of_their_own_meanwhile_and_a_users_wait(plant: Plant, tool: BulkServer) -> None:
    tool.polls, tool.after = 1, 60
    await plant.start(config(tool))
    await plant.send(event("ann", 1))
    await plant.until(lambda: tool.asked["poll"] == 1)
    tool.polls = 0
    await plant.send(event("ann", 2), event("bob", 1))
    await plant.until(lambda: tool.taken == ["ann-1", "bob-1"] and row(plant)["delivered"] == 1)
    assert (row(plant)["waiting"], row(plant)["jobs"]) == (1, 1)
    plant.advance(61)
    await plant.until(done(plant, 3))
    assert tool.taken == ["ann-1", "bob-1", "ann-2"]
    balanced(plant)


@pytest.mark.parametrize("step", ["make", "add", "close", "poll", "rows"])
async def test_a_step_whose_answer_is_lost_is_asked_again(plant: Plant, tool: BulkServer, step: str) -> None:
    tool.lose = {step}
    await plant.start(config(tool))
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.until(done(plant, 2))
    assert sorted(tool.taken) == ["ann-1", "bob-1"], "submitted once"
    assert tool.asked["odd"] == 0
    balanced(plant)


async def test_a_restart_goes_on_with_the_same_events(plant: Plant, tool: BulkServer) -> None:
    tool.polls, tool.after = 1, 3600
    await plant.start(config(tool))
    await plant.send(event("ann", 1), event("bob", 1), event("ann", 2))
    await plant.until(lambda: waits(plant))
    await plant.stop()
    first = list(Bulk.seen)
    tool.polls = 0
    await plant.start(config(tool))
    await plant.send(event("ann", 3))
    await plant.until(lambda: row(plant)["waiting"] == 1)
    assert (row(plant)["jobs"], row(plant)["pending"]) == (1, 4)
    assert Bulk.seen == first, "its time has not come"
    plant.advance(3601)
    await plant.until(done(plant, 4))
    assert Bulk.seen[1] == ({"job": "1", "step": "closed"}, first[0][1])
    assert sorted(first[0][1]) == [(1, 0), (2, 0), (3, 0)]
    assert sorted(tool.taken) == ["ann-1", "ann-2", "ann-3", "bob-1"]
    assert [one for one in tool.taken if one.startswith("ann")] == ["ann-1", "ann-2", "ann-3"]
    balanced(plant)


async def test_rows_to_be_tried_afresh_are_after_a_checkpoint_of_none(plant: Plant, tool: BulkServer) -> None:
    tool.errors = {"bob-1": ["locked", ""]}
    await plant.start(config(tool))
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.until(done(plant, 2))
    assert tool.taken == ["ann-1", "bob-1", "bob-1"]
    assert [events for _, events in Bulk.seen] == [[(1, 0), (2, 0)], [(2, 0)]]
    assert Bulk.seen[1][0] is None
    balanced(plant)


async def test_what_scripts_make_of_an_event_is_in_the_job_with_it(plant: Plant, tool: BulkServer) -> None:
    tool.polls = 1
    await plant.start(config(tool, more="    transformation: [split]"))
    await plant.send(event("ann", 1))
    await plant.until(done(plant, 2))
    assert Bulk.seen[0][1] == Bulk.seen[1][1] == [(1, 0), (1, 1)]
    balanced(plant)


class TestOfAnotherType:
    async def test_its_events_are_tried_afresh(self, plant: Plant, tool: BulkServer) -> None:
        tool.polls, tool.after = 1, 60
        await plant.start(config(tool))
        await plant.send(event("ann", 1), event("bob", 1))
        await plant.until(lambda: waits(plant))
        tool.always(200)
        await plant.reload(config(tool, type_="webhook"))
        await plant.until(done(plant, 2))
        assert row(plant)["jobs"] == 0
        posted = [one for one in tool.received if one.path == "/"]
        assert sorted(json.loads(one.body)["messageId"] for one in posted) == ["ann-1", "bob-1"]
        balanced(plant)

    async def test_other_settings_go_on_with_it(self, plant: Plant, tool: BulkServer) -> None:
        tool.polls, tool.after = 1, 1
        await plant.start(config(tool))
        await plant.send(event("ann", 1))
        await plant.until(lambda: waits(plant))
        await plant.reload(config(tool, delivery="{concurrency: 1}"))
        await plant.until(done(plant, 1))
        assert tool.asked["make"] == 1

    async def test_a_new_name_takes_it_along(self, plant: Plant, tool: BulkServer) -> None:
        tool.polls, tool.after = 2, 60
        await plant.start(config(tool))
        await plant.send(event("ann", 1))
        await plant.until(lambda: waits(plant))
        await plant.reload(config(tool, ident="other", more="    was: jobs"))
        await plant.engine.books.commit()
        assert [one[1] for one in stored(plant)] == ["other"]
        # a changed config has it asked for at once; what time does afterwards must not meet that question
        await plant.until(lambda: tool.asked["poll"] == 2 and waits(plant, "other"))
        plant.advance(61)
        await plant.until(done(plant, 1, "other"))
        assert tool.taken == ["ann-1"]

    async def test_what_is_removed_takes_it_away(self, plant: Plant, tool: BulkServer) -> None:
        tool.polls, tool.after = 1, 60
        await plant.start(config(tool))
        await plant.send(event("ann", 1))
        await plant.until(lambda: waits(plant))
        await plant.reload(config(tool, ident="other") + "discard: [jobs]\n")
        await plant.engine.books.commit()
        assert [one[1] for one in stored(plant)] in ([], ["other"])


async def test_a_job_that_never_ends_is_given_up_with_its_events(plant: Plant, tool: BulkServer) -> None:
    tool.polls, tool.after = 10**9, 60
    await plant.start(config(tool, delivery="{retry_for: 1h, hold_for: 10m}"))
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.until(lambda: waits(plant))
    await plant.send(event("ann", 2))
    await plant.until(lambda: row(plant)["waiting"] == 1)
    plant.advance(700)  # beyond hold_for: ann goes on without it
    await plant.until(lambda: row(plant)["jobs"] == 2 and row(plant)["waiting"] == 0)
    plant.advance(3700)
    await plant.until(lambda: row(plant)["dead"] >= 2)
    await plant.engine.books.commit()
    letters = (await plant.call("dead.list", {}))["dead"]
    assert {one["class"] for one in letters} == {"expired"}
    assert letters[0]["reason"] == "gave up after 1 h: the job is running"
    balanced(plant)


class Wrong(Bulk):
    """Checkpoints as no adapter should make them."""

    state: Any = None
    resumable = True

    def exchange(self, events: Any, at: Any, resume: Any = None) -> Iterator[Any]:
        yield Checkpoint({"step": 1}) if self.state is ValueError else Checkpoint(self.state)
        if self.state is ValueError:
            raise ValueError("ann@example.com")
        yield Request("POST", self.settings.url + "jobs")
        raise AssertionError("it is not gone on with")


@pytest.mark.parametrize(
    ("state", "resumable", "reason"),
    [
        ("x" * LARGEST, True, "adapter error: its checkpoint has 65,538 bytes, and 65,536 are the most"),
        ({1, 2}, True, "adapter error: a value cannot be written as JSON"),
        ({"step": 1}, False, "adapter error: bulk yields a checkpoint without being `resumable`"),
        (ValueError, True, "adapter error: ValueError at test_jobs.py:"),
    ],
)
async def test_a_checkpoint_that_cannot_be_kept_ends_it(
    plant: Plant, tool: BulkServer, monkeypatch: pytest.MonkeyPatch, state: Any, resumable: bool, reason: str
) -> None:
    monkeypatch.setattr(Wrong, "state", state)
    monkeypatch.setattr(Wrong, "resumable", resumable)
    monkeypatch.setattr(registry, "find", lambda _: Wrong)
    await plant.start(config(tool))
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.until(lambda: row(plant)["dead"] == 2)
    await plant.engine.books.commit()
    letters = (await plant.call("dead.list", {}))["dead"]
    assert all(one["reason"].startswith(reason) for one in letters), letters
    assert row(plant)["jobs"] == 0
    assert tool.asked == {}
    balanced(plant)


class TestOfAReplay:
    async def replayed(self, plant: Plant, tool: BulkServer) -> int:
        """A replay of two delivered events whose job waits for a minute."""
        await plant.start(config(tool))
        await plant.send(event("ann", 1), event("bob", 1))
        await plant.until(done(plant, 2))
        tool.polls, tool.after = 1, 60
        asked = {"destination": "jobs", "unordered": True}
        ident = int((await plant.call("replay.start", asked))["id"])
        await plant.until(lambda: plant.engine.replays.couriers[f"replay:{ident}"].jobs.next_at() is not None)
        await plant.engine.books.commit()
        assert [one[1] for one in stored(plant)] == [f"replay:{ident}"]
        return ident

    async def test_it_goes_on_after_a_restart(self, plant: Plant, tool: BulkServer) -> None:
        ident = await self.replayed(plant, tool)
        await plant.stop()
        await plant.start(config(tool))
        plant.advance(61)
        for courier in plant.engine.replays.couriers.values():
            courier.pump()
        await plant.until(lambda: plant.engine.replays.rows[ident].state != "running")  # its end is written down
        found = await plant.call("replay.status", {"id": ident})
        assert (found["state"], found["delivered"]) == ("done", 2)
        assert sorted(tool.taken) == ["ann-1", "ann-1", "bob-1", "bob-1"], "once by each"
        assert row(plant)["delivered"] == 2

    async def test_it_is_cancelled_with_its_job(self, plant: Plant, tool: BulkServer) -> None:
        ident = await self.replayed(plant, tool)
        await plant.call("replay.cancel", {"id": ident})
        await plant.until(lambda: not plant.engine.replays.couriers)
        await plant.engine.books.commit()
        assert stored(plant) == []
