"""Replays by a real engine: what they take, where they go, what they count, and what a kill costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event, per_user

from turnout.errors import Fixable


def hook(plant: Plant) -> dict[str, Any]:
    row = plant.status()["destinations"]["hook"]
    return {k: row[k] for k in ("delivered", "filtered", "dead", "born", "revived", "pending", "unread")}


async def replay(plant: Plant, **asked: Any) -> int:
    found = await plant.call("replay.start", {"destination": "hook", "unordered": True, **asked})
    return int(found["id"])


async def status(plant: Plant, ident: int) -> dict[str, Any]:
    found: dict[str, Any] = await plant.call("replay.status", {"id": ident})
    return found


async def over(plant: Plant, ident: int, state: str = "done") -> dict[str, Any]:
    await plant.until(lambda: plant.engine.replays.rows[ident].state == state)
    return await status(plant, ident)


@pytest.fixture
async def delivered(plant: Plant, server: Server) -> AsyncIterator[Plant]:
    """Twelve events of two users, delivered once; the server then forgets them."""
    await plant.start(config(server.url))
    for n in range(6):
        await plant.send(event("ann", n), event("bob", n))
    await plant.until(lambda: hook(plant)["delivered"] == 12)  # and not only taken: tests compare what it counted
    server.taken.clear()
    return plant


async def test_everything_is_sent_again_marked_and_counted_apart(delivered: Plant, server: Server) -> None:
    before = hook(delivered)
    ident = await replay(delivered, rate=1000)
    row = await over(delivered, ident)
    assert per_user(server.taken) == {"ann": list(range(6)), "bob": list(range(6))}
    assert {e["context"]["turnout"]["replay"]["id"] for e in server.taken} == {ident}
    assert server.taken[0]["context"]["turnout"]["replay"]["at"] == row["at"]
    assert (row["selected"], row["delivered"], row["dead"], row["pending"]) == (12, 12, 0, 0)
    assert hook(delivered) == before


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"users": ["ann"]}, {"ann": [0, 1, 2, 3, 4, 5]}),
        ({"message_ids": ["ann-1", "bob-3"]}, {"ann": [1], "bob": [3]}),
        ({"events": ["Other"]}, {}),
        ({"events": ["Step"], "users": ["bob"]}, {"bob": [0, 1, 2, 3, 4, 5]}),
        ({"from": "2026-11-18T11:06:40Z", "to": "2026-11-18T11:06:41Z", "users": ["ann"]}, {"ann": [0, 1, 2, 3, 4, 5]}),
        ({"from": "2026-11-18T11:06:41Z"}, {}),
        ({"to": "2026-11-18T11:06:40Z"}, {}),
    ],
)
async def test_it_takes_what_was_asked_for(
    delivered: Plant, server: Server, asked: dict[str, Any], wanted: dict[str, list[int]]
) -> None:
    row = await over(delivered, await replay(delivered, rate=1000, **asked))
    assert per_user(server.taken) == wanted
    assert row["selected"] == sum(map(len, wanted.values()))


async def test_only_the_dead_ones(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (422, {}) if body["properties"]["n"] == 1 else (200, {})
    await plant.start(config(server.url))
    await plant.send(*(event("ann", n) for n in range(3)), event("bob", 1))
    await plant.until(lambda: hook(plant)["dead"] == 2 and hook(plant)["delivered"] == 2)
    server.answer = lambda body: (200, {})
    server.taken.clear()
    await over(plant, await replay(plant, verdicts=["dead"]))
    assert per_user(server.taken) == {"ann": [1], "bob": [1]}


async def test_dead_letters_of_a_replay_name_it_and_its_destination(delivered: Plant, server: Server) -> None:
    server.answer = lambda body: (422, {})
    before = hook(delivered)
    ident = await replay(delivered, message_ids=["ann-1"])
    row = await over(delivered, ident)
    assert (row["dead"], row["delivered"]) == (1, 0)
    letters = (await delivered.call("dead.list", {}))["dead"]
    assert [(one["destination"], one["replay"]) for one in letters] == [("hook", ident)]
    assert hook(delivered) == before
    server.answer = lambda body: (200, {})
    await delivered.call("dead.retry", {"ids": [letters[0]["id"]]})
    await delivered.until(lambda: len(server.taken) == 1)


async def test_order_of_users_must_be_given_up_by_name(delivered: Plant) -> None:
    with pytest.raises(Fixable, match="--unordered"):
        await delivered.call("replay.start", {"destination": "hook"})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "name a destination, or a file"),
        ({"destination": "crm"}, "no destination is called crm"),
        ({"destination": "hook", "sources": ["app"]}, "no source is called app"),
        ({"destination": "hook", "from": "soon"}, "from is no time"),
        ({"destination": "hook", "from": "2026-01-02", "to": "2026-01-01"}, "from is not before to"),
        ({"destination": "hook", "verdicts": ["lost"]}, "verdict is one of"),
        ({"destination": "hook", "rate": -1}, "rate is a number"),
        ({"destination": "hook", "users": "ann"}, "array"),
        ({"destination": "hook", "user": ["ann"]}, "user"),
        ({"file": "relative.ndjson"}, "absolute path"),
    ],
)
async def test_what_cannot_be_replayed_is_refused_with_a_sentence(
    delivered: Plant, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(Fixable, match=said):
        await delivered.call("replay.start", asked)
    assert (await delivered.call("replay.list", {}))["replays"] == []


async def test_through_current_transformations_or_none(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url))
    await plant.send(*(event("ann", n) for n in range(4)))
    await plant.until(lambda: len(server.taken) == 4)
    await plant.reload(config(server.url, chain="[drop, split]"))
    server.taken.clear()
    row = await over(plant, await replay(plant))
    assert [e["properties"]["n"] for e in server.taken] == [0, 0, 2, 2]
    assert all(e["context"]["turnout"]["replay"]["id"] == row["id"] for e in server.taken)
    assert (row["selected"], row["born"], row["filtered"], row["delivered"]) == (4, 2, 2, 4)
    server.taken.clear()
    await over(plant, await replay(plant, transform=False))
    assert [e["properties"]["n"] for e in server.taken] == [0, 1, 2, 3]


async def test_a_new_config_in_the_middle_loses_nothing(delivered: Plant, server: Server) -> None:
    server.gate.clear()
    ident = await replay(delivered, rate=1000)
    await delivered.until(lambda: delivered.status()["replays"][str(ident)]["position"] == 13)
    await delivered.reload(config(server.url, chain="[split]"))
    server.gate.set()
    row = await over(delivered, ident)
    assert per_user(server.taken).keys() == {"ann", "bob"}
    for numbers in per_user(server.taken).values():
        assert sorted(set(numbers)) == list(range(6))
        assert numbers == sorted(numbers)
    assert (row["selected"], row["delivered"]) == (12, 12 + row["born"])
    assert row["born"] >= 12 - 4, "what was only queued is made by the new scripts"


async def test_keys_are_the_same_unless_new_ones_are_asked_for(plant: Plant, server: Server) -> None:
    keyed = config(server.url).replace('webhook_url: "', 'idempotency_key: true, webhook_url: "')
    await plant.start(keyed)
    await plant.send(event("ann", 1))
    await plant.until(lambda: len(server.taken) == 1)
    await over(plant, await replay(plant))
    await over(plant, await replay(plant, new_keys=True))
    first, same, new = (headers["Idempotency-Key"] for headers in server.headers)
    assert first == same != new


async def test_into_a_file(delivered: Plant, tmp_path: Path, server: Server) -> None:
    path = tmp_path / "out.ndjson"
    ident = await replay(delivered, destination="", file=str(path), users=["ann"])
    row = await over(delivered, ident)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert per_user(lines) == {"ann": list(range(6))}
    assert lines[0]["receivedAt"]
    assert path.read_text().count('"context"') == 6
    assert lines[0]["context"]["turnout"]["replay"]["id"] == ident
    assert path.stat().st_mode & 0o777 == 0o600
    assert server.taken == []
    assert row["delivered"] == 6
    with pytest.raises(Fixable, match="exists already"):
        await replay(delivered, destination="", file=str(path))


async def test_what_a_destination_filters_goes_to_a_file(plant: Plant, tmp_path: Path, server: Server) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("bob", 1, integrations={"All": False}))
    await plant.until(lambda: hook(plant)["delivered"] == 1 and hook(plant)["filtered"] == 1)
    path = tmp_path / "filtered.ndjson"
    await over(plant, await replay(plant, file=str(path), verdicts=["filtered"]))
    assert [json.loads(line)["userId"] for line in path.read_text().splitlines()] == ["bob"]


async def test_a_failing_user_waits_in_order_and_a_cancelled_replay_can_be_resumed(
    delivered: Plant, server: Server
) -> None:
    server.answer = lambda body: (503, {}) if body["userId"] == "ann" else (200, {})
    ident = await replay(delivered, rate=1000)
    await delivered.until(lambda: len(server.taken) == 6)

    def waits() -> bool:
        row = delivered.status()["replays"][str(ident)]
        return bool(row["pending"] == 6 and row["position"] == row["end"])

    await delivered.until(waits)
    row = await delivered.call("replay.cancel", {"id": ident})
    assert (row["state"], row["delivered"], row["cancelled"], row["pending"]) == ("cancelled", 6, 6, 0)
    assert hook(delivered)["pending"] == 0
    with pytest.raises(Fixable, match="does not run"):
        await delivered.call("replay.cancel", {"id": ident})
    await delivered.call("replay.resume", {"id": ident})
    row = await over(delivered, ident)
    assert row["selected"] == 12
    with pytest.raises(Fixable, match="only a cancelled one"):
        await delivered.call("replay.resume", {"id": ident})


async def test_cancelled_in_the_middle_it_goes_on_where_it_stood(delivered: Plant, server: Server) -> None:
    ident = await replay(delivered, rate=20)
    await delivered.until(lambda: len(server.taken) >= 3)
    row = await delivered.call("replay.cancel", {"id": ident})
    sent = len(server.taken)
    assert sent < 12
    assert row["delivered"] == sent
    await delivered.call("replay.resume", {"id": ident})
    row = await over(delivered, ident)
    assert per_user(server.taken) == {"ann": list(range(6)), "bob": list(range(6))}
    assert row["delivered"] == 12


async def test_it_goes_on_after_a_restart_and_keeps_its_counts(delivered: Plant, server: Server) -> None:
    server.answer = lambda body: (503, {}) if body["userId"] == "ann" else (200, {})
    ident = await replay(delivered, rate=20)
    await delivered.until(lambda: len(server.taken) >= 2)
    await delivered.stop()
    server.answer = lambda body: (200, {})
    await delivered.start(config(server.url))
    row = await over(delivered, ident)
    assert per_user(server.taken) == {"ann": list(range(6)), "bob": list(range(6))}
    assert (row["delivered"], row["selected"]) == (12, 12)


async def test_a_disabled_destination_makes_it_wait_and_a_removed_one_ends_it(
    delivered: Plant, server: Server
) -> None:
    off = config(server.url).replace("    type: webhook\n", "    type: webhook\n    enabled: false\n")
    await delivered.reload(off)
    ident = await replay(delivered)
    row = await status(delivered, ident)
    assert row["state"] == "running"
    assert row["reason"].startswith("disabled")
    await delivered.reload(config(server.url).replace("  hook:", "  renamed:") + "    was: hook\n")
    row = await over(delivered, ident)
    assert row["destination"] == "renamed"
    assert len(server.taken) == 12
    ident = await replay(delivered, destination="renamed", rate=1)
    await delivered.reload(config(server.url).replace("  hook:", "  third:") + "discard: [renamed]\n")
    row = await over(delivered, ident, "cancelled")
    assert row["reason"] == "renamed is gone from the config"
    with pytest.raises(Fixable, match="no destination is called renamed"):
        await delivered.call("replay.resume", {"id": ident})


async def test_a_dry_run_counts_and_shows_and_sends_nothing(delivered: Plant, server: Server) -> None:
    await delivered.send(event("eve", 1, integrations={"All": False}))
    await delivered.until(lambda: hook(delivered)["filtered"] == 1)
    before = hook(delivered)
    found = await delivered.call("replay.count", {"destination": "hook", "unordered": True})
    assert (found["selected"], found["position"]) == (13, found["end"])
    assert found["routes"] == {"send": 12, "filtered: integrations.All is false": 1}
    assert len(found["sample"]) == 5
    request = found["sample"][0]["parts"][0]["requests"][0]
    assert request["body"]["json"]["context"]["turnout"]["replay"]["id"] == 0
    await asyncio.sleep(0.2)
    assert server.taken == []
    assert hook(delivered) == before
    assert (await delivered.call("replay.list", {}))["replays"] == []


async def test_a_dry_run_shows_what_is_sent_before_what_is_dropped(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url, chain="[drop]"))
    await plant.send(*(event("ann", n) for n in (1, 3, 5, 7, 9, 11, 2)))
    await plant.until(lambda: len(server.taken) == 1)
    found = await plant.call("replay.count", {"destination": "hook", "unordered": True})
    assert [one["message_id"] for one in found["sample"]][:2] == ["ann-2", "ann-1"]
    assert found["sample"][1]["parts"][0]["reason"] == "dropped by drop"


async def test_live_events_pass_a_replay_that_waits(delivered: Plant, server: Server) -> None:
    ident = await replay(delivered, rate=1)
    await delivered.send(*(event("zoe", n) for n in range(20)))
    await delivered.until(lambda: len(per_user(server.taken).get("zoe", [])) == 20)
    assert (await status(delivered, ident))["state"] == "running"
    assert per_user(server.taken)["zoe"] == list(range(20))


def renamed(server: Server, *, discard: bool = False) -> str:
    """The config with another destination in place of `hook`, which takes over from it or does not."""
    text = config(server.url).replace("  hook:\n", "  other:\n")
    return text + "discard: [hook]\n" if discard else text.replace("type: webhook", "type: webhook\n    was: hook")


async def test_a_destination_that_was_renamed_while_nothing_ran_keeps_its_replays(
    delivered: Plant, server: Server
) -> None:
    running, ended = await replay(delivered, rate=20), await replay(delivered, rate=20)
    await delivered.call("replay.cancel", {"id": ended})
    await delivered.stop()
    await delivered.start(renamed(server))
    assert (await over(delivered, running))["delivered"] == 12
    await delivered.call("replay.resume", {"id": ended})
    row = await over(delivered, ended)
    assert (row["destination"], row["delivered"]) == ("other", 12)


async def test_a_cancelled_replay_follows_a_rename_by_reload(delivered: Plant, server: Server) -> None:
    ident = await replay(delivered, rate=20)
    await delivered.call("replay.cancel", {"id": ident})
    await delivered.reload(renamed(server))
    await delivered.call("replay.resume", {"id": ident})
    assert (await over(delivered, ident))["delivered"] == 12


async def test_a_replay_whose_destination_is_gone_at_a_start_is_over(delivered: Plant, server: Server) -> None:
    server.answer = lambda body: (500, {})
    ident = await replay(delivered, rate=1000)
    await delivered.until(lambda: delivered.engine.replays.running(ident).courier.chains.waiting == 10)
    await delivered.stop()
    await delivered.start(renamed(server, discard=True))
    row = await over(delivered, ident, "cancelled")
    assert (row["reason"], row["cancelled"], row["selected"]) == ("hook is gone from the config", 12, 12)


async def test_many_names_are_kept_whole_and_shown_in_part(delivered: Plant) -> None:
    ids = [f"ann-{n}" for n in range(9_000)]
    ident = await replay(delivered, rate=1000, message_ids=ids)
    listed = (await delivered.call("replay.list", {}))["replays"][0]
    for row in (listed, delivered.status()["replays"][str(ident)]):
        assert row["asked"]["message_ids"] == ids[:10]
        assert row["left_out"] == {"message_ids": 8_990}
    row = await over(delivered, ident)
    assert (row["asked"]["message_ids"], row["delivered"]) == (ids, 6)
    assert "left_out" not in row
    with pytest.raises(Fixable, match="megabyte"):
        await replay(delivered, message_ids=["x" * 1_000 + str(n) for n in range(2_000)])


async def test_no_file_is_written_among_our_own(delivered: Plant) -> None:
    data = delivered.folder / "data"
    (delivered.folder / "link").symlink_to(data / "dead")
    for file in (data / "events.jsonl", data / "dead" / "00000099.dead", delivered.folder / "link" / "events.jsonl"):
        with pytest.raises(Fixable, match="lies in the data folder"):
            await replay(delivered, destination="", file=str(file))
        assert not file.exists()


async def test_a_fault_while_a_replay_settles_pauses_the_replay_and_not_its_destination(
    delivered: Plant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would end every process that goes on with it, for all destinations."""
    plant = delivered
    server.answer = lambda _: (400, {})
    with monkeypatch.context() as patched:
        real = plant.engine.ledger.bury

        def broken(target: str, *args: Any, **named: Any) -> None:
            if named["replay"] is not None:
                raise ZeroDivisionError
            real(target, *args, **named)

        patched.setattr(plant.engine.ledger, "bury", broken)
        server.gate.clear()
        ident = await replay(plant, rate=1000)
        commit = plant.engine.books.commit
        # As in a process that ends with the fault, nothing more of it is written.
        patched.setattr(plant.engine.books, "commit", lambda: asyncio.sleep(0))
        await commit()
        server.gate.set()
        while not plant.faults:
            await asyncio.sleep(0.01)
        await plant.stop()
        plant.faults.clear()  # what was on its way besides meets the same fault
    server.answer = lambda _: (200, {})
    server.taken.clear()
    await plant.start(config(server.url))
    told = await status(plant, ident)
    assert f"turnout replay resume {ident} tries again" in told["reason"]
    await plant.send(event("ann", 6))
    await plant.until(lambda: len(server.taken) == 1)
    assert server.taken[0]["messageId"] == "ann-6"
    plant.faults.clear()
    await plant.call("replay.resume", {"id": ident})
    assert (await over(plant, ident))["delivered"] == 12
