"""Every exchange, whatever a tool answers: a verdict per event, users in order, nothing delivered that was not sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from destinations import registry
from turnout import codec
from turnout.destination import Context, Destination
from turnout.event import Event
from turnout.request import Checkpoint, Request, Response
from turnout.testing.fake_clock import START
from turnout.testing.fixture import Fixture, load
from turnout.verdict import Outcome, Verdict

SLUGS = [slug for slug in registry.slugs() if not registry.find(slug).records]
USERS = 3
MOST = 120
"""Requests that an event may come to at most, look-ups and halves of batches included."""

_ROWS: tuple[Any, ...] = (
    [], [{"id": "r1"}], [{"id": "r1"}, {"id": "r2", "external_id": "user-1"}], [None, 7, "x"], {"id": 1}, "rows", None,
    [{"Id": "003A", "Email": "user-1@example.com"}], [{"success": True, "id": "001"}], [{"success": False}],
)
_BODIES = st.one_of(
    st.sampled_from((
        b"", b"null", b"[]", b"7", b'"x"', b"{", b"\xff\xfe", b"<html><body>504</body></html>", b"{}",
        b'{"id": "r1"}', b'{"status": 0, "error": "no"}', b'{"status": 1}', b'{"message": "success"}',
        b'{"message": "success", "errors": [{"type": "x", "input_array": "events", "index": 0}]}',
        b'{"errors": [{"message": "a contact exists with id=abc", "code": "conflict"}]}',
        b'{"errors": [{"meta": {"duplicate_profile_id": "p1"}}]}',
        b'{"failed_records": [{"index": 0, "field": "event"}, {"index": 99}, 3]}',
        b'{"events_with_missing_fields": {"time": [0, 99]}, "throttled_users": {"user-1": 31}}',
        b'[{"success": true, "id": "1"}, {"success": false, "errors": []}]',
    )),
    st.builds(
        lambda rows, after: codec.dumps({
            "data": rows, "results": rows, "records": rows, "searchRecords": rows, "users": rows, "errors": rows,
            "paging": {"next": {"after": after}}, "done": False,
            "nextRecordsUrl": f"/services/data/v59.0/query/{after}",
        }),
        st.sampled_from(_ROWS), st.sampled_from(("", "1", "2", "NEXT")),
    ),
)
_ANSWERS = st.lists(
    st.builds(
        Response, st.sampled_from((200, 200, 200, 201, 207, 302, 400, 401, 403, 404, 409, 413, 429, 500, 503, 0)),
        st.sampled_from(({}, {"Retry-After": "3"}, {"Retry-After": "x"}, {"X-RateLimit-Reset": "9" * 11})), _BODIES,
        error=st.just("no answer"), permanent=st.booleans(), cut=st.sampled_from((False, False, False, True)),
    ),
    min_size=1, max_size=6,
)


def _families(slug: str) -> list[list[Fixture]]:
    """Fixtures by their settings: one adapter each."""
    found: list[list[Fixture]] = []
    for fixture in load(registry.find(slug)):
        same = next((one for one in found if one[0].settings == fixture.settings), None)
        if same is None:
            found.append([fixture])
        else:
            same.append(fixture)
    return found


def _events(family: Sequence[Fixture], picks: Sequence[tuple[int, int]]) -> list[Event]:
    made = []
    for n, (which, user) in enumerate(picks):
        fixture = family[which % len(family)]
        message = {**fixture.event, "messageId": f"m-{n}", "anonymousId": f"user-{user}", "userId": f"user-{user}"}
        made.append(Event(
            codec.dumps(message), key=1 + user, number=n + 1, source="s", options=fixture.options,
            trusted=fixture.trusted,
        ))
    return made


def _driven(
    adapter: Destination[Any], events: Sequence[Event], at: Context, answers: Sequence[Response]
) -> tuple[Sequence[Verdict], list[tuple[Request, Response]]]:
    """What comes of it; the answers come round again and again."""
    sent: list[tuple[Request, Response]] = []
    steps = adapter.exchange(events, at)
    reply: Response | None = None
    while True:
        try:
            asked = steps.send(reply)
        except StopIteration as stop:
            found: Sequence[Verdict] = stop.value
            return found, sent
        if isinstance(asked, Checkpoint):
            asked.plain()
            reply = None
            continue
        reply = answers[len(sent) % len(answers)]
        if reply.status:
            error = "broken off" if reply.cut and len(sent) % 2 else ""
            body = reply.body.replace(b"NEXT", b"%d" % len(sent))  # a page behind every page
            reply = replace(reply, body=body, error=error, permanent=False)
        sent.append((asked, reply))
        assert len(sent) <= MOST * len(events), f"{adapter.slug}: an exchange that does not end"


@pytest.mark.parametrize("slug", SLUGS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    family=st.integers(0, 30), answers=_ANSWERS, batch=st.sampled_from((1, 2, 3, 500)),
    picks=st.lists(st.tuples(st.integers(0, 40), st.integers(0, USERS - 1)), min_size=1, max_size=12),
)
@example(family=1, answers=[Response(200), Response(200), Response(429, cut=True)], batch=1, picks=[(0, 0)] * 4)
def test_whatever_is_answered(
    slug: str, family: int, answers: list[Response], batch: int, picks: list[tuple[int, int]]
) -> None:
    families = _families_of(slug)
    chosen = families[family % len(families)]
    adapter = chosen[0].build(registry.find(slug))
    at = Context(START, replace(adapter.delivery, batch=min(batch, adapter.delivery.batch)))
    events = _events(chosen, picks)
    found, sent = _driven(adapter, events, at, answers)
    assert len(found) == len(events)
    assert all(isinstance(one, Verdict) for one in found)
    for i, verdict in enumerate(found):
        assert "adapter failed" not in verdict.reason
        if verdict.outcome is Outcome.DELIVERED:
            own = [(asked, answer) for asked, answer in sent if i in asked.events and not _asks(adapter, asked)]
            assert own, f"event {i} is delivered and was never sent"
            assert any(_taken(asked, answer) for asked, answer in own), f"event {i} is delivered by no success: {own}"
    if at.delivery.order == "user":
        for user in range(USERS):
            own = [found[i] for i, (_, one) in enumerate(picks) if one == user]
            first = next((n for n, one in enumerate(own) if not one.final), len(own))
            late = [one for one in own[first:] if one.outcome is Outcome.DELIVERED]
            assert not late, f"user {user}: an event is delivered behind one that waits"
    stop = next((n for n, (_, answer) in enumerate(sent) if answer.status == 429 and not answer.body), None)
    assert stop is None or stop == len(sent) - 1, "more is sent after a 429"


@pytest.mark.parametrize("slug", SLUGS)
def test_pages_without_end_are_not_read_without_end(slug: str) -> None:
    rows = [{"id": "r1", "Id": "r1"}]
    page = codec.dumps({
        "results": rows, "data": rows, "records": rows, "users": rows, "paging": {"next": {"after": "NEXT"}},
        "nextRecordsUrl": "/services/data/v59.0/query/NEXT", "done": False, "links": {"next": "NEXT"},
        "pages": {"next": {"starting_after": "NEXT"}, "total_pages": 9_999},
    })
    for family in _families_of(slug):
        adapter = family[0].build(registry.find(slug))
        events = _events(family, [(n, 0) for n in range(len(family))])
        found, _ = _driven(adapter, events, Context(START, adapter.delivery), [Response(200, {}, page)])
        assert len(found) == len(events)


@pytest.mark.parametrize(("slug", "body"), [
    *(("hubspot", body) for body in (b"<html>sign in</html>", b"{")),  # where a list is an answer
    *((slug, body) for slug in ("intercom", "salesforce") for body in (b"<html>sign in</html>", b"[]", b'"x"', b"{")),
])
def test_a_page_in_place_of_what_is_looked_up_is_not_nobody(slug: str, body: bytes) -> None:
    """Else a stranger's network would make a second record of everybody."""
    kind, looked = registry.find(slug), 0
    for fixture in load(kind):
        adapter = fixture.build(kind)
        found, sent = _driven(adapter, [fixture.input()], Context(START, adapter.delivery), [Response(200, {}, body)])
        asked = [one for one, _ in sent if _asks(adapter, one)]
        if asked and fixture.name != "association":  # which needs nothing that is looked up
            looked += 1
            assert found[0].outcome is not Outcome.DELIVERED
            assert len(asked) == len(sent), "something is written by what nobody could read"
    assert looked


def test_an_update_whose_answer_broke_off_is_not_done_when_it_is_sent_again() -> None:
    kind = registry.find("mixpanel")
    fixture = next(one for one in load(kind) if one.name == "revenue")
    adapter = fixture.build(kind)
    at, event = Context(START, adapter.delivery), fixture.input()
    steps, states = adapter.exchange([event], at), []
    reply: Response | None = None
    try:
        while True:
            asked = steps.send(reply)
            if isinstance(asked, Checkpoint):
                states.append(asked.plain())
                reply = None
            else:
                reply = Response(200, {}, b'{"sta', error="broken off", cut=True)
    except StopIteration as stop:
        assert [one.outcome for one in stop.value] == [Outcome.RETRY]
    assert all(state == [0] for state in states), states


def _asks(adapter: Destination[Any], asked: Request) -> bool:
    """Whether a request of an exchange of a tool's own only looks something up."""
    if type(adapter).exchange is Destination.exchange or "//track" in asked.url:  # HubSpot's events are GETs
        return False
    return asked.method == "GET" or asked.url.endswith(("/search", "/users/export/ids"))


def _taken(asked: Request, answer: Response) -> bool:
    """Whether an answer can be a success: by its status, of what is gone already, or of a batch with bad rows."""
    return (
        200 <= answer.status < 300 or (answer.status == 404 and asked.method == "DELETE")
        or (answer.status == 400 and b"failed_records" in answer.body)
    )


_FAMILIES: dict[str, list[list[Fixture]]] = {}


def _families_of(slug: str) -> list[list[Fixture]]:
    if slug not in _FAMILIES:
        _FAMILIES[slug] = _families(slug)
    return _FAMILIES[slug]
