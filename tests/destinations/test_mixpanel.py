"""Mixpanel beyond the contract: a strict stand-in for its API, batches, partial failures, ids, names."""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from destinations import registry
from destinations.mixpanel.browser import browser
from destinations.mixpanel.mapping import insert_id, named
from destinations.mixpanel.profile import taken
from turnout import Checkpoint, Context, Event, JsonArray, Request, Response
from turnout.preview import describe
from turnout.testing import DestinationContract, FakeClock, Received, Tool, drive_on
from turnout.user import User

STEADY = settings(deadline=None, derandomize=True)
NOW = FakeClock().now()
TOKEN = "tok-library-9"
OPERATORS = {"$set", "$set_once", "$add", "$append", "$union", "$remove", "$unset", "$delete"}
NOBODY = {"anon", "anonymous", "nil", "none", "null", "n/a", "undefined", "unknown"}
"""Some of the ids that /import takes for a mistake."""
ID = re.compile(r"[0-9A-Za-z-]{1,36}")


class Mixpanel(Tool):
    """Refuses what https://docs.mixpanel.com/reference/import-events and /reference/profile-set say it refuses.

    `taken` is what the project then holds: an event once for its `$insert_id`, a value that is set once however
    often it is set, and each addition.
    """

    token = TOKEN

    def __init__(self, **chosen: Any) -> None:
        super().__init__(**chosen)
        self.taken: list[str] = []

    def take(self, one: Mapping[str, Any]) -> None:
        counts = "$append" in one or "$add" in one
        name = one["properties"].get("$insert_id") if "properties" in one else None
        kept = name or json.dumps(one, sort_keys=True)
        if counts or kept not in self.taken:
            self.taken.append(kept)

    def answered(self, asked: Received) -> tuple[int, Any] | tuple[int, Any, Mapping[str, str]]:
        if asked.method != "POST":
            return 405, ""
        return self._imported(asked) if asked.path == "/import" else self._updated(asked)

    def _imported(self, asked: Received) -> tuple[int, Any]:
        kind, _, pair = asked.headers.get("authorization", "").partition(" ")
        account = "bot:s-1" if "project_id" in asked.query else f"{self.token}:"
        if kind != "Basic" or base64.b64decode(pair).decode() != account:
            return 401, {"code": 401, "error": "Invalid credentials", "status": "Unauthorized"}
        events = asked.json()
        if len(events) > 2000 or len(asked.body) > 10_485_760:
            return 413, {"code": 413, "error": "request exceeds max limit", "status": "Request Entity Too Large"}
        bad = [
            {"index": i, "insert_id": one["properties"].get("$insert_id"), "field": field, "message": f"'{field}' is"}
            for i, one in enumerate(events) if (field := self._blamed(one))
        ]
        taken = {"num_records_imported": len(events) - len(bad)}
        for one in events:
            if not self._blamed(one):
                self.take(one)
        if not bad or asked.query.get("strict") != "1":
            return 200, {"code": 200, "status": "OK", **taken}
        error = "some data points in the request failed validation"
        return 400, {"code": 400, "error": error, "status": "Bad Request", "failed_records": bad, **taken}

    @staticmethod
    def _blamed(one: Mapping[str, Any]) -> str:
        properties = one["properties"]
        if one["event"] in ("$merge", "$create_alias"):
            return ""
        if not isinstance(properties.get("time"), int):
            return "properties.time"
        if not ID.fullmatch(properties.get("$insert_id", "")):
            return "properties.$insert_id"
        return "properties.distinct_id" if properties["distinct_id"] in NOBODY else ""

    def _updated(self, asked: Received) -> tuple[int, Any]:
        updates, most = asked.json(), {"/engage": 2000, "/groups": 200}[asked.path]
        if "content-encoding" in asked.headers or asked.query.get("verbose") != "2":
            return 400, "this API does not support gzip"
        if len(updates) > most:
            return 413, ""
        who = "$distinct_id" if asked.path == "/engage" else "$group_id"
        for one in updates:
            if one["$token"] != self.token:
                return 200, {"status": 0, "error": "token, missing or invalid"}
            if not one.get(who) or len(OPERATORS & one.keys()) != 1 or not isinstance(one, dict):
                return 200, {"status": 0, "error": "some data points in the request failed validation"}
        for one in updates:
            self.take(one)
        return 200, {"status": 1, "error": None}


class OfFixtures(Mixpanel):
    token = "tok-hotel-1"


class TestContract(DestinationContract):
    destination = registry.find("mixpanel")
    tool = OfFixtures


def build(**chosen: Any):
    return registry.build("mixpanel", {"token": TOKEN, **chosen})


def event(n: int, **fields: Any) -> Event:
    message = {
        "type": "track", "event": "Book Lent", "messageId": f"m-{n}", "userId": f"u-{n}",
        "timestamp": "2026-01-02T03:00:00Z", **fields,
    }
    return Event(message=message, key=n + 1, number=n)


def deliver(adapter, events, tool=None, **delivery):
    at = Context(NOW, adapter.delivery, **delivery)
    with tool or Mixpanel() as mixpanel:
        return [str(v.outcome) for v in mixpanel.deliver(adapter, events, at)], mixpanel.received


# Batches


def test_every_kind_of_event_is_taken() -> None:
    adapter = build(
        identity_merge_api="original", group_key_settings=["branch"], set_once_properties=["joined"],
        prop_increments=["pages"],
    )
    events = [
        event(1, properties={"revenue": 3, "pages": 210}, anonymousId="a-1"),
        event(2, type="page", name="Shelf"), event(3, type="screen"),
        event(4, type="identify", anonymousId="a-4", traits={"joined": "2025", "email": "ines@example.com"}),
        event(5, type="group", traits={"branch": ["North", 12]}),
        event(6, type="alias", previousId="a-6"),
    ]
    outcomes, received = deliver(adapter, events)
    assert outcomes == ["delivered"] * 6
    assert {one.headers["host"] for one in received} == {"api.mixpanel.com"}
    assert sum(len(one.json()) for one in received) == (1 + 1 + 1) + 1 + 1 + (1 + 1 + 1) + (1 + 2) + 1


def test_batches_of_2000_events_and_of_200_groups() -> None:
    outcomes, received = deliver(build(), [event(n) for n in range(2_100)])
    assert outcomes == ["delivered"] * 2_100
    assert [len(one.json()) for one in received] == [2_000, 100]
    assert all(one.headers["content-encoding"] == "gzip" for one in received)
    groups = [event(n, type="group", userId=None, traits={"branch": f"b-{n}"}) for n in range(450)]
    outcomes, received = deliver(build(group_key_settings=["branch"]), groups)
    assert outcomes == ["delivered"] * 450
    assert [(one.path, len(one.json())) for one in received] == [("/groups", 200), ("/groups", 200), ("/groups", 50)]


def test_batches_of_a_megabyte() -> None:
    outcomes, received = deliver(build(), [event(n, properties={"text": "x" * 300_000}) for n in range(7)])
    assert outcomes == ["delivered"] * 7
    assert [len(one.json()) for one in received] == [3, 3, 1]


# Answers


def test_of_a_batch_only_what_mixpanel_refuses_is_dead() -> None:
    events = [event(1), event(2, userId="null"), event(3), event(4, messageId=None)]
    assert deliver(build(), events)[0] == ["delivered", "dead", "delivered", "dead"]
    assert deliver(build(strict_mode=False), events)[0] == ["delivered"] * 4


def test_an_answer_that_blames_no_event_of_the_batch_leaves_none_delivered() -> None:
    with Mixpanel() as mixpanel:
        adapter = build()
        mixpanel.answer(400, b'{"failed_records": [{"index": 7, "field": "ines@example.com"}]}')
        found = mixpanel.deliver(adapter, [event(1), event(2)], Context(NOW, adapter.delivery))
    assert [str(one.outcome) for one in found] == ["dead", "dead"]
    assert "ines" not in str(found)


def test_the_field_that_is_blamed_is_named() -> None:
    with Mixpanel() as mixpanel:
        adapter = build()
        found = mixpanel.deliver(adapter, [event(1, userId="none")], Context(NOW, adapter.delivery))
    assert found[0].reason == "HTTP 400: Mixpanel refuses this event: properties.distinct_id"


def test_a_wrong_token_pauses_and_nothing_more_is_sent() -> None:
    outcomes, received = deliver(build(token="tok-other"), [event(n) for n in range(2_001)])
    assert set(outcomes) == {"pause"}
    assert len(received) == 1


def test_a_service_account_imports() -> None:
    account = {"service_account_user_name": "bot", "service_account_secret": "s-1", "project_id": 7}
    outcomes, (imported,) = deliver(build(**account), [event(1)])
    assert outcomes == ["delivered"]
    assert imported.query == {"strict": "1", "project_id": "7"}


@pytest.mark.parametrize(("status", "outcome"), [(429, "retry"), (500, "retry"), (413, "dead"), (403, "dead")])
def test_a_failed_import_leaves_the_profile_as_it_was_sent(status: int, outcome: str) -> None:
    mixpanel = Mixpanel()
    mixpanel.answer(200, b'{"status": 1, "error": null}')
    mixpanel.answer(status, b"", Retry_After="9")
    outcomes, received = deliver(build(), [event(1, properties={"revenue": 5})], mixpanel)
    assert outcomes == [outcome]
    assert [one.path for one in received] == ["/engage", "/import"]


# Forgetting people


def forget(adapter, users, mixpanel):
    steps = adapter.forget(users, Context(NOW, adapter.delivery))
    try:
        request = next(steps)
        steps.send(mixpanel.send(request))
    except StopIteration as stop:
        return [str(one.outcome) for one in stop.value]
    raise AssertionError("more than one request")


def test_people_are_forgotten_by_the_ids_that_mixpanel_knows() -> None:
    users = [User("u-1", anonymous_id="a-1"), User(email="ines@example.com"), User(anonymous_id="a-3")]
    with Mixpanel() as mixpanel:
        assert forget(build(), users, mixpanel) == ["delivered", "filtered", "delivered"]
        assert forget(build(identity_merge_api="original", token="tok-other"), users, mixpanel) == [
            "dead", "filtered", "dead",
        ]
        first, second = mixpanel.received
    deleted = [one["$distinct_id"] for one in first.json()]
    assert deleted == ["u-1", "$device:a-1", "$device:a-3"]
    assert [one["$distinct_id"] for one in second.json()] == ["u-1", "a-1", "a-3"]
    assert all(one["$delete"] is None and one["$ignore_alias"] is True for one in first.json())
    assert forget(build(), users[1:2], None) == ["filtered"]


@pytest.mark.parametrize(
    ("region", "host"), [("us", "mixpanel.com"), ("eu", "eu.mixpanel.com"), ("in", "in.mixpanel.com")]
)
def test_a_task_takes_the_events_too(region: str, host: str) -> None:
    adapter = build(data_residency=region, user_deletion_api="task", gdpr_api_token="g-1", compliance_type="CCPA")
    with Mixpanel() as tool:
        tool.answer(200, b'{"status": "ok", "results": {"task_id": "t-1"}}')
        assert forget(adapter, [User("u-1")], tool) == ["delivered"]
        (asked,) = tool.received
    assert (asked.headers["host"], asked.path, asked.query) == (host, "/api/app/data-deletions/v3.0/", {"token": TOKEN})
    assert asked.headers["authorization"] == "Bearer g-1"
    assert asked.json() == {"distinct_ids": ["u-1"], "compliance_type": "CCPA"}


# What counts


def test_what_counts_is_counted_once_however_often_the_event_is_retried() -> None:
    adapter = build(event_increments=["Book Lent"], append_properties=["visits"], identity_merge_api="original")
    at = Context(NOW, adapter.delivery)
    events = [
        event(1, properties={"revenue": 5}), event(2), event(3, userId="null"),
        event(4, type="identify", anonymousId="a-4", traits={"visits": "North", "name": "Ines"}),
    ]
    with Mixpanel() as mixpanel:
        mixpanel.answer(200, b'{"status": 1, "error": null}')  # the updates, which are taken: see below
        mixpanel.answer(503)
        mixpanel.answer(429)
        found, _ = drive_on(adapter, events, at, mixpanel.send)
        asked = [(one.path, len(one.json())) for one in mixpanel.received]
    assert [str(one.outcome) for one in found] == ["delivered", "delivered", "dead", "delivered"]
    updates = [one for got in mixpanel.received if got.path == "/engage" for one in got.json()]
    assert len(updates) == len({json.dumps(one, sort_keys=True) for one in updates}), asked
    assert sum("$append" in one for one in updates) == 2
    assert sum("$add" in one for one in updates) == 3
    assert [path for path, _ in asked].count("/import") >= 3


def test_a_retry_without_anything_counted_is_no_job() -> None:
    adapter = build()
    at = Context(NOW, adapter.delivery)
    with Mixpanel() as mixpanel:
        mixpanel.answer(503)
        found, steps = drive_on(adapter, [event(1), event(2)], at, mixpanel.send)
    assert ([str(one.outcome) for one in found], steps) == (["retry", "retry"], 1)


@STEADY
@given(st.lists(st.sampled_from([200, 200, 400, 429, 500]), min_size=1, max_size=6), st.integers(1, 5))
def test_every_update_that_counts_is_taken_at_most_once(statuses: list[int], batch: int) -> None:
    adapter = build(event_increments=["Book Lent"])
    at = Context(NOW, replace(adapter.delivery, batch=batch))
    events = [event(n, userId=f"u-{n % 2}", properties={"revenue": n + 1}) for n in range(5)]
    taken: list[str] = []
    calls = 0

    def answer(request: Request) -> Response:
        nonlocal calls
        status = statuses[calls % len(statuses)] if calls < 12 else 200
        calls += 1
        if status == 200 and request.url.endswith("/engage"):
            assert isinstance(request.body, JsonArray)
            taken.extend(json.dumps(one, sort_keys=True) for one in request.body.values if "$append" in one)
        return Response(status)

    state: Any = None
    for _ in range(40):
        steps, reply = adapter.exchange(events, at, state), None
        try:
            while True:
                asked = steps.send(reply)
                reply = None if isinstance(asked, Checkpoint) else answer(asked)
                state = asked.plain() if isinstance(asked, Checkpoint) else state
        except StopIteration as stop:
            found = stop.value
        if state is None or all(one.final for one in found):
            break
    assert len(found) == 5
    assert len(taken) == len(set(taken))
    if all(one.outcome == "delivered" for one in found):
        assert len(taken) == 5


# Ids and names


def test_what_a_script_makes_more_of_counts_beside_the_first() -> None:
    message = event(1).message
    at = Context(NOW)
    first, second = (Event(message=message, source="s", child=child) for child in (0, 1))
    assert insert_id(first, at) == "m-1"
    ids = {insert_id(second, at), insert_id(first, Context(NOW, salt="replay")), insert_id(first, at)}
    assert len(ids) == 3
    assert all(ID.fullmatch(one) for one in ids)
    assert insert_id(second, at) == insert_id(Event(message=message, source="s", child=1), at)


@STEADY
@given(st.text(min_size=1))
def test_an_insert_id_is_one_that_mixpanel_takes(text: str) -> None:
    assert ID.fullmatch(insert_id(Event(message={"messageId": text}), Context(NOW)))


@STEADY
@given(st.text(alphabet="{} nameproperties.x\n"), st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text())))
def test_a_template_never_fails_and_leaves_no_gap(template: str, value: Any) -> None:
    made = named(template, {"name": value, "properties": {"x": value}})
    assert made == " ".join(made.split())


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("Viewed {{ category }} {{name}} page", "Viewed Shelf page"), ("{{ properties.floor }}", "2"),
        ("{{ floor }}/{{ missing }}", "2/"), ("Plain", "Plain"), ("{{ }} {{ traits }}", ""),
    ],
)
def test_templates(template: str, made: str) -> None:
    assert named(template, {"name": "Shelf", "traits": {"a": 1}, "properties": {"floor": 2}}) == made


TREES = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=3)),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=12,
)


@STEADY
@given(st.dictionaries(st.sampled_from("abc"), TREES), st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
def test_what_is_taken_is_gone_and_the_event_is_as_it_was(traits: dict[str, Any], steps: list[str]) -> None:
    before = copy.deepcopy(traits)
    own = dict(traits)
    value = taken(own, steps)
    assert traits == before
    if value is None:
        assert own == before
    else:
        assert taken(own, steps) is None
        place: Any = before
        for step in steps:
            place = place[step]
        assert place == value


@pytest.mark.parametrize(
    ("agent", "name", "version"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.1.2 Safari/537.36",
         "Chrome", "143.0.1.2"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/143.0.0.0 Safari/537.36 Edg/143.0.3",
         "Microsoft Edge", "143.0.3"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1 (KHTML, like Gecko) Version/18.1 Safari/605.1", "Safari", "18.1"),
        ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer", "11.0"),
        ("Dalvik/2.1.0 (Linux; U; Android 8.1.0)", "", ""), ("", "", ""), ("x" * 2_000, "", ""),
    ],
)
def test_browsers_have_mixpanels_names(agent: str, name: str, version: str) -> None:
    expected = {"$browser": name, "$browser_version": version} if name else {}
    assert dict(browser(agent)) == expected


@STEADY
@given(st.one_of(st.none(), st.integers(), st.lists(st.text()), st.text()))
def test_a_user_agent_may_be_anything(agent: Any) -> None:
    assert set(dict(browser(agent))) <= {"$browser", "$browser_version"}


# Events that cannot be sent, settings that cannot be meant


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"event": None}, "event, the name of a track, is missing"),
        ({"event": {"a": 1}}, "event, the name of a track, is missing"),
        ({"timestamp": "soon", "originalTimestamp": None}, "neither timestamp nor originalTimestamp is a time"),
        ({"timestamp": "1970-05-01T00:00:00Z"}, "Mixpanel takes no event from before 1971"),
        ({"messageId": 12}, "messageId is not a text"),
        ({"type": "identify", "userId": None}, "userId or anonymousId is missing"),
        ({"type": "identify", "context": {"location": {"geoSource": "gps"}}},
         "context.location.geoSource can only be reverse_geocoding, or null"),
        ({"type": "alias", "userId": None, "previousId": "a"}, "an alias needs userId, and previousId or anonymousId"),
        ({"type": "alias", "anonymousId": "u-1"},
         "an alias needs two ids: previousId or anonymousId is the same as userId"),
    ],
)
def test_what_cannot_be_sent_says_why(fields: dict[str, Any], reason: str) -> None:
    found = build(identity_merge_api="original").verdict(event(1, **fields), Context(NOW))
    assert (found.outcome, found.reason) == ("dead", reason)


def test_an_event_of_nobody_is_an_event_of_nobody() -> None:
    outcomes, (imported,) = deliver(build(), [event(1, userId=None, properties={"revenue": 2})])
    assert outcomes == ["delivered"]
    assert imported.json()[0]["properties"]["distinct_id"] == ""


def test_traits_of_a_warehouse_that_are_mapped_stay_as_they_are() -> None:
    message = {"type": "identify", "traits": {"email": "ines@example.com"}, "context": {"mappedToDestination": True}}
    (request,) = build().verdict(event(1, **message), Context(NOW))
    assert describe(request)["body"]["json_array"][0]["$set"] == {"email": "ines@example.com"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": None}, {"data_residency": "mars"}, {"service_account_user_name": "bot"},
        {"service_account_secret": "s", "service_account_user_name": "b:c", "project_id": "1"},
        {"service_account_secret": "s", "service_account_user_name": "bot"}, {"user_deletion_api": "task"},
        {"max_age": "long"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    kind = registry.find("mixpanel").settings_type
    with pytest.raises(ValidationError):
        kind.model_validate({"token": TOKEN, **wrong})


def test_a_peers_settings_are_read() -> None:
    found = registry.find("mixpanel").settings_type.model_validate({
        "token": TOKEN, "apiSecret": "s", "people": True, "whitelistedEvents": [{"eventName": "A"}],
        "groupKeySettings": [{"groupKey": "branch"}], "setOnceProperties": [{"property": "joined"}, {"property": ""}],
        "identityMergeApi": "original", "dataResidency": "eu", "strictMode": False,
    })
    assert (found.group_key_settings, found.set_once_properties) == (("branch",), ("joined",))
    assert (found.identity_merge_api, found.data_residency, found.strict_mode) == ("original", "eu", False)


def test_credentials_are_masked() -> None:
    adapter = build()
    (request,) = adapter.verdict(event(1), Context(NOW))
    shown = str(describe(request, adapter.settings.secrets()))
    assert TOKEN not in shown
    assert base64.b64encode(f"{TOKEN}:".encode()).decode() not in shown
