"""Events whose record was destroyed on disk after they had numbers: dead at each destination, once."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event, per_user

from dataplane.config.model import LogConfig
from dataplane.inspect.explain import explain
from dataplane.log.local import open_writer
from dataplane.pipeline import sidecar
from dataplane.pipeline.blocks import MARK

REASON = "lost: its record in the log was damaged"
OFF = "    enabled: false\n"


def second(url: str) -> str:
    """Another destination, that has a transformation."""
    return f"""  other:
    type: webhook
    settings: {{webhook_url: "{url}other"}}
    start: beginning
    transformation: split
"""


async def destroy(plant: Plant, *idents: str) -> None:
    """Stopped, a byte of these events flips on disk; the log's next writer finds it so."""
    await plant.stop()
    await plant.writer.close()
    folder = plant.folder / "data" / "log" / "0"
    for ident in idents:
        (path,) = [path for path in folder.glob("*.log") if f'"{ident}"'.encode() in path.read_bytes()]
        data = bytearray(path.read_bytes())
        data[data.index(f'"{ident}"'.encode()) + 1] ^= 0x55
        path.write_bytes(data)
    plant.writer = open_writer(folder, LogConfig(min_free_bytes=0))


def sums(plant: Plant, *idents: str) -> None:
    """Those of docs/architecture.md, and those of the letters."""
    status = plant.status()
    unique = sum(row["unique"] for row in status["sources"].values())
    for ident in idents:
        row = status["destinations"][ident]
        assert unique + row["born"] == (
            row["delivered"] + row["filtered"] + row["dead"] - row["revived"] + row["pending"] + row["archived"]
            + row["unread"]
        ), (ident, row)  # fmt: skip


def through(plant: Plant) -> bool:
    """Whether every destination has a verdict of every event."""
    return all(row["unread"] == row["pending"] == 0 for row in plant.status()["destinations"].values())


async def letters(plant: Plant, **wanted: Any) -> list[dict[str, Any]]:
    await plant.engine.retention.written()
    found: list[dict[str, Any]] = (await plant.call("dead.list", wanted))["dead"]
    return found


async def backlog(plant: Plant, server: Server, extra: str = "") -> str:
    """Seven unique events for two destinations, both off; gives their configuration, on."""
    text = config(server.url) + extra + second(server.url) + extra
    await plant.start(config(server.url) + extra + OFF + second(server.url) + extra + OFF)
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.send(event("ann", 2), {"bad": 1}, event("ann", 1), event("cid", 2), refused=[1])
    await plant.send(event("ann", 3), event("bob", 3), event("cid", 3))
    await plant.until(lambda: plant.engine.sequencer.next_number == 10)
    return text


async def test_they_are_dead_at_each_destination_once_and_order_and_sums_hold(plant: Plant, server: Server) -> None:
    text = await backlog(plant, server)
    await destroy(plant, "cid-2")
    for _ in range(3):
        await plant.start(text)
        await plant.until(lambda: through(plant))
        rows = plant.status()["destinations"]
        assert (rows["hook"]["delivered"], rows["hook"]["dead"]) == (5, 2)
        assert (rows["other"]["delivered"], rows["other"]["dead"], rows["other"]["born"]) == (10, 2, 5)
        sums(plant, "hook", "other")
        assert plant.status()["sources"] == {"web": {"unique": 7, "duplicate": 1, "refused": 1}}
        found = await letters(plant)
        assert sorted((one["destination"], one["number"], one["class"], one["reason"]) for one in found) == [
            (ident, number, "lost", REASON) for ident in ("hook", "other") for number in (3, 6)
        ]
        assert {one["source"] for one in found} == {""}, "which nobody knows any more"
        await plant.stop()
    taken = per_user(server.taken)
    assert {user: sorted(ns) for user, ns in taken.items()} == {
        "ann": [1, 1, 1, 3, 3, 3], "bob": [1, 1, 1, 3, 3, 3], "cid": [3, 3, 3],
    }  # fmt: skip
    await plant.start(text)


async def test_what_had_its_verdict_before_the_damage_keeps_it(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["delivered"] == 2)
    await destroy(plant, "ann-1")
    await plant.start(config(server.url) + second(server.url))
    await plant.until(lambda: plant.status()["destinations"]["other"]["dead"] == 2)
    assert plant.status()["destinations"]["hook"]["dead"] == 0
    sums(plant, "hook", "other")


async def test_a_letter_without_an_event_is_shown_exported_and_discarded_but_not_sent(
    plant: Plant, server: Server
) -> None:
    text = await backlog(plant, server)
    await destroy(plant, "cid-2")
    await plant.start(text)
    await plant.until(lambda: through(plant))
    sent = len(server.got)
    one, two = (row["id"] for row in await letters(plant, destination="hook"))
    shown = await plant.call("dead.show", {"id": one})
    assert (shown["event"], shown["request"], shown["answer"], shown["reason"]) == (None, None, None, REASON)
    exported = (await plant.call("dead.export", {"destination": "hook"}))["dead"]
    assert [(row["id"], row["event"], "damaged" in row) for row in exported] == [(two, None, False), (one, None, False)]

    for more, reason in [
        ({}, "its bytes are gone, so that there is nothing to send"),
        ({"retransform": True}, "the log no longer holds its event, which its transformations need"),
    ]:
        answer = await plant.call("dead.retry", {"ids": [one, two], **more})
        assert answer["retried"] == 0
        assert [left["reason"] for left in answer["left"]] == [reason, reason]
    answer = await plant.call("dead.retry", {"class": "lost", "all": True})
    assert (answer["retried"], len(answer["left"])) == (0, 4)
    assert len(server.got) == sent

    told = await explain(plant.engine, plant.runner, "#6")
    assert (told["event"], told["decision"]["result"]) == (None, "unique")
    assert told["destinations"]["hook"]["verdict"] == "dead"
    assert told["destinations"]["hook"]["why"].startswith(REASON)

    assert (await plant.call("dead.discard", {"class": "lost", "all": True}))["discarded"] == 4
    assert await letters(plant) == []
    row = plant.status()["destinations"]["hook"]
    assert (row["dead"], row["discarded"]) == (2, 2)
    sums(plant, "hook", "other")


async def test_one_that_waits_behind_a_failing_event_is_dead_when_its_turn_comes(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (500 if body["userId"] == "ann" else 200, {})
    text = config(server.url)
    await plant.start(text)
    for n in (1, 2, 3):
        await plant.send(event("ann", n))
    await plant.send(event("bob", 1))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["waiting"] == 2)
    await plant.until(lambda: plant.status()["destinations"]["hook"]["delivered"] == 1)
    await destroy(plant, "ann-2")
    server.answer = lambda _: (200, {})
    await plant.start(text)
    plant.advance(400)
    await plant.until(lambda: plant.status()["destinations"]["hook"]["delivered"] == 3)
    (letter,) = await letters(plant)
    assert (letter["number"], letter["class"]) == (2, "lost")
    assert per_user(server.taken) == {"bob": [1], "ann": [1, 3]}
    sums(plant, "hook")


async def test_those_of_a_full_backlog_are_dead_and_the_rest_is_archived(plant: Plant, server: Server) -> None:
    text = config(server.url) + OFF + "    backlog: {max_age: 12h}\n"
    await plant.start(text)
    for n in range(6):
        await plant.send(event("ann", n), event("bob", n))
    await plant.until(lambda: plant.engine.sequencer.next_number == 13)
    await destroy(plant, "ann-0", "bob-3")
    await plant.start(text)
    plant.advance(86_400.0)
    await plant.engine.backlogs.look()
    row = plant.status()["destinations"]["hook"]
    assert (row["dead"], row["archived"], row["unread"]) == (4, 8, 0)
    assert [one.number for one in plant.engine.archive.events("hook")] == [3, 4, 5, 6, 9, 10, 11, 12]
    assert {one["number"] for one in await letters(plant)} == {1, 2, 7, 8}
    sums(plant, "hook")


async def test_their_sums_hold_where_a_kill_took_the_counts_too(plant: Plant, server: Server) -> None:
    """The books are those of before; the record's source was in the record."""
    await plant.start(config(server.url))
    await plant.send(event("ann", 1))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["delivered"] == 1)
    await plant.stop()
    state = plant.folder / "data" / "state"
    before = shutil.copytree(state, plant.folder / "before")
    await plant.start(config(server.url))
    await plant.send(event("ann", 2), event("bob", 2))
    await plant.send(event("ann", 3))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["delivered"] == 4)
    await destroy(plant, "bob-2")
    shutil.rmtree(state)
    shutil.copytree(before, state)
    for _ in range(2):
        await plant.start(config(server.url))
        await plant.until(lambda: plant.status()["destinations"]["hook"]["unread"] == 0)
        assert {name: row["unique"] for name, row in plant.status()["sources"].items()} == {"": 2, "web": 2}
        assert plant.status()["destinations"]["hook"]["dead"] == 2
        sums(plant, "hook")
        await plant.stop()
    await plant.start(config(server.url))


@pytest.mark.parametrize("more", ["", "    sources: [web]\n", "    transformation: drop\n"])
async def test_whatever_a_destination_takes_and_runs(plant: Plant, server: Server, more: str) -> None:
    """Whether it was for this one cannot be told, so it is not said to be filtered."""
    text = config(server.url).replace("    transformation: []\n", "") + more
    await plant.start(text + OFF)
    await plant.send(event("ann", 2))
    await plant.send(event("ann", 4), event("bob", 4))
    await plant.until(lambda: plant.engine.sequencer.next_number == 4)
    await destroy(plant, "ann-4")
    await plant.start(text)
    await plant.until(lambda: plant.status()["destinations"]["hook"]["dead"] == 2)
    await plant.until(lambda: plant.status()["destinations"]["hook"]["pending"] == 0)
    assert {(one["number"], one["class"]) for one in await letters(plant)} == {(2, "lost"), (3, "lost")}
    sums(plant, "hook")


async def test_a_replay_leaves_them_out(plant: Plant, server: Server) -> None:
    text = config(server.url)
    await plant.start(text)
    await plant.send(event("ann", 1))
    await plant.send(event("ann", 2))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["delivered"] == 2)
    await destroy(plant, "ann-1")
    await plant.start(text)
    await plant.call("replay.start", {"destination": "hook", "unordered": True})
    await plant.until(lambda: len(server.taken) == 3)
    assert per_user(server.taken) == {"ann": [1, 2, 2]}
    assert plant.status()["destinations"]["hook"]["dead"] == 0


async def test_events_whose_block_in_an_older_file_of_the_sequence_is_damaged_arrive_all_the_same(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecar, "SEGMENT", 200)
    text = config(server.url)
    await plant.start(text + OFF)
    for n in range(8):
        await plant.send(event("ann", n), event("bob", n), event("ann", max(0, n - 1)))
        await plant.until(lambda n=n: plant.engine.sequencer.next_number == 4 + 3 * n)
    await plant.stop()
    files = sorted((plant.folder / "data" / "sequence").glob("*.seq"))
    assert len(files) > 2
    for path in files[:-1]:
        data = bytearray(path.read_bytes())
        data[data.index(MARK) + 40] ^= 0x55
        path.write_bytes(data)
    for _ in range(2):
        await plant.start(text)
        await plant.until(lambda: plant.status()["destinations"]["hook"]["unread"] == 0)
        await plant.until(lambda: plant.status()["destinations"]["hook"]["pending"] == 0)
        assert plant.status()["destinations"]["hook"]["delivered"] == 16
        for wanted in ("#1", "ann-0"):
            told = await explain(plant.engine, plant.runner, wanted)
            assert told["event"]["message_id"] == "ann-0"
            assert told["destinations"]["hook"]["verdict"] == "delivered"
        sums(plant, "hook")
        await plant.stop()
    assert per_user(server.taken) == {"ann": list(range(8)), "bob": list(range(8))}
    await plant.start(text)
