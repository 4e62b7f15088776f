"""Klaviyo beyond the contract: a strict stand-in for its API, order, jobs, conflicts, people who are forgotten."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from destinations.klaviyo import REVISIONS, Klaviyo
from destinations.klaviyo.orders import shop
from destinations.klaviyo.profile import contact
from destinations.rudderstack import slug_of
from turnout import Context, Event, Response
from turnout.destination import BEHIND, UNSENT
from turnout.errors import Refused
from turnout.testing import DestinationContract, FakeClock, Received, Tool, drive_forget
from turnout.testing.driving import drive
from turnout.user import User

KEY = "pk_harbour"
NOW = FakeClock().now()
E164 = re.compile(r"\+[1-9]\d{6,14}")


class TestKlaviyo(DestinationContract):
    destination = Klaviyo


def wrong(status: int, code: str, **meta: Any) -> tuple[int, Any]:
    return status, {"errors": [{"id": "e-1", "status": status, "code": code, "detail": code, "meta": meta}]}


class Api(Tool):
    """Refuses what Klaviyo refuses. `steps` is what it took, in order; `ids` the profiles that it has.

    `bad` are addresses that it refuses in a job, `down` how many requests from now are answered with `status`.
    """

    def __init__(self, *, version: str = "v3", bad: tuple[str, ...] = (), after: int = -1, status: int = 503) -> None:
        super().__init__()
        self.revision, self.bad = REVISIONS[version], bad
        self.after, self.status = after, status
        self.steps: list[tuple[str, list[str]]] = []
        self.ids: dict[str, str] = {}
        self.patched: list[str] = []
        self.deleted: list[Any] = []

    def answered(self, asked: Received) -> tuple[int, Any] | tuple[int, Any, Mapping[str, str]]:
        if asked.headers.get("authorization") != f"Klaviyo-API-Key {KEY}":
            return wrong(401, "not_authenticated")
        if asked.headers["host"] != "a.klaviyo.com" or asked.headers.get("revision") not in REVISIONS.values():
            return wrong(400, "invalid")
        if self.after == 0:
            self.after = -1
            return (*wrong(self.status, "throttled"), {"Retry-After": "7"})
        self.after -= self.after > 0
        path = asked.path
        if path == "/api/data-privacy-deletion-jobs":
            return self._forgotten(asked.json()["data"])
        if (asked.method, path) == ("GET", "/api/profiles"):
            return 200, {"data": [{"type": "profile", "id": "01A"}] if "u-81" in asked.query["filter"] else []}
        assert asked.headers["revision"] == self.revision
        data = asked.json()["data"]
        if (asked.method, path) == ("POST", "/api/profile-import"):
            return self._profile(data)
        if (asked.method, path) == ("POST", "/api/profiles"):
            return self._created(data)
        if asked.method == "PATCH" and path.startswith("/api/profiles/"):
            assert data["id"] == path.rpartition("/")[2]
            self.patched.append(data["id"])
            return 200, {"data": {"type": "profile", "id": data["id"]}}
        if (asked.method, path) == ("POST", "/api/events"):
            return self._event(data)
        if asked.method == "POST" and path == f"/api/{data['type']}s" and "subscription-bulk" in path:
            return self._job(data)
        return wrong(404, "not_found")

    def _profile(self, data: Mapping[str, Any]) -> tuple[int, Any]:
        given = data["attributes"]
        if not given.keys() & {"email", "phone_number", "external_id", "anonymous_id"}:
            return wrong(400, "invalid")
        if "phone_number" in given and not E164.fullmatch(given["phone_number"]):
            return wrong(400, "invalid")
        self.steps.append(("profile", [given.get("email", "")]))
        return 201, {"data": {"type": "profile", "id": "01A"}}

    def _created(self, data: Mapping[str, Any]) -> tuple[int, Any]:
        email = data["attributes"]["email"]
        if email in self.ids:
            return wrong(409, "duplicate_profile", duplicate_profile_id=self.ids[email])
        self.ids[email] = f"01{len(self.ids)}"
        return 201, {"data": {"type": "profile", "id": self.ids[email]}}

    def _event(self, data: Mapping[str, Any]) -> tuple[int, Any]:
        given = data["attributes"]
        metric, person = given["metric"]["data"], given["profile"]["data"]
        whole = metric["type"] == "metric" and metric["attributes"]["name"] and person["type"] == "profile"
        known = person["attributes"].keys() & {"email", "phone_number", "external_id", "anonymous_id"}
        if not whole or not known or not isinstance(given.get("value", 0), int | float):
            return wrong(400, "invalid")
        self.steps.append(("event", [person["attributes"].get("email", "")]))
        return 202, b""

    def _job(self, data: Mapping[str, Any]) -> tuple[int, Any]:
        given = data["attributes"]
        rows = given["subscriptions"] if "subscriptions" in given else [
            one["attributes"] for one in given["profiles"]["data"]
        ]  # fmt: skip
        assert given.get("list_id") or data["relationships"]["list"]["data"]["id"]
        if not rows or len(rows) > 1000 or any(one.get("email", "") in self.bad for one in rows):
            return wrong(400, "invalid")
        for one in rows:
            said = one.get("subscriptions", {})
            if ("sms" in said and "phone_number" not in one) or ("email" in said and "email" not in one):
                return wrong(400, "invalid")
        self.steps.append((data["type"].split("-")[3], [one.get("email", "") for one in rows]))
        return 202, b""

    def _forgotten(self, data: Mapping[str, Any]) -> tuple[int, Any]:
        person = data["attributes"]["profile"]["data"]
        named = [*person.get("attributes", {}), *(["id"] if "id" in person else [])]
        if len(named) != 1:
            return wrong(400, "invalid")
        self.deleted.append(person.get("id") or person["attributes"])
        return 202, b""


def build(**chosen: Any) -> Klaviyo:
    return Klaviyo(Klaviyo.settings_type.model_validate({"private_api_key": KEY, **chosen}))


def event(number: int, user: str, kind: str = "identify", *, to: str = "", wanted: bool = True, **more: Any) -> Event:
    traits: dict[str, Any] = {"email": f"{user}{number}@example.com"}
    if to:
        traits["properties"] = {"listId": to, "subscribe": wanted, "consent": ["email"]}
    message = {"type": kind, "userId": user, "messageId": f"m-{number}", "context": {"traits": traits}, **more}
    if kind == "track":
        message["event"] = "Boat Rented"
    if kind == "group":
        message |= {"groupId": to, "traits": {"subscribe": wanted}}
    return Event(message=message, key=crc32(user.encode()) + 1, number=number, source="web")


def told(adapter: Klaviyo, events: list[Event], api: Api) -> list[str]:
    found = api.deliver(adapter, events, Context(NOW, adapter.delivery))
    return [str(one.outcome) for one in found]


def test_subscriptions_of_identifies_that_follow_each_other_are_one_job() -> None:
    events = [event(i, f"u{i % 3}-", to="L1") for i in range(5)] + [event(5, "u9-", to="L2"), event(6, "u8-")]
    with Api() as api:
        assert told(build(), events, api) == ["delivered"] * 7
        assert [kind for kind, _ in api.steps] == ["profile"] * 7 + ["create"] * 2
        assert api.steps[-2][1] == [f"u{i % 3}-{i}@example.com" for i in range(5)]


def test_another_kind_of_event_waits_for_the_subscriptions_before_it() -> None:
    events = [
        event(0, "u-", to="L1"), event(1, "v-", "track"), event(2, "w-", to="L1"), event(3, "w-", "group", to="L1"),
    ]  # fmt: skip
    with Api() as api:
        assert told(build(), events, api) == ["delivered"] * 4
        assert [kind for kind, _ in api.steps] == ["profile", "create", "event", "profile", "create", "create"]


@pytest.mark.parametrize("second", [{"to": "L1", "wanted": False}, {"to": "L2"}, {}])
def test_a_user_s_subscriptions_keep_their_order(second: dict[str, Any]) -> None:
    with Api() as api:
        told(build(), [event(0, "u-", to="L1"), event(1, "u-", **second), event(2, "u-", to="L1")], api)
        kinds = [kind for kind, _ in api.steps]
        middle = [] if not second else ["delete"] if second.get("wanted") is False else ["create"]
        assert kinds == ["profile", "create", "profile", *middle, "profile", "create"]


def test_jobs_have_a_hundred_profiles_at_most_and_their_bytes() -> None:
    events = [event(i, f"u{i}-", "group", to="L1") for i in range(250)]
    with Api() as api:
        assert told(build(), events, api) == ["delivered"] * 250
        assert [len(who) for _, who in api.steps] == [100, 100, 50]


def test_who_a_job_is_refused_for_is_found() -> None:
    events = [event(i, f"u{i}-", "group", to="L1") for i in range(9)]
    with Api(bad=("u4-4@example.com",)) as api:
        assert told(build(), events, api) == ["dead" if i == 4 else "delivered" for i in range(9)]
        reached = sorted(who for _, each in api.steps for who in each)
        assert reached == [f"u{i}-{i}@example.com" for i in range(9) if i != 4]


def test_after_a_429_nothing_more_is_sent() -> None:
    adapter = build()
    with Api(after=1, status=429) as api:
        found = api.deliver(adapter, [event(i, f"u{i}-") for i in range(4)], Context(NOW, adapter.delivery))
        assert [str(one.outcome) for one in found] == ["delivered", "retry", "retry", "retry"]
        assert [one.after for one in found[1:]] == [7, 7, 7]
        assert found[3].reason.startswith(UNSENT)
        assert len(api.received) == 2


def test_behind_an_event_that_waits_only_its_user_waits() -> None:
    adapter = build()
    with Api(after=1) as api:
        events = [event(0, "v-"), event(1, "u-", to="L1"), event(2, "w-"), event(3, "u-", "track")]
        found = api.deliver(adapter, events, Context(NOW, adapter.delivery))
        assert [str(one.outcome) for one in found] == ["delivered", "retry", "delivered", "retry"]
        assert found[3].reason == BEHIND
        assert [kind for kind, _ in api.steps] == ["profile", "profile"]


def test_a_key_that_is_refused_pauses() -> None:
    with Api() as api:
        assert told(build(private_api_key="pk_other"), [event(0, "u-"), event(1, "v-")], api) == ["pause", "pause"]
        assert len(api.received) == 1


def test_v1_updates_the_profile_that_is_there() -> None:
    events = [event(0, "u-", to="L1"), event(0, "u-", to="L1")]
    with Api(version="v1") as api:
        assert told(build(api_version="v1"), events, api) == ["delivered"] * 2
        assert api.patched == ["010"]
        assert api.steps == [("create", ["u-0@example.com"] * 2)]


def test_v1_as_rudderstack_updates_what_it_created() -> None:
    slug, implied = slug_of("KLAVIYO")
    with Api(version="v1") as api:
        assert (slug, told(build(**implied), [event(0, "u-")], api)) == ("klaviyo", ["delivered"])
        assert api.patched == ["010"]


def test_v1_without_a_profile_subscribes_nobody() -> None:
    with Api(version="v1", after=0) as api:
        assert told(build(api_version="v1"), [event(0, "u-", to="L1")], api) == ["retry"]
        assert len(api.received) == 1


def test_people_are_forgotten_by_what_klaviyo_can_find() -> None:
    users = [
        User("u-1", "ines@example.com"), User("u-2", traits={"phone": "+351912345678"}), User("u-81"), User("u-3"),
        User("", "", "a-1"), User('u"),any("'),
    ]  # fmt: skip
    adapter = build(api_version="v2")
    with Api() as api:
        found = []
        for user in users:
            verdicts, _ = drive_forget(
                adapter, [user], Context(NOW), lambda r: api.send(type(r)(
                    r.method, r.url, r.body, {**r.headers, "Authorization": f"Klaviyo-API-Key {KEY}"}, r.params,
                )),
            )  # fmt: skip
            found += [str(one.outcome) for one in verdicts]
        assert found == ["delivered"] * 3 + ["filtered"] * 3
        assert api.deleted == [{"email": "ines@example.com"}, {"phone_number": "+351912345678"}, "01A"]


@pytest.mark.parametrize(
    "chosen", [{"private_api_key": ""}, {"api_version": "v4"}, {"consent": ["fax"]}, {"consent": 3}, {"colour": 1}]
)
def test_settings_that_cannot_be_meant_are_refused(chosen: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        build(**chosen)


@pytest.mark.parametrize("written", [["email"], "Email", [{"consent": "email"}, {"consent": ""}]])
def test_channels_of_the_settings_may_be_written_in_many_ways(written: Any) -> None:
    assert build(consent=written).settings.consent == ("email",)


def test_a_channel_without_an_address_is_left_out_and_none_at_all_is_dead() -> None:
    adapter, at = build(consent=["email", "sms"]), Context(NOW)
    (made,) = adapter.verdict(event(0, "u-", "group", to="L1"), at)
    profile = made.body.value["data"]["attributes"]["profiles"]["data"][0]["attributes"]
    assert list(profile["subscriptions"]) == ["email"]
    with pytest.raises(Refused, match="phone number"):
        build(consent=["sms"]).request(event(0, "u-", "group", to="L1"), at)


def test_klaviyo_s_own_id_is_enough() -> None:
    own = {"externalId": [{"type": "klaviyo-profileId", "id": "01A"}]}
    (made,) = build().request(Event(message={"type": "identify", "context": own}), Context(NOW))
    assert made.body.value["data"]["id"] == "01A"
    with pytest.raises(Refused, match="is missing"):
        build(api_version="v1").request(Event(message={"type": "identify", "context": own}), Context(NOW))


def test_outputs_of_a_script_are_events_of_their_own() -> None:
    adapter = build()
    ids = set()
    for child in (0, 1):
        one = Event(message={"type": "track", "event": "x", "userId": "u", "messageId": "m-1"}, child=child)
        (made,) = adapter.request(one, Context(NOW))
        ids.add(made.body.value["data"]["attributes"]["unique_id"])
    assert "m-1" in ids
    assert len(ids) == 2


@given(st.text(alphabet="+0123456789 -().ab", max_size=20) | st.from_regex(r"\+[1-9][0-9 .()-]{5,18}", fullmatch=True))
def test_a_phone_number_is_e164_or_refused(number: str) -> None:
    try:
        made = contact({"traits": {"phone": number}}, strict=True, tidy=True)
    except Refused:
        assert not E164.fullmatch(re.sub(r"[ .()-]", "", number))
    else:
        assert not made or E164.fullmatch(made["phone_number"])


SHOP = st.sampled_from(["Product Viewed", "product added", " Checkout Started "])
VALUES = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.dictionaries(st.text(max_size=3), st.integers()))


@given(SHOP, st.dictionaries(st.sampled_from(["name", "price", "products", "coupon", "value", "order_id"]), VALUES))
def test_properties_of_a_shop_that_have_no_name_there_are_kept(name: str, given_: dict[str, Any]) -> None:
    found = shop(name, given_)
    assert found is not None
    assert found[1].get("coupon") == given_.get("coupon")


KINDS = st.sampled_from(["identify", "track", "group"])
LISTS = st.sampled_from(["", "L1", "L2"])
EVENTS = st.lists(st.tuples(st.sampled_from("uvw"), KINDS, LISTS, st.booleans()), max_size=14)


@given(EVENTS, st.integers(-1, 12), st.integers(1, 4))
def test_nobody_is_passed_by_a_later_event_of_theirs(rows: list[Any], fails: int, batch: int) -> None:
    """Profiles, events and subscriptions of a user leave in order, and behind a failure nothing of theirs leaves."""
    adapter = build()
    events = [event(i, who, kind, to=to or ("L3" if kind == "group" else ""), wanted=on)
              for i, (who, kind, to, on) in enumerate(rows)]
    count = iter(range(10_000))
    at = Context(NOW, replace(adapter.delivery, batch=batch))
    found, sent = drive(adapter, events, at, lambda _: Response(503 if next(count) == fails else 202))
    failed = set(sent[fails].events) if 0 <= fails < len(sent) else set()
    for who in "uvw":
        own = [i for i, row in enumerate(rows) if row[0] == who]
        order = [i for request in sent for i in request.events if i in own]
        firsts = list(dict.fromkeys(order))
        assert firsts == sorted(firsts)
        ends = list(dict.fromkeys(reversed(order)))
        assert ends == sorted(ends, reverse=True)
        for url in {request.url for request in sent}:
            to_one = [i for request in sent if request.url == url for i in request.events if i in own]
            assert to_one == sorted(to_one)
        outcomes = [found[i].final for i in own]
        assert outcomes == sorted(outcomes, reverse=True)
    assert {i for i, one in enumerate(found) if not one.final} >= failed
    assert all(len(request.events) <= batch for request in sent)
