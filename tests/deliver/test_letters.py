"""Dead letters and refused events at a running engine: found, retried, discarded, kept within bounds."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event
from hypothesis import given
from hypothesis import strategies as st

from dataplane.config.pauses import Pause, Pauses
from dataplane.deliver import revival
from dataplane.deliver.entry import Part
from dataplane.deliver.evidence import Evidence
from turnout.errors import Fixable
from turnout.request import Json, Request
from turnout.verdict import dead, filtered


def row(plant: Plant, ident: str = "hook") -> dict[str, Any]:
    found: dict[str, Any] = plant.status()["destinations"][ident]
    return found


def refused(plant: Plant) -> int:
    return sum(one["refused"] for one in plant.status()["sources"].values())


def balanced(plant: Plant, ident: str = "hook") -> None:
    """The sums of docs/architecture.md, and that of the letters themselves."""
    status = plant.status()
    unique = sum(s["unique"] for s in status["sources"].values())
    one = status["destinations"][ident]
    assert one["unread"] == 0
    assert unique + one["born"] == (
        one["delivered"] + one["filtered"] + one["dead"] - one["revived"] + one["pending"]
    ), one


async def ask(plant: Plant, verb: str, **args: Any) -> dict[str, Any]:
    found: dict[str, Any] = await plant.call(verb, args)
    return found


async def kept(plant: Plant, ident: str = "hook") -> int:
    """Letters in the index, once the books are written; they are what the counts say."""
    await plant.engine.retention.written()
    n = int((await ask(plant, "dead.summary", destination=ident))["total"])
    one = row(plant, ident)
    assert n == one["dead"] - one["revived"] - one["discarded"] - one["dropped"], one
    return n


async def all_of(plant: Plant, verb: str, **args: Any) -> list[dict[str, Any]]:
    """Every answer of a verb that is called until it has no cursor."""
    answers = [await ask(plant, verb, **args)]
    while answers[-1]["cursor"] is not None:
        answers.append(await ask(plant, verb, **args, cursor=answers[-1]["cursor"]))
        if answers[-1].get("full"):
            await asyncio.sleep(0.01)
    return answers


async def died(plant: Plant, server: Server, number: int, **more: str) -> None:
    """So many events were rejected; of few users, or the reject breaker would pause the destination."""
    server.answer = lambda _: (422, {})
    await plant.start(config(server.url, **more))
    for at in range(0, number, 500):
        await plant.send(*(event(f"u{n % 15}", n) for n in range(at, min(number, at + 500))))
    await plant.until(lambda: row(plant)["dead"] == number)
    assert await kept(plant) == number


async def test_an_event_without_a_name_is_listed_by_its_type(plant: Plant, server: Server) -> None:
    server.answer = lambda _: (400, {})
    await plant.start(config(server.url))
    await plant.send({"type": "identify", "userId": "ann", "messageId": "m-1"}, event("bob", 2))
    await plant.until(lambda: row(plant)["dead"] == 2)
    await plant.engine.retention.written()
    assert {one["event"] for one in (await ask(plant, "dead.list"))["dead"]} == {"identify", "Step"}
    (found,) = (await ask(plant, "dead.list", event="identify"))["dead"]
    assert found["message_id"] == "m-1"


async def test_filters_choose_pages_and_counts(plant: Plant, server: Server) -> None:
    statuses = {"a": 400, "b": 403, "c": 404}
    server.answer = lambda body: (statuses[body["userId"]], {})
    began = plant.clock.now().timestamp()
    await plant.start(config(server.url, chain="[drop]"))
    await plant.send(event("a", 2), event("b", 4), {**event("c", 6), "event": "Other"})
    await plant.send({**event("d", 8), "properties": {}}, source="app")
    await plant.until(lambda: row(plant)["dead"] == 4)
    await plant.engine.retention.written()

    async def users(**args: Any) -> set[str]:
        found = (await ask(plant, "dead.list", **args))["dead"]
        total = (await ask(plant, "dead.summary", **args))["total"]
        exported = (await ask(plant, "dead.export", **args))["dead"]
        assert total == len(found) == len(exported)
        assert [e["id"] for e in exported] == [f["id"] for f in reversed(found)]
        return {f["message_id"].partition("-")[0] for f in found}

    iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began - 60))
    assert await users() == {"a", "b", "c", "d"}
    assert await users(**{"class": "rejected"}) == {"a", "c"}
    assert await users(**{"class": "refused_credentials"}) == {"b"}
    assert await users(**{"class": "script", "source": "app"}) == {"d"}
    assert await users(source="web", event="Other") == {"c"}
    assert await users(message_id="a-2") == {"a"}
    assert await users(**{"from": iso}) == {"a", "b", "c", "d"}
    assert await users(to=iso) == set()
    summary = await ask(plant, "dead.summary")
    assert summary == {"total": 4, "destinations": {"hook": {"rejected": 2, "refused_credentials": 1, "script": 1}}}
    first = await ask(plant, "dead.list", limit=3)
    rest = await ask(plant, "dead.list", limit=3, cursor=first["cursor"])
    assert [len(first["dead"]), len(rest["dead"]), rest["cursor"]] == [3, 1, None]
    samples = {(name, *labels): n for name, labels, n in plant.stats()}
    assert samples["turnout_dead_total", "hook", "rejected"] == 2
    assert samples["turnout_dead_letters", "hook", "script"] == 1
    for wrong in ({"class": "nosuch"}, {"destination": "nosuch"}, {"from": "yesterday"}, {"cursor": "x"}):
        with pytest.raises(Fixable):
            await ask(plant, "dead.list", **wrong)
    with pytest.raises(Fixable):
        await ask(plant, "dead.export", cursor="1")


async def test_a_retry_of_many_goes_in_slices_and_never_fills_the_chains(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revival, "ROOM", 300)
    await died(plant, server, 2_000)
    server.answer = lambda _: (200, {})
    server.gate.clear()  # nothing leaves, so that there is soon no room for more
    answers = [await ask(plant, "dead.retry", all=True, destination="hook")]
    while not answers[-1]["full"]:
        answers.append(await ask(plant, "dead.retry", all=True, destination="hook", cursor=answers[-1]["cursor"]))
    assert answers[-1]["full"] == "hook"
    assert 0 < sum(answer["retried"] for answer in answers) < 2_000
    server.gate.set()
    answers += await all_of(plant, "dead.retry", all=True, destination="hook")
    assert sum(answer["retried"] for answer in answers) == 2_000
    await plant.until(lambda: row(plant)["delivered"] == 2_000)
    assert await kept(plant) == 0
    assert sorted(e["properties"]["n"] for e in server.taken) == list(range(2_000))
    balanced(plant)


async def test_a_paused_destination_says_why_it_makes_no_room_for_more_letters(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revival, "ROOM", 20)
    await died(plant, server, 50)
    server.answer = lambda _: (200, {})
    paused = Pause("destination", "hook", "2026-11-23T10:00:00.000Z", "ann", "moving")
    plant.engine.hold(Pauses(pauses=(paused,)))
    answers = [await ask(plant, "dead.retry", all=True, destination="hook", limit=15)]
    assert answers[0]["held"] is None
    while not answers[-1]["full"]:
        answers.append(await ask(plant, "dead.retry", all=True, destination="hook", limit=15))
    assert answers[-1]["held"] == "paused, by ann: moving"
    plant.engine.hold(Pauses())
    answers += await all_of(plant, "dead.retry", all=True, destination="hook")
    assert sum(answer["retried"] for answer in answers) == 50
    await plant.until(lambda: row(plant)["delivered"] == 50)
    balanced(plant)


async def test_letters_that_die_again_are_not_retried_for_ever(plant: Plant, server: Server) -> None:
    await died(plant, server, 50)
    answers = await all_of(plant, "dead.retry", all=True, limit=7)
    assert sum(answer["retried"] for answer in answers) == 50
    await plant.until(lambda: row(plant)["dead"] == 100)
    assert await kept(plant) == 50
    balanced(plant)


async def test_two_retries_at_once_send_each_letter_once(plant: Plant, server: Server) -> None:
    await died(plant, server, 300)
    server.answer = lambda _: (200, {})
    pair = await asyncio.gather(*(all_of(plant, "dead.retry", all=True, limit=50) for _ in range(2)))
    assert sum(answer["retried"] for answers in pair for answer in answers) == 300
    await plant.until(lambda: row(plant)["delivered"] == 300)
    assert sorted(e["properties"]["n"] for e in server.taken) == list(range(300))
    balanced(plant)


async def test_discarded_letters_stay_counted_as_dead(plant: Plant, server: Server) -> None:
    await died(plant, server, 20)
    ids = [one["id"] for one in (await ask(plant, "dead.list"))["dead"]]
    assert await ask(plant, "dead.discard", ids=[*ids[:3], 999]) == {
        "discarded": 3, "left": [], "not_found": [999], "cursor": None,
    }
    assert await kept(plant) == 17
    assert (await ask(plant, "dead.discard", **{"class": "script"}))["discarded"] == 0
    assert (await ask(plant, "dead.discard", **{"class": "rejected"}))["discarded"] == 17
    assert await kept(plant) == 0
    assert (row(plant)["dead"], row(plant)["discarded"]) == (20, 20)
    balanced(plant)
    with pytest.raises(Fixable, match="say which"):
        await ask(plant, "dead.discard")
    with pytest.raises(Fixable, match="there is no dead letter"):
        await ask(plant, "dead.show", id=ids[0])


async def test_what_a_script_failed_on_passes_it_again_and_never_goes_out_as_it_is(
    plant: Plant, server: Server
) -> None:
    text = config(server.url, chain="[drop]")
    await plant.start(text)
    for n in range(3):
        await plant.send({**event(f"u{n}", n), "properties": {}})
    await plant.until(lambda: row(plant)["dead"] == 3)
    await plant.engine.retention.written()
    assert (await ask(plant, "dead.retry", all=True))["retried"] == 3
    await plant.until(lambda: row(plant)["dead"] == 6)
    assert server.got == []
    plant.runner.functions["drop"] = lambda e: None if e["messageId"] == "u1-1" else {**e, "mended": True}
    assert (await ask(plant, "dead.retry", all=True))["retried"] == 3
    await plant.until(lambda: row(plant)["delivered"] == 2)
    assert {(e["messageId"], e["mended"]) for e in server.taken} == {("u0-0", True), ("u2-2", True)}
    assert row(plant)["filtered"] == 1
    assert await kept(plant) == 0
    balanced(plant)


async def test_retransform_takes_the_event_as_received_through_what_is_configured_now(
    plant: Plant, server: Server
) -> None:
    plant.runner.functions["split"] = lambda e: [{**e, "part": 0}, {**e, "part": 1}]
    server.answer = lambda body: (400 if body["part"] == 1 else 200, {})
    await plant.start(config(server.url, chain="[split]"))
    await plant.send(event("ann", 1), event("bob", 2))
    await plant.until(lambda: row(plant)["dead"] == 2 and row(plant)["delivered"] == 2)
    balanced(plant)
    await plant.engine.retention.written()
    server.answer = lambda _: (200, {})
    server.taken.clear()
    plant.runner.functions["split"] = lambda e: [{**e, "part": n, "new": True} for n in range(4)]
    assert (await ask(plant, "dead.retry", all=True, retransform=True))["retried"] == 2
    await plant.until(lambda: row(plant)["delivered"] == 8)
    assert sorted((e["userId"], e["part"]) for e in server.taken) == [
        (user, part) for user in ("ann", "bob") for part in (1, 2, 3)
    ], "the outputs that were delivered are not sent again"
    assert all(e["new"] for e in server.taken)
    assert row(plant)["born"] == 2 + 4
    assert await kept(plant) == 0
    balanced(plant)


async def test_retransform_leaves_what_the_log_has_let_go(plant: Plant, server: Server) -> None:
    await died(plant, server, 3)
    sequencer = plant.engine.sequencer
    real, sequencer.partitions = sequencer.partitions, _Forgetful(plant.partitions)
    answer = await ask(plant, "dead.retry", all=True, retransform=True)
    sequencer.partitions = real
    assert answer["retried"] == 0
    assert [one["reason"] for one in answer["left"]] == [
        "the log no longer holds its event, which its transformations need"
    ] * 3
    assert await kept(plant) == 3
    server.answer = lambda _: (200, {})
    assert (await ask(plant, "dead.retry", all=True))["retried"] == 3, "as it was to be sent it still can be"
    await plant.until(lambda: row(plant)["delivered"] == 3)
    balanced(plant)


class _Forgetful:
    """A reader of a log that has let go of everything so far."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.floors = reader.heads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


@given(st.integers(0, 6), st.integers(1, 6))
def test_siblings_share_new_outputs_without_gap_or_overlap(new: int, known: int) -> None:
    parts: list[Part] = [(str(n).encode(), {}, None) for n in range(new)] or [(b"", {}, filtered("dropped"))]
    shared = [revival.share(parts, child, known) for child in range(known)]
    sent = [part[0] for mine in shared for _, part in mine if part[2] is None]
    assert sorted(sent) == sorted(str(n).encode() for n in range(new))
    assert all(mine for mine in shared), "every letter has an end"
    failed: list[Part] = [(b"x", {}, dead("script x: no"))]
    assert all(revival.share(failed, child, known) == [(child, failed[0])] for child in range(known))


async def test_a_kill_between_two_slices_loses_and_doubles_nothing(
    plant: Plant, server: Server, tmp_path: Path
) -> None:
    """The files as a kill leaves them after each slice are opened by another engine: its sums hold."""
    await died(plant, server, 600)
    server.gate.clear()
    server.answer = lambda _: (200, {})
    answer: dict[str, Any] = {"cursor": ""}
    while answer["cursor"] is not None:
        answer = await ask(plant, "dead.retry", all=True, cursor=answer["cursor"], limit=250)
        copy = tmp_path / f"copy{str(answer['cursor']).partition('-')[0]}"
        await _copy(plant, copy)
        after = Plant(copy, plant.runner)
        await after.start(config(server.url))
        balanced(after)
        one = row(after)
        assert await kept(after) + one["pending"] == 600
        await after.engine.drain(0.0)
        after.partitions.close()
        await after.writer.close()
    server.gate.set()
    await plant.until(lambda: row(plant)["delivered"] == 600)
    balanced(plant)


async def _copy(plant: Plant, copy: Path) -> None:
    """The data folder as it is between two writes, which is what a kill leaves."""
    while plant.engine.ledger.writing:
        await asyncio.sleep(0)
    shutil.copytree(plant.folder / "data", copy / "data", ignore=shutil.ignore_patterns("wait", "lock"))
    for script in plant.folder.glob("*.py"):
        shutil.copy(script, copy)


async def test_secrets_are_in_no_file(plant: Plant, server: Server, tmp_path: Path) -> None:
    server.answer = lambda _: (400, {"Set-Cookie": "sid=answer-secret", "X-Token": "answer-secret", "Server": "s"})
    secret = "sk-very-secret-value"
    text = config(server.url + "?token=" + secret).replace(
        "settings: {",
        f"settings: {{headers: [{{from: Authorization, to: Bearer {secret}}}, {{from: Cookie, to: c={secret}}},"
        f" {{from: X-Own, to: {secret}}}], ",
    )
    await plant.start(text)
    await plant.send(event("ann", 1))
    await plant.until(lambda: row(plant)["dead"] == 1)
    await plant.engine.retention.written()
    letter = (await ask(plant, "dead.list"))["dead"][0]
    shown = json.dumps(await ask(plant, "dead.show", id=letter["id"]))
    assert '"Authorization": "***"' in shown
    assert "Set-Cookie" not in shown
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert secret.encode() not in data, path
            assert b"answer-secret" not in data, path


async def test_letters_of_a_replay_leave_the_sums_of_the_destination_whole(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("bob", 2))
    await plant.until(lambda: row(plant)["delivered"] == 2)
    server.answer = lambda _: (422, {})
    await plant.call("replay.start", {"destination": "hook", "unordered": True})
    await plant.until(lambda: sum(plant.engine.ledger.state.kept().values()) == 2)
    ids = [one["id"] for one in (await ask(plant, "dead.list"))["dead"]]
    assert row(plant)["dead"] == 0
    server.answer = lambda _: (200, {})
    assert (await ask(plant, "dead.retry", ids=ids[:1]))["retried"] == 1
    assert (await ask(plant, "dead.discard", ids=ids[1:]))["discarded"] == 1
    await plant.until(lambda: row(plant)["delivered"] == 3)
    assert await kept(plant) == 0
    assert (row(plant)["born"], row(plant)["discarded"]) == (1, 0)
    balanced(plant)


async def test_letters_older_than_max_age_are_dropped_with_their_files(plant: Plant, server: Server) -> None:
    await died(plant, server, 30)
    folder = plant.folder / "data" / "dead"
    assert len(list(folder.iterdir())) == 1
    await plant.engine.retention.sweep()
    assert await kept(plant) == 30
    await plant.reload(config(server.url, extra="dead_letters: {max_age: 1ms}"))
    await plant.engine.retention.sweep()
    assert await kept(plant) == 0
    assert row(plant)["dropped"] == 30
    assert list(folder.iterdir()) == []
    assert ("turnout_letters_dropped_total", ["dead", "age"], 30) in plant.stats()
    balanced(plant)
    await plant.send(event("new", 1))
    await plant.until(lambda: row(plant)["dead"] == 31)
    await plant.engine.retention.written()
    (letter,) = (await ask(plant, "dead.list"))["dead"]
    assert (await ask(plant, "dead.show", id=letter["id"]))["event"]["userId"] == "new"


async def test_beyond_max_bytes_the_oldest_segments_go(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url, extra="dead_letters: {max_bytes: 1MB}"))
    server.answer = lambda _: (422, {})
    plant.engine.ledger.letters.limit = 200_000
    for n in range(20):
        await plant.send(event(f"u{n}", n, blob="x" * 100_000))
        await plant.until(lambda n=n: row(plant)["dead"] == n + 1)
        await plant.engine.retention.written()
    sizes = plant.engine.ledger.letters.sizes()
    assert sum(sizes.values()) > 1_000_000
    await plant.engine.retention.sweep()
    after = plant.engine.ledger.letters.sizes()
    assert sum(after.values()) <= 1_000_000
    assert set(after) == set(sorted(sizes)[-len(after):])
    left = await kept(plant)
    assert 0 < left == 20 - row(plant)["dropped"]
    users = {one["message_id"] for one in (await ask(plant, "dead.list"))["dead"]}
    assert users == {f"u{n}-{n}" for n in range(20 - left, 20)}, "the newest stay"
    balanced(plant)


async def test_a_segment_held_by_a_few_letters_is_rewritten(plant: Plant, server: Server) -> None:
    await died(plant, server, 40)
    plant.engine.ledger.letters.limit = 1_000
    await plant.send(event("last", 99))  # begins the next segment
    await plant.until(lambda: row(plant)["dead"] == 41)
    assert await kept(plant) == 41
    files = plant.engine.ledger.letters
    (old, *_) = sorted(files.sizes())
    ids = [one["id"] for one in (await ask(plant, "dead.export", limit=40))["dead"]]
    before = await ask(plant, "dead.show", id=ids[7])
    await ask(plant, "dead.discard", ids=[i for i in ids if i not in (ids[7], ids[20])])
    await plant.engine.retention.sweep()
    assert old not in files.sizes()
    assert await ask(plant, "dead.show", id=ids[7]) == before
    assert await kept(plant) == 3
    server.answer = lambda _: (200, {})
    await all_of(plant, "dead.retry", all=True)
    await plant.until(lambda: row(plant)["delivered"] == 3)
    balanced(plant)


async def test_refused_events_outlive_the_log(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), {"bad": 1}, {"bad": "x" * 300_000}, refused=[1, 2])
    await plant.send({"bad": 2}, source="app", refused=[0])
    await plant.until(lambda: refused(plant) == 3)
    await plant.engine.retention.written()
    for path in (plant.folder / "data" / "log" / "0").glob("*.log"):
        path.unlink()
    listed = (await ask(plant, "refused.list"))["refused"]
    assert [(one["source"], one["code"]) for one in listed] == [("app", "bad"), ("web", "bad"), ("web", "bad")]
    assert len(listed[1]["event"]) == 4_096
    (big,) = (await ask(plant, "refused.export", source="web"))["refused"][1:]
    assert (big["size"], len(big["event"])) == (300_011, 256 << 10)
    shown = await ask(plant, "refused.show", id=listed[2]["number"])
    assert (shown["event"], shown["size"], shown["protocol"]) == ({"bad": 1}, 10, "rudder")
    assert await ask(plant, "refused.summary") == {"total": 3, "sources": {"app": {"bad": 1}, "web": {"bad": 2}}}
    assert (await ask(plant, "refused.discard", source="web"))["discarded"] == 2
    assert (await ask(plant, "refused.summary"))["total"] == 1
    await plant.reload(config(server.url, extra="refused: {max_age: 1ms}"))
    await plant.engine.retention.sweep()
    assert (await ask(plant, "refused.list"))["refused"] == []
    assert plant.engine.ledger.refusals.sizes() == {}


async def test_refused_events_the_books_missed_are_kept_after_a_kill(plant: Plant, server: Server) -> None:
    text = config(server.url)
    await plant.start(text)
    await plant.send(event("ann", 0))
    await plant.until(lambda: row(plant)["delivered"] == 1)
    await plant.stop()
    state = plant.folder / "data" / "state"
    saved = {path.name: path.read_bytes() for path in state.iterdir()}
    await plant.start(text)
    await plant.send(event("ann", 1), {"bad": 1}, refused=[1])
    await plant.send({"bad": 2}, source="app", refused=[0])
    await plant.until(lambda: row(plant)["delivered"] == 2 and refused(plant) == 2)
    await plant.stop()
    for path in state.iterdir():
        path.unlink()
    for name, data in saved.items():
        (state / name).write_bytes(data)
    for _ in range(2):
        await plant.start(text)
        await plant.engine.retention.written()
        assert [one["source"] for one in (await ask(plant, "refused.list"))["refused"]] == ["app", "web"]
        assert {name: one["refused"] for name, one in plant.status()["sources"].items()} == {
            "app": 1, "web": 1,
        }
        await plant.stop()
    await plant.start(text)


async def test_a_batch_that_dies_keeps_its_events_and_not_itself_in_each_letter(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (422, {})
    await plant.start(config(server.url, delivery="{batch: 200, linger: 50ms, batch_bytes: 5000000}"))
    await plant.send(*[event(f"u{n}", n, padding="x" * 1_000) for n in range(200)])
    await plant.until(lambda: row(plant)["dead"] == 200)
    await plant.engine.retention.written()
    assert sum(plant.engine.ledger.letters.sizes().values()) < 200 * 4_000
    letters = (await ask(plant, "dead.export", limit=200))["dead"]
    assert len(letters) == 200
    for one in letters:
        (own,) = one["request"]["body"]["json_array"]
        assert own["messageId"] == one["message_id"]
    assert sum(one["request"].get("carried", 1) > 1 for one in letters) > 100


def test_a_body_that_does_not_say_whose_its_parts_are_is_cut() -> None:
    evidence = Evidence()
    rows = [{"n": n, "note": "x" * 100} for n in range(1_000)]
    request = Request("POST", "https://crm.example/in", Json({"rows": rows}), events=tuple(range(1_000)))
    shown = evidence.request(request, [], 150)
    assert shown is not None
    assert shown["carried"] == 1_000
    assert shown["body"]["cut"].startswith('{"json":{"rows":[{"n":0,')
    assert len(shown["body"]["cut"]) <= 8_192 < shown["body"]["bytes"]
    alone = evidence.request(Request("POST", request.url, request.body, events=(3,)), [], 150)
    assert alone is not None
    assert alone["body"] == {"json": {"rows": rows}}
