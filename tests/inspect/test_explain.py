"""explain tells what became of an event, whatever became of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dataplane.cli.explain import lines
from dataplane.deliver.journal import ends, find
from dataplane.inspect.explain import explain
from dataplane.pipeline.blocks import pack_header
from tests.deliver.engine_kit import Plant, Server, config, event
from turnout import codec
from turnout.errors import Refused, Stopped


async def told(plant: Plant, wanted: str, source: str = "") -> dict[str, Any]:
    found = await explain(plant.engine, plant.runner, wanted, source)
    codec.dumps(found)  # it goes over the control channel
    return found


def stopped(script: str, reason: str, *, left: float, after: float) -> Stopped:
    said = f"transformation {script} is stopped: {reason}"
    return Stopped(said, script=script, since=1_795_000_000.0, left=left, after=after)


def verdict(found: dict[str, Any], name: str = "hook") -> tuple[str, str]:
    return found["destinations"][name]["verdict"], found["destinations"][name]["why"]


async def arrived(plant: Plant, server: Any, number: int) -> None:
    """So many events were taken, and it is known here: an event whose answer is on its way is pending."""
    await plant.until(lambda: len(server.taken) == number and all(map(plant.idle, plant.engine.couriers)))


async def test_a_delivered_event(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url, chain="[drop]"))
    await plant.send(event("ada", 1), event("bob", 2))
    await arrived(plant, server, 1)
    found = await told(plant, "bob-2")
    assert (found["number"], found["found_by"]) == (2, "table")
    assert (found["event"]["source"], found["event"]["place"], found["event"]["of"]) == ("web", 1, 2)
    assert found["event"]["json"] == event("bob", 2)
    assert found["decision"]["result"] == "unique"
    assert {"receivedAt", "request_ip"} <= {row["at"] for row in found["enrichment"]}
    assert verdict(found)[0] == "delivered"
    hook = found["destinations"]["hook"]
    assert [(one["status"], one["attempt"]) for one in hook["attempts"]] == [(200, 1)]
    way = hook["reconstructed"]
    assert way["route"] == {"verdict": "send", "rule": "default"}
    assert [(step["script"], step["outputs"][0]["changes"]) for step in way["steps"]] == [("drop", [])]
    (request,) = way["parts"][0]["requests"]
    assert request["body"]["json"]["messageId"] == "bob-2"
    assert server.taken[0] == request["body"]["json"]


@pytest.mark.parametrize(
    ("integrations", "reason"),
    [({"All": False}, "integrations.All is false"), ({"hook": False}, "integrations.hook is false"),
     ("all", "integrations is not an object")],
)  # fmt: skip
async def test_a_filtered_event_names_the_rule(plant: Plant, server: Any, integrations: Any, reason: str) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ada", 1, integrations=integrations), event("ada", 2))
    await arrived(plant, server, 1)
    found = await told(plant, "ada-1")
    assert verdict(found) == ("filtered", reason)
    assert found["destinations"]["hook"]["reconstructed"]["route"] == {"verdict": "filtered", "reason": reason}
    assert found["destinations"]["hook"]["attempts"] == []


async def test_a_dropped_event_names_the_script(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url, chain="[split, drop]"))
    await plant.send(event("ada", 1))
    await plant.until(lambda: plant.engine.ledger.counts["hook", "filtered"] == 1)
    found = await told(plant, "ada-1")
    assert verdict(found) == ("filtered", "dropped by drop")
    steps = found["destinations"]["hook"]["reconstructed"]["steps"]
    assert [[output["outcome"] for output in step["outputs"]] for step in steps] == [["made", "made"], ["dropped"] * 2]


async def test_the_sources_transformations_come_first(plant: Plant, server: Any) -> None:
    plant.runner.functions["drop"] = lambda e: [{**e, "event": "Kept"}, {**e, "integrations": {"hook": False}}]
    text = config(server.url, chain="[split]").replace("write_key: k", "write_key: k, transformation: drop")
    await plant.start(text + "  aside: {type: webhook, settings: {webhook_url: https://a.example}, enabled: false}\n")
    await plant.send(event("ada", 1))
    await plant.until(lambda: plant.engine.ledger.counts["hook", "delivered"] == 2)
    found = await told(plant, "ada-1")
    hook = found["destinations"]["hook"]
    assert [(step["of"], step["script"], len(step["outputs"])) for step in hook["reconstructed"]["steps"]] == [
        ("source", "drop", 2), ("destination", "split", 2),
    ]  # fmt: skip
    assert [part["verdict"] for part in hook["reconstructed"]["parts"]] == ["send", "send", "filtered"]
    assert set(hook["attempts"][0]["scripts"]) == {"drop", "split"}
    assert [step["of"] for step in found["destinations"]["aside"]["reconstructed"]["steps"]] == ["source"]
    assert "the source's drop (" in "\n".join(text for text, _ in lines(found, full=False))
    await plant.reload(config(server.url) + "discard: [aside]\n")  # by what was in force then
    again = (await told(plant, "ada-1"))["destinations"]["hook"]["reconstructed"]
    assert not again["running"]
    assert [step["script"] for step in again["steps"]] == ["drop", "split"]


async def test_an_event_that_waits_for_a_stopped_script_says_so(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url, chain="[split]"))
    plant.runner.stopped["split"] = stopped("split", "it kills", left=60.0, after=60.0)
    await plant.send(event("ada", 1))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["state"] == "paused")
    found = await told(plant, "ada-1")
    assert verdict(found) == ("pending", (
        "not read yet: it is next; the destination is paused: transformation split is stopped: it kills; "
        "it is sent to again at 2026-11-18T11:07:40.000Z"
    ))


async def test_outputs_of_one_event_are_told_one_by_one(plant: Plant, server: Any) -> None:
    answers = iter([200, 400])
    server.answer = lambda body: (next(answers, 200), {})
    await plant.start(config(server.url, chain="[split]", delivery="{concurrency: 1}"))
    await plant.send(event("ada", 1))
    await plant.until(lambda: plant.engine.ledger.counts["hook", "dead"] == 1)
    found = await told(plant, "ada-1")
    assert verdict(found)[0] == "dead"
    assert [one["child"] for one in found["destinations"]["hook"]["attempts"]] == [0, 1]
    assert len(found["destinations"]["hook"]["reconstructed"]["parts"]) == 2


async def test_a_pending_event_and_one_behind_it(plant: Plant, server: Any) -> None:
    server.answer = lambda body: (503, {})
    await plant.start(config(server.url))
    await plant.send(event("ada", 1), event("ada", 2))
    await plant.until(lambda: len(plant.engine.couriers["hook"].chains) == 2)
    first, second = await told(plant, "ada-1"), await told(plant, "ada-2")
    assert verdict(first)[0] == "pending"
    (wait,) = first["destinations"]["hook"]["waits"]
    assert wait["reason"] == "HTTP 503"
    assert wait["sending"] or wait["next_at"] is not None
    assert {one["status"] for one in first["destinations"]["hook"]["attempts"]} == {503}
    assert verdict(second)[0] == "pending"
    (wait,) = second["destinations"]["hook"]["waits"]
    assert (wait["behind"]["number"], wait["behind"]["reason"]) == (1, "HTTP 503")
    assert "behind #1" in verdict(second)[1]


async def test_an_event_that_waits_for_its_destination(plant: Plant, server: Any) -> None:
    server.answer = lambda body: (503, {"Retry-After": "600"})
    await plant.start(config(server.url, delivery="{concurrency: 1}"))
    await plant.send(event("ada", 1), event("ada", 2))
    await plant.until(lambda: len(plant.engine.couriers["hook"].chains) == 1)
    found = await told(plant, "ada-2")
    assert verdict(found)[0] == "pending"
    assert found["destinations"]["hook"]["sends_at"] is not None
    assert "; HTTP 503: it asks for 10 min; it is sent to again at 2" in verdict(found)[1]
    assert plant.status()["destinations"]["hook"]["reason"] == "HTTP 503: it asks for 10 min"


async def test_an_event_that_is_queued_or_on_its_way(plant: Plant, server: Any) -> None:
    server.gate.clear()
    await plant.start(config(server.url))
    await plant.send(event("ada", 1), event("ada", 2), event("ada", 3))
    await plant.until(lambda: len(server.got) == 1)
    assert verdict(await told(plant, "ada-1")) == ("pending", "is being sent")
    found = await told(plant, "ada-3")
    assert verdict(found)[0] == "pending"
    assert (found["destinations"]["hook"]["stands"], found["destinations"]["hook"]["ahead"]) == ("queued", 1)


async def test_an_event_of_a_disabled_destination_is_not_read_yet(plant: Plant, server: Any) -> None:
    text = config(server.url).replace("start: beginning", "start: beginning\n    enabled: false")
    await plant.start(text)
    await plant.send(event("ada", 1), event("ada", 2))
    await plant.until(lambda: plant.engine.sequencer.next_number == 3)
    found = await told(plant, "ada-2")
    assert verdict(found)[0] == "pending"
    assert "not read yet: 1 event comes before it" in verdict(found)[1]
    assert "disabled" in verdict(found)[1]


async def test_a_dead_event_with_request_and_answer(plant: Plant, server: Any) -> None:
    server.answer = lambda body: (422, {})
    await plant.start(config(server.url + "?token=hidden-token-1"))
    await plant.send(event("ada", 1))
    await plant.until(lambda: plant.engine.ledger.counts["hook", "dead"] == 1)
    found = await told(plant, "ada-1")
    assert verdict(found)[0] == "dead"
    (letter,) = found["destinations"]["hook"]["dead"]
    assert letter["answer"]["status"] == 422
    assert letter["request"]["body"]["json"]["messageId"] == "ada-1"
    assert "hidden-token-1" not in json.dumps(found)


async def test_a_duplicate_names_the_first_and_the_first_its_duplicates(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ada", 1))
    await plant.send(event("ada", 2), event("ada", 1))
    await arrived(plant, server, 2)
    found = await told(plant, "#3")
    assert found["decision"]["result"] == "duplicate"
    assert found["decision"]["duplicate_of"] == 1
    assert found["destinations"] == {}
    assert (await told(plant, "ada-1"))["decision"]["duplicates"] == [3]
    assert (await told(plant, "ada-2"))["decision"]["duplicates"] == []


async def test_a_refused_event_is_found_by_number(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ada", 1), event("ada", 2), refused=[1])
    await arrived(plant, server, 1)
    found = await told(plant, "#2")
    assert (found["decision"]["result"], found["decision"]["code"]) == ("refused", "bad")
    assert found["event"]["json"] == event("ada", 2)


async def test_an_event_without_an_id_is_found_by_number_and_by_its_derived_id(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url))
    bare = event("ada", 1)
    del bare["messageId"]
    await plant.send(bare)
    await arrived(plant, server, 1)
    found = await told(plant, "#1")
    assert found["event"]["message_id"] == server.taken[0]["messageId"]
    assert (await told(plant, found["event"]["message_id"]))["number"] == 1


@pytest.mark.parametrize("wanted", ["nope", "#4", "#0", "#x", "#", "#99999999999999999999", "", "\ud800"])
async def test_what_is_not_there_is_said(plant: Plant, server: Any, wanted: str) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ada", 1))
    await arrived(plant, server, 1)
    with pytest.raises(Refused):
        await told(plant, wanted)


async def test_without_dedup_the_log_is_searched(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url, extra="dedup: {enabled: false}"))
    for n in range(1, 40):
        await plant.send(event("ada", n), event("bob", n))
    await arrived(plant, server, 78)
    for n in (1, 20, 39):
        found = await told(plant, f"bob-{n}")
        assert (found["number"], found["found_by"]) == (2 * n, "search")
        assert found["event"]["json"] == event("bob", n)


async def test_two_sources_with_one_id_are_told_apart(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url).replace("k}}", "k}, app: {write_key: a}}"))
    await plant.send(event("ada", 1))
    await plant.send(event("ada", 1), source="app")
    await arrived(plant, server, 2)
    assert (await told(plant, "ada-1", "web"))["number"] == 1
    assert (await told(plant, "ada-1", "app"))["number"] == 2
    newest = await told(plant, "ada-1")
    assert (newest["number"], newest["decision"]["other_sources"]) == (2, ["web"])
    assert "  another event has the same messageId: --source web" in [text for text, _ in lines(newest, full=False)]


async def test_a_batch_that_waits_for_more_events_says_until_when(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url, delivery="{batch: 10, linger: 1h}"))
    await plant.send(event("ada", 1))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["queued"] == 1)
    found = await told(plant, "ada-1")
    until = found["destinations"]["hook"]["fills_until"]
    why = f"queued: it is next in its lane; its batch waits for more events until {until}"
    assert verdict(found) == ("pending", why)
    assert until > found["event"]["received_at"]


async def test_an_event_from_before_a_destination_began(plant: Plant, server: Server) -> None:
    url = str(server.url)
    await plant.start(config(url))
    await plant.send(event("ada", 1))
    await arrived(plant, server, 1)
    more = f'  later: {{type: webhook, settings: {{webhook_url: "{url}"}}}}'
    await plant.reload(config(url, extra=more))
    found = await told(plant, "ada-1")
    assert verdict(found, "later")[0] == "none"
    assert "#2" in verdict(found, "later")[1]
    await plant.stop()
    await plant.start(config(url, extra=more))
    assert verdict(await told(plant, "ada-1"), "later")[0] == "none"


async def test_an_event_of_a_destination_that_is_gone(plant: Plant, server: Server) -> None:
    url = str(server.url)
    more = f'  other: {{type: webhook, start: beginning, settings: {{webhook_url: "{url}"}}}}'
    await plant.start(config(url, extra=more))
    await plant.send(event("ada", 1))
    await arrived(plant, server, 2)
    await plant.until(lambda: plant.engine.ledger.counts["other", "delivered"] == 1)
    await plant.reload(config(url))
    found = await told(plant, "ada-1")
    assert found["destinations"]["other"]["state"] == "removed"
    assert verdict(found, "other")[0] == "delivered"
    assert found["destinations"]["other"]["reconstructed"]["parts"][0]["requests"]


async def test_an_event_that_waited_when_its_destination_was_removed_is_not_called_dead(
    plant: Plant, server: Server
) -> None:
    url = str(server.url)
    await plant.start(config(url, extra=f'  other: {{type: webhook, settings: {{webhook_url: "{url}"}}}}'))
    server.answer = lambda _: (500, {})
    await plant.send(event("ada", 1))
    await plant.until(lambda: plant.status()["destinations"]["other"]["retrying"] == 1)
    assert verdict(await told(plant, "ada-1"), "other")[0] == "pending"
    await plant.reload("discard: [other]\n" + config(url))
    said = verdict(await told(plant, "ada-1"), "other")
    assert said[0] == "unknown"
    assert "removed from the config; the last answer: HTTP 500" in said[1]


async def test_what_was_released_is_told_from_what_is_left(plant: Plant, server: Any) -> None:
    """The log and the sidecar let go; journal and id tables still know."""
    server.answer = lambda body: (400 if body["userId"] == "bob" else 200, {})
    await plant.start(config(server.url))
    await plant.send(event("ada", 1))
    await plant.send(event("bob", 1))
    await plant.until(lambda: len(server.got) == 2)
    await plant.until(lambda: bool(find(plant.folder / "data" / "journal", 2)))
    heads = plant.partitions.heads
    await plant.stop()
    for path in (plant.folder / "data" / "sequence").glob("*.seq"):
        path.unlink()
    (plant.folder / "data" / "sequence" / f"{50:020d}.seq").write_bytes(pack_header(50, heads))
    await plant.start(config(server.url))
    found = await told(plant, "ada-1")
    assert found["event"] is None
    assert verdict(found)[0] == "delivered"
    assert found["destinations"]["hook"]["reconstructed"] is None
    assert verdict(await told(plant, "bob-1"))[0] == "dead"
    with pytest.raises(Refused, match=r"event #2 came from web, not from shop"):  # its letter knows
        await told(plant, "#2", "shop")
    assert verdict(await told(plant, "#1", "shop"))[0] == "delivered"  # where it came from nobody knows any more


async def test_an_event_that_cannot_be_read_does_not_stop_it(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ada", 1))
    await arrived(plant, server, 1)
    plant.runner.functions.clear()  # as if every script had vanished: the walk fails, the telling does not
    for path in (plant.folder / "data" / "history" / "configs").iterdir():
        path.unlink()
    await plant.reload(config(server.url, delivery="{batch: 2}"))
    found = await told(plant, "ada-1")
    assert verdict(found)[0] == "delivered"
    (note,) = found["destinations"]["hook"]["reconstructed"]["notes"]
    assert "not kept any more" in note


async def test_a_script_that_fetches_is_not_run_again(plant: Plant, server: Any) -> None:
    text = config(server.url, chain="[drop]").replace("drop.py}", "drop.py, fetch: {allow: [api.example.com]}}")
    await plant.start(text)
    await plant.send(event("ada", 2))
    await arrived(plant, server, 1)
    runs = len(plant.runner.runs)
    found = await told(plant, "ada-2")
    assert verdict(found)[0] == "delivered"
    assert found["destinations"]["hook"]["reconstructed"]["notes"] == [
        "not run again, since it fetches from other hosts: drop"
    ]
    assert len(plant.runner.runs) == runs


async def test_a_secret_that_a_script_writes_into_an_event_is_masked(plant: Plant, server: Any) -> None:
    plant.runner.functions["drop"] = lambda e: {**e, "key": "secret-value-7"}
    text = config(server.url, chain="[drop]").replace("drop.py}", "drop.py, credentials: {KEY: secret-value-7}}")
    await plant.start(text)
    await plant.send(event("ada", 2))
    await arrived(plant, server, 1)
    found = await told(plant, "ada-2")
    assert server.taken[0]["key"] == "secret-value-7"
    assert found["destinations"]["hook"]["reconstructed"]["steps"][0]["outputs"][0]["changes"][0]["to"] == "***"
    assert "secret-value-7" not in json.dumps(found)
    stored = [p.read_text() for p in (plant.folder / "data" / "history").rglob("*") if p.is_file()]
    assert not any("secret-value-7" in text for text in stored)


async def test_a_replay_is_told_apart_from_its_destination(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ada", 1))
    await arrived(plant, server, 1)
    server.answer = lambda body: (422, {})
    row = await plant.call("replay.start", {"destination": "hook", "unordered": True})
    await plant.until(lambda: plant.engine.replays.rows[row["id"]].state == "done")
    found = await told(plant, "ada-1")
    assert verdict(found)[0] == "delivered"
    assert found["destinations"]["hook"]["dead"] == []
    replay = found["destinations"][f"replay:{row['id']}"]
    assert (replay["verdict"], replay["type"], replay["reason"]) == ("dead", "replay", "to hook")
    assert [one["replay"] for one in replay["dead"]] == [row["id"]]
    assert replay["reconstructed"]["running"] is True


async def test_an_event_of_a_replay_that_runs_or_was_cancelled_is_not_called_dead(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ada", 1), event("ada", 2))
    await plant.until(lambda: len(server.taken) == 2)
    server.answer = lambda body: (500, {})
    row = await plant.call("replay.start", {"destination": "hook", "unordered": True})
    ident, name = row["id"], f"replay:{row['id']}"
    await plant.until(lambda: len(plant.engine.replays.running(ident).courier.chains) == 2)
    for messages, why in (("ada-1", "HTTP 500"), ("ada-2", "waits behind #1")):
        replay = (await told(plant, messages))["destinations"][name]
        assert (replay["verdict"], replay["type"], replay["target"]) == ("pending", "replay", "hook")
        assert replay["why"].startswith(why)
    said = "\n".join(text for text, _ in lines(await told(plant, "ada-1"), full=False))
    assert f"{name} (replay to hook): pending: " in said
    await plant.call("replay.cancel", {"id": ident})
    assert verdict(await told(plant, "ada-1"), name) == (
        "unknown", "not delivered when the replay was cancelled; the last answer: HTTP 500",
    )


async def test_a_replay_is_reconstructed_by_what_its_destination_was_called_then(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ada", 1))
    await plant.until(lambda: len(server.taken) == 1)
    row = await plant.call("replay.start", {"destination": "hook", "unordered": True})
    await plant.until(lambda: plant.engine.replays.rows[row["id"]].state == "done")
    plant.advance(3600)
    crm = config(server.url, delivery="{timeout: 5s}").replace("  hook:", "  crm:") + "    was: hook\n"
    await plant.reload(crm)
    replay = (await told(plant, "ada-1"))["destinations"][f"replay:{row['id']}"]
    assert (replay["target"], replay["reconstructed"]["notes"]) == ("crm", [])
    assert replay["reconstructed"]["parts"][0]["requests"]


async def test_what_a_replay_wrote_as_it_was_received_is_not_reconstructed(
    plant: Plant, server: Any, tmp_path: Path
) -> None:
    await plant.start(config(server.url))
    await plant.send(event("ada", 1))
    await plant.until(lambda: len(server.taken) == 1)
    row = await plant.call("replay.start", {"file": str(tmp_path / "ada.ndjson")})
    await plant.until(lambda: plant.engine.replays.rows[row["id"]].state == "done")
    replay = (await told(plant, "ada-1"))["destinations"][f"replay:{row['id']}"]
    assert (replay["verdict"], replay["reconstructed"], replay["target"]) == (
        "delivered", None, str(tmp_path / "ada.ndjson"),
    )


async def test_an_archived_event_is_not_called_dead(plant: Plant, server: Any) -> None:
    """It was tried, put back while the destination was down, and then left the full backlog."""
    server.answer = lambda body: (500, {})
    await plant.start(config(server.url))
    await plant.send(event("ada", 1))
    engine = plant.engine
    await plant.until(lambda: bool(find(plant.folder / "data" / "journal", 1)))
    courier = engine.couriers["hook"]
    segment = engine.archive.write("hook", engine.sequencer.load(1, 1)[0])
    engine.archive.keep(segment, engine.ledger.changes)
    for row in list(courier.chains.rows()):
        courier.chains.remove(row)
        engine.ledger.changes.drop(row)
    found = await told(plant, "ada-1")
    assert verdict(found)[0] == "archived"
    assert "archived" in "\n".join(text for text, _ in lines(found, full=False))


async def test_an_event_that_left_a_full_backlog_is_in_the_archive(plant: Plant, server: Any) -> None:
    await plant.start(config(server.url) + "    enabled: false\n    backlog: {max_age: 12h}\n")
    await plant.send(event("ada", 1), event("ada", 2))
    await plant.until(lambda: plant.engine.sequencer.next_number == 3)
    assert verdict(await told(plant, "ada-1"))[0] == "pending"
    plant.advance(86_400)
    await plant.engine.backlogs.look()
    found = await told(plant, "ada-1")
    assert verdict(found)[0] == "archived"
    assert "turnout replay --archive" in verdict(found)[1]
    plant.advance(100 * 86_400)
    await plant.engine.backlogs.look()  # the archive lets go of it
    found = await told(plant, "ada-1")
    assert verdict(found)[0] == "unknown"
    assert verdict(found)[1].endswith("(the archive had to let go of 2 of the destination's events)")


async def test_what_was_tried_and_then_left_the_archive_is_not_called_dead(plant: Plant, server: Any) -> None:
    server.answer = lambda body: (500, {})
    await plant.start(config(server.url))
    await plant.send(event("ada", 1))
    await plant.until(lambda: bool(find(plant.folder / "data" / "journal", 1)))
    courier = plant.engine.couriers["hook"]
    for row in list(courier.chains.rows()):
        courier.chains.remove(row)
        plant.engine.ledger.changes.drop(row)
    plant.engine.ledger.add("hook", "expired", 1)
    found = await told(plant, "ada-1")
    assert verdict(found)[0] == "unknown"
    assert verdict(found)[1].startswith("HTTP 500; then it died or left a full backlog")


async def test_a_record_shows_its_key(plant: Plant, server: Any) -> None:
    """By it Kafka chooses the partition, Redis what it writes, and S3 names nothing."""
    await plant.start(config(server.url))
    await plant.send(event("ada", 1))
    await arrived(plant, server, 1)
    found = await told(plant, "ada-1")
    (part,) = found["destinations"]["hook"]["reconstructed"]["parts"]
    part["requests"] = []
    part["records"] = [{"target": "boats", "key": "ada", "body": 1}, {"target": "day", "key": None, "body": 2}]
    shown = [text.strip() for text, _ in lines(found, full=False)]
    assert "record for boats, key ada" in shown
    assert "record for day" in shown


async def test_what_was_sent_under_another_name_is_told_under_the_one_it_has_now(plant: Plant, server: Any) -> None:
    """Also once the config says `was:` no more, and a new destination has the old name."""
    await plant.start(config(server.url))
    await plant.send(event("ada", 1), event("bob", 2, integrations={"All": False}))
    await arrived(plant, server, 1)
    first = config(server.url).replace("  hook:", "  crm:")
    await plant.reload(first + "    was: hook\n")
    await plant.reload(first.replace("  crm:", "  third:") + "    was: crm\n")
    plant.advance(3600)
    again = first.replace("  crm:", "  third:") + config(server.url).partition("destinations:\n")[2]
    await plant.reload(again)
    await plant.send(event("eve", 3))
    await arrived(plant, server, 4)  # the new one reads from the beginning
    found = await told(plant, "ada-1")
    assert set(found["destinations"]) == {"third", "hook"}
    assert verdict(found, "third")[0] == "delivered"
    assert len(found["destinations"]["third"]["attempts"]) == 1
    assert found["destinations"]["third"]["reconstructed"]["parts"][0]["requests"]
    assert (verdict(found, "hook")[0], len(found["destinations"]["hook"]["attempts"])) == ("delivered", 1)
    assert verdict(await told(plant, "bob-2"), "third") == ("filtered", "integrations.All is false")
    assert {name: len(one["attempts"]) for name, one in (await told(plant, "eve-3"))["destinations"].items()} == {
        "third": 1, "hook": 1
    }
    taken, filtered = ends(
        [plant.engine.ledger.journal.folder], "third", 1, 9, plant.engine.ledger.state.renames(plant.engine.couriers)
    )
    assert [number in taken for number in (1, 2, 3)] == [True, False, True]
    assert [number in filtered for number in (1, 2, 3)] == [False, True, False]
