"""What a person is to Klaviyo: the attributes of a profile, those of the one in an event, and custom properties.

Source: https://developers.klaviyo.com/en/reference/create_or_update_profile (attributes and `patch_properties`), and
https://developers.klaviyo.com/en/v2023-02-22/reference/create_event for the `$` names of v1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from turnout import lookups
from turnout.errors import Refused
from turnout.fields import Field, Fields, look
from turnout.lookups import external_ids, traits
from turnout.values import flat, text

__all__ = [
    "OPTIONS", "attributes", "contact", "event_profile", "old_profile", "patches", "profile_id",
    "row", "user_id", "word",
]

OPTIONS: Final = {"fieldsToAppend": "append", "fieldsToUnappend": "unappend", "fieldsToUnset": "unset"}
"""Of the integrations object, and what each is among the `patch_properties`."""
_E164: Final = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_BETWEEN: Final = re.compile(r"[\s().-]+", re.ASCII)


def word(value: Any) -> str | None:
    """A text, or a number as one; None for what is no id."""
    if isinstance(value, str):
        return value if value.strip() else None
    return text(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


_CONTACT: Final = Fields(Field("email", lookups.EMAIL, via=word), Field("phone_number", lookups.PHONE, via=word))
_PERSON: Final = {
    **dict.fromkeys(("firstName", "firstname", "first_name"), "first_name"),
    **dict.fromkeys(("lastName", "lastname", "last_name"), "last_name"),
    "title": "title", "organization": "organization", "image": "image",
}  # fmt: skip
_PLACE: Final = {name: name for name in ("city", "region", "country", "zip", "timezone")}
_PLACED: Final = _PLACE | {
    "street": "address1", "address2": "address2", "latitude": "latitude", "longitude": "longitude",
}  # fmt: skip
_ADDRESS: Final = (
    ("city", "city"), ("region", "region"), ("region", "state"), ("country", "country"), ("zip", "zip"),
    ("zip", "postalCode"), ("address1", "street"), ("address2", "address2"),
)  # fmt: skip
_OTHERS: Final = (("region", "state"), ("zip", "zipcode"), ("zip", "postalCode"))
"""Other names of the same, which stay properties, too."""
_ELSEWHERE: Final = dict.fromkeys(("email", "phone", "anonymousId", "userId", "properties"), "")
"""Traits that say to whom and what for."""
_DOLLAR: Final = {name: f"${to}" for name, to in (*_PERSON.items(), *_PLACE.items())} | _ELSEWHERE | {"id": ""}


def contact(message: Mapping[str, Any], *, strict: bool, tidy: bool) -> dict[str, Any]:
    """`email` and `phone_number`, as many as there are; `strict` refuses a number that is not E.164."""
    made = _CONTACT.fill(message)
    phone = made.get("phone_number")
    if phone is not None and strict:
        plain = _BETWEEN.sub("", phone)
        if not _E164.fullmatch(plain):
            raise Refused("bad_field", "the phone number is not E.164, which begins with + and the country's code")
        if tidy:
            made["phone_number"] = plain
    return made


def attributes(
    message: Mapping[str, Any], who: Mapping[str, Any], patch: Mapping[str, Any], *, flatten: bool, old: bool = False
) -> dict[str, Any]:
    """Of a profile, with what is known of `who`; what is patched is no property beside it. `old` is for v1."""
    given = traits(message)
    patched = {name for part in patch.values() for name in part} if patch else ()
    made, location, custom = {**who}, {}, {}
    for name, value in given.items():
        if value is None:
            continue
        if name in _PERSON:
            if value != "":
                made.setdefault(_PERSON[name], value)
        elif name in _PLACED:
            if value != "":
                location[_PLACED[name]] = value
            if old and name not in _PLACE:
                custom[name] = value
        elif name not in _ELSEWHERE and name not in patched:
            custom[name] = value
    _elsewhere(given, location)
    if location:
        made["location"] = location
    properties = {**(flat(custom) if flatten else custom), **made.get("properties", {})}
    if properties:
        made["properties"] = properties
    return made


def _elsewhere(given: Mapping[str, Any], location: dict[str, Any]) -> None:
    """Add what is in `address`, or under another name."""
    address = given.get("address")
    if isinstance(address, dict):
        for to, name in _ADDRESS:
            if to not in location and address.get(name) not in (None, ""):
                location[to] = address[name]
    for to, name in _OTHERS:
        if name in given and to not in location and given[name] not in (None, ""):
            location[to] = given[name]


def event_profile(
    message: Mapping[str, Any], who: Mapping[str, Any], patch: Mapping[str, Any], *, flatten: bool
) -> dict[str, Any]:
    """The attributes of the profile in an event."""
    return {**attributes(message, who, patch, flatten=flatten), "meta": {"patch_properties": patch}}


def old_profile(message: Mapping[str, Any], who: Mapping[str, Any], *, flatten: bool) -> dict[str, Any]:
    """The same for v1: one object, Klaviyo's own names with a `$`."""
    names = {"email": "$email", "phone_number": "$phone_number", "external_id": "$id"}
    made = {name: who[key] for key, name in names.items() if key in who}
    made.update(who.get("properties", {}))
    custom = {}
    for name, value in traits(message).items():
        to = _DOLLAR.get(name)
        if to is None and value is not None:
            custom[name] = value
        elif to and value not in (None, ""):
            made.setdefault(to, value)
    made.update(flat(custom) if flatten else custom)
    return made


def patches(message: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """`patch_properties`: traits that are appended to a list, taken from it, and names that are unset."""
    made: dict[str, Any] = {}
    if not options:
        return made
    given = traits(message)
    for option, name in OPTIONS.items():
        names = options.get(option)
        if not isinstance(names, list):
            continue
        wanted = [one for one in names if isinstance(one, str) and one]
        found: Any = wanted if name == "unset" else {one: given[one] for one in wanted if one in given}
        if found:
            made[name] = found
    return made


def profile_id(message: Mapping[str, Any]) -> str | None:
    """Klaviyo's own id of a profile, where the event has it as an external id."""
    for one in external_ids(message):
        if one.get("type") == "klaviyo-profileId":
            return word(one.get("id"))
    return None


def row(message: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a profile that a reverse ETL made already, with the one that identifies it."""
    made = dict(traits(message))
    ids: Sequence[Mapping[str, Any]] = external_ids(message)
    for one in ids:
        name, ident = one.get("identifierType"), one.get("id")
        if isinstance(name, str) and name and ident not in (None, ""):
            made[name] = ident
            break
    return made


def user_id(message: Mapping[str, Any]) -> str | None:
    """Who it is, as the account knows it."""
    return word(look(message, lookups.USER_ID_ONLY))
