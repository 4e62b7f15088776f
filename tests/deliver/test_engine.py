"""From the log to a real HTTP server and back to verdicts."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import pytest
from engine_kit import Plant, Server, config, event, per_user

from turnout.errors import ConfigError


def counts(plant: Plant, ident: str = "hook") -> dict[str, int]:
    row = plant.status()["destinations"][ident]
    return {k: row[k] for k in ("delivered", "filtered", "dead", "born", "pending", "unread")}


def balanced(plant: Plant, ident: str = "hook") -> None:
    """HOUSE §2: unique + born = delivered + filtered + dead + pending, when all is read."""
    status = plant.status()
    unique = sum(s["unique"] for s in status["sources"].values())
    row = status["destinations"][ident]
    assert row["unread"] == 0
    done = row["delivered"] + row["filtered"] + row["dead"] - row["revived"]
    assert unique + row["born"] == done + row["pending"], row


async def test_events_arrive_once_enriched_and_in_order(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url))
    for n in range(20):
        await plant.send(event("ann", n), event("bob", n))
    await plant.until(lambda: len(server.taken) == 40)
    assert per_user(server.taken) == {"ann": list(range(20)), "bob": list(range(20))}
    one = server.taken[0]
    assert one["receivedAt"] == "2026-11-18T11:06:40.000Z"
    assert one["request_ip"] == one["context"]["ip"] == "203.0.113.9"
    assert {"timestamp", "rudderId", "originalTimestamp"} <= set(one)
    balanced(plant)


async def test_the_books_are_written_when_somebody_asks(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataplane.deliver.books.COMMIT_EVERY", 3_600)
    await plant.start(config(server.url))
    await plant.send(event("ann", 1))
    await plant.until(lambda: counts(plant)["delivered"] == 1)
    assert await plant.call("books.write", {}) == {"written": 1}
    with contextlib.closing(sqlite3.connect(plant.folder / "data/state/pipeline.db")) as db:
        assert ("hook", "delivered", 1) in db.execute("SELECT id, what, n FROM count").fetchall()


async def test_duplicates_and_refused_are_counted_not_sent(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("ann", 1), {"bad": 1}, refused=[2])
    await plant.send(event("ann", 1))
    await plant.send(event("ann", 1), source="other")
    await plant.until(lambda: counts(plant)["delivered"] == 2)
    assert plant.status()["sources"] == {
        "web": {"unique": 1, "duplicate": 2, "refused": 1},
        "other": {"unique": 1, "duplicate": 0, "refused": 0},
    }
    await plant.engine.retention.written()
    listed = await plant.call("refused.list", {})
    assert [(r["source"], r["code"], r["event"]) for r in listed["refused"]] == [("web", "bad", '{"bad": 1}')]
    balanced(plant)


async def test_a_chain_drops_splits_and_kills(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url, chain="[drop, split]"))
    await plant.send(event("ann", 1), event("ann", 2), event("ann", 4), {**event("ann", 5), "properties": {}})
    await plant.until(lambda: counts(plant)["dead"] == 1 and counts(plant)["delivered"] == 4)
    assert [e["properties"]["n"] for e in server.taken] == [2, 2, 4, 4]
    assert counts(plant) == {"delivered": 4, "filtered": 1, "dead": 1, "born": 2, "pending": 0, "unread": 0}
    await plant.engine.retention.written()
    letter = (await plant.call("dead.list", {}))["dead"][0]
    shown = await plant.call("dead.show", {"id": letter["id"]})
    assert shown["reason"] == "script drop:1: KeyError: 'n'"
    assert shown["event"]["messageId"] == "ann-5"
    assert shown["request"] is None
    balanced(plant)


async def test_a_failing_user_is_put_aside_in_order_and_others_go_on(plant: Plant, server: Server) -> None:
    bad = {"ann"}
    server.answer = lambda body: (503, {}) if body["userId"] in bad else (200, {})
    await plant.start(config(server.url))
    for n in range(5):
        await plant.send(event("ann", n), event("bob", n))
    await plant.until(lambda: counts(plant)["delivered"] == counts(plant)["pending"] == 5)
    assert per_user(server.taken) == {"bob": [0, 1, 2, 3, 4]}
    balanced(plant)
    bad.clear()
    await plant.until(lambda: len(server.taken) == 10)
    assert per_user(server.taken)["ann"] == [0, 1, 2, 3, 4]
    balanced(plant)


async def test_a_user_is_held_back_no_longer_than_hold_for_whenever_the_next_retry_is(
    plant: Plant, server: Server
) -> None:
    server.answer = lambda body: (503, {}) if body["messageId"] == "ann-0" else (200, {})
    await plant.start(config(server.url, delivery="{hold_for: 0s}"))
    await plant.send(event("ann", 0), event("ann", 1), event("ann", 2))
    await plant.until(lambda: len(server.taken) == 2)
    assert [body["messageId"] for body in server.got[:3]] == ["ann-0", "ann-1", "ann-2"]
    balanced(plant)


async def test_retries_and_references_survive_a_restart(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (503, {}) if body["userId"] == "ann" else (200, {})
    text = config(server.url)
    await plant.start(text)
    for n in range(4):
        await plant.send(event("ann", n), event("bob", n))
    await plant.until(lambda: counts(plant)["delivered"] == counts(plant)["pending"] == 4)
    await plant.stop()
    server.answer = lambda body: (200, {})
    await plant.start(text)
    await plant.until(lambda: counts(plant)["delivered"] == 8)
    assert per_user(server.taken) == {"ann": [0, 1, 2, 3], "bob": [0, 1, 2, 3]}
    balanced(plant)


async def test_a_destination_that_is_down_keeps_its_events_in_the_log(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (500, {})
    await plant.start(config(server.url, delivery="{concurrency: 2}"))
    for n in range(50):
        await plant.send(*(event(f"user{u}", n) for u in range(20)))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["state"] == "down")
    row = plant.status()["destinations"]["hook"]
    assert row["retrying"] <= 10, "a down destination costs a cursor, not a row per event"
    server.answer = lambda body: (200, {})
    await plant.until(lambda: counts(plant)["delivered"] == 1000)
    assert all(ns == list(range(50)) for ns in per_user(server.taken).values())
    balanced(plant)


async def test_401_pauses_and_a_new_config_resumes(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (401, {})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["state"] == "paused")
    assert counts(plant)["dead"] == 0
    balanced(plant)
    server.answer = lambda body: (200, {})
    await plant.reload(config(server.url + "new"))
    await plant.until(lambda: len(server.taken) == 2)
    balanced(plant)


async def test_dead_letters_hold_request_and_answer_and_can_be_retried(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (422, {"Content-Type": "text/plain"})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1))
    await plant.until(lambda: counts(plant)["dead"] == 1)
    await plant.engine.retention.written()
    row = (await plant.call("dead.list", {"destination": "hook"}))["dead"][0]
    shown = await plant.call("dead.show", {"id": row["id"]})
    assert shown["answer"]["status"] == 422
    assert shown["request"]["method"] == "POST"
    server.answer = lambda body: (200, {})
    assert (await plant.call("dead.retry", {"ids": [row["id"]]}))["retried"] == 1
    await plant.until(lambda: len(server.taken) == 1)
    balanced(plant)
    await plant.engine.retention.written()
    assert (await plant.call("dead.list", {}))["dead"] == []


async def test_one_hanging_destination_does_not_hold_another_back(plant: Plant, server: Server) -> None:
    other = Server()
    url = await other.start()
    try:
        server.gate.clear()
        extra = f'  other: {{type: webhook, settings: {{webhook_url: "{url}"}}, start: beginning}}'
        await plant.start(config(server.url, extra=extra))
        for n in range(30):
            await plant.send(*(event(f"user{u}", n) for u in range(100)))
        await plant.until(lambda: len(other.taken) == 3000)
        assert server.taken == []
        server.gate.set()
        await plant.until(lambda: len(server.taken) == 3000)
        assert all(ns == list(range(30)) for ns in per_user(server.taken).values())
        balanced(plant)
        balanced(plant, "other")
    finally:
        await other.stop()


async def test_batches_travel_together_and_keep_order(plant: Plant, server: Server) -> None:
    server.gate.clear()  # so that more waits than a batch takes, however slowly it comes
    await plant.start(config(server.url, delivery="{batch: 20, linger: 50ms}"))
    for n in range(30):
        await plant.send(*(event(f"user{u}", n) for u in range(7)))
    await plant.until(lambda: counts(plant)["pending"] == 210)
    server.gate.set()
    await plant.until(lambda: len(server.taken) == 210)
    assert max(len(b) if isinstance(b, list) else 1 for b in server.got) == 20
    assert all(ns == list(range(30)) for ns in per_user(server.taken).values())
    balanced(plant)


async def test_removed_destination_with_a_backlog_must_be_named(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (503, {})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("ann", 2))
    await plant.until(lambda: counts(plant)["pending"] == 2)
    gone = config(server.url).replace("  hook:", "  renamed:")
    with pytest.raises(ConfigError, match=r"destinations\.hook is gone"):
        await plant.reload(gone)
    server.answer = lambda body: (200, {})
    await plant.reload(gone + "    was: hook\n")
    await plant.until(lambda: counts(plant, "renamed")["delivered"] == 2)
    assert per_user(server.taken) == {"ann": [1, 2]}
    await plant.stop()
    await plant.start(gone + "    was: hook\n")
    assert counts(plant, "renamed")["delivered"] == 2
    balanced(plant, "renamed")


async def test_a_destination_with_a_place_of_its_own_takes_over_no_other(plant: Plant, server: Server) -> None:
    """Merged, the old one would go on by its old config unseen, and be lost with what it has at the next start."""
    server.answer = lambda body: (503, {})
    other = f"  other:\n    type: webhook\n    settings: {{webhook_url: \"{server.url}\"}}\n"
    await plant.start(config(server.url) + other)
    await plant.send(event("ann", 1))
    await plant.until(lambda: counts(plant)["pending"] == counts(plant, "other")["pending"] == 1)
    merged = config(server.url).replace("  hook:", "  other:") + "    was: hook\n"
    with pytest.raises(ConfigError, match=r"destinations\.other: `was: hook` would merge two destinations"):
        await plant.reload(merged)
    assert sorted(plant.engine.couriers) == ["hook", "other"]
    await plant.stop()
    with pytest.raises(ConfigError, match="would merge two destinations"):
        await plant.start(merged)


async def test_a_disabled_destination_keeps_its_backlog(plant: Plant, server: Server) -> None:
    text = config(server.url)
    await plant.start(text + "    enabled: false\n")
    await plant.send(event("ann", 1), event("ann", 2))
    await asyncio.sleep(0.2)
    assert server.got == []
    await plant.reload(text)
    await plant.until(lambda: len(server.taken) == 2)
    balanced(plant)


async def test_retry_after_is_obeyed(plant: Plant, server: Server) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    def answer(_: object) -> tuple[int, dict[str, str]]:
        times.append(loop.time())
        return (429, {"Retry-After": "1"}) if len(times) == 1 else (200, {})

    server.answer = answer
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("ann", 2))
    await plant.until(lambda: len(server.taken) == 2)
    assert times[1] - times[0] >= 1.0
    assert per_user(server.taken) == {"ann": [1, 2]}


async def test_stored_requests_and_answers_show_no_secret(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (400, {})
    text = config(server.url).replace("settings: {", 'settings: {headers: {X-Team: "hunter2-token"}, ')
    await plant.start(text)
    await plant.send(event("ann", 1))
    await plant.until(lambda: counts(plant)["dead"] == 1)
    await plant.engine.retention.written()
    row = (await plant.call("dead.list", {}))["dead"][0]
    shown = await plant.call("dead.show", {"id": row["id"]})
    assert shown["request"]["headers"]["X-Team"]
    assert "hunter2" not in str(shown)


async def test_an_event_that_is_hard_to_store_dies_alone_and_its_lane_goes_on(plant: Plant, server: Server) -> None:
    server.answer = lambda body: (422, {}) if body["properties"]["n"] == 1 else (200, {})
    await plant.start(config(server.url))
    await plant.send({**event("ann", 1), "huge": 10**30, "lone": "\ud800"}, event("ann", 2))
    await plant.until(lambda: counts(plant)["dead"] == 1 and counts(plant)["delivered"] == 1)
    await plant.engine.retention.written()
    letter = (await plant.call("dead.list", {}))["dead"][0]
    shown = await plant.call("dead.show", {"id": letter["id"]})
    assert shown["message_id"] == "ann-1"
    assert shown["answer"]["status"] == 422
    balanced(plant)


async def test_a_removed_destination_that_comes_back_starts_with_empty_books(plant: Plant, server: Server) -> None:
    extra = f'  other: {{type: webhook, settings: {{webhook_url: "{server.url}"}}, start: beginning}}'
    await plant.start(config(server.url, extra=extra))
    await plant.send(event("ann", 1))
    await plant.until(lambda: counts(plant, "other")["delivered"] == 1)
    await plant.reload(config(server.url) + "discard: [other]\n")
    await plant.reload(config(server.url, extra=extra.replace("beginning", "now")))
    assert counts(plant, "other")["delivered"] == 0


async def test_a_reload_of_one_destination_leaves_the_scripts_of_another_alone(plant: Plant, server: Server) -> None:
    """Two that share a chain are served together; one of them loses it while a batch is on its way."""

    def text(chain: str) -> str:
        return config(server.url, chain=chain, delivery="{batch: 100}", extra=f"""
  other:
    type: webhook
    settings: {{webhook_url: "{server.url}"}}
    delivery: {{batch: 100}}
    start: beginning
    transformation: [split]
""")

    plant.runner.functions["split"] = lambda e: {**e, "by": "script"}
    gate = plant.runner.gates["split"] = asyncio.Event()
    await plant.start(text("[split]"))
    await plant.send(*[event(f"u{n}", n) for n in range(1_200)])
    await plant.until(lambda: bool(plant.runner.runs))
    await plant.reload(text("[]"))
    gate.set()
    delivered = plant.engine.ledger.counts
    await plant.until(lambda: delivered["hook", "delivered"] == delivered["other", "delivered"] == 1_200)
    through = [row for row in server.taken if row.get("by") == "script"]
    assert {row["properties"]["n"] for row in through} == set(range(1_200)), "nothing passes untransformed"


async def test_what_is_given_up_in_flight_counts_nowhere(plant: Plant, server: Server) -> None:
    """A destination is discarded, and one of its name comes back, while its requests hang."""
    extra = f'  other: {{type: webhook, settings: {{webhook_url: "{server.url}"}}, start: beginning}}\n'
    server.gate.clear()
    await plant.start(config(server.url, extra=extra))
    await plant.send(event("ann", 1), event("bob", 2))
    await plant.until(lambda: len(server.got) == 4)
    await plant.reload(config(server.url) + "discard: [other]\n")
    await plant.reload(config(server.url, extra=extra))
    server.gate.set()
    await plant.until(lambda: counts(plant)["pending"] == counts(plant, "other")["pending"] == 0)
    await plant.until(lambda: len(server.taken) == 6)
    balanced(plant, "other")


async def test_an_answer_that_is_no_text_is_kept_with_its_letter(plant: Plant) -> None:
    """Bytes beyond ASCII in a header of a rejection must not hold its lane for ever."""

    async def reject(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
                headers = b"Server: caf\xe9\r\nRetry-After: \xff\r\nContent-Length: 2\r\n"
                writer.write(b"HTTP/1.1 422 no\r\n" + headers + b"\r\n\xff\xfe")
        writer.close()

    async with await asyncio.start_server(reject, "127.0.0.1", 0) as tool:
        await plant.start(config(f"http://127.0.0.1:{tool.sockets[0].getsockname()[1]}/"))
        await plant.send(event("ann", 1), event("ann", 2))
        await plant.until(lambda: counts(plant)["dead"] == 2)
        await plant.engine.retention.written()
        letter = (await plant.call("dead.list", {}))["dead"][0]
        answer = (await plant.call("dead.show", {"id": letter["id"]}))["answer"]
        assert answer["headers"] == {"Server": "caf\ufffd", "Retry-After": "\ufffd"}
        assert answer["body"] == "\ufffd\ufffd"
        await plant.stop()
        await plant.start(config(f"http://127.0.0.1:{tool.sockets[0].getsockname()[1]}/"))
    balanced(plant)
