"""Braze against a stand-in that refuses what its API refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations.braze import Braze
from destinations.braze.batches import subscribed
from destinations.braze.mapping import IDENTIFIERS, attributes
from destinations.braze.profiles import Profiles
from turnout import Context, Event, Json, Request, Response, User
from turnout.destination import BEHIND
from turnout.errors import Refused
from turnout.testing import DestinationContract, FakeClock, Received, Tool, drive, drive_forget

STEADY = settings(deadline=None, derandomize=True)
KEY = "k-hotel"
WHEN = "2026-01-02T03:00:00.000Z"
IDENTITIES = ("external_id", "user_alias", "braze_id", "email", "phone")
PROFILE = {"email", "first_name", "last_name"}


class TestBraze(DestinationContract):
    destination = Braze


class Workspace(Tool):
    """The endpoints of one workspace: `bad` are users whose items are refused, `total` items in a request."""

    def __init__(self, *, bad: tuple[str, ...] = (), total: int = 75, **profiles: Mapping[str, Any]) -> None:
        super().__init__()
        self.bad, self.total, self.profiles = bad, total, profiles
        self.down: dict[str, int] = {}

    def answered(self, asked: Received) -> tuple[int, Any] | tuple[int, Any, Mapping[str, str]]:
        if asked.headers["host"] != "rest.fra-01.braze.eu" or asked.method != "POST":
            return 404, {"message": "Not found"}
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return 401, {"message": "Invalid API key"}
        if len(asked.body) > 4_000_000:
            return 413, {"message": "Request body too large"}
        if asked.path in self.down:
            return self.down[asked.path], {"message": "not now"}
        answers = {
            "/users/track": self._tracked, "/users/identify": self._identified, "/users/merge": self._merged,
            "/v2/subscription/status/set": self._subscribed, "/users/export/ids": self._exported,
            "/users/delete": self._deleted,
        }  # fmt: skip
        return answers[asked.path](asked.json()) if asked.path in answers else (404, {"message": "Not found"})

    def _tracked(self, body: dict[str, Any]) -> tuple[int, Any]:
        arrays = {name: body.get(name, []) for name in ("attributes", "events", "purchases")}
        assert body.keys() <= {*arrays, "partner"}
        if any(len(items) > 75 for items in arrays.values()) or sum(map(len, arrays.values())) > self.total:
            return 400, {"message": "too many items"}
        errors = []
        for name, items in arrays.items():
            for place, item in enumerate(items):
                wrong = self._wrong(name, item)
                if wrong:
                    errors.append({"type": wrong, "input_array": name, "index": place})
        if len(errors) == sum(map(len, arrays.values())):
            return 400, {"message": "Valid data must be provided.", "errors": errors}
        counts = {f"{name}_processed": len(items) for name, items in arrays.items() if items}
        return 201, {"message": "success", **counts, **({"errors": errors} if errors else {})}

    def _wrong(self, name: str, item: dict[str, Any]) -> str:
        if not any(one in item for one in IDENTITIES):
            return "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required"
        assert ("user_alias" in item) is (item.get("_update_existing_only") is False)
        if item.get("external_id") in self.bad:
            return "not valid"
        if name == "events" and {"time", "event_name"} & item["properties"].keys():
            return "Invalid 'properties' field"
        if name == "purchases" and not (isinstance(item["quantity"], int) and isinstance(item["price"], int | float)):
            return "'quantity' is not valid"
        return "" if name == "attributes" or isinstance(item["time"], str) else "'time' is required"

    def _identified(self, body: dict[str, Any]) -> tuple[int, Any]:
        items = body["aliases_to_identify"]
        assert body["merge_behavior"] == "merge"
        assert all(item.keys() == {"external_id", "user_alias"} for item in items)
        if len(items) > 50:
            return 400, {"message": "too many aliases"}
        errors = [
            {"type": "not found", "input_array": "aliases_to_identify", "index": place}
            for place, item in enumerate(items) if item["external_id"] in self.bad
        ]  # fmt: skip
        return 201, {"message": "success", "aliases_processed": len(items) - len(errors), "errors": errors}

    def _merged(self, body: dict[str, Any]) -> tuple[int, Any]:
        updates = body["merge_updates"]
        known = all(one["identifier_to_keep"]["external_id"] not in self.bad for one in updates)
        return (202, {"message": "success"}) if known and len(updates) <= 50 else (400, {"message": "bad identifier"})

    def _subscribed(self, body: dict[str, Any]) -> tuple[int, Any]:
        for entry in body["subscription_groups"]:
            found = [name for name in ("external_ids", "emails", "phones") if entry.get(name)]
            if not found or {"emails", "phones"} <= set(found) or any(len(entry[name]) > 50 for name in found):
                return 400, {"message": "bad users"}
            if entry["subscription_group_id"] in self.bad:
                return 400, {"message": "no such subscription group"}
            assert entry["subscription_state"] in ("subscribed", "unsubscribed")
        return 201, {"message": "success"}

    def _exported(self, body: dict[str, Any]) -> tuple[int, Any]:
        users, aliases = body.get("external_ids", []), body.get("user_aliases", [])
        assert len(users) <= 50
        assert len(aliases) <= 50
        assert "custom_attributes" in body["fields_to_export"]
        found = [{"external_id": user, **self.profiles[user]} for user in users if user in self.profiles]
        return 200, {"message": "success", "users": found}

    def _deleted(self, body: dict[str, Any]) -> tuple[int, Any]:
        (name, ids), = body.items()
        assert name in ("external_ids", "user_aliases")
        return (201, {"message": "success", "deleted": len(ids)}) if len(ids) <= 50 else (400, {"message": "too many"})


def adapter(**settings: Any) -> Braze:
    given = {"rest_api_key": KEY, "data_center": "eu-01", **settings}
    return Braze(Braze.settings_type.model_validate(given))


def event(user: str, number: int = 1, **more: Any) -> Event:
    message = {
        "type": "track", "event": "Room Booked", "userId": user, "messageId": f"{user}-{number}", "timestamp": WHEN,
        **more,
    }  # fmt: skip
    return Event(message=message, key=crc32(user.encode()) | 1 << 32, number=number)


def identify(user: str, number: int = 1, anonymous: str = "", **traits: Any) -> Event:
    more = {"anonymousId": anonymous} if anonymous else {}
    return event(user, number, type="identify", traits=traits, **more)


def told(made: Braze, events: list[Event], tool: Workspace) -> list[str]:
    return [str(one.outcome) for one in tool.deliver(made, events, at(made))]


def at(made: Braze) -> Context:
    return Context(FakeClock().now(), made.delivery)


def sent(made: Braze, one: Event) -> Any:
    found = made.verdict(one, at(made))
    assert isinstance(found, list), found
    return [request.body.value for request in found if isinstance(request.body, Json)]


def paths(tool: Workspace) -> list[str]:
    return [asked.path for asked in tool.received]


# ---- batches


@pytest.mark.parametrize(("plan", "requests"), [("mau", 6), ("data_points", 3)])
def test_items_of_many_users_travel_together_as_the_plan_allows(plan: str, requests: int) -> None:
    events = [event(f"user-{i}", context={"traits": {"nights": i}}) for i in range(200)]
    with Workspace(total=75 if plan == "mau" else 225) as tool:
        assert told(adapter(plan=plan, partner="Harbour"), events, tool) == ["delivered"] * 200
    assert len(tool.received) == requests
    bodies = [asked.json() for asked in tool.received]
    assert {body["partner"] for body in bodies} == {"Harbour"}
    assert [one["external_id"] for body in bodies for one in body["events"]] == [f"user-{i}" for i in range(200)]


@pytest.mark.parametrize("plan", ["mau", "data_points"])
def test_orders_of_many_products_keep_to_the_limit(plan: str) -> None:
    line = {"product_id": "breakfast", "price": 9, "quantity": 1, "currency": "EUR"}
    orders = [
        event(f"user-{i}", event="Order Completed", properties={"products": [line] * size},
              context={"traits": {"tier": "gold"}})
        for i, size in enumerate((40, 40, 180, 1))
    ]  # fmt: skip
    with Workspace(total=75 if plan == "mau" else 225) as tool:
        made = adapter(plan=plan, use_ecommerce_recommended_events=False)
        assert told(made, orders, tool) == ["delivered"] * 4
    bodies = [asked.json() for asked in tool.received]
    assert sum(len(body.get("purchases", ())) for body in bodies) == 261
    assert sum(len(body.get("attributes", ())) for body in bodies) == 4


def test_an_item_that_is_too_large_is_refused() -> None:
    found = adapter().verdict(event("user-1", properties={"note": "x" * 100_001}), at(adapter()))
    assert not isinstance(found, list)
    assert (found.outcome, "100,000 bytes" in found.reason) == ("dead", True)


# ---- answers


def test_only_the_event_of_a_refused_item_is_dead() -> None:
    events = [event(f"user-{i}", context={"traits": {"nights": i}} if i % 2 else {}) for i in range(6)]
    with Workspace(bad=("user-2", "user-3")) as tool:
        found = tool.deliver(adapter(), events, at(adapter()))
    assert [str(one.outcome) for one in found] == ["delivered", "delivered", "dead", "dead", "delivered", "delivered"]
    assert found[2].reason == "HTTP 201: Braze refuses an item of this event (events)"
    assert len(tool.received) == 1


def test_a_batch_of_nothing_but_refused_items_is_dead_and_not_sent_twice() -> None:
    with Workspace(bad=("user-1", "user-2")) as tool:
        assert told(adapter(), [event("user-1"), event("user-2")], tool) == ["dead", "dead"]
    assert len(tool.received) == 1


@pytest.mark.parametrize(
    ("body", "outcomes"),
    [
        ({"message": "success", "errors": ["minor"]}, ["delivered", "delivered"]),
        ({"message": "success", "errors": [{"input_array": "events", "index": 9}]}, ["delivered", "delivered"]),
        ({"message": "success", "errors": [{"input_array": ["events"], "index": True}, None]}, ["delivered"] * 2),
        ({"message": "success", "errors": [{"input_array": "events", "index": 1}]}, ["delivered", "dead"]),
        ({"message": "fatal", "errors": ["all"]}, ["dead", "dead"]),
        ({"message": "queued"}, ["delivered", "delivered"]), ([], ["delivered", "delivered"]),
    ],
)  # fmt: skip
def test_errors_beside_a_success(body: Any, outcomes: list[str]) -> None:
    response = Response(201, {}, Json(body).data)
    found, _ = drive(adapter(), [event("user-1"), event("user-2")], at(adapter()), lambda _: response)
    assert [str(one.outcome) for one in found] == outcomes


def test_a_wrong_key_stops_the_destination() -> None:
    with Workspace() as tool:
        assert told(adapter(rest_api_key="k-other"), [event("user-1"), event("user-2")], tool) == ["pause"] * 2
        one = [identify("user-1", anonymous="a-1"), event("user-2")]
        found = tool.deliver(adapter(rest_api_key="k-other"), one, at(adapter()))
    assert [str(verdict.outcome) for verdict in found] == ["pause", "pause"]
    assert found[1].reason.startswith("not sent: ")
    assert paths(tool) == ["/users/track", "/users/identify"]


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({"Retry-After": "7", "X-RateLimit-Reset": "1767323145"}, 7.0), ({"X-RateLimit-Reset": "1767323145"}, 99.322),
        ({"X-RateLimit-Reset": "9999999999"}, 3600.0), ({"X-RateLimit-Reset": "17"}, 1.0),
        ({"X-RateLimit-Reset": "soon"}, None), ({}, None),
    ],
)  # fmt: skip
def test_a_limit_says_when_it_begins_anew(headers: dict[str, str], after: float | None) -> None:
    found, _ = drive(adapter(), [event("user-1")], at(adapter()), lambda _: Response(429, headers))
    assert (str(found[0].outcome), found[0].after) == ("retry", pytest.approx(after) if after else after)


# ---- anonymous users


def test_users_become_known_ahead_of_everything_else_and_in_one_request() -> None:
    events = [event("user-0")]
    events += [identify(f"user-{i}", anonymous=f"a-{i}", nights=i) for i in range(1, 61)]
    with Workspace() as tool:
        assert told(adapter(), events, tool) == ["delivered"] * 61
    assert paths(tool) == ["/users/identify"] * 2 + ["/users/track"]
    assert [len(asked.json()["aliases_to_identify"]) for asked in tool.received[:2]] == [50, 10]


def test_a_user_becomes_known_behind_what_it_did_before() -> None:
    events = [event("user-1"), identify("user-1", 2, "a-1", nights=3), event("user-1", 3), event("user-2")]
    with Workspace() as tool:
        assert told(adapter(), events, tool) == ["delivered"] * 4
    assert paths(tool) == ["/users/track", "/users/identify", "/users/track"]
    assert [asked.json().get("attributes") for asked in tool.received if asked.path == "/users/track"] == [
        None, [{"nights": 3, "external_id": "user-1"}],
    ]  # fmt: skip


def test_while_nobody_can_become_known_the_others_go_on() -> None:
    events = [identify("user-1", 1, "a-1", nights=3), event("user-1", 2), event("user-2"), identify("user-3", tier="x")]
    with Workspace() as tool:
        tool.down["/users/identify"] = 503
        found = tool.deliver(adapter(), events, at(adapter()))
    assert [str(one.outcome) for one in found] == ["retry", "retry", "delivered", "delivered"]
    assert found[1].reason == BEHIND
    assert paths(tool) == ["/users/identify", "/users/track"]
    assert "user-1" not in str(tool.received[1].json())


def test_a_limit_of_aliases_stops_everything() -> None:
    events = [identify("user-1", 1, "a-1", nights=3), event("user-2"), Event(message={"type": "track"})]
    with Workspace() as tool:
        tool.down["/users/identify"] = 429
        assert told(adapter(), events, tool) == ["retry", "retry", "dead"]
    assert len(tool.received) == 1


def test_an_alias_that_braze_does_not_find_costs_nothing_else() -> None:
    errors = [{"type": "not found", "input_array": "aliases_to_identify", "index": 0}]
    with Workspace() as tool:
        tool.answer(201, Json({"message": "success", "aliases_processed": 0, "errors": errors}).data)
        found = tool.deliver(adapter(), [identify("user-1", 1, "a-1", nights=3), event("user-2")], at(adapter()))
    assert [str(one.outcome) for one in found] == ["delivered"] * 2
    assert found[0].reason == "HTTP 201: taken, with errors"
    assert found[1].reason == ""


# ---- merges and subscription groups


def test_a_merge_that_is_refused_is_found_among_the_others() -> None:
    events = [event(f"user-{i}", type="alias", previousId=f"lead-{i}") for i in range(8)]
    with Workspace(bad=("user-5",)) as tool:
        assert told(adapter(), events, tool) == ["dead" if i == 5 else "delivered" for i in range(8)]


def group(user: str, number: int, name: str = "news", state: str = "subscribed", **traits: Any) -> Event:
    return event(user, number, type="group", groupId=name, traits={"subscriptionState": state, **traits})


def test_users_of_one_subscription_group_are_one_entry() -> None:
    made = adapter(enable_subscription_group_in_group_call=True)
    events = [group(f"user-{i}", i, phone="+351210000000", email="x@example.com") for i in range(20)]
    events += [group(f"user-{i}", i, "events") for i in range(20, 30)]
    with Workspace() as tool:
        assert told(made, events, tool) == ["delivered"] * 30
    first, second = (asked.json()["subscription_groups"] for asked in tool.received)
    assert [(entry["subscription_group_id"], len(entry["external_ids"])) for entry in (*first, *second)] == [
        ("news", 20), ("events", 5), ("events", 5),
    ]  # fmt: skip
    assert first[0]["phones"] == ["+351210000000"]


def test_a_subscription_group_that_is_not_there_costs_the_others_nothing() -> None:
    made = adapter(enable_subscription_group_in_group_call=True)
    events = [group(f"user-{i}", i, "gone" if i == 3 else "news") for i in range(6)]
    with Workspace(bad=("gone",)) as tool:
        assert told(made, events, tool) == ["dead" if i == 3 else "delivered" for i in range(6)]


STATES = st.sampled_from(["subscribed", "unsubscribed"])


@STEADY
@given(st.lists(st.tuples(st.sampled_from("ab"), STATES, st.sampled_from("uvw")), max_size=12))
def test_merged_subscriptions_end_as_one_by_one(steps: list[tuple[str, str, str]]) -> None:
    bodies = [
        {"subscription_groups": [{"subscription_group_id": name, "subscription_state": state, "external_ids": [user]}]}
        for name, state, user in steps
    ]
    merged = subscribed(bodies)
    final: dict[tuple[str, str], str] = {}
    for entry in merged.value["subscription_groups"]:
        final.update({(entry["subscription_group_id"], u): entry["subscription_state"] for u in entry["external_ids"]})
    assert final == {(name, user): state for name, state, user in steps}
    assert sorted({place for whose in merged.owners["subscription_groups"] for place in whose}) == [*range(len(steps))]


# ---- deduplication


def test_only_attributes_that_change_are_sent() -> None:
    profile = {
        "email": "ines@example.com", "first_name": "Ines", "user_aliases": [{"alias_name": "a-1", "alias_label": "x"}],
        "custom_attributes": {"nights": 3, "vip": True, "rooms": [1, 2], "address": {"city": "Porto", "floor": 2}},
    }  # fmt: skip
    events = [
        identify("user-1", 1, email="ines@example.com", firstName="Inês", nights=3.0, vip=1, rooms=[1, 2]),
        event("user-1", 2, context={"traits": {"first_name": "Inês", "vip": 1, "nights": 4, "gone": None}}),
        identify("user-1", 3, nights=4, vip=1), identify("user-1", 4, country="PT", nights=4),
        identify("user-2", 5, nights=1), identify("user-1", 6, nights={"inc": 1}), identify("user-1", 7, nights=5),
    ]  # fmt: skip
    with Workspace(**{"user-1": profile}) as tool:
        made = adapter(deduplicate=True)
        found = tool.deliver(made, events, at(made))
    assert [str(one.outcome) for one in found] == ["delivered"] * 2 + ["filtered"] + ["delivered"] * 4
    assert found[2].reason == "Braze has all of it already (deduplicate)"
    assert paths(tool) == ["/users/export/ids", "/users/track"]
    body = tool.received[1].json()
    assert body["attributes"] == [
        {"vip": 1, "first_name": "Inês", "external_id": "user-1"}, {"nights": 4, "external_id": "user-1"},
        {"country": "PT", "external_id": "user-1"}, {"nights": 1, "external_id": "user-2"},
        {"nights": {"inc": 1}, "external_id": "user-1"}, {"nights": 5, "external_id": "user-1"},
    ]  # fmt: skip
    assert len(body["events"]) == 1


def test_an_alias_that_is_the_users_already_is_not_sent_again() -> None:
    known = {"user_aliases": [{"alias_name": "a-1", "alias_label": "anonymous_id"}], "custom_attributes": {"nights": 3}}
    events = [identify("user-1", 1, "a-1", nights=3), identify("user-1", 2, "a-2", nights=3)]
    events += [identify("user-1", 3, "a-2", nights=3)]
    events += [event("", 4, anonymousId="a-1", context={"traits": {"nights": 3}})]
    with Workspace(**{"user-1": known}) as tool:
        assert told(adapter(deduplicate=True), events, tool) == ["filtered", "delivered", "filtered", "delivered"]
    assert sorted(paths(tool)) == ["/users/export/ids", "/users/identify", "/users/track"]
    assert "attributes" not in next(asked.json() for asked in tool.received if asked.path == "/users/track")


@pytest.mark.parametrize(
    ("status", "outcome", "requests"), [(503, "retry", 1), (429, "retry", 1), (401, "pause", 1), (400, "delivered", 2)]
)
def test_without_profiles_events_wait_or_are_sent_whole(status: int, outcome: str, requests: int) -> None:
    events = [identify("user-1", nights=3), event("user-2")]
    with Workspace() as tool:
        tool.down["/users/export/ids"] = status
        assert told(adapter(deduplicate=True), events, tool) == [outcome] * 2
    assert len(tool.received) == requests


def test_fifty_profiles_are_asked_for_at_a_time() -> None:
    with Workspace() as tool:
        events = [identify(f"user-{i}", nights=i) for i in range(75)]
        assert told(adapter(deduplicate=True), events, tool) == ["delivered"] * 75
    assert paths(tool) == ["/users/export/ids"] * 2 + ["/users/track"]


SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a"])
TRAITS = st.dictionaries(st.sampled_from(["a", "b", "email", "first_name"]), SCALARS, max_size=4)


def applied(profile: dict[str, Any], items: list[dict[str, Any]]) -> dict[str, Any]:
    made = dict(profile)
    for item in items:
        made.update({name: value for name, value in item.items() if name != "external_id"})
    return {name: (value, type(value)) for name, value in made.items() if value is not None}


@STEADY
@given(known=TRAITS, steps=st.lists(TRAITS, max_size=5))
def test_a_profile_ends_the_same_with_less(known: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    profiles = Profiles()
    fields = {name: value for name, value in known.items() if name in PROFILE}
    custom = {name: value for name, value in known.items() if name not in PROFILE}
    profiles.read({"users": [{"external_id": "u", **fields, "custom_attributes": custom}]})
    items = [{**step, "external_id": "u"} for step in steps]
    left: list[dict[str, Any]] = []
    for item in items:
        made = profiles.reduced([Request("POST", "https://example.com/users/track", Json({"attributes": [item]}))])
        for request in made if isinstance(made, list) else ():
            assert isinstance(request.body, Json)
            left += request.body.value["attributes"]
    assert applied(known, left) == applied(known, items)
    assert sum(map(len, left)) <= sum(map(len, items))


# ---- what is made of events


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("US-01", "rest.iad-01.braze.com"), (" us-08 ", "rest.iad-08.braze.com"), ("US-10", "rest.us-10.braze.com"),
        ("eu-02", "rest.fra-02.braze.eu"), ("AU-01", "rest.au-01.braze.com"), ("JP-01", "rest.jp-01.braze.com"),
    ],
)  # fmt: skip
def test_instances(name: str, host: str) -> None:
    made = adapter(data_center=name).verdict(event("user-1"), at(adapter()))
    assert isinstance(made, list)
    assert made[0].url == f"https://{host}/users/track"


def test_an_instance_that_is_new_is_reached_by_its_address() -> None:
    made = adapter(data_center="", endpoint="https://rest.us-11.braze.com/").verdict(event("user-1"), at(adapter()))
    assert isinstance(made, list)
    assert made[0].url == "https://rest.us-11.braze.com/users/track"


@pytest.mark.parametrize(("name", "near"), [("EU-99", "EU-0"), ("us-09", "US-"), ("US-11", "US-"), ("jp01", "JP-01")])
def test_an_instance_that_braze_does_not_list_is_an_error(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"did you mean {near}.*goes into `endpoint`"):
        adapter(data_center=name)


@pytest.mark.parametrize("name", ["", "moon", "us-1", "us-01.example.com/", None, 7])
def test_an_instance_that_is_none_is_an_error(name: Any) -> None:
    with pytest.raises(ValueError, match=r"data_center|dataCenter"):
        adapter(data_center=name)


@pytest.mark.parametrize(
    ("message", "who"),
    [
        ({"userId": 7}, {"external_id": "7"}), ({"userId": "", "traits": {"id": "t"}}, {"external_id": "t"}),
        ({"userId": "u", "context": {"externalId": [{"type": "brazeExternalId", "id": "b"}]}}, {"external_id": "b"}),
        ({"anonymousId": "a"},
         {"_update_existing_only": False, "user_alias": {"alias_name": "a", "alias_label": "anonymous_id"}}),
    ],
)  # fmt: skip
def test_whom_an_event_is_about(message: dict[str, Any], who: dict[str, Any]) -> None:
    one = Event(message={"type": "track", "event": "Room Booked", "timestamp": WHEN, **message})
    item = sent(adapter(), one)[0]["events"][0]
    assert {name: value for name, value in item.items() if name not in ("name", "time", "properties")} == who


@pytest.mark.parametrize(
    ("row", "traits", "who"),
    [
        ({"identifierType": "phone", "id": "+35121"}, {}, {"phone": "+35121"}),
        ({"identifierType": "hotel_id", "id": "h-1"}, {"external_id": "b-1"}, {"external_id": "b-1"}),
        ({"identifierType": "hotel_id", "id": "h-1"}, {}, {"external_id": "user-1"}),
    ],
)
def test_whom_a_mapped_row_is_about(row: dict[str, str], traits: dict[str, str], who: dict[str, str]) -> None:
    context = {"mappedToDestination": True, "externalId": [{"type": "BRAZE-users", **row}]}
    one = event("user-1", type="identify", context=context, traits={"firstName": "kept as it is", **traits})
    assert sent(adapter(), one) == [{"attributes": [{"firstName": "kept as it is", **who}]}]


@pytest.mark.parametrize(
    ("word", "letter"),
    [("Female", "F"), (" man ", "M"), ("other", "O"), ("n/a", "N"), ("Prefer not to say", "P"), (None, None)],
)
def test_genders(word: str | None, letter: str | None) -> None:
    assert attributes({"traits": {"gender": word, "x": 1}}, nested=False) == {"x": 1, "gender": letter}


def test_a_gender_that_braze_does_not_know_is_left_out() -> None:
    assert attributes({"traits": {"gender": "captain", "x": 1}}, nested=False) == {"x": 1}


JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
    st.sampled_from(["add", "update", "remove", "identifier", "id"]), inner, max_size=3), max_leaves=8)  # fmt: skip


NAMES = st.sampled_from([*sorted(IDENTIFIERS), "_merge_objects", "email", "gender", "x"])


@STEADY
@given(st.dictionaries(NAMES, JSON), st.booleans())
def test_no_trait_says_whom_an_event_is_about(traits: dict[str, Any], nested: bool) -> None:
    try:
        found = attributes({"traits": traits}, nested=nested)
    except Refused:
        return
    assert not IDENTIFIERS & found.keys()
    assert isinstance(found.get("email"), str | None)


def test_operations_that_name_no_item_are_refused() -> None:
    for items in ([{"id": 1}], [{"identifier": "id"}], [{"identifier": 7, "7": 1}]):
        with pytest.raises(Refused, match="identifier"):
            attributes({"traits": {"pets": {"remove": items}}}, nested=True)


def test_operations_on_plain_lists_are_brazes_own() -> None:
    given_ = {"pets": {"add": ["Rex"]}, "toys": {"add": [{"id": 1}], "note": "x"}}
    assert attributes({"traits": given_}, nested=True) == given_


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({}, "no list"), ({"products": {}}, "no list"), ({"products": [None]}, "no product"),
        ({"products": [{}]}, "product 0 of the order has no product_id"),
        ({"products": [{"sku": "s"}]}, "no price"), ({"products": [{"sku": "s", "price": "x"}]}, "no price"),
        ({"products": [{"sku": "s", "price": 0}]}, "no currency"),
        ({"products": [{"sku": "s", "price": 0, "currency": "EUR"}]}, "no quantity"),
        ({"products": [{"sku": "s", "price": 0, "currency": "EUR", "quantity": 1.5}]}, "no quantity"),
        ({"products": [{"sku": " ", "price": 0}]}, "no product_id"),
        ({"products": [{"sku": "s", "price": True}]}, "no price"), ({"products": []}, "no product"),
        ({"products": [None, {"sku": "s", "price": "free"}]}, "product 1 of the order has no price"),
        ({"products": ["sea-view"]}, "product 0 of the order is not an object"),
    ],
)  # fmt: skip
def test_an_order_that_is_not_whole_is_dead(properties: dict[str, Any], says: str) -> None:
    made = adapter(use_ecommerce_recommended_events=False)
    found = made.verdict(event("user-1", event=" order completed ", properties=properties), at(made))
    assert not isinstance(found, list)
    assert (str(found.outcome), says in found.reason) == ("dead", True)


def bought(*products: Any, order: Mapping[str, Any] | None = None, **settings: Any) -> Any:
    made = adapter(use_ecommerce_recommended_events=False, **settings)
    properties = {"currency": "EUR", **(order or {}), "products": list(products)}
    return made.verdict(event("user-1", event=" order COMPLETED", properties=properties), at(made))


ROOM: Mapping[str, Any] = {"product_id": "sea-view", "price": 120, "quantity": 2}


def test_a_product_is_a_purchase_in_the_currency_of_the_order_or_its_own() -> None:
    lines = [None, {**ROOM, "currency": "CHF"}, {"sku": 7, "price": "0", "quantity": "3.0", "currency": "SEK"}]
    found = [
        [(one["product_id"], one["price"], one["currency"], one["quantity"]) for one in request.body.value["purchases"]]
        for order in ({}, {"currency": None}) for request in bought(*lines, order=order)
    ]  # fmt: skip
    assert found == [
        [("sea-view", 120, "EUR", 2), ("7", 0, "EUR", 3)], [("sea-view", 120, "CHF", 2), ("7", 0, "SEK", 3)],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "purchase_properties", "purchaseProperties", "sendPurchaseEventWithExtraProperties",
        "send_purchase_event_with_extra_properties",
    ],
)  # fmt: skip
def test_what_else_a_product_says_is_sent_when_asked_for(name: str) -> None:
    said = {"floor": 2, "sku": "s-1", "currency": "CHF", "time": "noon", "event_name": "x", "view": {"of": "sea"}}
    lines = [{**ROOM, **said}, {"sku": "s-2", "price": 9, "quantity": 1}]
    (on,), (off,) = bought(*lines, **{name: True}), bought(*lines)
    assert [one.get("properties") for one in on.body.value["purchases"]] == [
        {"floor": 2, "sku": "s-1", "view": {"of": "sea"}}, None,
    ]  # fmt: skip
    assert not any("properties" in one for one in off.body.value["purchases"])


LINE = {"sku": "sea", "name": "Sea view", "price": "120.5", "quantity": "2", "currency": "EUR"}
SOLD = {
    "product_id": "sea", "product_name": "Sea view", "variant_id": "sea", "price": 120.5, "quantity": 2,
    "metadata": {"currency": "EUR"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given_", "expected"),
    [
        ("product viewed", {"product_id": 7, "name": "Sea", "price": 9, "currency": "EUR", "url": "https://example.com"},
         ("product_viewed", {"product_id": "7", "product_name": "Sea", "variant_id": "7", "price": 9, "currency": "EUR",
                             "product_url": "https://example.com"})),
        ("Product Removed", {"cart_id": "c", "products": [LINE]},
         ("cart_updated", {"cart_id": "c", "action": "remove", "products": [SOLD], "currency": "EUR"})),
        ("Checkout Started", {"order_id": "o", "value": 9, "currency": "EUR", "products": [LINE], "coupon": "X"},
         ("checkout_started", {"checkout_id": "o", "total_value": 9, "currency": "EUR", "products": [SOLD],
                               "metadata": {"coupon": "X"}})),
        ("Checkout Started", {"checkout_id": "k", "order_id": "o", "products": []},
         ("checkout_started", {"checkout_id": "k", "products": [], "metadata": {"order_id": "o"}})),
        ("Order Refunded", {"order_id": "o", "total": "9", "metadata": {"note": "wet"}, "tax": 1},
         ("order_refunded", {"order_id": "o", "total_value": 9, "metadata": {"note": "wet", "tax": 1}})),
        (" ORDER CANCELLED", {"order_id": "o", "reason": "storm", "discounts": [{"code": "X", "amount": 1}]},
         ("order_cancelled", {"order_id": "o", "cancel_reason": "storm", "discounts": [{"code": "X", "amount": 1}]})),
        ("Order Completed", {"source": "kiosk"}, ("order_placed", {"source": "kiosk"})),
    ],
)  # fmt: skip
def test_events_that_braze_recommends(name: str, given_: dict[str, Any], expected: tuple[str, dict[str, Any]]) -> None:
    (body,) = sent(adapter(), event("user-1", event=name, properties=given_, channel="server"))
    item = body["events"][0]
    assert (item["name"], item["properties"]) == (f"ecommerce.{expected[0]}", {"source": "server", **expected[1]})


# ---- deletion


def test_users_are_deleted_by_their_id_and_their_alias() -> None:
    users = [User("user-1", "", "a-1"), User("user-2"), User("", "x@example.com"), User("", "", "a-3"), User("user-1")]
    with Workspace() as tool:
        made = adapter()

        def sender(request: Request) -> Response:
            headers = {**request.headers, "Authorization": f"Bearer {KEY}"}
            return tool.send(Request(request.method, request.url, request.body, headers))

        found, _ = drive_forget(made, users, at(made), sender)
    assert [str(one.outcome) for one in found] == ["delivered", "delivered", "filtered", "delivered", "delivered"]
    assert [asked.json() for asked in tool.received] == [
        {"external_ids": ["user-1", "user-2"]},
        {"user_aliases": [{"alias_name": name, "alias_label": "anonymous_id"} for name in ("a-1", "a-3")]},
    ]  # fmt: skip
