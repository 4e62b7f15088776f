"""A full backlog moves to the archive, or stops the intake; nothing is lost or counted twice."""

from __future__ import annotations

import pytest
from engine_kit import Plant, Server, config, event, per_user

from dataplane.deliver.state import State

DAY = 86_400.0


def sums(plant: Plant, ident: str = "hook") -> dict[str, int]:
    status = plant.status()
    unique = sum(s["unique"] for s in status["sources"].values())
    row = status["destinations"][ident]
    done = row["delivered"] + row["filtered"] + row["dead"] - row["revived"]
    assert unique + row["born"] == done + row["pending"] + row["archived"] + row["unread"], row
    return {k: row[k] for k in ("delivered", "filtered", "dead", "pending", "unread", "archived")}


def archived(plant: Plant, ident: str = "hook") -> list[tuple[str, int]]:
    import json

    rows = [json.loads(e.raw) for e in plant.engine.archive.events(ident)]
    return [(row["userId"], row["properties"]["n"]) for row in rows]


async def down(plant: Plant, server: Server, extra: str = "") -> None:
    """Three days of events of four users for a destination that answers nothing."""
    server.answer = lambda _: (500, {})
    await plant.start(config(server.url, delivery="{concurrency: 2, retry_for: 30d}") + extra)
    for day in range(3):
        for n in range(10):
            await plant.send(*(event(f"user{u}", day * 10 + n) for u in range(4)))
        await plant.until(lambda day=day: plant.engine.sequencer.next_number == (day + 1) * 40 + 1)
        plant.advance(DAY)
    await plant.until(lambda: plant.status()["destinations"]["hook"]["unread"] == 0)


async def read(plant: Plant) -> None:
    """What is queued when a backlog moves is read again; until then it counts as unread with all behind it, also with
    what waits behind another event already."""
    await plant.until(lambda: plant.status()["destinations"]["hook"]["unread"] == 0)


async def test_events_beyond_max_age_move_to_the_archive_and_the_rest_is_delivered(
    plant: Plant, server: Server
) -> None:
    await down(plant, server, "    backlog: {max_age: 36h}\n")
    await plant.until(lambda: plant.status()["destinations"]["hook"]["state"] == "down")
    await plant.engine.backlogs.look()
    tried = {row.number for row in plant.engine.couriers["hook"].chains.rows() if row.kind != "waiting"}
    found = archived(plant)
    assert all(n < 20 for _, n in found), "the youngest day is a day old"
    assert len(found) == 80 - len(tried), "two days of events went, those that were tried stayed"
    await read(plant)
    assert sums(plant)["archived"] == len(found)
    server.answer = lambda _: (200, {})
    plant.advance(400)
    await plant.until(lambda: sums(plant)["delivered"] == 120 - len(found))
    assert {n for ns in per_user(server.taken).values() for n in ns} >= set(range(20, 30))
    assert sums(plant)["pending"] == 0
    sent = [(row["userId"], row["properties"]["n"]) for row in server.taken]
    assert sorted(sent + found) == sorted((f"user{u}", n) for u in range(4) for n in range(30))


async def test_what_is_archived_stays_so_over_a_restart_and_is_not_archived_again(
    plant: Plant, server: Server
) -> None:
    text = "    backlog: {max_age: 36h}\n"
    await down(plant, server, text)
    await plant.engine.backlogs.look()
    before = archived(plant)
    assert before
    await plant.stop()
    await plant.start(config(server.url, delivery="{concurrency: 2, retry_for: 30d}") + text)
    await plant.until(lambda: plant.status()["destinations"]["hook"]["unread"] == 0)
    await plant.engine.backlogs.look()
    assert archived(plant) == before
    await read(plant)
    assert sums(plant)["archived"] == len(before)


async def test_a_kill_between_segment_and_transaction_archives_once(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segment is written, the process dies, the same events are archived by the next one."""
    text = "    backlog: {max_age: 36h}\n"
    await down(plant, server, text)
    with monkeypatch.context() as patch:
        patch.setattr(plant.engine.backlogs, "_take_out", lambda *_: (_ for _ in ()).throw(OSError(5, "killed here")))
        await plant.engine.backlogs.look()
    assert len(list((plant.folder / "data" / "archive").glob("*.arc"))) == 1
    await plant.stop()
    await plant.start(config(server.url, delivery="{concurrency: 2, retry_for: 30d}") + text)
    await plant.until(lambda: plant.status()["destinations"]["hook"]["unread"] == 0)
    await plant.engine.backlogs.look()
    found = archived(plant)
    assert found
    await read(plant)
    assert len(found) == len(set(found)) == sums(plant)["archived"]
    state = State(plant.folder / "data" / "state" / "pipeline.db")
    try:
        assert len(list((plant.folder / "data" / "archive").glob("*.arc"))) == len(state.rows("SELECT id FROM archive"))
    finally:
        state.close()


async def test_references_behind_a_failing_event_are_archived_and_let_the_log_go(
    plant: Plant, server: Server
) -> None:
    server.answer = lambda body: (503, {}) if body["userId"] == "ann" else (200, {})
    await plant.start(config(server.url, delivery="{hold_for: 30d, retry_for: 30d}") + "    backlog: {max_age: 12h}\n")
    for n in range(20):
        await plant.send(event("ann", n), event("bob", n))
    await plant.until(lambda: sums(plant)["pending"] == sums(plant)["delivered"] == 20)
    plant.advance(DAY)
    await plant.engine.backlogs.look()
    assert archived(plant) == [("ann", n) for n in range(1, 20)]
    assert sums(plant) == {"delivered": 20, "filtered": 0, "dead": 0, "pending": 1, "unread": 0, "archived": 19}
    assert plant.engine.books.lowest() == plant.engine.sequencer.next_number
    await plant.stop()
    await plant.start(config(server.url))
    assert sums(plant)["pending"] == 1


async def test_filtered_and_broken_events_of_a_backlog_get_their_verdicts(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url) + "    enabled: false\n    backlog: {max_age: 12h}\n")
    await plant.send(event("ann", 1), event("ann", 2, integrations={"All": False}), event("bob", 3))
    await plant.until(lambda: plant.engine.sequencer.next_number == 4)
    plant.advance(DAY)
    await plant.engine.backlogs.look()
    assert archived(plant) == [("ann", 1), ("bob", 3)]
    assert sums(plant) == {"delivered": 0, "filtered": 1, "dead": 0, "pending": 0, "unread": 0, "archived": 2}


async def test_max_bytes_moves_the_oldest_until_a_tenth_below(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url) + "    enabled: false\n    backlog: {max_bytes: 200kB}\n")
    pad = "x" * 1_000
    for n in range(300):
        await plant.send(event("ann", n, context={"pad": pad}))
    await plant.until(lambda: plant.engine.sequencer.next_number == 301)
    await plant.engine.backlogs.look()
    row = plant.status()["destinations"]["hook"]
    assert 0.3 < row["backlog"]["share"] <= 0.9
    found = archived(plant)
    assert found == [("ann", n) for n in range(len(found))], "the oldest, in order, without a gap"
    await plant.reload(config(server.url))
    await plant.until(lambda: sums(plant)["delivered"] == 300 - len(found))
    assert per_user(server.taken)["ann"] == list(range(len(found), 300))


async def test_the_other_destinations_do_not_notice(plant: Plant, server: Server) -> None:
    other = Server()
    url = await other.start()
    try:
        extra = f'  other: {{type: webhook, settings: {{webhook_url: "{url}"}}, start: beginning}}\n'
        await plant.start(config(server.url) + "    enabled: false\n    backlog: {max_age: 12h}\n" + extra)
        for n in range(50):
            await plant.send(event("ann", n))
        await plant.until(lambda: plant.engine.sequencer.next_number == 51)
        plant.advance(DAY)
        await plant.engine.backlogs.look()
        await plant.until(lambda: sums(plant, "other")["delivered"] == 50)
        assert sums(plant)["archived"] == 50
        assert per_user(other.taken)["ann"] == list(range(50))
    finally:
        await other.stop()


async def test_a_full_disk_archives_nothing_and_loses_nothing(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plant.start(config(server.url) + "    enabled: false\n    backlog: {max_age: 12h}\n")
    await plant.send(*(event("ann", n) for n in range(10)))
    await plant.until(lambda: plant.engine.sequencer.next_number == 11)
    plant.advance(DAY)
    folder = plant.folder / "data" / "archive"
    folder.chmod(0o500)
    try:
        if not _writable(folder):
            await plant.engine.backlogs.look()
            assert sums(plant)["archived"] == 0
    finally:
        folder.chmod(0o700)
    await plant.reload(config(server.url))
    await plant.until(lambda: sums(plant)["delivered"] == 10)


def _writable(folder) -> bool:  # root writes anywhere
    import os

    return os.access(folder, os.W_OK)


async def test_stop_intake_asks_for_a_stop_until_it_is_a_tenth_below(plant: Plant, server: Server) -> None:
    text = "    enabled: false\n    backlog: {max_age: 12h, when_full: stop_intake}\n"
    await plant.start(config(server.url) + text)
    await plant.send(*(event("ann", n) for n in range(10)))
    await plant.until(lambda: plant.engine.sequencer.next_number == 11)
    await plant.engine.backlogs.look()
    assert plant.engine.backlogs.stopping == {}
    plant.advance(13 * 3600)
    await plant.engine.backlogs.look()
    assert list(plant.engine.backlogs.stopping) == ["hook"]
    assert archived(plant) == []
    await plant.reload(config(server.url) + text.replace("    enabled: false\n", ""))
    await plant.until(lambda: sums(plant)["delivered"] == 10)
    await plant.engine.backlogs.look()
    assert plant.engine.backlogs.stopping == {}


async def test_the_archive_has_a_bound_and_says_what_it_deletes(plant: Plant, server: Server) -> None:
    text = "    enabled: false\n    backlog: {max_age: 12h}\n"
    await plant.start(config(server.url) + text)
    await plant.send(*(event("ann", n) for n in range(10)))
    await plant.until(lambda: plant.engine.sequencer.next_number == 11)
    plant.advance(DAY)
    await plant.engine.backlogs.look()
    assert len(archived(plant)) == 10
    await plant.reload(config(server.url) + text + "archive: {max_age: 6h}\n")
    await plant.engine.backlogs.look()
    assert archived(plant) == []
    row = plant.status()["destinations"]["hook"]
    assert (row["archived"], row["expired"]) == (10, 10)
    assert list((plant.folder / "data" / "archive").iterdir()) == []
