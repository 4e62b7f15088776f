"""The default exchange: everything accounted for, merged within limits, a user's order kept."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import (
    Context,
    Delivery,
    Destination,
    Event,
    Form,
    Json,
    JsonArray,
    Outcome,
    Record,
    Request,
    Response,
    dead,
    delivered,
    filtered,
    judge,
    pause,
    retry,
)
from turnout.destination import BEHIND
from turnout.errors import Refused
from turnout.settings import Settings
from turnout.testing import drive

STEADY = settings(deadline=None, derandomize=True)
"""The same cases on every run, however busy the machine."""

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Plain(Destination[Settings]):
    """Obeys the event: `do` says what is made of it."""

    slug: ClassVar = "plain"
    names: ClassVar = ("Plain",)

    def request(self, event, at):
        do, message = event.get("do", ""), event.message
        pad = message.get("pad", "")
        requests = [
            Request("POST", f"http://h/{url}", Json({"n": message["n"], "part": i, "pad": pad}))
            for i, url in enumerate(message.get("urls", ["a"]))
        ]
        made = {
            "filter": filtered("not meant"), "dead": dead("bad"), "retry": retry("later"), "empty": [],
            "form": Request("POST", "http://h/a", Form({"n": str(message["n"])})),
            "refuse": Refused("no", "refused by the adapter"), "bug": KeyError("ines@example.com"),
        }.get(do, requests)
        if isinstance(made, Exception):
            raise made
        return made


def event(n: int, key: int = 0, **more) -> Event:
    return Event(message={"type": "track", "messageId": f"m{n}", "n": n, **more}, key=key, number=n)


def at(**delivery) -> Context:
    return Context(NOW, Delivery(**delivery))


EVENTS = st.lists(
    st.fixed_dictionaries({
        "key": st.integers(0, 3),
        "urls": st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
        "do": st.sampled_from(["", "", "", "", "filter", "dead", "retry", "empty", "form", "refuse", "bug"]),
        "pad": st.text("x", max_size=30),
    }),
    max_size=25,
)
ALIKE = st.lists(st.fixed_dictionaries({"key": st.integers(0, 3), "pad": st.text("x", max_size=30)}), max_size=25)
STATUSES = st.lists(st.sampled_from([200, 200, 200, 400, 401, 413, 429, 500, 0]), min_size=1, max_size=8)


ORDERS = st.sampled_from(["user", "none"])


@STEADY
@given(EVENTS, STATUSES, st.integers(1, 6), st.integers(80, 400), st.booleans(), ORDERS)
def test_accounted_for_within_limits_and_in_order(given_, statuses, batch, room, atomic, order) -> None:
    adapter = type("Adapter", (Plain,), {"atomic": atomic})(Settings())
    events = [event(i, **fields) for i, fields in enumerate(given_)]
    calls: list[int] = []

    def answer(request: Request) -> Response:
        status = statuses[len(calls) % len(statuses)]
        calls.append(status)
        return Response(status, error="" if status else "h: no answer")

    found, sent = drive(adapter, events, at(batch=batch, batch_bytes=room, order=order), answer)

    assert len(found) == len(events)
    for i, one in enumerate(events):
        statuses_of = [calls[n] for n, request in enumerate(sent) if i in request.events]
        if one.get("do") in ("filter", "dead", "retry", "empty", "refuse", "bug"):
            assert not statuses_of
        if found[i].outcome is Outcome.DELIVERED:
            parts = 1 if one.get("do") == "form" else len(one.get("urls"))
            assert len([s for s in statuses_of if s == 200]) >= 1
            assert sum(r.events.count(i) for n, r in enumerate(sent) if calls[n] == 200) == parts
    for request in sent:
        assert request.events
        assert len(request.events) <= batch
        if batch > 1 and not isinstance(request.body, Form):
            assert isinstance(request.body, JsonArray)
            assert [v["n"] for v in request.body.values] == list(request.events)
            assert len(request.events) == 1 or len(request.body.encode()[0]) <= room
    if order == "user":
        check_order(events, found, sent)


class Together(Plain):
    """The same, saying at once what many events come to."""

    def together(self, events, at):
        requests = []
        for one in events:
            if one.get("do") in ("filter", "dead", "retry", "empty", "form"):
                return None
            requests += self.request(one, at)  # or raises
        alike = len(requests) == len(events) and len({self.group(request) for request in requests}) == 1
        return self.merge(requests) if alike else None


@STEADY
@given(ALIKE | EVENTS, STATUSES, st.integers(1, 30), st.integers(80, 2_000), st.booleans(), ORDERS)
def test_all_at_once_is_the_same_as_one_by_one(given_, statuses, batch, room, atomic, order) -> None:
    made = []
    for kind in (Plain, Together):
        adapter = type("Adapter", (kind,), {"atomic": atomic})(Settings())
        events = [event(i, **fields) for i, fields in enumerate(given_)]
        answers = iter(statuses * 60)
        found, sent = drive(
            adapter, events, at(batch=batch, batch_bytes=room, order=order),
            lambda _, answers=answers: Response(status := next(answers), error="" if status else "h: no answer"),
        )  # fmt: skip
        made.append((found, sent))
    assert made[0] == made[1]


def test_a_document_of_bytes_is_read_when_it_is_looked_at() -> None:
    document = Json.encoded(b'{"n": 1}')
    assert document.encode() == (b'{"n": 1}', "application/json")
    assert document == Json({"n": 1})
    assert document != Json({"n": 2})
    array = JsonArray.of([document, Json([2])])
    assert array.encode() == (b'[{"n": 1},[2]]', "application/json")
    assert array == JsonArray([{"n": 1}, [2]])
    with pytest.raises(Refused):
        _ = Json.encoded(b"{").value


def check_order(events, found, sent) -> None:
    """First tries leave in order; nothing of a user leaves after one of theirs that must wait."""
    for key in {one.key for one in events} - {0}:
        seen: list[int] = []
        for request in sent:
            seen += [i for i in request.events if events[i].key == key and i not in seen]
        assert seen == sorted(seen)
        waiting = [i for i, one in enumerate(events) if one.key == key and not found[i].final]
        if waiting:
            last = max((n for n, request in enumerate(sent) if waiting[0] in request.events), default=-1)
            for n, request in enumerate(sent):
                later = [i for i in request.events if events[i].key == key and i > waiting[0]]
                assert n <= last or not later


@STEADY
@given(st.lists(st.sampled_from(["few", "many"]), max_size=30), st.integers(2, 9))
def test_an_address_that_takes_fewer_gets_fewer(urls, batch) -> None:
    limit = {"few": 3, "many": 99}
    adapter = type("Adapter", (Plain,), {"limit": lambda self, r, at: limit[r.url.rpartition("/")[2]]})(Settings())
    events = [event(i, urls=[url]) for i, url in enumerate(urls)]
    found, sent = drive(adapter, events, at(batch=batch), lambda _: Response(200))
    assert [one.outcome for one in found] == ["delivered"] * len(urls)
    for url, most in limit.items():
        sizes = [len(r.events) for r in sent if r.url.endswith(url)]
        assert all(size == min(most, batch) for size in sizes[:-1])
        assert all(0 < size <= min(most, batch) for size in sizes[-1:])


@STEADY
@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(2, 9))
def test_what_weighs_more_leaves_less_room(weights, batch) -> None:
    def weight(self, request):
        return weights[request.body.value["n"]]

    adapter = type("Adapter", (Plain,), {"weight": weight})(Settings())
    events = [event(i) for i in range(len(weights))]
    found, sent = drive(adapter, events, at(batch=batch), lambda _: Response(200))
    assert [one.outcome for one in found] == ["delivered"] * len(weights)
    loads = [sum(weights[i] for i in request.events) for request in sent]
    assert all(load <= batch or len(request.events) == 1 for load, request in zip(loads, sent, strict=True))
    for load, following in zip(loads[:-1], sent[1:], strict=True):
        assert load + weights[following.events[0]] > batch, "it had room for one more"


def test_parts_of_one_event_leave_in_order_and_the_worst_decides() -> None:
    answers = iter([200, 400])
    events = [event(0, 1, urls=["a", "b", "c"])]
    found, sent = drive(Plain(Settings()), events, at(), lambda _: Response(next(answers)))
    assert [r.url[-1] for r in sent] == ["a", "b"], "after a part that died the rest is not sent"
    assert found[0].outcome is Outcome.DEAD


def test_a_user_that_waits_holds_only_their_own() -> None:
    def answer(request: Request) -> Response:
        return Response(503 if request.events == (0,) else 200)

    events = [event(0, 1), event(1, 2), event(2, 1), event(3, 0)]
    found, _ = drive(Plain(Settings()), events, at(), answer)
    assert [str(v.outcome) for v in found] == ["retry", "delivered", "retry", "delivered"]
    assert found[2].reason == BEHIND


def test_an_adapter_that_asks_to_wait_holds_its_user_too() -> None:
    found, sent = drive(
        Plain(Settings()), [event(0, 1, do="retry"), event(1, 1), event(2, 2)], at(), lambda _: Response(200)
    )
    assert [str(v.outcome) for v in found] == ["retry", "retry", "delivered"]
    assert [r.events for r in sent] == [(2,)]


@pytest.mark.parametrize(("status", "outcome"), [(401, "pause"), (429, "retry")])
def test_nothing_more_is_sent_to_a_tool_that_refuses_everybody(status, outcome) -> None:
    reply = Response(status, {"Retry-After": "9"})
    found, sent = drive(Plain(Settings()), [event(i, i) for i in range(5)], at(), lambda _: reply)
    assert len(sent) == 1
    assert {str(v.outcome) for v in found} == {outcome}
    assert {v.after for v in found} == ({9.0} if status == 429 else {None})


@pytest.mark.parametrize("poison", [None, 0, 3, 7])
def test_an_atomic_tool_is_told_apart_from_its_poison(poison) -> None:
    adapter = type("Atomic", (Plain,), {"atomic": True})(Settings())

    def answer(request: Request) -> Response:
        return Response(400 if poison in request.events else 200)

    found, sent = drive(adapter, [event(i, 1 + i % 3) for i in range(8)], at(batch=8), answer)
    died = [i for i, v in enumerate(found) if v.outcome is Outcome.DEAD]
    assert died == ([] if poison is None else [poison])
    assert len(sent) <= 7


def test_what_an_atomic_tool_took_item_by_item_is_not_halved() -> None:
    class Atomic(Plain):
        atomic = True

        def verdicts(self, request, response, at):
            return [dead("no")] * len(request.events)

    found, sent = drive(Atomic(Settings()), [event(i) for i in range(4)], at(batch=4), lambda _: Response(207))
    assert len(sent) == 1
    assert {str(v.outcome) for v in found} == {"dead"}


def test_a_batch_that_is_rejected_is_not_split_unless_the_adapter_says_so() -> None:
    found, sent = drive(Plain(Settings()), [event(i) for i in range(4)], at(batch=4), lambda _: Response(400))
    assert len(sent) == 1
    assert {str(v.outcome) for v in found} == {"dead"}


def test_one_address_of_a_tool_may_be_atomic() -> None:
    adapter = type("Partly", (Plain,), {"takes_whole": lambda self, r: r.url.endswith("b")})(Settings())

    def answer(request: Request) -> Response:
        return Response(400 if {0, 4} & set(request.events) else 200)

    events = [event(i, urls=["a" if i < 4 else "b"]) for i in range(8)]
    found, sent = drive(adapter, events, at(batch=4), answer)
    assert [str(v.outcome) for v in found] == ["dead"] * 5 + ["delivered"] * 3
    assert len([request for request in sent if request.url.endswith("a")]) == 1


def test_a_tool_may_answer_per_item() -> None:
    class PerItem(Plain):
        def verdicts(self, request, response, at):
            return [delivered() if ok else dead("row refused") for ok in response.json()]

    rows = Response(207, {}, b"[1,0,1]")
    found, _ = drive(PerItem(Settings()), [event(i) for i in range(3)], at(batch=9), lambda _: rows)
    assert [str(v.outcome) for v in found] == ["delivered", "dead", "delivered"]


def test_bugs_and_refusals_are_dead_without_the_payload() -> None:
    adapter = Plain(Settings())
    bug = adapter.verdict(event(0, do="bug"), at())
    assert bug.outcome is Outcome.DEAD
    assert "KeyError at " in bug.reason
    assert "test_exchange.py:" in bug.reason
    assert "ines" not in bug.reason
    assert adapter.verdict(event(0, do="refuse"), at()) == dead("refused by the adapter")
    assert adapter.verdict(Event(b"{oops"), at()).outcome is Outcome.DEAD
    assert adapter.verdict(Event(b'{"type":"ines@example.com"}'), at()).outcome is Outcome.FILTERED
    assert "ines" not in adapter.verdict(Event(b'{"type":"ines@example.com"}'), at()).reason


def test_a_body_that_cannot_be_written_is_dead_and_hurts_nobody() -> None:
    class Odd(Plain):
        def request(self, event, at):
            return Request("POST", "http://h/", Json({"n": event.get("n"), "odd": event.get("odd") and {1j}}))

    events = [event(0), event(1, odd=True), event(2)]
    found, sent = drive(Odd(Settings()), events, at(batch=9), lambda _: Response(200))
    assert [str(v.outcome) for v in found] == ["delivered", "dead", "delivered"]
    assert [r.events for r in sent] == [(0, 2)]


def test_records_are_not_sent_over_http() -> None:
    class Store(Plain):
        def request(self, event, at):
            return Record("t", None, b"x")

    with pytest.raises(TypeError, match=r"client\.py"):
        drive(Store(Settings()), [event(0)], at(), lambda _: Response(200))


def test_ids_are_stable_and_tell_everything_apart() -> None:
    one = Event(message={"messageId": "m"}, source="web")
    context = at()
    assert context.id(one) == context.id(Event(message={"messageId": "m"}, source="web", number=9))
    others = [
        context.id(one, "salt"), context.id(Event(message={"messageId": "m"}, source="app")),
        context.id(Event(message={"messageId": "m"}, source="web", child=1)),
        context.id(Event(message={"messageId": "n"}, source="web")),
    ]
    assert len({context.id(one), *others}) == 5
    assert uuid.UUID(context.id(one)).version == 4
    assert uuid.UUID(context.id(one)).variant == uuid.RFC_4122


@pytest.mark.parametrize("status", range(100, 600))
def test_the_status_table(status) -> None:
    verdict = judge(Response(status, {"Retry-After": "7"}), NOW)
    if 200 <= status < 300:
        assert verdict == delivered(status)
    elif status in (408, 425, 429) or status >= 500:
        assert (verdict.outcome, verdict.after, verdict.status) == (Outcome.RETRY, 7.0, status)
    elif status == 401:
        assert (verdict.outcome, verdict.status) == (Outcome.PAUSE, 401)
    else:
        assert (verdict.outcome, verdict.status) == (Outcome.DEAD, status)


def test_no_answer() -> None:
    assert judge(Response(0, error="h: reset"), NOW) == retry("h: reset")
    assert judge(Response(0), NOW) == retry("no answer")
    assert judge(Response(0, error="h: private", permanent=True), NOW) == dead("h: private")
    assert judge(Response(200, error="cut"), NOW) == delivered(200)
    assert judge(Response(600), NOW).outcome is Outcome.DEAD
    assert pause("x").final is False
    assert replace(delivered(), reason="x").final
