"""PostHog: events, persons, aliases and groups, in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from destinations.posthog import mapping
from destinations.posthog.mapping import ALIAS, GROUP, PAGE, SCREEN, WHO, word
from destinations.posthog.settings import PosthogSettings
from turnout import Context, Delivery, Destination, Event, Json, Kind, Request, Verdict, codec, dead, filtered
from turnout.destination import Exchange
from turnout.errors import Refused
from turnout.lookups import traits
from turnout.user import User

__all__ = ["Posthog"]

LARGEST = 900_000
"""Bytes of an event: PostHog puts each into a message of a queue that takes 1 MB with what is added to it."""
NAMES = {
    "identify": "$identify", "page": "$pageview", "screen": "$screen", "alias": "$create_alias",
    "group": "$groupidentify",
}  # fmt: skip


class Posthog(Destination[PosthogSettings]):
    """One event of PostHog for each event."""

    slug: ClassVar = "posthog"
    names: ClassVar = ("PostHog", "POSTHOG")
    kinds: ClassVar = frozenset(Kind) - {Kind.RECORD}
    # A request may have 20 MB; 500 events keep a retry small.
    delivery = Delivery(batch=500, batch_bytes=19_000_000)
    options: ClassVar = frozenset({"groups"})
    settings_type: ClassVar = PosthogSettings
    atomic: ClassVar = True
    forgets: ClassVar = 500  # a call takes 1,000 ids, and a user may have two

    def __init__(self, settings: PosthogSettings) -> None:
        super().__init__(settings)
        host = settings.host.get_secret_value().rstrip("/")
        self._url = f"{host}/batch"
        self._head = b'{"api_key":' + codec.dumps(settings.api_key.get_secret_value()) + b","
        # The private API of PostHog Cloud is not where its events are taken.
        private = host.replace(".i.posthog.com", ".posthog.com")
        self._persons = f"{private}/api/projects/{settings.project_id}/persons/bulk_delete/"
        key = settings.personal_api_key
        self._bearer = f"Bearer {key.get_secret_value()}" if key is not None else ""

    def request(self, event: Event, at: Context) -> Request:
        """A single event; raises Refused for one that PostHog would drop or refuse."""
        message, kind, theirs = event.message, event.kind, self.settings.rudderstack_fields
        name = NAMES.get(kind) or word(message.get("event"))
        if not name:
            raise Refused("missing_field", "event is missing, the name of a track")
        made: dict[str, Any] = WHO.fill(message, {"event": name})
        properties = self._properties(event, at)
        if "distinct_id" not in made and "$group_type" in properties:
            made["distinct_id"] = f"${properties['$group_type']}_{properties['$group_key']}"
        if "distinct_id" not in made:
            raise Refused("missing_field", "userId or anonymousId is missing")
        made["properties"] = properties
        if kind == "group" and not self.settings.use_v2_group:
            GROUP.fill(message, made)
        if not theirs:
            made["uuid"] = at.id(event)
            return self._whole(made)
        properties["distinct_id"] = made["distinct_id"]
        if "timestamp" in made:
            properties["$time"] = properties["$timestamp"] = made["timestamp"]
        made["type"] = "capture" if kind == "track" else kind
        if event.message_id:
            made["messageId"] = message["messageId"]
        if kind == "identify":
            made["$set"] = traits(message)
        elif kind == "alias":
            del made["distinct_id"]
        return self._whole(made)

    def _whole(self, made: Mapping[str, Any]) -> Request:
        data = codec.dumps(made)
        if len(data) > LARGEST:
            raise Refused("too_large", f"it has {len(data):,} bytes, and PostHog takes {LARGEST:,} of an event")
        return Request("POST", self._url, Json.encoded(self._head + data[1:]))

    def _properties(self, event: Event, at: Context) -> dict[str, Any]:
        message, kind, settings = event.message, event.kind, self.settings
        made = mapping.properties(message, theirs=settings.rudderstack_fields)
        if kind == "group":
            if settings.use_v2_group:
                self._group(message, made)
            return made
        if kind == "identify":
            made["$set"] = traits(message)
        elif kind == "alias":
            ALIAS.fill(message, made)
        elif kind == "page":
            PAGE.fill(message, made)
        elif kind == "screen":
            SCREEN.fill(message, made)
        groups = at.options(event).get("groups")
        if isinstance(groups, dict) and groups:
            made["$groups"] = groups
        own = message.get("properties")
        if isinstance(own, dict):
            made.update(own)
        return made

    def _group(self, message: Mapping[str, Any], made: dict[str, Any]) -> None:
        made["$group_key"] = GROUP.fill(message)["groupId"]
        given = message.get("traits")
        given = given if isinstance(given, dict) else {}
        kind = word(given.get("groupType")) or self.settings.group_type
        if not kind:
            raise Refused("missing_field", "traits.groupType is missing, and the setting group_type is empty")
        made["$group_type"] = kind
        made["$group_set"] = {key: value for key, value in given.items() if key != "groupType"}

    def merge(self, requests: Sequence[Request]) -> Request:
        """Their events under one key; they are not encoded again."""
        start = len(self._head)
        parts = [b"{" + request.body.data[start:] for request in requests if isinstance(request.body, Json)]
        return replace(requests[0], body=Json.encoded(self._head + b'"batch":[' + b",".join(parts) + b"]}"))

    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        """Delete persons by their ids; PostHog deletes their events some days from now."""
        if not self._bearer:
            why = "to delete users, PostHog needs a personal key: set personal_api_key and project_id"
            return [dead(why)] * len(users)
        ids = list(dict.fromkeys(one for user in users for one in (user.user_id, user.anonymous_id) if one))
        answer: Verdict | None = None
        if ids:
            more = self.settings.delete_events
            body = {"distinct_ids": ids, "delete_events": more, "delete_recordings": more}
            response = yield Request("POST", self._persons, Json(body), {"Authorization": self._bearer})
            assert response is not None
            answer = self.judge(response, at)
        known = [bool(user.user_id or user.anonymous_id) for user in users]
        return [answer if answer and one else filtered("no userId and no anonymousId") for one in known]
