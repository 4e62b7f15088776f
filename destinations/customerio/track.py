"""An entity as a call of the Track API v1.

Source: https://docs.customer.io/integrations/api/track/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from turnout import Json, Request
from turnout.errors import Refused

__all__ = ["call"]

_AS_IT_IS = "!*'()"
"""What JavaScript's encodeURIComponent leaves, beyond letters, digits and what `quote` never touches."""


def call(host: str, entity: Mapping[str, Any], properties: Any) -> Request:
    """The call for an entity of a person; `properties` of the event are those of a device here.

    Raises `Refused` for an id that no path can hold.
    """
    action = entity["action"]
    if action == "merge":
        body = {"primary": entity["primary"], "secondary": entity["secondary"]}
        return Request("POST", f"{host}/api/v1/merge_customers", Json(body))
    ((kind, who),) = entity["identifiers"].items()
    if kind == "anonymous_id":
        return Request("POST", f"{host}/api/v1/events", Json({**_event(entity), "anonymous_id": who}))
    person = f"{host}/api/v1/customers/{_segment(who)}"
    if action == "identify":
        body = {**entity["attributes"]}
        if "timestamp" in entity:
            body["_timestamp"] = entity["timestamp"]
        return Request("PUT", person, Json(body))
    if action == "delete_device":
        return Request("DELETE", f"{person}/devices/{_segment(entity['device']['token'])}")
    if action == "add_device":
        given = entity["device"]
        device = {**properties} if isinstance(properties, dict) else {}
        device["id"] = given["token"]
        device |= {name: given[name] for name in ("platform", "last_used") if name in given}
        return Request("PUT", f"{person}/devices", Json({"device": device}))
    return Request("POST", f"{person}/events", Json(_event(entity)))


def _event(entity: Mapping[str, Any]) -> dict[str, Any]:
    made = {"name": entity["name"], "type": entity["action"]}
    for name, to in (("attributes", "data"), ("timestamp", "timestamp"), ("id", "id")):
        if name in entity:
            made[to] = entity[name]
    return made


def _segment(ident: str) -> str:
    if ident in (".", ".."):  # any client takes these for a way up, escaped or not
        raise Refused("bad_field", "an id of dots alone has no address")
    return quote(ident, safe=_AS_IT_IS, errors="replace")
