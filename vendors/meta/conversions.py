"""The part that the destinations of Meta's Conversions API share: an event, its batch, and what an answer means.

Source: https://developers.facebook.com/docs/marketing-api/conversions-api/using-the-api (requests, batches, test
events) and .../parameters/server-event (fields of an event).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar, get_args

from turnout import (
    Context,
    Delivery,
    Destination,
    Event,
    Form,
    Query,
    Request,
    Response,
    Verdict,
    codec,
    filtered,
    retry,
)
from turnout.errors import Refused
from turnout.fields import finder
from turnout.lookups import PAGE_URL, TIMESTAMP
from turnout.values import boolean, moment, seconds, text, without
from vendors.meta.answers import RULES, regained
from vendors.meta.app import app_data
from vendors.meta.commerce import EVENTS, STANDARD, Family, content, family_of
from vendors.meta.settings import ActionSource, ConversionsSettings
from vendors.meta.users import digest, scalar, user_data

__all__ = ["Conversions"]

S = TypeVar("S", bound=ConversionsSettings)

MOST: Final = 1000
"""Events in a request."""
DAY: Final = 86_400
OLDEST: Final = {"physical_store": 62 * DAY}
"""Seconds for which Meta takes an event that is late; 7 days where the source is no shop."""
AHEAD: Final = 60
PERSONAL: Final = frozenset({
    "email", "firstName", "lastName", "firstname", "lastname", "first_name", "last_name", "gender", "city", "country",
    "phone", "state", "zip", "birthday",
})
"""Properties that are left out of `custom_data`, where Meta wants no personal data, unless the settings let them."""
_APART: Final = frozenset({"opt_out", "event_id", "action_source"})
"""Properties that are fields of the event itself."""
_DATES: Final = frozenset({
    "checkinDate", "checkoutDate", "departingArrivalDate", "departingDepartureDate", "returningArrivalDate",
    "returningDepartureDate", "travelEnd", "travelStart",
})
_ISO: Final = re.compile(r"\d{4}-?\d\d-?\d\d")
_event_id: Final = finder("properties.event_id", "traits.event_id", "context.traits.event_id", "messageId")
"""What makes Meta take the event, and the one of the pixel in the browser, for one."""
_time: Final = finder(TIMESTAMP, "receivedAt")
_page_url: Final = finder(PAGE_URL)
_opt_out: Final = finder("properties.opt_out")
_action_source: Final = finder("properties.action_source")
_processing_options: Final = finder("context.dataProcessingOptions")
_SOURCES: Final[frozenset[str]] = frozenset(get_args(ActionSource))


class Conversions(Destination[S]):
    """`POST /<id>/events`, up to a thousand events in a form's `data`; subclasses say what an event's money is."""

    options: ClassVar = frozenset({"contentType", "hashed"})
    delivery = Delivery(batch=MOST, batch_bytes=1_000_000)
    atomic: ClassVar = True
    rules: ClassVar = RULES
    more: ClassVar[Mapping[str, tuple[str, Family]]] = {}
    """Events of the e-commerce spec beside those of `EVENTS`."""

    def __init__(self, settings: S, ident: str) -> None:
        super().__init__(settings)
        self.auth = Query("access_token", settings.access_token.get_secret_value())
        self._url = f"https://graph.facebook.com/{settings.api_version}/{ident}/events"
        tested = settings.test_destination and settings.test_event_code
        self._fields: Mapping[str, str] = {"test_event_code": settings.test_event_code} if tested else {}
        self._names = {name.strip().lower(): to for name, to in settings.events_to_events.items() if to}
        self._events = {**EVENTS, **self.more}
        self._families = dict(self.more.values())
        self._denied = settings.blacklist_pii_properties
        self._watched = (PERSONAL - set(settings.whitelist_pii_properties)) | set(self._denied) | _APART | _DATES

    # What subclasses say

    def source(self, message: Mapping[str, Any]) -> str:
        """The `action_source` of an event that names none itself."""
        raise NotImplementedError

    def properties(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """The properties of an event, as `custom_data` begins."""
        given = message.get("properties")
        return given if isinstance(given, dict) else {}

    def money(self, family: Family, properties: Mapping[str, Any], made: dict[str, Any]) -> None:
        """Put `value` and `currency` into `custom_data`. Raises `Refused` for an amount that is none."""
        raise NotImplementedError

    # One event

    def tracked(self, event: Event, at: Context) -> Request | Verdict:
        """A track as one of Meta's events, or as a custom one."""
        message = event.message
        name = message.get("event")
        if not isinstance(name, str) or not name.strip():
            raise Refused("no_name", "event, the name of a track, is missing or no text")
        properties = message.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        if not self._denied.keys().isdisjoint(properties):
            properties = without(properties, self._denied)
        given = name.strip().lower()
        named = self._names.get(given)
        if named is None and given in self._events:
            name, family = self._events[given]
        elif standard := STANDARD.get((named or given).lower()):
            name, family = standard, family_of(standard, self._families, properties)
        else:
            name, family = named or name.strip(), Family.PLAIN
        custom = self._custom(event, at)
        self._bare(name, custom)
        custom |= content(
            family, properties, kinds=self.settings.category_to_content, kind=at.options(event).get("contentType")
        )
        self.money(family, properties, custom)
        return self.sent(event, at, name, custom)

    def viewed(self, event: Event, at: Context, name: str) -> Request | Verdict:
        """A page or screen."""
        custom = self._custom(event, at)
        self._bare(name, custom)
        return self.sent(event, at, name, custom)

    def sent(self, event: Event, at: Context, name: str, custom: Mapping[str, Any]) -> Request | Verdict:
        """The request of one event. Raises `Refused` for one that Meta would refuse."""
        message = event.message
        when = seconds(_time(message))
        if when is None:
            raise Refused("bad_time", "neither timestamp nor originalTimestamp is a time")
        source = self._source(message)
        age = at.now.timestamp() - when
        if age > OLDEST.get(source, 7 * DAY) or age < -AHEAD:
            raise Refused("bad_time", "Meta takes events of the last 7 days (of a shop 62), and up to a minute ahead")
        who = user_data(
            message, names=self.settings.name_rules, hashed=self._as_it_is(event, at),
            external_id=not self.settings.remove_external_id,
        )
        if not who:
            return filtered("nothing that Meta could know a person by: no id, address, phone, name, IP, fbc or fbp")
        made: dict[str, Any] = {"event_name": name, "event_time": when, "action_source": source, "user_data": who}
        if ident := scalar(_event_id(message)):
            made["event_id"] = ident
        url = _page_url(message)
        if isinstance(url, str):
            made["event_source_url"] = url
        if custom:
            made["custom_data"] = custom
        if (out := boolean(_opt_out(message))) is not None:
            made["opt_out"] = out
        if source == "app":
            made["app_data"] = app_data(message)
        if self.settings.limited_data_usage:
            made |= _processing(_processing_options(message))
        return Request("POST", self._url, Form({"data": f"[{codec.dumps(made).decode()}]", **self._fields}))

    def _as_it_is(self, event: Event, at: Context) -> bool:
        """Whether what names a person is sent unhashed: a digest is known as one without that."""
        return self.settings.trust_hashed and at.options(event).get("hashed") is True

    def _source(self, message: Mapping[str, Any]) -> str:
        named = _action_source(message)
        if named is None:
            return self.source(message)
        if not isinstance(named, str) or named not in _SOURCES:
            raise Refused("bad_source", f"properties.action_source is none of {', '.join(sorted(_SOURCES))}")
        return named

    def _bare(self, name: str, custom: Mapping[str, Any]) -> None:
        if not custom and not self.settings.bare_standard_events and name.lower() in STANDARD:
            raise Refused("bare", "a standard event without properties (bare_standard_events is off)")

    def _custom(self, event: Event, at: Context) -> dict[str, Any]:
        """The properties without what names a person, as the settings say."""
        properties = self.properties(event.message)
        if self._watched.isdisjoint(properties):
            return dict(properties)
        made: dict[str, Any] = {}
        for name, value in properties.items():
            if name not in self._watched:
                made[name] = value
            elif name in _APART:
                continue
            elif name in self._denied:
                if self._denied[name] and value is not None:
                    made[name] = value if self._as_it_is(event, at) else digest(text(value)) or value
            elif name in _DATES:
                made[name] = _day(value)
        return made

    # Batches

    def group(self, request: Request) -> str:
        """All that is sent goes to one address, in the same words."""
        return self._url

    def merge(self, requests: Sequence[Request]) -> Request:
        """One `data` of all events; each is encoded already."""
        if len(requests) == 1:
            return requests[0]
        data = ",".join([str(r.body.fields["data"])[1:-1] for r in requests if isinstance(r.body, Form)])
        return Request("POST", self._url, Form({"data": f"[{data}]", **self._fields}))

    def judge(self, response: Response, at: Context) -> Verdict:
        """By the code of the error; a throttled call waits as long as Meta says."""
        found = super().judge(response, at)
        if found.status == 429 and found.after is None and (after := regained(response)) is not None:
            return retry(found.reason, status=429, after=after)
        return found


def _day(value: Any) -> Any:
    """A date of a journey as Meta reads it; one that is ISO 8601, or cannot be read, stays."""
    if not isinstance(value, str) or _ISO.match(value):
        return value
    found = moment(value)
    return value if found is None else found.date().isoformat()


def _processing(given: Any) -> dict[str, Any]:
    """`[options, country, state]`; one that is left out is left out."""
    names = ("data_processing_options", "data_processing_options_country", "data_processing_options_state")
    if not isinstance(given, list):
        return {}
    return {name: value for name, value in zip(names, given, strict=False) if value is not None}
