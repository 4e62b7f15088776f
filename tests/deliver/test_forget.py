"""User deletion through the engine: batches as the adapter says, with its credentials, a report per destination."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from crm_tool import ENTRY, KEY, CrmServer
from engine_kit import Plant

from dataplane.config.pauses import Pause, Pauses
from dataplane.deliver import forget
from destinations import registry
from turnout.errors import Fixable


@pytest.fixture(autouse=True)
def _plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_others", lambda: {ENTRY.name: ENTRY})


@pytest.fixture
async def crm() -> AsyncIterator[CrmServer]:
    with CrmServer() as running:
        yield running


def config(crm: CrmServer, *, key: str = KEY, delivery: str = "{}") -> str:
    return f"""
egress: {{allow_private: true}}
sources: {{web: {{write_key: k}}}}
destinations:
  crm: {{type: crm, settings: {{url: "{crm.url}", key: {key}}}, delivery: {delivery}}}
  hook: {{type: webhook, settings: {{webhook_url: "{crm.url}"}}}}
"""


async def ask(plant: Plant, *ids: str, **more: Any) -> dict[str, Any]:
    users = [{"userId": one} if one else {"email": "ann@example.com"} for one in ids]
    told = await plant.call("forget", {"users": users, **more})
    found: dict[str, Any] = told["destinations"]
    return found


async def test_users_are_deleted_in_batches_and_each_has_a_verdict(plant: Plant, crm: CrmServer) -> None:
    await plant.start(config(crm))
    found = await ask(plant, "a", "b", "", "c", "d")
    assert crm.gone == ["a", "b", "c", "d"]
    assert [one.json() for one in crm.received] == [{"ids": ["a", "b"]}, {"ids": ["c"]}, {"ids": ["d"]}]
    assert found["crm"] == {
        "type": "crm", "outcome": "done", "done": 4, "skipped": 1, "failed": 0, "retry": 0,
        "reasons": {"no userId": 1}, "again": [], "would_ask": 0, "unsent": [], "retry_after": None,
    }
    assert found["hook"]["outcome"] == "not_supported"
    assert "hook" not in await ask(plant, "e", destinations=["crm"])


@pytest.mark.parametrize(
    ("user", "outcome", "reason", "after"),
    [
        ("404", "done", "HTTP 404: was not there", None),
        ("400", "failed", "HTTP 400", None),
        ("401", "failed", "HTTP 401: the tool refuses these credentials", None),
        ("429", "retry", "HTTP 429", 7.0),
        ("503", "retry", "HTTP 503", None),
        ("bug", "failed", "adapter error: KeyError at crm_tool.py:", None),
    ],
)
async def test_what_fails_says_why_and_for_whom(
    plant: Plant, crm: CrmServer, user: str, outcome: str, reason: str, after: float | None
) -> None:
    await plant.start(config(crm))
    row = (await ask(plant, "a", "b", user))["crm"]
    assert (row["outcome"], row["retry_after"]) == (outcome, after)
    assert row["again"] == ([] if outcome == "done" else [2])
    (said,) = row["reasons"]
    assert said.startswith(reason)
    assert crm.gone == ["a", "b"]


async def test_wrong_credentials_are_told(plant: Plant, crm: CrmServer) -> None:
    await plant.start(config(crm, key="wrong-key-456"))
    row = (await ask(plant, "a"))["crm"]
    assert (row["outcome"], list(row["reasons"])) == ("failed", ["HTTP 401: the tool refuses these credentials"])
    assert plant.status()["destinations"]["crm"]["state"] == "running", "events find that out themselves"


async def test_a_destination_that_is_paused_is_asked_for_nothing(plant: Plant, crm: CrmServer) -> None:
    await plant.start(config(crm))
    plant.engine.hold(
        Pauses(pauses=(Pause("destination", "crm", "2026-11-23T09:36:56.000Z", "ann", "an audit"),))
    )
    row = (await ask(plant, "a"))["crm"]
    assert row["outcome"] == "retry"
    assert "paused" in next(iter(row["reasons"]))
    assert crm.received == []


async def test_its_requests_count_in_the_rate(plant: Plant, crm: CrmServer) -> None:
    await plant.start(config(crm, delivery="{rate: 0.01}"))
    condition = plant.engine.couriers["crm"].condition
    assert condition.wait() == 0
    row = (await ask(plant, "a", "b", "c"))["crm"]
    assert condition.wait() > 50
    assert (row["done"], row["retry"], crm.gone) == (2, 1, ["a", "b"])
    assert next(iter(row["reasons"])).startswith("nothing is sent to it now, for ")


async def test_a_call_without_time_leaves_users_unsent(
    plant: Plant, crm: CrmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "BUDGET", -1.0)
    await plant.start(config(crm))
    row = (await ask(plant, "a", "b", "c"))["crm"]
    assert (row["done"], row["unsent"], crm.gone) == (2, [2], ["a", "b"])


async def test_dry_run_asks_nobody(plant: Plant, crm: CrmServer) -> None:
    await plant.start(config(crm))
    found = await ask(plant, "a", dry_run=True)
    assert (found["crm"]["outcome"], found["hook"]["outcome"]) == ("done", "not_supported")
    assert crm.received == []


async def test_a_dry_run_says_what_would_happen(plant: Plant, crm: CrmServer) -> None:
    text = config(crm) + "  seg: {type: segment, settings: {write_key: k}}\n"
    await plant.start(text)
    found = await ask(plant, "a", "", "bug", dry_run=True)
    row = found["crm"]
    assert (row["would_ask"], row["skipped"], row["failed"], row["again"]) == (1, 1, 1, [2])
    assert found["seg"]["outcome"] == "failed"
    (why,) = found["seg"]["reasons"]
    assert "set public_api_token" in why
    await plant.reload(text.replace("{type: crm,", "{type: crm, enabled: false,"))
    row = (await ask(plant, "a", dry_run=True))["crm"]
    assert (row["outcome"], row["would_ask"]) == ("retry", 0)
    assert list(row["reasons"]) == ["the destination is disabled: enabled: false in the config"]
    assert crm.received == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"users": []}, "give 1 to 100 users"),
        ({"users": [{"userId": "a"}] * 101}, "give 1 to 100 users"),
        ({"users": [{"userId": "a"}, {"traits": {}}]}, "user 2: a user needs one of userId, email, anonymousId"),
        ({"users": [{"userId": 7}]}, "user 1: userId is text"),
        ({"users": [{"userId": "a", "ann@example.com": 1}]}, "user 1: a user has 1 keys that are not known"),
        ({"users": [{"userId": "a"}], "destinations": ["cmr"]}, "no destination is called cmr"),
    ],
)
async def test_a_wrong_question_is_an_error(plant: Plant, crm: CrmServer, args: dict[str, Any], said: str) -> None:
    await plant.start(config(crm))
    with pytest.raises(Fixable, match=said):
        await plant.call("forget", args)
    assert crm.received == []
