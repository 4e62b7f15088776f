"""Braze: users, what they do and buy, their aliases, and the subscription groups they are in."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar, Final

from destinations.braze.batches import TRACKED, listed, said, subscribed, tracked
from destinations.braze.groups import subscription
from destinations.braze.mapping import alias, attributes, external, row, time, word
from destinations.braze.orders import ORDER, recommended
from destinations.braze.purchases import purchases
from destinations.braze.settings import BrazeSettings
from destinations.braze.steps import Ready, both, heads, known, left, resolved, stopped
from turnout import (
    Bearer,
    Context,
    Delivery,
    Destination,
    Event,
    Json,
    Kind,
    Record,
    Request,
    Response,
    User,
    Verdict,
    filtered,
)
from turnout.codec import dumps
from turnout.destination import Exchange
from turnout.errors import Refused
from turnout.fields import look
from turnout.lookups import GROUP_ID, mapped
from turnout.verdict import worst

__all__ = ["Braze"]

TRACK: Final = "/users/track"
IDENTIFY: Final = "/users/identify"
MERGE: Final = "/users/merge"
SUBSCRIBE: Final = "/v2/subscription/status/set"
ITEM_BYTES: Final = 100_000
"""Largest attributes, event or purchase."""
MOST: Final = 75
"""Of each of the arrays of /users/track, or of all together."""
_RESERVED: Final = frozenset({"time", "event_name"})
"""Properties that an event of Braze must not have."""
_LATEST: Final = 3600.0
"""The longest of Braze's limits begins anew each hour."""


class Braze(Destination[BrazeSettings]):
    """Everything about users to /users/track, behind /users/identify where an anonymous user becomes known."""

    slug: ClassVar = "braze"
    names: ClassVar = ("Braze", "BRAZE", "Appboy")
    kinds: ClassVar = frozenset(Kind) - {Kind.RECORD}
    delivery = Delivery(batch=MOST, batch_bytes=4_000_000)
    options: ClassVar = frozenset({"alias"})
    settings_type: ClassVar = BrazeSettings
    forgets: ClassVar = 50
    answer_bytes: ClassVar = 4 << 20

    def __init__(self, settings: BrazeSettings) -> None:
        super().__init__(settings)
        self.auth = Bearer(settings.rest_api_key.get_secret_value())
        host = settings.host()
        self._track, self._identify = host + TRACK, host + IDENTIFY
        self._merge, self._subscribe = host + MERGE, host + SUBSCRIBE
        self._export, self._delete = f"{host}/users/export/ids", f"{host}/users/delete"
        self._limits = {self._identify: 50, self._merge: 50, self._subscribe: 25}
        self._partner: Mapping[str, Any] = {"partner": settings.partner} if settings.partner else {}
        self._together_counts = settings.plan == "mau"
        self._ready: Ready | None = None
        self._makers: Mapping[str, Callable[[Event, Mapping[str, Any], Context], Request | Sequence[Request]]] = {
            "identify": self._identified, "track": self._happened, "page": self._happened,
            "screen": self._happened, "group": self._grouped, "alias": self._merged,
        }  # fmt: skip

    # What is sent

    def request(self, event: Event, at: Context) -> Request | Sequence[Request]:
        """The requests of an event; raises Refused for what Braze cannot take."""
        message = event.message
        made = self._makers[event.kind](event, message, at)
        if len(event.raw) > ITEM_BYTES:
            _measured([made] if isinstance(made, Request) else made)
        return made

    def _who(self, message: Mapping[str, Any], at: Context, event: Event, *, group: bool = False) -> dict[str, Any]:
        ident = external(message, group=group)
        if mapped(message) and (found := row(message)):
            return dict(found)
        if ident:
            return {"external_id": ident}
        other = alias(message, at.options(event), self.settings.alias_label)
        if other is None:
            raise Refused("missing_field", "userId, anonymousId or an external id of Braze is missing")
        return {"_update_existing_only": False, "user_alias": other}

    def _identified(self, event: Event, message: Mapping[str, Any], at: Context) -> Sequence[Request]:
        who = self._who(message, at, event)
        found = attributes(message, nested=self.settings.enable_nested_array_operations)
        # Alone it says nothing of a partner; `merge` does for all.
        made = [Request("POST", self._track, Json({"attributes": [{**found, **who}]}))]
        other = alias(message, at.options(event), self.settings.alias_label)
        if other is not None and "external_id" in who:
            body = {"aliases_to_identify": [{"external_id": who["external_id"], "user_alias": other}]}
            made.insert(0, Request("POST", self._identify, Json({**body, "merge_behavior": "merge"})))
        return made

    def _happened(self, event: Event, message: Mapping[str, Any], at: Context) -> Request | Sequence[Request]:
        who = self._who(message, at, event)
        name, settings = _named(event.kind, message), self.settings
        body: dict[str, Any] = {**self._partner}
        found = attributes(message, nested=settings.enable_nested_array_operations)
        if found:
            body["attributes"] = [{**found, **who}]
        when = time(message, at.now)
        shop = None
        if event.kind == Kind.TRACK:
            if settings.use_ecommerce_recommended_events:
                shop = recommended(name, message)
            elif name.strip().lower() == ORDER:
                items = purchases(message, when, who, properties=settings.purchase_properties)
                return self._bought(body, items)
        if shop is None:
            properties = message.get("properties")
            given = properties if isinstance(properties, dict) else {}
            shop = name, {key: value for key, value in given.items() if key not in _RESERVED}
        body["events"] = [{"name": shop[0], "time": when, "properties": shop[1], **who}]
        return Request("POST", self._track, Json(body))

    def _bought(self, body: dict[str, Any], items: list[dict[str, Any]]) -> Request | Sequence[Request]:
        """An order; one of more products than a request takes is several."""
        room = MOST - 1 if "attributes" in body else MOST
        made = [Request("POST", self._track, Json({**body, "purchases": items[:room]}))]
        for start in range(room, len(items), MOST):
            rest = {**self._partner, "purchases": items[start : start + MOST]}
            made.append(Request("POST", self._track, Json(rest)))
        return made

    def _grouped(self, event: Event, message: Mapping[str, Any], at: Context) -> Request:
        group = word(look(message, GROUP_ID))
        if not group:
            raise Refused("missing_field", "groupId is missing")
        if self.settings.enable_subscription_group_in_group_call:
            body = {"subscription_groups": [subscription(message, group)]}
            return Request("POST", self._subscribe, Json(body))
        item = {f"{self.settings.group_prefix}{group}": True, **self._who(message, at, event, group=True)}
        return Request("POST", self._track, Json({**self._partner, "attributes": [item]}))

    def _merged(self, event: Event, message: Mapping[str, Any], at: Context) -> Request:
        kept, gone = external(message), word(message.get("previousId"))
        if not kept or not gone:
            raise Refused("missing_field", f"{'previousId' if kept else 'userId'} is missing")
        update = {"identifier_to_merge": {"external_id": gone}, "identifier_to_keep": {"external_id": kept}}
        return Request("POST", self._merge, Json({"merge_updates": [update]}))

    # Batches and answers

    def group(self, request: Request) -> Hashable | None:
        """By address."""
        return request.url

    def limit(self, request: Request, at: Context) -> int:
        """75 items of /users/track, fewer of the others."""
        return min(self._limits.get(request.url, MOST), at.delivery.batch)

    def weight(self, request: Request) -> int:
        """How many items a request brings, or purchases, of which alone an event may have several."""
        body = request.body.value if isinstance(request.body, Json) and request.url == self._track else None
        if not isinstance(body, dict):
            return 1
        names = TRACKED if self._together_counts else TRACKED[2:]
        return sum([len(body[name]) for name in names if name in body]) or 1

    def takes_whole(self, request: Request) -> bool:
        """/users/track says which items it refuses; the others say nothing of the kind."""
        return request.url != self._track

    def merge(self, requests: Sequence[Request]) -> Request:
        """The items of all in the arrays of one."""
        bodies = [request.body.value for request in requests if isinstance(request.body, Json)]
        first = requests[0]
        if first.url.endswith(TRACK):
            return replace(first, body=tracked(bodies, self.settings.partner))
        if first.url.endswith(SUBSCRIBE):
            return replace(first, body=subscribed(bodies))
        name = "merge_updates" if first.url.endswith(MERGE) else "aliases_to_identify"
        return replace(first, body=listed(bodies, name))

    def judge(self, response: Response, at: Context) -> Verdict:
        """The house's table; a limit without a Retry-After says when it begins anew."""
        verdict = super().judge(response, at)
        if response.status == 429 and verdict.after is None:
            anew = response.header("X-RateLimit-Reset") or ""
            if anew.isascii() and anew.isdigit() and len(anew) < 12:
                after = float(anew) - at.now.timestamp()
                return replace(verdict, after=min(max(after, 1.0), _LATEST))
        return verdict

    def verdicts(self, request: Request, response: Response, at: Context) -> Sequence[Verdict]:
        """By item where a success names some that are refused, else one for all.

        An alias that is refused costs its event nothing else: Braze says so of users that it does not know yet.
        """
        given = self.judge(response, at)
        if 200 <= response.status < 300:
            found = said(request, response, given, fatal=request.url != self._identify)
            if found is not None:
                return found
        return [given] * len(request.events)

    # Steps of their own

    def exchange(self, events: Sequence[Event], at: Context, resume: Any | None = None) -> Exchange:
        """The default, behind what Braze knows already (with `deduplicate`), and who anonymous users are."""
        made = [self.verdict(event, at) for event in events]
        if self.settings.deduplicate:
            told = yield from known(self, self._export, made, at)
            if isinstance(told, Verdict):
                return [told] * len(events)
            made = told
        elif len(events) == 1:
            return (yield from super().exchange(events, at, resume))
        going = copy(self)
        going._ready = heads(events, made)
        ahead = yield from resolved(going, self._identify, events, made, at)
        if (found := stopped(made, ahead)) is not None:
            return found
        going._ready = left(events, made, ahead)
        rest = yield from super(Braze, going).exchange(events, at)
        return both(ahead, rest)

    def verdict(self, event: Event, at: Context) -> list[Request] | Record | Verdict:
        """What is to be sent of an event; within an exchange, what is left of it."""
        return super().verdict(event, at) if self._ready is None else self._ready[id(event)]

    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        """Delete users by their external id, and the anonymous ones by their alias."""
        label = self.settings.alias_label
        found: list[Verdict | None] = [None] * len(users)
        named = [
            ("external_ids", {i: user.user_id for i, user in enumerate(users) if user.user_id}),
            ("user_aliases", {i: user.anonymous_id for i, user in enumerate(users) if user.anonymous_id}),
        ]
        for name, ids in named:
            if not ids:
                continue
            once: list[Any] = list(dict.fromkeys(ids.values()))
            if name == "user_aliases":
                once = [{"alias_name": ident, "alias_label": label} for ident in once]
            answer = yield Request("POST", self._delete, Json({name: once}))
            assert answer is not None
            verdict = self.judge(answer, at)
            for i in ids:
                found[i] = worst(found[i], verdict)
        return [one or filtered("neither userId nor anonymousId") for one in found]


def _named(kind: str, message: Mapping[str, Any]) -> str:
    if kind == Kind.TRACK:
        name = message.get("event")
        if not isinstance(name, str) or not name.strip():
            raise Refused("missing_field", "event, its name, is missing or no text")
        return name
    found = look(message, "name", "properties.name")
    return found if isinstance(found, str) and found.strip() else f"{kind.capitalize()} Viewed"


def _measured(requests: Sequence[Request]) -> None:
    for request in requests:
        body = request.body.value if isinstance(request.body, Json) else {}
        if any(len(dumps(item)) > ITEM_BYTES for name in TRACKED for item in body.get(name, ())):
            raise Refused("too_large", f"Braze takes no more than {ITEM_BYTES:,} bytes of one event")
