"""Who an event is about, and what becomes of its traits.

Source: https://www.braze.com/docs/api/objects_filters/user_attributes_object and
https://www.braze.com/docs/user_guide/data/activation/attributes/array_of_objects (operations).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from turnout import lookups
from turnout.errors import Refused
from turnout.fields import getter, look
from turnout.lookups import TIMESTAMP, USER_ID_ONLY
from turnout.values import iso, text

__all__ = ["IDENTIFIERS", "alias", "attributes", "external", "row", "time", "word"]

IDENTIFIERS: Final = frozenset({"external_id", "user_alias", "braze_id", "_update_existing_only"})
"""Of an item of /users/track: who it is about. No trait may say it."""
_RENAMED: Final = {"firstName": "first_name", "lastName": "last_name", "birthday": "dob", "avatar": "image_url"}
_CHANGED: Final = frozenset({"email", "gender", "address"})
_SPECIAL: Final = IDENTIFIERS | _RENAMED.keys() | _CHANGED | {"_merge_objects"}
_GENDERS: Final = {
    spelling: letter
    for letter, spellings in {
        "F": ("f", "female", "w", "woman", "girl"),
        "M": ("m", "male", "man", "boy"),
        "O": ("o", "other"),
        "N": ("n", "not applicable", "n/a"),
        "P": ("p", "prefer not to say"),
    }.items()
    for spelling in spellings
}
_ROW_IDS: Final = frozenset({"external_id", "braze_id", "email", "phone"})
_USER: Final = tuple(getter(path) for path in USER_ID_ONLY)
_MEMBER: Final = tuple(getter(path) for path in ("userId", "context.traits.userId", "context.traits.id"))
"""Of a group event: its traits are those of the group."""


def word(value: Any) -> str:
    """An id or a name as text; "" where it is none."""
    if isinstance(value, str):
        return value if value and not value.isspace() else ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return text(value) or ""
    return ""


def external(message: Mapping[str, Any], *, group: bool = False) -> str:
    """The external id of the user: `brazeExternalId` of the context, else the user id; "" for nobody known."""
    found = word(lookups.external_id(message, "brazeExternalId"))
    if found:
        return found
    for find in _MEMBER if group else _USER:
        found = word(find(message))
        if found:
            return found
    return ""


def alias(message: Mapping[str, Any], options: Mapping[str, Any], label: str) -> dict[str, str] | None:
    """The user's alias: that of the options, else the anonymousId."""
    given = options.get("alias")
    if isinstance(given, Mapping):
        name, kind = word(given.get("alias_name")), word(given.get("alias_label"))
        if name and kind:
            return {"alias_name": name, "alias_label": kind}
    anonymous = word(message.get("anonymousId"))
    return {"alias_name": anonymous, "alias_label": label} if anonymous else None


def row(message: Mapping[str, Any]) -> dict[str, Any]:
    """Whom a mapped row of a warehouse is about: by the identifier that it names, or a field that says it."""
    for one in lookups.external_ids(message):
        kind, ident = one.get("identifierType"), word(one.get("id"))
        if isinstance(kind, str) and kind in _ROW_IDS and ident:
            return {kind: ident}
    given = lookups.traits(message)
    for name in ("external_id", "braze_id"):
        if ident := word(given.get(name)):
            return {name: ident}
    return {}


def time(message: Mapping[str, Any], now: datetime) -> str:
    """When it happened, in ISO 8601: the event's own text, for Braze reads every zone."""
    when = look(message, TIMESTAMP)
    if isinstance(when, str):
        return when
    return iso(when) or iso(now.isoformat()) or ""


def attributes(message: Mapping[str, Any], *, nested: bool) -> dict[str, Any]:
    """The user's attributes, without who the user is; {} where there are none.

    `nested` reads operations on arrays of objects. Null is kept: it removes an attribute. Raises
    `Refused` for an e-mail address that is no text, and for an operation that names no item.
    """
    given = lookups.traits(message)
    if lookups.mapped(message):
        return {name: value for name, value in given.items() if name not in IDENTIFIERS}
    made: dict[str, Any] = {}
    special: dict[str, Any] = {}
    updates = False
    for name, value in given.items():
        if name in _SPECIAL:
            special[name] = value
        elif nested and isinstance(value, dict) and _operates(value):
            made[name] = _operations(value)
            updates = updates or "update" in value
        else:
            made[name] = value
    if special:
        _changed(special, made)
    if nested and made:
        merge = look(message, "properties.mergeObjectsUpdateOperation")
        if updates or merge is True:
            made["_merge_objects"] = merge is True
    return made


def _changed(special: Mapping[str, Any], made: dict[str, Any]) -> None:
    for name, value in special.items():
        if name in _RENAMED:
            if value != "":
                made[_RENAMED[name]] = value
        elif name == "email":
            if value is not None and not isinstance(value, str):
                raise Refused("bad_field", "the trait email is no text")
            if value != "":
                made["email"] = value.lower() if value is not None else None
        elif name == "gender":
            letter = _GENDERS.get(value.strip().lower()) if isinstance(value, str) else None
            if letter or value is None:
                made["gender"] = letter
        elif name == "address" and not isinstance(value, dict):
            made["address"] = value
        elif name == "address":
            for part, target in (("city", "home_city"), ("country", "country")):
                if part in value and value[part] != "":
                    made.setdefault(target, value[part])


# ---- operations on arrays of objects

_OPERATIONS: Final = ("update", "remove", "add")


def _operates(value: Mapping[str, Any]) -> bool:
    """Whether all of it are lists of objects under the names of operations."""
    return bool(value) and all(
        name in _OPERATIONS and isinstance(items, list) and items and all(isinstance(item, dict) for item in items)
        for name, items in value.items()
    )


def _operations(value: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in _OPERATIONS:
        if name not in value:
            continue
        if name == "add":
            made["$add"] = value[name]
            continue
        items = []
        for item in value[name]:
            key = item.get("identifier")
            if not isinstance(key, str) or key not in item:
                raise Refused("bad_field", f"an item under {name} needs an identifier, the key that it is found by")
            one = {"$identifier_key": key, "$identifier_value": item[key]}
            if name == "update":
                one["$new_object"] = {part: it for part, it in item.items() if part not in ("identifier", key)}
            items.append(one)
        made[f"${name}"] = items
    return made
