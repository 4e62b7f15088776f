"""Where a replay reads from: what the log has let go of, the archive, the journal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event
from hypothesis import given
from hypothesis import strategies as st

from dataplane.config.model import LogConfig
from dataplane.deliver.numbers import WIDEST, Numbers
from dataplane.log.local import open_writer
from turnout.errors import Fixable, LogFull

LOG = "log: {segment_bytes: 4096, max_bytes: 40kB, min_free_bytes: 0, retention: 1h}\n"


async def start(plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch, retention: str = "1h") -> None:
    """An engine over a small log that lets go within a tenth of a second."""
    monkeypatch.setattr("dataplane.deliver.books.RELEASE_EVERY", 0.05)
    await plant.writer.close()
    limits = LogConfig(segment_bytes=4096, max_bytes=40_000, min_free_bytes=0, retention=retention)
    plant.writer = open_writer(plant.folder / "data" / "log" / "0", limits)
    await plant.start(LOG + config(server.url, delivery="{order: none}"))


async def send(plant: Plant, user: str, first: int, last: int) -> None:
    for n in range(first, last):
        one = event(user, n, context={"padding": "x" * 1500})
        while True:
            try:
                await plant.send(one)
                break
            except LogFull:  # until the engine has let go of what it has delivered
                await asyncio.sleep(0.01)


async def replay(plant: Plant, **asked: Any) -> dict[str, Any]:
    found = await plant.call("replay.start", {"destination": "hook", "rate": 1000, **asked})
    ident = found["id"]
    await plant.until(lambda: plant.engine.replays.rows[ident].state == "done")
    row: dict[str, Any] = await plant.call("replay.status", {"id": ident})
    return row


def sent(server: Server) -> list[int]:
    return sorted(one["properties"]["n"] for one in server.taken)


async def test_a_slow_replay_does_not_keep_a_nearly_full_log(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataplane.deliver.replaying.SLICE", 2)  # what is read already needs no log
    await start(plant, server, monkeypatch)
    await send(plant, "ann", 0, 10)
    await plant.until(lambda: len(server.taken) == 10)
    row = await plant.call("replay.start", {"destination": "hook", "rate": 0.5})
    ident = row["id"]
    assert row["holds_log"] is True
    await send(plant, "bob", 10, 60)
    await plant.until(lambda: len([e for e in server.taken if e["userId"] == "bob"]) == 50)
    await plant.until(lambda: plant.engine.replays.rows[ident].state == "done")
    row = await plant.call("replay.status", {"id": ident})
    assert row["missed"] > 0
    assert row["missed"] + row["selected"] == 10
    assert row["selected"] == row["delivered"]


async def archive(plant: Plant, first: int, last: int) -> None:
    """Put stored events of these numbers into the archive of the destination."""
    engine = plant.engine
    events = [e for e in engine.sequencer.load(first, last)[0] if e.number <= last]
    engine.archive.keep(engine.archive.write("hook", events), engine.ledger.changes)
    await engine.books.commit()


async def test_only_the_archive_and_what_the_log_has_let_go_of_from_there(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(plant, server, monkeypatch)
    await send(plant, "ann", 1, 9)
    await plant.until(lambda: len(server.taken) == 8)
    await archive(plant, 3, 5)
    server.taken.clear()
    row = await replay(plant, archive=True)
    assert (sent(server), row["selected"]) == ([3, 4, 5], 3)
    assert server.taken[0]["context"]["turnout"]["replay"]["id"] == row["id"]
    server.taken.clear()
    await send(plant, "bob", 9, 50)
    await plant.until(lambda: len(server.taken) == 41 and plant.engine.sequencer.oldest() > 9)
    kept = plant.engine.sequencer.oldest()
    server.taken.clear()
    row = await replay(plant)
    assert sent(server) == [3, 4, 5, *range(kept, 50)]
    assert row["missed"] == 0
    server.taken.clear()
    assert (await replay(plant, users=["ann"]))["selected"] == 3


async def test_an_archive_that_is_not_there_is_said(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url, delivery="{order: none}"))
    with pytest.raises(Fixable, match="nothing of hook is in the archive"):
        await replay(plant, archive=True)
    with pytest.raises(Fixable, match="no verdict"):
        await replay(plant, archive=True, verdicts=["dead"])


async def test_by_what_became_of_events_at_the_destination(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (422, {}) if body["properties"]["n"] == 6 else (200, {})
    await plant.start(config(server.url, delivery="{order: none}", chain="[drop]"))
    await plant.send(*(event("ann", n) for n in range(8)), event("ann", 8, integrations={"All": False}))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["pending"] == 0 and len(server.got) == 4)
    await plant.reload(config(server.url, delivery="{order: none}"))  # what the script dropped goes now
    server.answer = lambda body: (200, {})
    for verdicts, wanted in (
        (["filtered"], [1, 3, 5, 7]), (["delivered"], [0, 2, 4]), (["dead"], [6]),
        (["dead", "filtered"], [1, 3, 5, 6, 7]),
    ):  # fmt: skip
        server.taken.clear()
        row = await replay(plant, verdicts=verdicts)
        assert sent(server) == wanted
        assert row["filtered"] == ("filtered" in verdicts), "no replay lifts what routing still says"


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6), st.integers(0, 30), st.integers(0, 60))
def test_numbers_are_a_set(runs: list[tuple[int, int]], first: int, end: int) -> None:
    numbers, model = Numbers(first, end), set()
    for low, high in runs:
        numbers.add_run(low, high)
        numbers.add(high)
        model |= {*range(low, high), high}
    assert [n for n in range(70) if n in numbers] == sorted(n for n in model if first <= n < end)


def test_a_stretch_that_is_too_wide_is_refused() -> None:
    with pytest.raises(Fixable, match="narrow it down"):
        Numbers(0, WIDEST + 1)


async def test_a_rename_does_not_lose_what_a_replay_still_needs_of_the_archive(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (503, {})
    text = config(server.url).replace("  hook:\n", "  hook:\n    backlog: {max_bytes: 2000}\n")
    await plant.start(text)
    for n in range(60):
        await plant.send(event("ann" if n > 20 else f"u{n}", n))
    await plant.until(lambda: plant.status()["sequenced"] == 60)
    await plant.until(lambda: plant.engine.couriers["hook"].condition.down)
    await plant.engine.backlogs.look()
    archived = plant.engine.ledger.counts["hook", "archived"]
    assert archived > 30
    server.answer = lambda body: (500 if body["properties"]["n"] == 21 else 200, {})
    asked = {"destination": "hook", "unordered": True, "archive": True, "rate": 1000}
    ident = (await plant.call("replay.start", asked))["id"]
    await plant.until(lambda: plant.engine.replays.running(ident).courier.chains.waiting > 3)
    await plant.reload(text.replace("  hook:\n", "  other:\n    was: hook\n"))
    server.answer = lambda body: (200, {})
    await plant.until(lambda: plant.engine.replays.rows[ident].state == "done")
    row = await plant.call("replay.status", {"id": ident})
    assert (row["delivered"], row["dead"]) == (archived, 0)
