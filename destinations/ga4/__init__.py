"""Google Analytics 4: events to its Measurement Protocol, for websites and apps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from destinations.ga4.deletion import account, deletion
from destinations.ga4.events import EVENTS
from destinations.ga4.names import event_name, fitted, fitted_items, key
from destinations.ga4.params import custom, session, tracked, user_properties
from destinations.ga4.settings import GA4Settings
from destinations.ga4.user_data import user_data
from turnout import Context, Delivery, Destination, Event, Json, Kind, Request, Rule, User, dead
from turnout.destination import Exchange
from turnout.errors import Refused
from turnout.fields import getter, look
from turnout.lookups import GROUP_ID, IP, TIMESTAMP, USER_ID_ONLY, external_id, traits
from turnout.mapping import Body
from turnout.values import moment, number, text

__all__ = ["GA4"]

HOSTS = {"global": "www.google-analytics.com", "eu": "region1.google-analytics.com"}
COLLECT, DEBUG = "/mp/collect", "/debug/mp/collect"
PAST, FUTURE = timedelta(hours=72), timedelta(minutes=15)
LARGEST = 130_000
"""Bytes of a request, below which it has to be."""
CONSENTS = ("ad_user_data", "ad_personalization")
_GIVEN = frozenset({"GRANTED", "DENIED"})
_USER = tuple(getter(path) for path in USER_ID_ONLY)
_PAGE = (("page_location", "url"), ("page_referrer", "referrer"), ("page_title", "title"))
_SECRET = frozenset({"api_secret"})
_EMPTY: Mapping[str, Any] = {}


class GA4(Destination[GA4Settings]):
    """One request for each event; a track event with mappings of its own has one for each of them."""

    slug: ClassVar = "ga4"
    names: ClassVar = (
        "Google Analytics 4", "GA4", "Google Analytics 4 (GA4)", "Google Analytics 4 (GA4) V2", "GA4_V2",
    )  # fmt: skip
    kinds: ClassVar = frozenset({Kind.TRACK, Kind.PAGE, Kind.GROUP})
    delivery = Delivery(batch=1)
    options: ClassVar = frozenset({"clientId", "sessionId", "sessionNumber", "consents"})
    settings_type: ClassVar = GA4Settings
    forgets: ClassVar = 10
    rules: ClassVar = (
        Rule("dead", "Google's validation does not take this event", status=200, path="validationMessages"),
    )

    def __init__(self, settings: GA4Settings) -> None:
        super().__init__(settings)
        host = HOSTS[settings.region]
        self._web = settings.client_type == "gtag"
        self._url = f"https://{host}{DEBUG if settings.debug_mode else COLLECT}"
        self._headers = {"Host": host}
        stream = "measurement_id" if self._web else "firebase_app_id"
        self._params = {"api_secret": settings.api_secret.get_secret_value(), stream: getattr(settings, stream)}
        self._hybrid, self._fit = settings.connection_mode == "hybrid", settings.fit_limits
        key_of = settings.service_account
        self._account = account(key_of.get_secret_value()) if key_of is not None else None
        self._private = frozenset(settings.pii_properties_to_ignore)
        self._mapped: dict[str, list[tuple[str, Body]]] = {}
        for mapping in settings.events_mapping:
            self._mapped.setdefault(key(mapping.event), []).append((mapping.name.strip(), Body(mapping.properties)))

    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        """Delete users of the property by their user id and, on a website, their client id."""
        if self._account is None or not self.settings.property_id:
            yield from ()
            return [dead("to delete users, Google needs property_id and service_account")] * len(users)
        where, web = self.settings.property_id, self._web
        return (yield from deletion(users, self._account, where, at.now, lambda r: self.judge(r, at), web=web))

    def request(self, event: Event, at: Context) -> Request | Sequence[Request]:
        """The event under Google's name; raises Refused where it has no name, no client, or a time Google refuses."""
        message, options = event.message, at.options(event)
        context = _object(message.get("context"))
        own = _object(message.get("properties"))
        if event.kind == "track":
            name = message.get("event")
            if not isinstance(name, str) or not name.strip():
                raise Refused("missing_field", "a track event needs a name (event), which is a text")
            known = key(name)
            if known in self._mapped:
                return [
                    self._sent(event, self._own(one, message, context, options, at))
                    for one in self._mapped[known]
                ]  # fmt: skip
            spec = EVENTS.get(known)
            named = spec.name if spec is not None else event_name(name)
            params = tracked(spec, self._shown(own), message)
        elif event.kind == "page":
            named, params = "page_view", custom(self._shown(own))
            _page(params, own, context)
        else:
            named, own = "join_group", traits(message)
            params = custom(self._shown(own))
            group = text(look(message, GROUP_ID))
            if group:
                params["group_id"] = group
        params["engagement_time_msec"] = number(look(own, "engagement_time_msec", "engagementTimeMsec")) or 1
        session(params, own, context, options, hybrid=self._hybrid)
        body = self._common(message, context, options, at)
        about = user_properties(context.get("traits"), own.get("user_properties"), self._private, fit=self._fit)
        if about:
            body["user_properties"] = about
        body["events"] = [{"name": named, "params": self._fitted(params)}]
        return self._sent(event, body)

    # ---- the parts of a request

    def _common(
        self, message: Mapping[str, Any], context: Mapping[str, Any], options: Mapping[str, Any], at: Context
    ) -> dict[str, Any]:
        """Who, when, and what the user agreed to."""
        body: dict[str, Any] = {}
        if self._web:
            body["client_id"] = self._client(message, options)
        else:
            instance = text(external_id(message, "ga4AppInstanceId"))
            if not instance:
                raise Refused("missing_field", "an app's event needs an external id ga4AppInstanceId")
            body["app_instance_id"] = instance
        for find in _USER:
            user = find(message)
            if user is not None and user != "":
                body["user_id"] = text(user)
                break
        time = moment(look(message, TIMESTAMP))
        if time is not None:
            if time < at.now - PAST:
                raise Refused("bad_time", "Google takes no events from more than 72 hours ago")
            if time > at.now + FUTURE:
                raise Refused("bad_time", "Google takes no events from more than 15 minutes ahead")
            seconds = int(time.replace(microsecond=0).timestamp()) * 1_000_000
            body["timestamp_micros"] = seconds if self.settings.whole_seconds else seconds + time.microsecond
        tracking = _object(context.get("device")).get("adTrackingEnabled")
        if tracking is not None and tracking != "":
            body["non_personalized_ads"] = tracking not in (True, "true")
        consents = _object(options.get("consents"))
        agreed = {name: said for name in CONSENTS if isinstance(said := consents.get(name), str) and said in _GIVEN}
        if agreed:
            body["consent"] = agreed
        if self.settings.send_user_data and "user_id" in body and (about := user_data(message)):
            body["user_data"] = about
        if self.settings.send_ip and (ip := look(message, IP)) and isinstance(ip, str):
            body["ip_override"] = ip
        return body

    def _client(self, message: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        client = (options.get("clientId") if self._hybrid else None) or external_id(message, "ga4ClientId")
        client = text(client or message.get("anonymousId") or message.get("rudderId"))
        if not client:
            raise Refused("missing_field", "a website's event needs an anonymousId or an external id ga4ClientId")
        return client

    def _own(
        self, mapping: tuple[str, Body], message: Mapping[str, Any], context: Mapping[str, Any],
        options: Mapping[str, Any], at: Context,
    ) -> dict[str, Any]:
        """A request that the settings map path by path; ids, time and consent are there already."""
        name, mapped = mapping
        given = {**self._common(message, context, options, at), "events": [{"name": name, "params": {}}]}
        body: dict[str, Any] = mapped.made(message, given)
        events, body["events"] = body.get("events"), []
        for one in events if isinstance(events, list) else ():
            if not isinstance(one, dict) or not isinstance(one.get("params"), dict):
                raise Refused("mapping", "a mapping leaves an event without a name or params")
            params = dict(one["params"])  # what is mapped as a whole is still the event's own
            session(params, _EMPTY, context, options, hybrid=self._hybrid)
            named = event_name(text(one.get("name")) or "")
            body["events"].append({**one, "name": named, "params": self._fitted(params)})
        if not body["events"]:
            raise Refused("mapping", "a mapping leaves no event")
        return body

    def _shown(self, own: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._private.isdisjoint(own):
            return own
        return {name: value for name, value in own.items() if name not in self._private}

    def _fitted(self, params: dict[str, Any]) -> dict[str, Any]:
        if not self._fit:
            return params
        items = params.get("items")
        made = fitted(params)
        if isinstance(items, list):
            made["items"] = fitted_items([item for item in items if isinstance(item, dict)])
        return made

    def _sent(self, event: Event, body: dict[str, Any]) -> Request:
        document = Json(body)
        if len(event.raw) > LARGEST // 4 and len(document.data) >= LARGEST:
            raise Refused("too_large", f"Google takes requests below {LARGEST:,} bytes: send fewer properties")
        return Request("POST", self._url, document, self._headers, self._params, _SECRET)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _EMPTY


def _page(params: dict[str, Any], own: Mapping[str, Any], context: Mapping[str, Any]) -> None:
    page = _object(context.get("page"))
    for to, name in _PAGE:
        value = own.get(name) or page.get(name)
        if isinstance(value, str) and value:
            params[to] = value
