"""What an identify makes of a profile: traits under Mixpanel's names, the device, lists and first values.

Sources: https://docs.mixpanel.com/docs/data-structure/property-reference/reserved-properties and
https://docs.mixpanel.com/docs/data-structure/property-reference/default-properties.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from destinations.mixpanel.browser import browser
from destinations.mixpanel.mapping import (
    DEVICE,
    ORIGIN,
    SCREEN,
    context_traits,
    ip,
    millis_of,
    user_agent,
)
from destinations.mixpanel.settings import MixpanelSettings
from turnout.fields import Field, Fields, Sections, fill, getter
from turnout.lookups import mapped
from turnout.values import iso, number

__all__ = ["Operators", "apart", "around", "operators", "profile", "taken", "traits"]


def _date(value: Any) -> Any:
    """Mixpanel knows a date only as text."""
    return value if isinstance(value, str) else iso(value)


_PROFILE: Final = Fields(
    Field("$created", "createdAt", "created_at", via=_date),
    Field("$email", "email"),
    Field("$first_name", "firstName", "firstname", "first_name"),
    Field("$last_name", "lastName", "lastname", "last_name"),
    Field("$name", "name"),
    Field("$username", "username", "userName"),
    Field("$phone", "phone"),
    Field("$avatar", "avatar"),
    Field("$country_code", "country", "address.country"),
    Field("$city", "city", "address.city"),
    Field("$region", "state", "region", "address.state", "address.region"),
    Field("$unsubscribed", "unsubscribed"),
)
"""Properties of a profile, from traits."""

_CONTEXT: Final[Sections] = (
    *DEVICE,
    ("os", Fields(Field("$os", "name"))),
    ("screen", Fields(*SCREEN)),
    ("page", Fields(*ORIGIN)),
    ("location", Fields(Field("$geo_source", "geoSource"))),
)
"""Properties of a profile, from the event around the traits."""

_MAPPED: Final[Mapping[str, str]] = {
    source: field.to for field in _PROFILE.fields for source in field.sources if isinstance(source, str)
}
"""Trait, or path of one, and the property of the profile that it is."""
_KNOWN: Final = frozenset({source.partition(".")[0] for source in _MAPPED})
"""Traits that are sent as properties of another name, so not under their own."""

_ANDROID: Final = Fields(
    Field("$android_model", "context.device.model"),
    Field("$android_os_version", "context.os.version"),
    Field("$android_manufacturer", "context.device.manufacturer"),
    Field("$android_app_version", "context.app.version"),
    Field("$android_app_version_code", "context.app.build"),
    Field("$android_brand", "context.device.manufacturer"),
)
_APPLE: Final = Fields(
    Field("$ios_device_model", "context.device.model"),
    Field("$ios_version", "context.os.version"),
    Field("$ios_app_release", "context.app.version"),
    Field("$ios_app_version", "context.app.build"),
)
_PLACE: Final[Sections] = (
    ("location", Fields(Field("$latitude", "latitude", via=number), Field("$longitude", "longitude", via=number))),
)
_active: Final = getter("context.active")
_kind: Final = getter("context.device.type")
_token: Final = getter("context.device.token")
_DEVICES: Final = {
    "android": ("$android_devices", _ANDROID),
    **dict.fromkeys(("ios", "ipados", "tvos", "watchos"), ("$ios_devices", _APPLE)),
}


def _phone(message: Mapping[str, Any], made: dict[str, Any]) -> None:
    """Add what a profile says of a phone: its kind, its app, and the token that its messages go to."""
    kind = _kind(message)
    known = _DEVICES.get(kind.lower()) if isinstance(kind, str) else None
    if known is None:
        return
    tokens, fields = known
    token = _token(message)
    if token is not None and token != "":
        made[tokens] = [token]
    fields.fill(message, made)


def traits(message: Mapping[str, Any]) -> dict[str, Any]:
    """The traits of the event over those of its context, as an object of its own."""
    given, around = message.get("traits"), context_traits(message)
    return {**(around if isinstance(around, dict) else {}), **(given if isinstance(given, dict) else {})}


Operators = Sequence[tuple[str, Sequence[tuple[tuple[str, ...], str]]]]


def operators(settings: MixpanelSettings) -> Operators:
    """By operator of /engage the traits that are not simply set: the steps to each, and its name in the profile."""
    chosen = (
        ("$set_once", settings.set_once_properties),
        ("$union", settings.union_properties),
        ("$append", settings.append_properties),
    )
    return [
        (operator, [(tuple(path.split(".")), _MAPPED.get(path, path)) for path in paths])
        for operator, paths in chosen if paths
    ]


def around(message: Mapping[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    """An update of a profile with where and when it comes from."""
    if (address := ip(message)) is not None:
        update["$ip"] = address
    update["$time"] = millis_of(message)
    if _active(message) is False:
        update["$ignore_time"] = True
    fill(_PLACE, message, update)
    return update


def apart(chosen: Operators, given: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The traits that are not simply set, by operator; they are taken out of `given`."""
    found = []
    for operator, paths in chosen:
        values: dict[str, Any] = {}
        for steps, name in paths:
            value = taken(given, steps)
            if value is not None:
                values[name] = [value] if operator == "$union" and not isinstance(value, list) else value
        if values:
            found.append((operator, values))
    return found


def profile(message: Mapping[str, Any], given: dict[str, Any], *, new: bool) -> dict[str, Any]:
    """What `$set` sets: traits under Mixpanel's names and their own, the device, the browser.

    `new` is for `$first_name`, else `$firstName`. Traits of a warehouse that are named as they are to be stay so.
    """
    if mapped(message):
        return given
    made = _PROFILE.fill(given)
    first, last = made.get("$first_name"), made.get("$last_name")
    if "$name" not in made and isinstance(first, str) and isinstance(last, str):
        made["$name"] = f"{first} {last}"
    if not new:
        for name, old in (("$first_name", "$firstName"), ("$last_name", "$lastName")):
            if name in made:
                made[old] = made.pop(name)
    for name, value in given.items():
        if name not in _KNOWN:
            made[name] = value
    fill(_CONTEXT, message, made)
    _phone(message, made)
    if message.get("channel") == "web":
        made.update(browser(user_agent(message)))
    return made


def taken(given: dict[str, Any], steps: Sequence[str]) -> Any:
    """The trait at a path, taken out of `given`; None where there is none, or it is null, which stays.

    The objects on the way are copied, so that those of the event stay as they are.
    """
    *outer, last = steps
    found: Any = given
    for step in steps:
        found = found.get(step) if isinstance(found, dict) else None
    if found is None:
        return None
    place = given
    for step in outer:
        inner = place[step] = dict(place[step])
        place = inner
    del place[last]
    return found
