"""Amplitude: events, users and groups to its HTTP V2, Batch, Group Identify and User Mapping APIs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

from destinations.amplitude import answers
from destinations.amplitude.mapping import (
    COMMON,
    NAME,
    USER_ID,
    browser,
    context_places,
    context_properties,
    event_groups,
    identify_properties,
    is_group,
    mobile,
    operations,
    placed,
    session,
    template,
    word,
)
from destinations.amplitude.orders import ordered
from destinations.amplitude.settings import AmplitudeSettings
from turnout import (
    Context,
    Delivery,
    Destination,
    Event,
    Form,
    Json,
    Request,
    Response,
    Rule,
    Verdict,
    codec,
    dead,
    filtered,
)
from turnout.destination import Exchange
from turnout.errors import Refused
from turnout.fields import getter, look
from turnout.lookups import ANONYMOUS_ID, SESSION_ID, traits
from turnout.user import User

__all__ = ["Amplitude"]

HOSTS = {"us": "https://api2.amplitude.com", "eu": "https://api.eu.amplitude.com"}
SINGLE, BATCH = "/2/httpapi", "/batch"
SHORTEST = 5
"""Characters an id has at least where a request does not ask for another bound; /batch drops shorter ones."""
OPTIONS = {"min_id_length": 1}
PRIVACY = {"us": "https://amplitude.com", "eu": "https://analytics.eu.amplitude.com"}
_SESSIONS = [getter(path) for path in SESSION_ID]


class Amplitude(Destination[AmplitudeSettings]):
    """One event per event, in batches; groups and aliases are requests of their own."""

    slug: ClassVar = "amplitude"
    names: ClassVar = ("Amplitude", "AM")
    # 20 MB is the most that /batch takes; 500 events keep an answer and a retry small.
    delivery = Delivery(batch=500, batch_bytes=20_000_000)
    options: ClassVar = frozenset(
        {"groups", "session_id", "event_id", "fieldsToUnset", "skipUserPropertiesSync", "unmap"}
    )
    settings_type: ClassVar = AmplitudeSettings
    atomic: ClassVar = True
    forgets: ClassVar = 100
    rules: ClassVar = (
        Rule("pause", "Amplitude does not know this API key", status=400, text="Invalid API key"),
        Rule("throttle", "too many events", status=429, after=answers.PAUSE),
    )

    def __init__(self, settings: AmplitudeSettings) -> None:
        super().__init__(settings)
        self._key = settings.api_key.get_secret_value()
        host = HOSTS[settings.residency_server]
        self._upload, self._groups, self._users = host + SINGLE, host + "/groupidentify", host + "/usermap"
        self._privacy, self._basic = PRIVACY[settings.residency_server] + "/api/2/deletions/users", ""
        if settings.api_secret is not None:
            pair = f"{self._key}:{settings.api_secret.get_secret_value()}"
            self._basic = "Basic " + b64encode(pair.encode("utf-8", "replace")).decode()
        self._page = self._screen = None
        if settings.use_user_defined_page_event_name:
            self._page = template(settings.user_provided_page_event_string)
        if settings.use_user_defined_screen_event_name:
            self._screen = template(settings.user_provided_screen_event_string)
        self._operations = (
            ("$add", settings.traits_to_increment), ("$setOnce", settings.traits_to_set_once),
            ("$append", settings.traits_to_append), ("$prepend", settings.traits_to_prepend),
        )  # fmt: skip

    def request(self, event: Event, at: Context) -> Sequence[Request]:
        """An event of Amplitude, for an order its products behind it; raises Refused where no one can be named."""
        message, options = event.message, at.options(event)
        if event.kind == "alias":
            return [self._mapped(message, options)]
        made = self._common(event, at)
        if event.kind == "group":
            return self._grouped(message, options, made)
        groups = event_groups(options)
        if groups:
            made["groups"] = groups
        if event.message_id:
            made["insert_id"] = event.message_id
        if event.kind == "identify":
            made["event_type"] = "$identify"
            made["user_properties"] = operations(
                identify_properties(message, made), self._operations, options.get("fieldsToUnset"),
                apart=self.settings.enhanced_user_operations,
            )  # fmt: skip
            return [self._event(made)]
        made["user_properties"] = {**context_properties(message), **placed(look(message, "context.traits"))}
        properties = message.get("properties")
        if event.kind == "track":
            return self._tracked(message, properties, made)
        name = word(look(message, NAME))
        made["event_type"] = self._named(event.kind, message, name)
        found = dict(properties) if isinstance(properties, dict) else {}
        if name:
            found.setdefault("name", name)
        made["event_properties"] = found
        return [self._event(made)]

    # ---- what is sent

    def _common(self, event: Event, at: Context) -> dict[str, Any]:
        message, options, settings = event.message, at.options(event), self.settings
        made = COMMON.fill(message)
        channel, found = message.get("channel"), look(message, "context.device")
        channel = channel.lower() if isinstance(channel, str) else ""
        machine: Mapping[str, Any] = found if isinstance(found, dict) else {}
        if channel == "web":
            browser(message, made, screen=event.kind == "screen")
        else:
            mobile(machine, made)
        brand = "brand" if settings.map_device_brand else "manufacturer" if channel == "mobile" else ""
        if brand and word(machine.get(brand)):
            made["device_brand"] = word(machine[brand])
        device = self._device(message, machine, made)
        if device:
            made["device_id"] = device
        if settings.context_places:
            context_places(message, made)
        if settings.version_name:
            made.setdefault("app_version", settings.version_name)
        made.setdefault("time", int(at.now.timestamp() * 1000))
        made["session_id"] = session(options.get("session_id"), *(find(message) for find in _SESSIONS))
        ident = options.get("event_id")
        if isinstance(ident, int) and not isinstance(ident, bool):
            made["event_id"] = ident
        if options.get("skipUserPropertiesSync") is True:
            made["$skip_user_properties_sync"] = True
        made["library"] = settings.library
        return made

    def _device(self, message: Mapping[str, Any], machine: Mapping[str, Any], made: Mapping[str, Any]) -> str | None:
        settings = self.settings
        if settings.use_advertising_id_for_device_id and "adid" in made:
            return str(made["adid"])
        if settings.use_idfa_as_device_id and "idfa" in made:
            return str(made["idfa"])
        own, anonymous = word(machine.get("id")), word(message.get(ANONYMOUS_ID))
        return (anonymous or own) if settings.prefer_anonymous_id_for_device_id else (own or anonymous)

    def _event(self, made: dict[str, Any]) -> Request:
        if not made.get("user_id") and not made.get("device_id"):
            raise Refused("missing_field", "Amplitude needs a userId, an anonymousId or a device id")
        return Request("POST", self._upload, Json({"api_key": self._key, "events": [made], "options": OPTIONS}))

    def _tracked(self, message: Mapping[str, Any], properties: Any, made: dict[str, Any]) -> Sequence[Request]:
        name = word(message.get("event"))
        if not name:
            raise Refused("missing_field", "a track event needs a name (event)")
        made["event_type"] = name
        if not isinstance(properties, dict):
            return [self._event(made)]
        settings = self.settings
        sent = ordered(
            made, properties, once=settings.track_products_once, each=settings.track_revenue_per_product
        )
        return [self._event(one) for one in sent]

    def _named(self, kind: str, message: Mapping[str, Any], name: str | None) -> str:
        wanted = self._page if kind == "page" else self._screen
        found = (wanted(message) or name) if wanted is not None else None
        return found or (f"Viewed {name} {kind.capitalize()}" if name else f"Viewed {kind.capitalize()}")

    def _grouped(
        self, message: Mapping[str, Any], options: Mapping[str, Any], made: dict[str, Any]
    ) -> Sequence[Request]:
        group = self._group(message, options)
        kind, value = group["group_type"], group["group_value"]
        made |= {
            "event_type": "$identify",
            "groups": {kind: value},
            "user_properties": {**context_properties(message), kind: value},
        }
        told = "[" + codec.dumps(group).decode() + "]"
        form = Form({"api_key": self._key, "identification": told})
        return [self._event(made), Request("POST", self._groups, form)]

    def _group(self, message: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """`group_type`, `group_value` and `group_properties`, of the options or by the settings' traits."""
        given = options.get("groups")
        if isinstance(given, Mapping) and is_group(given):
            names = ("group_type", "group_value", "group_properties")
            return {name: given[name] for name in names if name in given}
        settings, found = self.settings, traits(message)
        group = {
            "group_type": found.get(settings.group_type_trait),
            "group_value": found.get(settings.group_value_trait),
            "group_properties": found,
        }
        if not is_group(group):
            raise Refused(
                "missing_field",
                "a group needs a type and a name, texts in the traits that the settings "
                "group_type_trait and group_value_trait name",
            )
        return group

    def _mapped(self, message: Mapping[str, Any], options: Mapping[str, Any]) -> Request:
        unmap = word(options.get("unmap"))
        if unmap:
            mapping: dict[str, Any] = {"user_id": unmap, "unmap": True}
        else:
            user, previous = word(look(message, USER_ID)), word(message.get("previousId"))
            if not user or not previous:
                raise Refused("missing_field", "an alias event needs a userId and a previousId")
            mapping = {"global_user_id": user, "user_id": previous}
        told = "[" + codec.dumps(mapping).decode() + "]"
        return Request("POST", self._users, Form({"api_key": self._key, "mapping": told}))

    # ---- batches and answers

    def group(self, request: Request) -> Hashable | None:
        """Events of one project; those with an id that /batch would drop for its length travel alone."""
        body = request.body.value if isinstance(request.body, Json) else None
        if not isinstance(body, dict) or not request.url.endswith(SINGLE):
            return None
        for one in _events(body):
            ids = [one[name] for name in ("user_id", "device_id") if one.get(name)]
            if not ids:
                raise Refused("missing_field", "Amplitude needs a user_id or a device_id")
            if any(not isinstance(ident, str) or len(ident) < SHORTEST for ident in ids):
                return None
        return request.url, body.get("api_key")

    def merge(self, requests: Sequence[Request]) -> Request:
        """One upload to /batch, which takes 1,000 events a second of one user where /2/httpapi takes 30."""
        bodies = [request.body.value for request in requests if isinstance(request.body, Json)]
        merged = {"api_key": bodies[0].get("api_key"), "events": [one for body in bodies for one in _events(body)]}
        return Request("POST", requests[0].url.removesuffix(SINGLE) + BATCH, Json(merged))

    def verdicts(self, request: Request, response: Response, at: Context) -> Sequence[Verdict]:
        """By event where the answer names some, else one for all."""
        if response.status in (400, 429):
            said = response.json()
            if isinstance(said, dict):
                if response.status == 400:
                    found = answers.refused(request, said)
                else:
                    found = answers.throttled(request, response, said, at.now)
                if found is not None:
                    return found
        return super().verdicts(request, response, at)

    # ---- users

    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        """Delete users of this project by their user id, with all their events, some days from now."""
        if not self._basic:
            return [dead("to delete users, Amplitude needs the project's secret key: set api_secret")] * len(users)
        ids = list(dict.fromkeys(user.user_id for user in users if user.user_id))
        answer: Verdict | None = None
        if ids:
            # The value of a switch is a text there: https://amplitude.com/docs/apis/analytics/user-privacy
            body = {"user_ids": ids, "requester": "Turnout", "ignore_invalid_id": "true"}
            response = yield Request("POST", self._privacy, Json(body), {"Authorization": self._basic})
            assert response is not None
            answer = self.judge(response, at)
        return [answer if answer and user.user_id else filtered("no userId") for user in users]


def _events(body: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    events = body.get("events")
    return events if isinstance(events, list) else [events] if isinstance(events, dict) else []
