"""Events one after the other, each with requests that depend on answers: in order, stopped by a pause or a 429."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import Context, Delivery, Event, Outcome, Request, Response, judge
from turnout.destination import BEHIND, UNSENT
from turnout.turns import Steps, in_turn

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def steps(event: Event, at: Context) -> Steps:
    """A look-up and, where that finds something, what depends on it."""
    answer = yield Request("GET", f"http://h/{event.get('n')}")
    if answer.status == 200 and answer.body:
        answer = yield Request("PUT", f"http://h/{answer.body.decode()}")
    return judge(answer, at.now)


def run(keys: list[int], answers: dict[str, Response], **chosen: Any) -> tuple[list[tuple[str, str]], list[Request]]:
    events = [Event(message={"n": n}, key=key) for n, key in enumerate(keys)]
    exchange = in_turn(events, Context(NOW, Delivery(**chosen)), steps)
    sent: list[Request] = []
    reply: Response | None = None
    while True:
        try:
            asked = exchange.send(reply)
        except StopIteration as end:
            return [(str(one.outcome), one.reason) for one in end.value], sent
        assert isinstance(asked, Request)
        sent.append(asked)
        reply = answers.get(asked.url, Response(204))


def test_an_answer_reaches_the_steps_that_asked() -> None:
    found, sent = run([1, 2], {"http://h/0": Response(200, body=b"boat")})
    assert [outcome for outcome, _ in found] == ["delivered", "delivered"]
    assert [(one.method, one.url, one.events) for one in sent] == [
        ("GET", "http://h/0", (0,)), ("PUT", "http://h/boat", (0,)), ("GET", "http://h/1", (1,)),
    ]


def test_a_user_waits_behind_an_event_that_failed_and_others_do_not() -> None:
    found, sent = run([1, 1, 2], {"http://h/0": Response(503)})
    assert found[1] == ("retry", BEHIND)
    assert [outcome for outcome, _ in found] == ["retry", "retry", "delivered"]
    assert [one.events for one in sent] == [(0,), (2,)]


def test_nobody_waits_where_order_is_given_up_or_nobody_is_named() -> None:
    assert len(run([1, 1], {"http://h/0": Response(503)}, order="none")[1]) == 2
    assert len(run([0, 0], {"http://h/0": Response(503)})[1]) == 2


def test_nothing_is_sent_after_a_pause_or_a_429() -> None:
    for status, outcome in ((401, "pause"), (429, "retry")):
        found, sent = run([1, 2, 3], {"http://h/0": Response(status)})
        assert [one for one, _ in found] == [outcome] * 3
        assert all(reason.startswith(UNSENT) for _, reason in found[1:])
        assert len(sent) == 1


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([200, 204, 400, 401, 429, 503])), max_size=12))
def test_every_event_has_a_verdict_and_no_user_is_out_of_order(plan: list[tuple[int, int]]) -> None:
    answers = {f"http://h/{n}": Response(status) for n, (_, status) in enumerate(plan)}
    found, sent = run([key for key, _ in plan], answers)
    assert len(found) == len(plan)
    order = [i for one in sent for i in one.events]
    assert order == sorted(order)
    for key in {key for key, _ in plan if key}:
        final = [outcome not in (Outcome.RETRY, Outcome.PAUSE) for (outcome, _), (own, _) in
                 zip(found, plan, strict=True) if own == key]
        assert final == sorted(final, reverse=True), "an event passed one that waits"
