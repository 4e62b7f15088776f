"""What an adapter says is anyone's: nothing of it hurts more than the event it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event

from dataplane.deliver.exchange import run
from dataplane.deliver.rehearsal import rehearse
from destinations.webhook import Webhook
from turnout.bounds import most_steps
from turnout.destination import Context
from turnout.event import Event
from turnout.request import Checkpoint, Json, Request, Response
from turnout.verdict import Outcome, Verdict, delivered, retry


class Odd(Webhook):
    """Says what it is told to say."""

    says: Any

    def verdicts(self, request: Request, response: Response, at: Context) -> Sequence[Any]:
        return [delivered(200), self.says][: len(request.events)] if len(request.events) > 1 else [self.says]


@pytest.mark.parametrize(
    "says",
    [
        None, "delivered", Verdict(Outcome.DEAD, None), Verdict(Outcome.RETRY, "no", 10**30),
        retry("later", after=float("nan")), retry("later", after=float("inf")), Verdict("dead", "no"),
    ],
)  # fmt: skip
async def test_a_verdict_that_is_none_kills_only_its_event(says: Any) -> None:
    adapter = Odd(Webhook.settings_type.model_validate({"webhook_url": "https://example.com/"}))
    adapter.says = says
    events = [Event(b'{"type":"track"}', key=n, number=n) for n in (1, 2)]

    async def send(request: Request, carried: Sequence[Event]) -> Response:
        return Response(200)

    at = Context(datetime.now(UTC), Webhook.delivery)
    found = await run(adapter, events, at, send, None)
    assert {one.verdict.outcome for one in found} <= {Outcome.DELIVERED, Outcome.DEAD}
    assert found[1].verdict.reason.startswith("adapter error: ")


class Boxed(Odd):
    """A tool that wants its items in an object."""

    box: Any

    def together(self, events: Sequence[Event], at: Context) -> None:
        return None

    def merge(self, requests: Sequence[Request]) -> Request:
        return replace(requests[0], body=Json(self.box([{"n": n} for n, _ in enumerate(requests)])))


@pytest.mark.parametrize(("box", "kept"), [
    (lambda items: {"all": False, "items": items}, {"all": False, "items": [{"n": 1}]}),
    (lambda items: {"items": items, "more": [1, 2]}, {"items": [{"n": 0}, {"n": 1}], "more": [1, 2]}),
    (lambda items: {"items": items[:1]}, {"items": [{"n": 0}]}), (lambda items: items, [{"n": 0}, {"n": 1}]),
])  # fmt: skip
async def test_a_dead_event_keeps_its_own_part_of_a_batch_where_that_is_plain(box: Any, kept: Any) -> None:
    adapter = Boxed(Webhook.settings_type.model_validate({"webhook_url": "https://example.com/"}))
    adapter.says, adapter.box = Verdict(Outcome.DEAD, "no"), box
    events = [Event(b'{"type":"track"}', key=n, number=n) for n in (1, 2)]

    async def send(request: Request, carried: Sequence[Event]) -> Response:
        return Response(200)

    at = Context(datetime.now(UTC), replace(Webhook.delivery, batch=2))
    first, second = await run(adapter, events, at, send, None)
    assert first.verdict.outcome is Outcome.DELIVERED
    assert second.request is not None
    assert isinstance(second.request.body, Json)
    assert second.request.body.value == kept


async def test_a_fault_of_ours_sends_nothing_again_and_again(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plant.start(config(server.url))
    condition = plant.engine.couriers["hook"].condition
    with monkeypatch.context() as broken:
        broken.setattr(condition, "judge", lambda *_: 1 / 0)
        await plant.send(event("ann", 1))
        await plant.until(lambda: len(server.got) == 1 and plant.idle())
        await asyncio.sleep(0.3)
        assert len(server.got) == 1
    plant.advance(6)
    await plant.until(lambda: plant.status()["destinations"]["hook"]["delivered"] == 1)


class Endless(Webhook):
    """Polls for ever, for the users named so."""

    resumable = True

    def exchange(self, events: Sequence[Event], at: Context, resume: Any = None) -> Any:
        while any(one.message["userId"] == "loop" for one in events):
            yield Request("POST", self.settings.webhook_url.get_secret_value(), Json({}), events=(0,))
        for i, one in enumerate(events):
            yield Request("POST", self.settings.webhook_url.get_secret_value(), Json(one.message), events=(i,))
        return [delivered(200)] * len(events)


class Saving(Endless):
    """Keeps for ever where it stands."""

    def exchange(self, events: Sequence[Event], at: Context, resume: Any = None) -> Any:
        for step in count():
            yield Checkpoint(step)


def users(*names: str) -> list[Event]:
    return [Event(f'{{"type":"track","userId":"{who}"}}'.encode(), key=n, number=n) for n, who in enumerate(names, 1)]


async def test_an_exchange_that_asks_for_ever_kills_its_event_and_no_other() -> None:
    adapter = Endless(Webhook.settings_type.model_validate({"webhook_url": "https://example.com/"}))
    asked: list[Request] = []

    async def send(request: Request, carried: Sequence[Event]) -> Response:
        asked.append(request)
        return Response(200)

    at = Context(datetime.now(UTC), replace(Webhook.delivery, batch=3))
    first, loop, last = [one.verdict for one in await run(adapter, users("ann", "loop", "bob"), at, send, None)]
    assert first.outcome is Outcome.DELIVERED
    assert (loop.outcome, loop.reason) == (
        Outcome.DEAD,
        "adapter error: webhook: its exchange asked for more than 2,020 requests and checkpoints without an end",
    )
    assert (last.outcome, last.reason) == (
        Outcome.RETRY, "not sent: an event before it made the adapter ask without an end"
    )
    assert len(asked) == most_steps(3) + 1 + most_steps(1)


async def test_checkpoints_without_an_end_end_too() -> None:
    class Keeper:
        state: Any = None
        kept = 0

        async def keep(self, checkpoint: Checkpoint) -> None:
            self.kept += 1

    adapter = Saving(Webhook.settings_type.model_validate({"webhook_url": "https://example.com/"}))
    keeper = Keeper()

    async def send(request: Request, carried: Sequence[Event]) -> Response:
        raise AssertionError(request)

    (one,) = await run(adapter, users("ann"), Context(datetime.now(UTC)), send, None, keeper=keeper)
    assert one.verdict.outcome is Outcome.DEAD
    assert keeper.kept == most_steps(1)


def test_a_rehearsal_of_an_exchange_without_an_end_says_so() -> None:
    adapter = Endless(Webhook.settings_type.model_validate({"webhook_url": "https://example.com/"}))
    told = rehearse(adapter, users("loop")[0], Context(datetime.now(UTC)))
    assert told["verdict"] == "dead"
    assert told["reason"].startswith("webhook: its exchange asked for more than")


@pytest.mark.parametrize("what", ["bury", "keep"])
async def test_a_fault_while_settling_ends_the_process_and_pauses_the_destination(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Nothing hangs, no other destination is hurt a second time, and a person is told what to do."""
    server.answer = lambda body: (200 if body["userId"] == "ann" else 400 if what == "bury" else 503, {})
    takes = Server()  # an answer to `other` may be written down before the one to `hook` is there
    more = f"{{type: webhook, start: beginning, settings: {{webhook_url: '{await takes.start()}'}}}}"
    both = f"{config(server.url)}  other: {more}\n"
    await plant.start(both)
    await plant.send(event("ann", 1))
    await plant.until(lambda: row(plant, "hook")["delivered"] == 1)
    await plant.engine.books.commit()
    real = getattr(plant.engine.ledger, what)

    def broken(first: Any, *args: Any, **named: Any) -> None:
        if "hook" in (first, getattr(first, "destination", "")):
            raise ZeroDivisionError
        real(first, *args, **named)

    monkeypatch.setattr(plant.engine.ledger, what, broken)
    await plant.send(event("bob", 1))
    while not plant.faults:
        await asyncio.sleep(0.01)
    assert isinstance(plant.faults.pop(), ZeroDivisionError)
    plant.faults.clear()
    monkeypatch.undo()
    server.answer = lambda _: (200, {})
    plant.engine.ledger.dirty.clear()  # as in a process that has ended, nothing more of it is written
    monkeypatch.setattr(plant.engine.books, "commit", _nothing)
    await plant.stop()
    await plant.start(both)
    await plant.until(lambda: row(plant, "other")["delivered"] == 2)
    assert row(plant, "hook")["state"] == "paused"
    reason = row(plant, "hook")["reason"]
    assert reason.startswith("a fault of Turnout's own (ZeroDivisionError at test_adapter_faults.py:")
    assert row(plant, "hook")["next_probe_at"] is None
    plant.advance(4000)
    await asyncio.sleep(0.1)
    assert row(plant, "hook")["delivered"] == 1
    await plant.call("destination.resume", {"destination": "hook"})
    await plant.until(lambda: row(plant, "hook")["delivered"] == 2)
    assert (row(plant, "hook")["pending"], row(plant, "hook")["state"]) == (0, "running")
    await takes.stop()


async def _nothing() -> None: ...


def row(plant: Plant, name: str) -> dict[str, Any]:
    found: dict[str, Any] = plant.status()["destinations"][name]
    return found
