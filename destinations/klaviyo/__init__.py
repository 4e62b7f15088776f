"""Klaviyo: profiles, what they are subscribed to, and what they do."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final
from urllib.parse import quote

from destinations.klaviyo import profile, subscriptions
from destinations.klaviyo.deletion import forgotten
from destinations.klaviyo.line import Line, Steps, created, duplicate
from destinations.klaviyo.orders import shop
from destinations.klaviyo.profile import OPTIONS, word
from destinations.klaviyo.settings import KlaviyoSettings
from turnout import (
    Context,
    Delivery,
    Destination,
    Event,
    Header,
    Json,
    Kind,
    Request,
    Rule,
    Verdict,
)
from turnout.destination import Exchange
from turnout.errors import Refused
from turnout.fields import look
from turnout.lookups import GROUP_ID, TIMESTAMP, mapped, traits
from turnout.user import User
from turnout.values import boolean, flat, iso, moment, number

__all__ = ["Klaviyo"]

API: Final = "https://a.klaviyo.com/api"
REVISIONS: Final = {"v1": "2023-02-22", "v2": "2024-10-15", "v3": "2026-04-15"}
PROFILES, IMPORT, EVENTS = f"{API}/profiles", f"{API}/profile-import", f"{API}/events"
JOBS: Final = {
    subscriptions.CREATE: f"{API}/profile-subscription-bulk-create-jobs",
    subscriptions.DELETE: f"{API}/profile-subscription-bulk-delete-jobs",
}
_JOBS: Final = frozenset(JOBS.values())
_VALUES: Final = ("revenue", "value", "total")
_NAMES: Final = ("event", "name", "properties.name")


class Klaviyo(Destination[KlaviyoSettings]):
    """A profile for each identify, an event for each track and screen, a subscription where one is asked for."""

    slug: ClassVar = "klaviyo"
    names: ClassVar = ("Klaviyo", "KLAVIYO")
    kinds: ClassVar = frozenset({Kind.IDENTIFY, Kind.TRACK, Kind.SCREEN, Kind.GROUP})
    # A job takes 1,000 profiles; one that is refused is refused as a whole.
    delivery = Delivery(batch=100, batch_bytes=1_000_000)
    options: ClassVar = frozenset(OPTIONS)
    settings_type: ClassVar = KlaviyoSettings
    forgets: ClassVar = 1
    rules: ClassVar = (
        Rule("pause", "Klaviyo has retired this revision of its API: set api_version to a later one", status=410),
    )

    def __init__(self, settings: KlaviyoSettings) -> None:
        super().__init__(settings)
        self.auth = Header("Authorization", f"Klaviyo-API-Key {settings.private_api_key.get_secret_value()}")
        self._headers = {"revision": REVISIONS[settings.api_version]}
        self._old = settings.api_version == "v1"

    # What is sent

    def request(self, event: Event, at: Context) -> Sequence[Request]:
        """The requests of an event; raises Refused for what Klaviyo cannot take."""
        message, settings, kind = event.message, self.settings, event.kind
        if kind == Kind.GROUP:
            return [self._grouped(message)]
        who = profile.contact(message, strict=not self._old, tidy=settings.normalize_phones)
        ident = profile.user_id(message)
        if settings.enforce_email_as_primary:
            if not who:
                raise Refused("missing_field", "an e-mail address or a phone number is missing")
            named = {**who, "properties": {"_id": ident}} if ident else who
        else:
            named = {"external_id": ident, **who} if ident else who
        anonymous = word(message.get("anonymousId"))
        if anonymous and not self._old:
            named = {**named, "anonymous_id": anonymous}
        if not named and (self._old or not profile.profile_id(message)):
            raise Refused("missing_field", "an e-mail address, a phone number, a userId or an anonymousId is missing")
        patch = {} if self._old else profile.patches(message, at.options(event))
        if kind == Kind.IDENTIFY:
            return self._identified(message, who, named, patch)
        return [self._happened(event, at, named, patch)]

    def _identified(
        self, message: Mapping[str, Any], who: Mapping[str, Any], named: Mapping[str, Any], patch: Mapping[str, Any]
    ) -> Sequence[Request]:
        flatten = self.settings.flatten_properties
        if mapped(message):
            made = profile.row(message)
        else:
            made = profile.attributes(message, named, patch, flatten=flatten, old=self._old)
        data: dict[str, Any] = {"type": "profile", "attributes": made}
        if not self._old:
            data["meta"] = {"patch_properties": patch}
            known = profile.profile_id(message)
            if known:
                data["id"] = known
        sent = [self._post(PROFILES if self._old else IMPORT, {"data": data})]
        told = traits(message).get("properties")
        told = told if isinstance(told, dict) else {}
        group = word(told.get("listId")) or self.settings.list_id
        wanted = boolean(told.get("subscribe"))
        if group and wanted is not None:
            sent.extend(self._subscribed(message, who, group, wanted, told.get("consent")))
        return sent

    def _grouped(self, message: Mapping[str, Any]) -> Request:
        group = word(look(message, GROUP_ID))
        if not group:
            raise Refused("missing_field", "groupId is missing, which is the list")
        given = message.get("traits")
        given = given if isinstance(given, dict) else {}
        wanted = boolean(given.get("subscribe"))
        if wanted is None:
            raise Refused("missing_field", "traits.subscribe is neither true nor false")
        who = profile.contact(message, strict=not self._old, tidy=self.settings.normalize_phones)
        sent = self._subscribed(message, who, group, wanted, given.get("consent"))
        if not sent:
            raise Refused("bad_field", "v1 of the API cannot unsubscribe: set api_version to a later one")
        return sent[0]

    def _subscribed(
        self, message: Mapping[str, Any], who: Mapping[str, Any], group: str, wanted: bool, consent: Any
    ) -> Sequence[Request]:
        found = subscriptions.channels(consent, self.settings.consent)
        if self._old:
            if not wanted:
                return []
            return [self._post(JOBS[subscriptions.CREATE], subscriptions.old_job(who, group, found))]
        kind = subscriptions.CREATE if wanted else subscriptions.DELETE
        told = wanted or self.settings.api_version != "v2"
        known = profile.profile_id(message)
        return [self._post(JOBS[kind], subscriptions.job(who, known, group, found, kind, told=told))]

    def _happened(
        self, event: Event, at: Context, named: Mapping[str, Any], patch: Mapping[str, Any]
    ) -> Request:
        message, flatten = event.message, self.settings.flatten_properties
        name, given = word(look(message, *_NAMES)), message.get("properties")
        if not name:
            raise Refused("missing_field", "event is missing, its name")
        given = given if isinstance(given, dict) else {}
        made: dict[str, Any] = {}
        sold = shop(name, given) if self._old and event.kind == Kind.TRACK else None
        if sold is not None:
            name, given = sold
        else:
            given = _valued(given, made)
        properties = flat(given) if flatten else given
        if self._old:
            made["metric"] = {"name": name}
            made["profile"] = profile.old_profile(message, named, flatten=flatten)
            when = _time(message.get("timestamp"))
        else:
            made["metric"] = {"data": {"type": "metric", "attributes": {"name": name}}}
            person: dict[str, Any] = {
                "type": "profile", "attributes": profile.event_profile(message, named, patch, flatten=flatten)
            }  # fmt: skip
            known = profile.profile_id(message)
            if known:
                person["id"] = known
            made["profile"] = {"data": person}
            if event.message_id:
                made["unique_id"] = at.id(event) if event.child or at.salt else event.message_id
            when = _time(look(message, TIMESTAMP))
        made["properties"] = properties
        if when:
            made["time"] = when
        return self._post(EVENTS, {"data": {"type": "event", "attributes": made}})

    def _post(self, url: str, body: Mapping[str, Any]) -> Request:
        return Request("POST", url, Json(body), self._headers)

    # Steps

    def group(self, request: Request) -> Hashable | None:
        """Subscriptions to one list travel together."""
        if request.url not in _JOBS or not isinstance(request.body, Json):
            return None
        return request.url, subscriptions.listed(request.body.value)

    def merge(self, requests: Sequence[Request]) -> Request:
        """One job for the profiles of several."""
        bodies = [request.body.value for request in requests if isinstance(request.body, Json)]
        return replace(requests[0], body=Json(subscriptions.merged(bodies))) if len(bodies) > 1 else requests[0]

    def exchange(self, events: Sequence[Event], at: Context, resume: Any | None = None) -> Exchange:
        """Profiles and events one by one; subscriptions of events of one kind that follow each other together."""
        line = Line(events, at, lambda request, response: self.judge(response, at), self.merge)
        last = ""
        for i, event in enumerate(events):
            made = self.verdict(event, at)
            if isinstance(made, Verdict):
                line.tell(i, made)
                continue
            assert isinstance(made, list)
            if event.kind != last:
                yield from line.go()
                last = event.kind
            yield from line.ahead(i, self.group(made[-1]))
            for request in made:
                group = self.group(request)
                if not line.may(i):
                    break
                if group is not None:
                    yield from line.wait(i, request, group)
                elif request.url == PROFILES:
                    yield from self._made(line, i, request, at)
                elif (response := (yield from line.send(i, request))) is not None:
                    line.tell(i, self.judge(response, at))
        yield from line.go()
        return line.verdicts(f"{self.slug}: nothing to send")

    def _made(self, line: Line, i: int, request: Request, at: Context) -> Steps:
        """A profile of v1: made, or updated where it is there already."""
        response = yield from line.send(i, request)
        if response is None:
            return
        ident = duplicate(response)
        if not ident and self.settings.update_created:
            ident = created(response)
        if not ident:
            line.tell(i, self.judge(response, at))
            return
        assert isinstance(request.body, Json)
        body = {"data": {**request.body.value["data"], "id": ident}}
        update = Request("PATCH", f"{PROFILES}/{quote(ident, safe='')}", Json(body), self._headers)
        answer = yield from line.send(i, update)
        if answer is not None:
            line.tell(i, self.judge(answer, at))

    # Users

    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        """Delete the profiles of an e-mail address, of a phone number, or else of a userId, which is looked up."""
        headers = {"revision": REVISIONS["v2" if self._old else self.settings.api_version]}
        found: list[Verdict] = []
        for user in users:
            found += [(yield from forgotten(user, API, headers, lambda response: self.judge(response, at)))]
        return found


def _valued(given: Mapping[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """The properties without what is the event's own `value` and `value_currency`; raises Refused for no number."""
    for name in _VALUES:
        if given.get(name) is not None:
            value = number(given[name])
            if value is None:
                raise Refused("bad_field", f"properties.{name} is no number")
            made["value"] = value
            currency = given.get("currency")
            left = {name}
            if isinstance(currency, str) and currency:
                made["value_currency"] = currency
                left.add("currency")
            return {key: one for key, one in given.items() if key not in left}
    return dict(given)


def _time(value: Any) -> str | None:
    """A time as it is written, where it is one; numbers as ISO 8601."""
    if isinstance(value, str):
        return value if moment(value) is not None else None
    return iso(value)
