"""What an event is to Customer.io: one entity of its Track API v2, from which a call of v1 is made, too.

Source: https://docs.customer.io/integrations/api/track/#tag/track_v2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from turnout import filtered
from turnout.errors import Refused
from turnout.event import Kind
from turnout.fields import Field, Fields, getter, look
from turnout.lookups import EMAIL, TIMESTAMP, USER_ID_ONLY, traits
from turnout.values import kept, seconds, text
from turnout.verdict import Verdict

__all__ = ["REGISTERS", "Entity", "entity", "record"]

Entity = dict[str, Any]
REGISTERS: Final = frozenset({"Application Installed", "Application Opened"})
"""Events of a mobile SDK that register a device, where it has a token."""
UNINSTALLED: Final = "Application Uninstalled"
NAME_BYTES: Final = 100
"""Longest name of an event without a person."""
ACTIONS: Final = frozenset({"identify", "delete", "add_relationships", "delete_relationships"})
OBJECT_TYPE: Final = "1"
"""Of the first kind of object of a workspace."""
APPLE: Final = frozenset({"ios", "ipados", "tvos", "watchos"})
_IDS = ("userId", "anonymousId", "previousId", "groupId")
_SCALAR = (str, int, float)
_NO_ATTRIBUTES = frozenset({"address", "anonymousId", "createdAt", "userId"})
_OF_GROUPS = frozenset({"action", "objectTypeId", "object_type_id"})
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LONGEST_EMAIL = 254
_USER = tuple(getter(path) for path in USER_ID_ONLY)
_ADDRESS = tuple(getter(path) for path in EMAIL)
_MEMBER = (*_USER, getter("context.traits.email"))
_DEVICE = Fields(
    Field("device_os", "context.os.name"),
    Field("device_model", "context.device.model"),
    Field("app_version", "context.app.version"),
    Field("device_locale", "context.locale"),
)


def entity(message: Mapping[str, Any], kind: str, registers: frozenset[str]) -> Entity:
    """The entity of an event other than a record; `registers` are names of events that register a device.

    Raises `Refused` for what the API does not take.
    """
    for place in _IDS:
        value = message.get(place)
        if value is not None and (isinstance(value, bool) or not isinstance(value, _SCALAR)):
            raise Refused("bad_field", f"{place} is neither text nor number")
    if kind == Kind.GROUP:
        return _object(message)
    if kind == Kind.ALIAS:
        return _merge(message)
    who = _first(message, _USER) or _first(message, _ADDRESS)
    if kind == Kind.IDENTIFY:
        return _identify(message, who)
    name = message.get("event")
    if kind == Kind.TRACK and isinstance(name, str) and (name in registers or name == UNINSTALLED):
        token = _word(look(message, "context.device.token"))
        if name == UNINSTALLED:
            return _without_device(who, token)
        if who and token:
            return _with_device(message, who, token)
    return _happened(message, kind, who)


def record(message: Mapping[str, Any], mirror: bool) -> Entity | Verdict:
    """The entity of a row of a warehouse; a deleted one deletes the person where the sync is a mirror."""
    action = message.get("action")
    given = message.get("identifiers")
    columns = {**given} if isinstance(given, dict) else {}
    named = next((name for name in ("id", "email") if _word(columns.get(name))), "")
    if not named:
        raise Refused("missing_field", "identifiers.id or identifiers.email is missing")
    row: Entity = {"type": "person", "action": "identify", "identifiers": {named: _word(columns.pop(named))}}
    if action == "delete":
        return {**row, "action": "delete"} if mirror else filtered("a row was deleted, and sync_mode is upsert")
    if action not in ("insert", "update"):
        raise Refused("bad_field", "action is none of insert, update, delete")
    more = message.get("fields")
    return {**row, "attributes": {**columns, **more} if isinstance(more, dict) else columns}


def _identify(message: Mapping[str, Any], who: str) -> Entity:
    if not who:
        raise Refused("missing_field", "userId or an e-mail address is missing")
    given = traits(message)
    found = {name: value for name, value in given.items() if name not in _NO_ATTRIBUTES}
    address = given.get("address")
    if isinstance(address, dict):
        for name, value in address.items():
            found.setdefault(name, value)
    elif kept(address):
        found["address"] = address
    more = message.get("user_properties")
    if isinstance(more, dict):
        found.update(more)
    created = look(given, "createdAt", "created_at")
    if created is not None:
        moment = seconds(created)
        found["created_at"] = created if moment is None else moment
    anonymous = _word(message.get("anonymousId"))
    if anonymous:
        found["anonymous_id"] = anonymous
    made: Entity = {"type": "person", "action": "identify", "identifiers": _named(who), "attributes": found}
    return _timed(made, message)


def _happened(message: Mapping[str, Any], kind: str, who: str) -> Entity:
    anonymous = "" if who else _word(message.get("anonymousId"))
    if not who and not anonymous:
        raise Refused("missing_field", "userId, an e-mail address or anonymousId is missing")
    made: Entity = {
        "type": "person",
        "action": "page" if kind == Kind.PAGE else "event",
        "identifiers": {"anonymous_id": anonymous} if anonymous else _named(who),
        "name": _NAMES[kind](message, NAME_BYTES if anonymous else 0),
    }
    properties = message.get("properties")
    if isinstance(properties, dict):
        made["attributes"] = properties
    elif kept(properties):
        raise Refused("bad_field", "properties is no object")
    return _timed(made, message)


def _track(message: Mapping[str, Any], longest: int) -> str:
    return _cut(_title(message.get("event"), "event"), longest)


def _page(message: Mapping[str, Any], longest: int) -> str:
    found = look(message, "name", "properties.name", "properties.url", "context.page.url")
    return _cut(_title(found, "name or properties.url"), longest)


def _screen(message: Mapping[str, Any], longest: int) -> str:
    found = _title(look(message, "event", "name", "properties.name"), "event or name")
    return f"Viewed {_cut(found, longest and longest - len('Viewed  Screen'))} Screen"


_NAMES: Final[Mapping[str, Callable[[Mapping[str, Any], int], str]]] = {
    Kind.TRACK: _track, Kind.PAGE: _page, Kind.SCREEN: _screen,
}


def _with_device(message: Mapping[str, Any], who: str, token: str) -> Entity:
    device: Entity = {"token": token}
    used = _moment(message)
    if used is not None:
        device["last_used"] = used
    platform = look(message, "context.device.type", "context.os.name")
    if isinstance(platform, str):
        device["platform"] = "ios" if platform.lower() in APPLE else platform.lower()
    device["attributes"] = _DEVICE.fill(message)
    properties = message.get("properties")
    if isinstance(properties, dict):
        device["attributes"].update(properties)
    return {"type": "person", "action": "add_device", "identifiers": _named(who), "device": device}


def _without_device(who: str, token: str) -> Entity:
    if not who or not token:
        raise Refused("missing_field", "userId or an e-mail address, and context.device.token, are needed")
    return {
        "type": "person", "action": "delete_device", "identifiers": _named(who), "device": {"token": token},
    }


def _merge(message: Mapping[str, Any]) -> Entity:
    primary = _first(message, _USER) or _first(message, _ADDRESS)
    secondary = _word(message.get("previousId"))
    if not primary or not secondary:
        raise Refused("missing_field", f"{'previousId' if primary else 'userId'} is missing")
    return {"type": "person", "action": "merge", "primary": _named(primary), "secondary": _named(secondary)}


def _object(message: Mapping[str, Any]) -> Entity:
    given = message.get("traits")
    given = given if isinstance(given, dict) else {}
    ident = _word(message.get("groupId")) or _word(given.get("groupId"))
    if not ident:
        raise Refused("missing_field", "groupId is missing")
    action = given.get("action")
    made: Entity = {
        "type": "object",
        "action": action if isinstance(action, str) and action in ACTIONS else "identify",
        "identifiers": {
            "object_id": ident,
            "object_type_id": _word(look(given, "objectTypeId", "object_type_id")) or OBJECT_TYPE,
        },
    }
    found = {name: value for name, value in given.items() if name not in _OF_GROUPS}
    if found:
        made["attributes"] = found
    member = _first(message, _MEMBER)
    made["cio_relationships"] = [{"identifiers": _named(member)}] if member else []
    return made


def _timed(made: Entity, message: Mapping[str, Any]) -> Entity:
    when = _moment(message)
    if when is not None:
        made["timestamp"] = when
    return made


def _moment(message: Mapping[str, Any]) -> int | None:
    return seconds(look(message, TIMESTAMP))


def _first(message: Mapping[str, Any], getters: Iterable[Callable[[Any], Any]]) -> str:
    for find in getters:
        found = _word(find(message))
        if found:
            return found
    return ""


def _word(value: Any) -> str:
    """An id as text, which the API asks for; "" where it is none."""
    if isinstance(value, str):
        return value if value.strip() else ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return text(value) or ""
    return ""


def _named(who: str) -> dict[str, str]:
    """By what a person is known: v1 looks at the shape of the id in its path, v2 wants to be told."""
    email = "@" in who and len(who) <= _LONGEST_EMAIL and _EMAIL.fullmatch(who)
    return {"email": who} if email else {"id": who}


def _title(value: Any, needs: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Refused("missing_field", f"{needs} is missing, or no text")
    return value


def _cut(name: str, longest: int) -> str:
    """A name cut after so many bytes, never inside a character; 0 is no limit."""
    if not longest or len(name) * 4 <= longest:
        return name
    return name[:longest].encode("utf-8", "replace")[:longest].decode("utf-8", "ignore")
