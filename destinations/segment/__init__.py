"""Segment: every event as it is, in batches, to a source of its own."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from destinations.segment.settings import SegmentSettings
from turnout import (
    Context,
    Delivery,
    Destination,
    Event,
    Json,
    Kind,
    Request,
    Verdict,
    codec,
    dead,
    filtered,
)
from turnout.destination import Exchange
from turnout.errors import Refused
from turnout.fields import Field, Fields
from turnout.lookups import GROUP_ID, TIMESTAMP, traits
from turnout.user import User

__all__ = ["Segment"]

HOSTS = {"us": "https://api.segment.io/v1/batch", "eu": "https://events.eu1.segmentapis.com/v1/batch"}
PUBLIC = {"us": "https://api.segmentapis.com", "eu": "https://eu1.api.segmentapis.com"}
LARGEST = 32_000
"""Bytes that Segment takes of an event; more in one of them refuses its whole batch."""
LONGEST_ID = 100
# https://segment.com/docs/connections/spec/common/ and the pages of each call.
_PLAIN = ("anonymousId", "userId", "event", "name", "category", "previousId", "properties", "traits")
_WHOLE = Fields(*(Field(name, name) for name in _PLAIN), Field("groupId", GROUP_ID), Field("timestamp", TIMESTAMP))
_RUDDERSTACK = Fields(
    *(Field(name, name) for name in ("anonymousId", "userId", "event", "groupId", "previousId", "properties")),
    Field("timeStamp", "timestamp"),
)
_HEAD, _TAIL = b'{"batch":[', b"]}"
_NEEDED = {"track": "event", "group": "groupId", "alias": "previousId"}


class Segment(Destination[SegmentSettings]):
    """All six types; Segment's own routing and destinations follow from there."""

    slug: ClassVar = "segment"
    names: ClassVar = ("Segment", "Segment.io")
    kinds: ClassVar = frozenset(Kind) - {Kind.RECORD}
    # 500 KB and 2,500 events at most: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/
    delivery = Delivery(batch=500, batch_bytes=480_000)
    settings_type: ClassVar = SegmentSettings
    atomic: ClassVar = True
    forgets: ClassVar = 1_000

    def __init__(self, settings: SegmentSettings) -> None:
        super().__init__(settings)
        # By hand and not as `auth`: the deletion of users asks another API, with another key.
        pair = base64.b64encode(f"{settings.write_key.get_secret_value()}:".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}"}
        endpoint = settings.endpoint
        self._url = HOSTS[settings.region] if endpoint is None else endpoint.get_secret_value()
        self._make = _as_rudderstack if settings.rudderstack_fields else _whole

    def request(self, event: Event, at: Context) -> Request:
        """A batch of one. Refused is what Segment would answer 200 for and drop."""
        made = self._make(event, at)
        if "userId" not in made and "anonymousId" not in made:
            raise Refused("missing_field", "userId or anonymousId is missing")
        needed = _NEEDED.get(event.kind)
        if needed is not None and needed not in made:
            raise Refused("missing_field", f"{needed} is missing")
        data = codec.dumps(made)
        if len(data) > LARGEST:
            raise Refused("too_large", f"it has {len(data):,} bytes, and Segment takes {LARGEST:,} of an event")
        return Request("POST", self._url, Json.encoded(_HEAD + data + _TAIL), self._headers)

    def merge(self, requests: Sequence[Request]) -> Request:
        """One batch of theirs; events are not encoded again."""
        bodies = [request.body for request in requests]
        parts = [body.data[len(_HEAD):-len(_TAIL)] for body in bodies if isinstance(body, Json)]
        return replace(requests[0], body=Json.encoded(_HEAD + b",".join(parts) + _TAIL))


    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        """Ask for a regulation of the workspace: https://docs.segmentapis.com/tag/Deletion-and-Suppression."""
        token = self.settings.public_api_token
        if token is None:
            return [dead("to delete users, Segment needs a token of its Public API: set public_api_token")] * len(users)
        ids = list(dict.fromkeys(user.user_id for user in users if user.user_id))
        answer: Verdict | None = None
        if ids:
            body = {"regulationType": self.settings.regulation_type, "subjectType": "USER_ID", "subjectIds": ids}
            headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
            response = yield Request("POST", f"{PUBLIC[self.settings.region]}/regulations", Json(body), headers)
            assert response is not None
            answer = self.judge(response, at)
        return [answer if answer and user.user_id else filtered("no userId") for user in users]


def _whole(event: Event, at: Context) -> dict[str, Any]:
    message = event.message
    made = _WHOLE.fill(message, {"type": event.kind, "messageId": _id(event, at)})
    context, ip = message.get("context"), message.get("request_ip")
    context = context if isinstance(context, dict) else {}
    if isinstance(ip, str) and ip and not context.get("ip"):
        context = {**context, "ip": ip}  # else Segment has nobody's address: it is us who send
    if context:
        made["context"] = context
    kept = _integrations(message.get("integrations"))
    if kept:
        made["integrations"] = kept
    return made


def _id(event: Event, at: Context) -> str:
    """What Segment knows an event again by: its own id, unless several have it or it is meant as a new one."""
    ident = event.message_id
    return ident if ident and not event.child and not at.salt and len(ident) <= LONGEST_ID else at.id(event)


def _integrations(value: Any) -> dict[str, Any]:
    """What an event says to tools behind Segment; what it says to all, or to Segment, was for this router."""
    if not isinstance(value, Mapping):
        return {}
    return {key: said for key, said in value.items() if key.lower() not in ("all", "segment", "segment.io")}


def _as_rudderstack(event: Event, at: Context) -> dict[str, Any]:
    made = _RUDDERSTACK.fill(event.message, {"type": event.kind})
    if found := traits(event.message):
        made["traits"] = found
    return made
