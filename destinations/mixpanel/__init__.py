"""Mixpanel: events, profiles of users and groups, and who is the same person."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any, ClassVar, Final

from destinations.mixpanel import mapping
from destinations.mixpanel.answers import RULES, failed
from destinations.mixpanel.browser import browser
from destinations.mixpanel.deletion import MOST, UNKNOWN, deletion, ids
from destinations.mixpanel.mapping import context_traits, insert_id, ip, millis_of, named, scalar, user_agent
from destinations.mixpanel.profile import apart, around, operators, profile, traits
from destinations.mixpanel.progress import left, once
from destinations.mixpanel.settings import MixpanelSettings
from turnout import (
    Context,
    Delivery,
    Destination,
    Event,
    Json,
    JsonArray,
    Kind,
    Record,
    Request,
    Response,
    Verdict,
    dead,
    delivered,
    filtered,
    per_item,
)
from turnout.destination import Exchange
from turnout.errors import Refused
from turnout.fields import fill, getter
from turnout.paths import get
from turnout.user import User
from turnout.values import iso, number

__all__ = ["Mixpanel"]

HOSTS: Final = {"us": "api", "eu": "api-eu", "in": "api-in"}
MOST_GROUPS: Final = 200
"""Updates of group profiles in a request; of events and users it is 2,000."""
MOST_COPIED: Final = 20_000_000
"""Bytes of an event's traits for all the groups that it names, each of which gets them."""
EARLIEST: Final = 31_536_000_000
"""1971-01-01 as milliseconds: /import refuses what is from before."""
_geo_source: Final = getter("context.location.geoSource")
_GEO: Final = ("reverse_geocoding", None, "")

Made = Request | Verdict | Sequence[Request]


class Mixpanel(Destination[MixpanelSettings]):
    """track, page, screen and alias to /import, identify to /engage, group to /groups and /engage."""

    slug: ClassVar = "mixpanel"
    names: ClassVar = ("Mixpanel", "MP")
    kinds: ClassVar = frozenset(Kind) - {Kind.RECORD}
    delivery = Delivery(batch=2000, batch_bytes=1_000_000)
    settings_type: ClassVar = MixpanelSettings
    resumable: ClassVar = True
    forgets: ClassVar = MOST
    rules: ClassVar = RULES

    def __init__(self, settings: MixpanelSettings) -> None:
        super().__init__(settings)
        self._done: Mapping[int, int] = {}
        host = f"https://{HOSTS[settings.data_residency]}.mixpanel.com"
        self._import, self._engage, self._groups = f"{host}/import", f"{host}/engage", f"{host}/groups"
        self._token = settings.token.get_secret_value()
        self._simplified = settings.identity_merge_api == "simplified"
        user, secret = self._token, ""
        params = {"strict": "1" if settings.strict_mode else "0"}
        if settings.service_account_secret is not None:
            user, secret = settings.service_account_user_name, settings.service_account_secret.get_secret_value()
            params["project_id"] = settings.project_id
        # By hand and not as `auth`: profiles are updated with the token in the body, and with no credentials.
        basic = b64encode(f"{user}:{secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {basic}", "Content-Encoding": "gzip"}
        self._params: Mapping[str, str] = params
        self._oldest = settings.max_age.total_seconds() * 1000 if settings.max_age is not None else None
        self._operators = operators(settings)
        self._added, self._counted = settings.prop_increments, frozenset(settings.event_increments)
        self._names = {
            "page": (settings.use_user_defined_page_event_name, settings.user_defined_page_event_template),
            "screen": (settings.use_user_defined_screen_event_name, settings.user_defined_screen_event_template),
        }
        self._makers: Mapping[str, Callable[[Event, Mapping[str, Any], Context], Made]] = {
            "identify": self._identify, "track": self._track, "page": self._view, "screen": self._view,
            "group": self._group, "alias": self._alias,
        }

    # What is sent

    def request(self, event: Event, at: Context) -> Made:
        """The requests of an event, profiles before the event that is about them."""
        return self._makers[event.kind](event, event.message, at)

    def _track(self, event: Event, message: Mapping[str, Any], at: Context) -> Made:
        name = scalar(message.get("event"))
        if not name:
            return dead("event, the name of a track, is missing")
        given = message.get("properties")
        properties = given if isinstance(given, dict) else {}
        known = None if self.settings.drop_traits_in_track_event else context_traits(message)
        sent = self._event(event, at, name, {**known, **properties} if isinstance(known, dict) else {**properties})
        updates: list[dict[str, Any]] = []
        if amount := number(properties.get("revenue")):
            paid = {"$time": iso(millis_of(message)), "$amount": amount}
            updates.append({"$append": {"$transactions": paid}})
        added = {one: n for one in self._added if (n := number(properties.get(one))) is not None}
        if name in self._counted:
            added[name] = added.get(name, 0) + 1
        if added:
            updates.append({"$add": added})
        who = self._who(message) if updates else ""
        return [*(self._update(one, who) for one in updates), sent] if who else sent

    def _view(self, event: Event, message: Mapping[str, Any], at: Context) -> Made:
        kind = event.kind
        given, known = message.get("properties"), context_traits(message)
        properties = {**(known if isinstance(known, dict) else {}), **(given if isinstance(given, dict) else {})}
        custom, template = self._names[kind]
        name = named(template, message) if custom else ""
        return self._event(event, at, name or f"Loaded a {kind.capitalize()}", properties)

    def _event(self, event: Event, at: Context, name: str, properties: dict[str, Any]) -> Request:
        """An event for /import. Raises `Refused` for a time or an id that it cannot have."""
        message = event.message
        when = millis_of(message)
        if when is None:
            raise Refused("bad_time", "neither timestamp nor originalTimestamp is a time")
        if when < EARLIEST:
            raise Refused("too_old", "Mixpanel takes no event from before 1971")
        if self._oldest is not None and at.now.timestamp() * 1000 - when > self._oldest:
            raise Refused("too_old", "the event is older than max_age allows")
        fill(mapping.EVENT, message, properties)
        if (address := ip(message)) is not None:
            properties["ip"] = address
        user, device = scalar(message.get("userId")), scalar(message.get("anonymousId"))
        if user:
            properties["$user_id"] = user
        if device and self._simplified:
            properties["$device_id"] = device
        if identity := insert_id(event, at):
            properties["$insert_id"] = identity
        properties["token"] = self._token
        properties["distinct_id"] = self._who(message)
        properties["time"] = when
        mapping.utm(message, properties)
        if event.kind != "track":
            for part in ("name", "category"):
                if (value := message.get(part)) not in (None, ""):
                    properties[part] = value
        if message.get("channel") == "web":
            properties.update(browser(user_agent(message)))
        return self._imported({"event": name, "properties": properties})

    def _identify(self, event: Event, message: Mapping[str, Any], at: Context) -> Made:
        who = self._who(message)
        if not who:
            return dead("userId or anonymousId is missing")
        if _geo_source(message) not in _GEO:
            return dead("context.location.geoSource can only be reverse_geocoding, or null")
        given = traits(message)
        made = [self._update({operator: values}, who) for operator, values in apart(self._operators, given)]
        made_of = profile(message, given, new=self.settings.use_new_mapping)
        update: dict[str, Any] = {"$set": made_of, "$token": self._token, "$distinct_id": who}
        made.append(self._profiled(around(message, update)))
        user, device = scalar(message.get("userId")), scalar(message.get("anonymousId"))
        if user and device and user != device and not self._simplified:
            properties = {"$distinct_ids": [user, device], "token": self._token}
            made.append(self._imported({"event": "$merge", "properties": properties}))
        return made

    def _group(self, event: Event, message: Mapping[str, Any], at: Context) -> Made:
        keys = self.settings.group_key_settings
        if not keys:
            return filtered("group_key_settings names no group key of the project")
        given = message.get("traits")
        company = given if isinstance(given, dict) else {}
        made: list[Request] = []
        who, address = self._who(message), ip(message)
        for key in keys:
            value = get(company, key, None)
            ids = [one for one in (value if isinstance(value, list) else [value]) if scalar(one)]
            if not ids:
                continue
            if len(ids) * len(event.raw) > MOST_COPIED:
                raise Refused("too_large", f"{len(ids)} groups of one event, with all its traits each, are too much")
            if who:
                update = {"$token": self._token, "$distinct_id": who, "$set": {key: ids}}
                made.append(self._profiled({**update, "$ip": address} if address is not None else update))
            made += [
                self._sent(self._groups, {"$token": self._token, "$group_key": key, "$group_id": one, "$set": company})
                for one in ids
            ]
        return made or dead("the traits hold no group key of group_key_settings")

    def _alias(self, event: Event, message: Mapping[str, Any], at: Context) -> Made:
        if self._simplified:
            return filtered("projects with simplified identity merge have no alias")
        user = scalar(message.get("userId"))
        known = scalar(message.get("previousId")) or scalar(message.get("anonymousId"))
        if not user or not known:
            return dead("an alias needs userId, and previousId or anonymousId")
        if user == known:
            return dead("an alias needs two ids: previousId or anonymousId is the same as userId")
        properties = {"distinct_id": known, "alias": user, "token": self._token}
        return self._imported({"event": "$create_alias", "properties": properties})

    def _who(self, message: Mapping[str, Any]) -> str:
        """The `distinct_id`; "" where nobody is named, which Mixpanel takes for an event of nobody."""
        user, device = scalar(message.get("userId")), scalar(message.get("anonymousId"))
        return user or (f"$device:{device}" if device and self._simplified else device)

    def _update(self, update: Mapping[str, Any], who: str) -> Request:
        return self._profiled({**update, "$token": self._token, "$distinct_id": who})

    def _profiled(self, body: Mapping[str, Any]) -> Request:
        return self._sent(self._engage, body)

    def _sent(self, url: str, body: Mapping[str, Any]) -> Request:
        return Request("POST", url, JsonArray.of((Json(body),)), params={"verbose": "2"})

    def _imported(self, body: Mapping[str, Any]) -> Request:
        return Request("POST", self._import, JsonArray.of((Json(body),)), self._headers, self._params)

    # Batches and answers

    def exchange(self, events: Sequence[Event], at: Context, resume: Any | None = None) -> Exchange:
        """The default, but what counts (`$append`, `$add`) is done once.

        Where an event has that behind it and must be retried, the events of this exchange are a job from
        then on: its state is how many requests of each are done. A crash before that repeats them.
        """
        reached = list(resume) if resume is not None else [0] * len(events)
        going = self
        if resume is not None:
            going = copy(self)
            going._done = {id(event): done for event, done in zip(events, reached, strict=True) if done}
        steps = super(Mixpanel, going).exchange(events, at)
        judge = partial(self._read, at=at)  # what is not whole is not done either
        return (yield from once(steps, reached, judge, resumed=resume is not None))

    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        """Profiles are deleted, or a task is made that deletes events too: `user_deletion_api`."""
        known = [ids(user, simplified=self._simplified) for user in users]
        every = [one for own in known for one in own]
        if not every:
            return [UNKNOWN] * len(users)
        answer = yield deletion(self.settings, self._engage, every)
        assert answer is not None
        return [self.judge(answer, at) if own else UNKNOWN for own in known]

    def verdict(self, event: Event, at: Context) -> list[Request] | Record | Verdict:
        """What is still to be sent of an event."""
        made = super().verdict(event, at)
        return left(made, self._done.get(id(event), 0)) if self._done else made

    def group(self, request: Request) -> str:
        """By address: all that goes to one has the same credentials and params."""
        return request.url

    def limit(self, request: Request, at: Context) -> int:
        """Group profiles are fewer."""
        return MOST_GROUPS if request.url == self._groups else at.delivery.batch

    def merge(self, requests: Sequence[Request]) -> Request:
        """One array of all items."""
        one = requests[0]
        items = [item for request in requests if isinstance(request.body, JsonArray) for item in request.body.items]
        return Request(one.method, one.url, JsonArray.of(items), one.headers, one.params)

    def verdicts(self, request: Request, response: Response, at: Context) -> Sequence[Verdict]:
        """Of a 400 of /import, `failed_records` are dead, and all others are in."""
        if response.status == 400:
            rows = get(response.json(), "failed_records", None)
            if isinstance(rows, list) and rows:
                return per_item(rows, len(request.events), failed, rest=delivered(400))
        return super().verdicts(request, response, at)
